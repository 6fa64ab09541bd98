"""``when``: what may be written there, what is refused and in which words."""

from __future__ import annotations

from typing import Any

import pytest
from conditional_spaces import NETWORK

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.config.document import apply_override, parse_document
from snnhpo_mpi.config.validation import validate
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.space import Space

TEXT = """\
study: {name: toy}
budget: {trials: 10}
trainer: {name: python, function: "toy.py:evaluate"}
fixed: {network: wide}
space:
  optimizer: {type: categorical, choices: [sgd, adam]}
  layers: {type: int, low: 1, high: 3}
  rate: {type: float, low: 0, high: 1}
  momentum:
    type: float
    low: 0.5
    high: 0.99
    when: {optimizer: [sgd]}
"""
NETWORK_TEXT = """\
study: {name: toy}
budget: {trials: 10}
trainer:
  name: slayer
  network: dense
  dataset: {name: digits5000, train: 1000, held_out: 500}
  encoding: {steps: 20, max_rate_hz: 128}
space:
  batch_size: {type: categorical, choices: [16, 32]}
  epochs: {type: int, low: 2, high: 4, when: {batch_size: [32]}}
"""


def load(*overrides: str, text: str = TEXT) -> StudyConfig:
    document = parse_document(text, "toy.yaml")
    for override in overrides:
        apply_override(document, override)
    return validate(document)


def test_a_condition_is_read_and_written_again() -> None:
    config = load()
    assert config.space["momentum"].when == {"optimizer": ("sgd",)}
    written = config.model_dump(mode="json")["space"]
    assert list(written["momentum"]) == ["type", "low", "high", "scale", "when"]
    assert "when" not in written["rate"]  # as in records of programs that had no conditions
    assert StudyConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (
            "{optimiser: [sgd]}",
            "toy.yaml, line 13, key space.momentum.when.optimiser: is neither searched nor fixed; did you mean "
            "optimizer? Allowed: optimizer, layers, rate, network",
        ),
        ("{optimizer: [sgd, rms]}", 'when.optimizer.1: one of sgd, adam is allowed (space.optimizer), found "rms"'),
        ("{optimizer: sgd}", 'key space.momentum.when.optimizer: should be a list, found "sgd"'),
        ("{optimizer: []}", "key space.momentum.when.optimizer: at least 1 is needed, found 0"),
        ("{optimizer: [true]}", "key space.momentum.when.optimizer.0: a number or text is needed"),
        ("[optimizer]", "key space.momentum.when: should be a mapping of keys to values"),
        ("{layers: [4]}", "when.layers.0: must lie in its bounds 1 to 3 (space.layers), found 4"),
        ("{layers: [2.5]}", "when.layers.0: an integer is needed (space.layers), found 2.5"),
        ("{rate: [0.5]}", "when.rate: must be a categorical or int hyperparameter, or a fixed one: this is a float"),
        ("{momentum: [0.5]}", "key space.momentum.when.momentum: must be a categorical or int hyperparameter"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(when: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(text=TEXT.replace("{optimizer: [sgd]}", when))
    assert message in str(error.value)


def test_a_circle_is_shown_as_it_goes() -> None:
    with pytest.raises(ConfigError, match=r"when: goes in a circle: (\w+), which needs (\w+), which needs \1$"):
        load("space.optimizer.when={layers: [1]}", "space.layers.when={optimizer: [sgd]}")
    with pytest.raises(ConfigError, match=r"when: goes in a circle: layers, which needs layers$"):
        load("space.layers.when={layers: [1]}")


def test_a_condition_that_no_values_satisfy_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"key space\.deep\.when: can never hold: no value of optimizer satisfies"):
        load(
            "space.kind={type: categorical, choices: [a, b], when: {optimizer: [sgd]}}",
            "space.deep={type: int, low: 1, high: 9, when: {kind: [a], optimizer: [adam]}}",
        )


def test_a_fixed_hyperparameter_decides_for_all_trials() -> None:
    assert "momentum" in load("space.momentum.when={network: [wide, deep]}").searched
    assert load("space.momentum.when={network: [wide], optimizer: [sgd]}").searched["momentum"].when == {
        "optimizer": ("sgd",)
    }
    never = load(
        "space.momentum.when={network: [deep]}", "space.damping={type: int, low: 1, high: 9, when: {layers: [2]}}",
        "space.layers.when={network: [deep]}",
    )  # fmt: skip
    assert list(never.searched) == ["optimizer", "rate"]  # damping went with layers


def test_a_space_in_which_nothing_can_exist_is_refused() -> None:
    text = TEXT[: TEXT.index("  optimizer")] + "  x: {type: float, low: 0, high: 1, when: {network: [deep]}}\n"
    with pytest.raises(ConfigError, match=r"key space: nothing is left to search: no condition holds with .*wide"):
        load(text=text)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("{optimizer: adam, layers: 1, rate: 0.5}", ""),
        ("{optimizer: sgd, layers: 1, rate: 0.5, momentum: 0.9}", ""),
        ("{optimizer: sgd, layers: 1, rate: 0.5}", "key baseline.params.momentum: is missing"),
        (
            "{optimizer: adam, layers: 1, rate: 0.5, momentum: 0.9}",
            "key baseline.params.momentum: does not exist here, only when optimizer is sgd",
        ),
    ],
)
def test_a_baseline_has_what_exists_beside_its_values(params: str, message: str) -> None:
    overrides = ("baseline.name=usual", f"baseline.params={params}")
    if not message:
        assert load(*overrides).baseline is not None
        return
    with pytest.raises(ConfigError) as error:
        load(*overrides)
    assert message in str(error.value)


def test_the_librarys_defaults_fill_in_what_exists_and_nothing_else() -> None:
    config = load("baseline={name: usual, params: {batch_size: 16}}", text=NETWORK_TEXT)
    assert config.baseline is not None and config.baseline.params == {"batch_size": 16}
    config = load("baseline={name: usual, params: {batch_size: 32, epochs: 3}}", text=NETWORK_TEXT)
    assert config.baseline is not None and config.baseline.params == {"batch_size": 32, "epochs": 3}


def test_a_rule_may_be_reached_where_a_hyperparameter_has_its_default() -> None:
    """The default of a training is longer than the range that is searched for some trials alone."""
    assert defaults("slayer", "dense")["epochs"] == 5
    assert load("chance={after_epochs: 5}", text=NETWORK_TEXT).chance is not None
    with pytest.raises(ConfigError, match=r"must be at most 4, the most epochs of a training here"):
        load("chance={after_epochs: 5}", text=NETWORK_TEXT.replace(", when: {batch_size: [32]}", ""))


def test_a_program_that_makes_a_space_hears_the_same() -> None:
    faulty: dict[str, Any] = {**NETWORK, "momentum": {**NETWORK["momentum"], "when": {"optimiser": ["sgd"]}}}
    with pytest.raises(ConfigError, match=r"^Space, key space\.momentum\.when\.optimiser: is neither searched"):
        Space(faulty)
    config = load()
    with pytest.raises(ConfigError, match=r"key space\.momentum\.when\.optimizer: is neither searched nor fixed"):
        Space({"momentum": config.space["momentum"], "rate": config.space["rate"]})
