import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhpo_mpi.config import StudyConfig, load_config
from snnhpo_mpi.config.document import apply_override, parse_document
from snnhpo_mpi.config.validation import validate
from snnhpo_mpi.errors import ConfigError

TEXT = """\
study: {name: toy, seed: 3}
budget:
  trials: 10
  wall_time: 1h 30min
trainer:
  name: stdp
  dataset: {name: digits5000, train: 1000, held_out: 500}
  encoding: {steps: 100, max_rate_hz: 128}
stopping:
  - {layer: excitatory, alpha: 5, beta: 0.1}
fixed: {e_reset: -60.0}
space:
  map_size: {type: int, low: 20, high: 200}
  nu_pre: {type: float, low: 1e-4, high: 1e-2, scale: log}
  decoder: {type: categorical, choices: [all, vote, 2gram]}
"""


def load(text: str, *overrides: str) -> StudyConfig:
    document = parse_document(text, "toy.yaml")
    for override in overrides:
        apply_override(document, override)
    return validate(document)


def test_a_number_without_a_dot_in_scientific_notation_is_a_number() -> None:
    assert load(TEXT).space["nu_pre"].low == 1e-4


def test_durations_are_read_as_seconds() -> None:
    config = load(TEXT, "budget.wall_time=1-02:00:03", "trainer.time_limit=90")
    assert config.budget.wall_time == 26 * 3600 + 3
    assert config.trainer.time_limit == 90
    assert load(TEXT).budget.wall_time == 5400


def test_an_engine_is_of_the_optimizer_that_has_models() -> None:
    assert load(TEXT).optimizer.engine == "fast"
    assert load(TEXT, "optimizer.engine=library").optimizer.engine == "library"
    with pytest.raises(ConfigError, match=r"key optimizer\.engine: belongs to scbo, found sobol"):
        load(TEXT, "optimizer.engine=library", "optimizer.name=sobol")


def test_finalists_have_at_most_as_many_configurations_as_there_are_trials() -> None:
    assert load(TEXT).finalists is None
    finalists = load(TEXT, "finalists={count: 10}").finalists
    assert finalists is not None and (finalists.count, finalists.repeats) == (10, 3)
    assert load(TEXT, "finalists={count: 11}", "budget.trials=null").finalists is not None
    for setting, message in {
        "{count: 11}": r"key finalists\.count: must be at most the 10 trials of the budget, found 11",
        "{count: 0}": r"key finalists\.count: .*found 0",
        "{count: 2, repeats: 1000}": r"key finalists\.repeats: .*found 1000",
        "{repeats: 2}": r"finalists\.count: .*",
        "{count: 2, seeds: 1}": r"finalists\.seeds: unknown key",
        "5": r"key finalists: ",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load(TEXT, f"finalists={setting}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["name=python"], r"key optimizer\.function: is the class of one's own optimizer, .*: needed by python"),
        (["function=mine.py:Mine"], r"key optimizer\.function: .* needed by python, and by nothing else"),
        (["name=python", "function=mine"], r"key optimizer\.function: .*path/to/file\.py:function is needed"),
        (["name=optuna"], r"key optimizer\.name: .*optuna_tpe"),
    ],
)
def test_an_optimizer_has_the_keys_that_it_needs(changes: list[str], message: str) -> None:
    assert load(TEXT, "optimizer.name=python", "optimizer.function=mine.py:Mine").optimizer.function == "mine.py:Mine"
    with pytest.raises(ConfigError, match=message):
        load(TEXT, *[f"optimizer.{change}" for change in changes])


def test_every_monitor_names_a_constraint() -> None:
    assert load(TEXT).constraint_names == ("silent_excitatory",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 3", "sed: 3", "toy.yaml, line 1, key study.sed: unknown key; did you mean seed? Allowed: name, seed"),
        ("trials: 10", "trials: ten", 'toy.yaml, line 3, key budget.trials: should be a valid integer, found "ten"'),
        ("trials: 10", "trials: 0", "key budget.trials: should be greater than or equal to 1, found 0"),
        ("trials: 10", "trials: true", "key budget.trials: should be a valid integer, found true"),
        ("1h 30min", "soon", "line 4, key budget.wall_time: a duration such as 90s"),
        ("name: stdp", "name: sdtp", "line 6, key trainer.name: 'sdtp' is unknown; did you mean stdp?"),
        ("digits5000", "digits", 'key trainer.dataset.name: "digits" is unknown; did you mean digits5000?'),
        ("train: 1000, ", "", "line 7, key trainer.dataset.train: is missing"),
        ("low: 20, high: 200", "low: 200, high: 20", "line 13, key space.map_size: low (200) must be below high (20)"),
        ("low: 1e-4", "low: 0", "line 14, key space.nu_pre: scale log needs low > 0, found 0"),
        ("low: 1e-4", "low: .nan", "key space.nu_pre.low: should be a finite number, found NaN"),
        ("type: int", "type: float", "line 13, key space.map_size.type: must be int (or categorical)"),
        ("low: 20,", "low: 0,", "line 13, key space.map_size.low: at least 2 is allowed, found 0"),
        ("nu_pre:", "nu_prae:", "line 14, key space.nu_prae: is not a hyperparameter of this network; did you"),
        ("2gram", "4gram", 'line 15, key space.decoder.choices.2: one of all, vote, 2gram, 3gram, log, svm is'),
        ("[all, vote, 2gram]", "[1, vote, 1.0]", "line 15, key space.decoder: a choice stands twice: 1 and 1.0 are"),
        ("[all, vote, 2gram]", "[vote, all, vote]", "a choice stands twice: 'vote' and 'vote' are the same value"),
        ("e_reset", "map_size", "line 11, key fixed.map_size: is searched too"),
        ("layer: excitatory", "layer: exitatory", "'exitatory' is not monitored; did you mean excitatory?"),
        ("1h 30min", "10min", "key budget.wall_time: must be more than stop_before_end (600 s)"),
        ("beta: 0.1", "beta: 0.1, warm_up: 1000", "stopping.0.warm_up: must be less than the 1000 training samples"),
        ("beta: 0.1", "beta: 0.1, check_every: 9", "stopping.0.check_every: belongs to the rule published"),
        ("name: digits5000", "path: /data, name: digits5000", "trainer.dataset.path: is not used by digits5000"),
        ("fixed:", "fixed:\nfixed:", "line 12: the key fixed stands twice"),
        ("study: {", "study: [", "toy.yaml, line 1: not valid YAML"),
        ("name: toy", "name: ../../toy", "key study.name: must match"),
        ("space:", "baseline: {name: b, params: {map_size: 1}}\nspace:", "baseline.params.map_size: must lie in its"),
    ],
)  # fmt: skip
def test_a_fault_is_said_with_file_line_key_and_what_is_allowed(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as error:
        load(TEXT.replace(old, new, 1))
    assert message in str(error.value)


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        load(TEXT, "study.seed=-1", "budget.trials=x", "space.map_size.low=a")
    assert len(str(error.value).splitlines()) == 3


def test_override_reaches_list_items_and_new_keys() -> None:
    config = load(TEXT, "stopping.0.alpha=2", "workers.threads=3", "space.nu_pre.high=0.5")
    assert (config.stopping[0].alpha, config.workers.threads, config.space["nu_pre"].high) == (2, 3, 0.5)


@pytest.mark.parametrize(
    "override", ["stopping.7.alpha=2", "study", "study.name.deep=1", "=3", "a..b=1", "stopping.x=1"]
)
def test_an_override_that_leads_nowhere_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load(TEXT, override)


def test_resolved_configuration_read_again_is_the_same() -> None:
    config = load(TEXT)
    assert load(yaml.safe_dump(config.model_dump(mode="json"))) == config


def test_an_alias_bomb_is_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)
    )
    with pytest.raises(ConfigError, match="too large"):
        load(bomb)
    with pytest.raises(ConfigError):
        load("a: &a [*a]")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load_config(tmp_path / "absent.yaml")


@given(st.text(max_size=200) | st.text(alphabet="{}[]:,-&*!|>'\"%@`ab1 \n", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_configuration_or_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):  # no text of this length is a whole configuration
        load(text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3), max_leaves=5
)


@given(st.randoms(use_true_random=False), VALUES)
@settings(max_examples=300, deadline=None)
def test_any_mutation_is_a_configuration_or_a_config_error(random: random.Random, value: Any) -> None:
    document = parse_document(TEXT, "toy.yaml")
    data = copy.deepcopy(document.data)
    parent: Any = data
    while True:
        key = random.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        if not (isinstance(parent[key], dict | list) and parent[key] and random.random() < 0.8):
            break
        parent = parent[key]
    parent[key] = value
    document.data = data
    try:
        assert isinstance(validate(document), StudyConfig)
    except ConfigError as error:
        assert str(error).startswith("toy.yaml")
