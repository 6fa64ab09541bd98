"""What may change between two runs of a study, by one table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_study
import pytest

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import read
from snnhpo_mpi.record.identity import CHANGES, FREE_FORM, Change

CONFIG = StudyConfig.model_validate(
    {
        "study": {"name": "fake", "seed": 1},
        "budget": {"trials": 60},
        "trainer": {
            "name": "stdp",
            "dataset": {"name": "mnist", "path": "/data", "train": 1000, "held_out": 500},
            "encoding": {"steps": 100, "max_rate_hz": 128},
        },
        "stopping": [
            {"layer": "excitatory", "alpha": 5, "beta": 0.1},
            {"layer": "inhibitory", "alpha": 1, "beta": 0.1},
        ],
        "fixed": {"e_reset": -60.0},
        "space": {
            **fake_study.CONFIG["space"],
            "decoder": {"type": "categorical", "choices": ["all", "vote", "2gram", 3]},
        },
        "baseline": {"name": "usual", "params": {"map_size": 100}},
    }
).model_dump(mode="json")


def changed(key: str, value: Any, config: dict[str, Any] = CONFIG) -> dict[str, Any]:
    """The configuration with another value at ``a.b.0``."""
    head, _, rest = key.partition(".")
    inside: Any = config[int(head)] if isinstance(config, list) else config.get(head)
    new = changed(rest, value, {} if inside is None else inside) if rest else value
    if isinstance(config, list):
        return [*config[: int(head)], new, *config[int(head) + 1 :]]  # type: ignore[return-value]
    return {**config, head: new}


def resume(folder: Path, config: dict[str, Any], **options: Any) -> None:
    fake_study.resume(folder, config, **options).close("complete")


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    return fake_study.written(tmp_path / "s", 3, configuration=CONFIG)


def test_a_study_begun_before_there_were_engines_goes_on_with_ours_and_not_unasked_with_the_librarys(
    tmp_path: Path,
) -> None:
    asked = {key: value for key, value in CONFIG["optimizer"].items() if key != "engine"}
    begun = fake_study.written(tmp_path / "s", 3, configuration={**CONFIG, "optimizer": asked})
    resume(begun, CONFIG)
    library = {**CONFIG, "optimizer": {**asked, "engine": "library"}}
    with pytest.raises(RecordError, match=r"-optimizer\.engine: fast\n\+optimizer\.engine: library"):
        resume(begun, library)
    resume(begun, library, accept_config=True)


def test_a_study_begun_before_there_was_pruning_goes_on_without_it_and_not_unasked_with_it(tmp_path: Path) -> None:
    before = {key: value for key, value in CONFIG.items() if key != "pruning"}
    begun = fake_study.written(tmp_path / "s", 3, configuration=before)
    resume(begun, CONFIG)
    with pytest.raises(RecordError, match=r"-pruning\.rule: none\n\+pruning\.rule: gain"):
        resume(begun, changed("pruning.rule", "gain"))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("stopping.0.beta", 0.2, "constraints"),
        ("stopping.0.alpha", 6, "constraints"),
        ("stopping.1.rule", "published", "constraints"),
        ("stopping.0.warm_up", 10, "constraints"),
        ("stopping.0.check_every", 10, "constraints"),
        ("stopping.0.layer", "inhibitory", "constraints"),
        ("saturation", [{"layer": "excitatory", "limit": 0.8, "share": 0.5, "beta": 0.1, "warm_up": 0}], "constraints"),
        ("chance.after_epochs", 1, "constraints"),
        ("trainer.dataset.train", 2000, "objectives"),
        ("trainer.dataset.held_out", 400, "objectives"),
        ("trainer.dataset.name", "fashion_mnist", "objectives"),
        ("trainer.encoding.steps", 50, "objectives"),
        ("trainer.encoding.max_rate_hz", 64.0, "objectives"),
        ("trainer.encoding.name", "bernoulli", "objectives"),
        ("trainer.network", "diehl_cook_distance", "objectives"),
        ("trainer.batch_size", 8, "objectives"),
        ("fixed.e_reset", -61.0, "every trial"),
        ("fixed.e_thresh", -50.0, "every trial"),
        ("study.seed", 2, "split of the data"),
        ("baseline.params.map_size", 50, "trial 0"),
        ("baseline", None, "trial 0"),
        ("space.norm.high", 800.0, "search space"),
    ],
)
@pytest.mark.parametrize("accept", [True, False])
def test_what_would_mix_unlike_trials_is_refused_whatever_the_user_says(
    begun: Path, key: str, value: Any, reason: str, accept: bool
) -> None:
    with pytest.raises(RecordError) as error:
        resume(begun, changed(key, value), accept_config=accept)
    said = str(error.value)
    assert reason in said and "begin another study" in said and "replay" in said
    assert f"-{key}" in said or f"+{key}" in said
    assert len(read(begun).sessions) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.initial", 30),
        ("pruning.rule", "gain"),
        ("pruning.spare", 0.1),
        ("trainer.time_limit", 99.0),
        ("trainer.engine", "library"),
        ("trainer.dataset.path", "/elsewhere"),
        ("baseline.name", "other"),
    ],
)
def test_what_changes_further_trials_alone_takes_the_user_s_word(begun: Path, key: str, value: Any) -> None:
    with pytest.raises(RecordError, match=rf"\+{key}.*(?s:.*)--accept-config"):
        resume(begun, changed(key, value))
    resume(begun, changed(key, value), accept_config=True)


@pytest.mark.parametrize(("key", "value"), [("budget.trials", 99), ("workers.threads", 2), ("record.flush_every", 5.0)])
def test_what_changes_no_result_is_free(begun: Path, key: str, value: Any) -> None:
    resume(begun, changed(key, value))


def test_a_refused_change_is_said_alone(begun: Path) -> None:
    config = changed("optimizer.initial", 30, changed("stopping.0.beta", 0.2))
    with pytest.raises(RecordError) as error:
        resume(begun, config, accept_config=True)
    assert "-stopping.0.beta: 0.1\n+stopping.0.beta: 0.2\n" in str(error.value)
    assert "optimizer.initial" not in str(error.value)


def test_a_fixed_value_of_one_s_own_function_takes_the_user_s_word(tmp_path: Path) -> None:
    own = changed("trainer", {"name": "python", "function": "m:f", "constraints": ["a", "b"], "time_limit": 9.0})
    folder = fake_study.written(tmp_path / "s", 3, configuration=own)
    with pytest.raises(RecordError, match="accept it with --accept-config"):
        resume(folder, changed("fixed.e_reset", 1.0, own))
    resume(folder, changed("fixed.e_reset", 1.0, own), accept_config=True)
    with pytest.raises(RecordError, match="objectives measured before and after"):
        resume(folder, changed("trainer.function", "m:other", own), accept_config=True)


def test_keys_that_came_with_a_new_version_do_not_lock_a_study(tmp_path: Path) -> None:
    old = changed("stopping", [{k: v for k, v in one.items() if k != "warm_up"} for one in CONFIG["stopping"]])
    old = {key: value for key, value in old.items() if key not in ("saturation", "chance", "retrain")}
    folder = fake_study.written(tmp_path / "s", 3, configuration=old)
    with pytest.raises(RecordError, match="accept it with --accept-config"):
        resume(folder, CONFIG)
    resume(folder, CONFIG, accept_config=True)


def test_a_key_that_a_program_lacked_means_what_that_program_did(tmp_path: Path) -> None:
    """Readouts used to be fitted on the latest 1,000 samples; the default of today is another objective."""
    trainer = {name: value for name, value in CONFIG["trainer"].items() if not name.startswith("readout")}
    folder = fake_study.written(tmp_path / "s", 3, configuration=changed("trainer", trainer))
    with pytest.raises(RecordError, match=r"-trainer.readout: latest\n\+trainer.readout: frozen"):
        resume(folder, CONFIG, accept_config=True)
    resume(folder, changed("trainer", {**trainer, "readout": "latest", "readout_samples": 1000}))


def test_a_slayer_study_begun_before_there_was_a_choice_of_weights_keeps_its_own(tmp_path: Path) -> None:
    slayer = {**CONFIG["trainer"], "name": "slayer", "network": "csnn"}
    for name in ("batch_size", "readout", "readout_samples"):
        del slayer[name]
    folder = fake_study.written(tmp_path / "s", 3, configuration=changed("trainer", slayer))
    resume(folder, changed("trainer", {**slayer, "initial_weights": "scaled"}))  # without --accept-config
    with pytest.raises(RecordError, match=r"-trainer.initial_weights: scaled\n\+trainer.initial_weights: library"):
        resume(folder, changed("trainer", {**slayer, "initial_weights": "library"}), accept_config=True)


def test_a_value_of_another_type_is_a_change_that_can_be_seen(begun: Path) -> None:
    with pytest.raises(RecordError, match=r'-space.decoder.choices.3: 3\n\+space.decoder.choices.3: "3"'):
        resume(begun, changed("space.decoder.choices.3", "3"))


def keys(schema: dict[str, Any], whole: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every key of the settings that has a value, free-form ones by the name of their holder."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    branches = [part for key in ("anyOf", "oneOf") for part in schema.get(key, []) if part.get("type") != "null"]
    inside = [(name, part) for name, part in schema.get("properties", {}).items()]
    for part in [*branches, *([schema["items"]] if "items" in schema else [])]:
        yield from keys(part, whole, path)
    for name, part in inside:
        yield from keys(part, whole, f"{path}.{name}" if path else name)
    if not inside and not branches:
        yield path


def test_every_key_of_the_configuration_is_in_the_table() -> None:
    schema = StudyConfig.model_json_schema()
    found = {*keys(schema, schema)}
    assert {"stopping.beta", "trainer.dataset.train", "workers.gpus", "fixed"} <= found
    for key in found - {"study.name"}:
        rows = [name for name, _, _ in CHANGES if key == name or key.startswith(f"{name}.")]
        assert rows, key
    for name, kind, reason in CHANGES:
        assert bool(reason) or kind is Change.FREE or name == "study"
        assert name in FREE_FORM or any(key == name or key.startswith(f"{name}.") for key in found | {"retrain"}), name
