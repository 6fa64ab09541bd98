"""Every number of a configuration has a range that makes sense, and what published spaces need lies in it."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snnhpo_mpi.config import FloatParameter, IntParameter, StudyConfig, load_config
from snnhpo_mpi.config.document import apply_override, parse_document
from snnhpo_mpi.config.validation import validate
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.networks import NETWORKS, TORCH
from snnhpo_mpi.hyperparameters.ranges import RANGES

CONFIGS = Path(__file__).parents[2] / "configs"
STDP = """\
study: {name: toy}
budget: {trials: 10}
trainer:
  name: stdp
  dataset: {name: digits5000, train: 1000, held_out: 500}
  encoding: {steps: 100, max_rate_hz: 128}
fixed: {e_reset: -60.0}
space:
  nu_pre: {type: float, low: 1e-4, high: 1e-2, scale: log}
"""
SLAYER = STDP.replace("name: stdp", "name: slayer").replace("nu_pre", "tau_grad").replace("e_reset: -60.0", "")
EVENTS = SLAYER.replace("digits5000", "nmnist, path: /data").replace(
    "{steps: 100, max_rate_hz: 128}", "{name: events, steps: 100}"
)


OWN = """\
study: {name: toy}
budget: {trials: 10}
trainer: {name: python, function: "m:f"}
space:
  x: {type: float, low: 0, high: 1}
"""


def load(text: str, *overrides: str) -> StudyConfig:
    document = parse_document(text, "toy.yaml")
    for override in overrides:
        apply_override(document, override)
    return validate(document)


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(text, *overrides)
    return str(error.value)


def numbers(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a number or an integer, wherever it stands.

    Durations and values, which may be texts, have their own tests.
    """
    if isinstance(schema, dict):
        if schema.get("type") in ("number", "integer"):
            yield path, schema
        if [part.get("type") for part in schema.get("anyOf", [])] == ["number", "string"]:
            return
        for key, part in schema.items():
            yield from numbers(part, f"{path}.{key}")
    elif isinstance(schema, list):
        for index, part in enumerate(schema):
            yield from numbers(part, f"{path}.{index}")


def test_every_number_of_the_settings_has_a_lower_and_an_upper_bound() -> None:
    found = dict(numbers(StudyConfig.model_json_schema()))
    assert len(found) > 20
    for path, schema in found.items():
        assert {"maximum", "exclusiveMaximum"} & set(schema), path
        assert {"minimum", "exclusiveMinimum"} & set(schema), path


def fields_of(model: Any, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    from snnhpo_mpi.config.faults import _models_in

    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield name, field
        for below in _models_in(field.annotation):
            yield from fields_of(below, seen)


def test_every_key_of_the_table_is_used_and_finite() -> None:
    used = {name for name, _ in fields_of(StudyConfig, set())}
    used |= {name for networks in NETWORKS.values() for table in networks.values() for name in table} | set(TORCH)
    assert set(RANGES) - used == {"integer", "real"}  # bounds of the space, whose keys are low and high
    for known in RANGES.values():
        assert math.isfinite(known.low) and math.isfinite(known.high) and known.low < known.high


@pytest.mark.parametrize("table", [*NETWORKS["stdp"].values(), *NETWORKS["slayer"].values(), TORCH])
def test_every_hyperparameter_is_a_word_or_has_a_range_that_holds_its_default(table: Any) -> None:
    for name, one in table.items():
        assert (one.range is None) == bool(one.choices), name
        assert one.rejects(one.default) is None
        for wrong in (math.nan, math.inf, -math.inf, True, 10**29):
            assert one.rejects(wrong) is not None, (name, wrong)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_published_spaces_are_allowed(path: Path) -> None:
    load_config(path)


WIDE = {
    STDP: [
        "fixed.epochs=1000",
        "fixed.map_size=100000",
        "fixed.norm=1e6",
        "fixed.tc_theta_decay=1e10",
        "fixed.e_refrac=500",
        "fixed.e_thresh=1000",
        "trainer.batch_size=48000",
        "trainer.encoding.dt_ms=0.01",
        "trainer.time_limit=60d",
    ],
    SLAYER: [
        "fixed.batch_size=60000",
        "fixed.c1_filters=4096",
        "fixed.threshold=1000",
        "fixed.learning_rate=10",
        "trainer.encoding.steps=10000",
        "budget.trials=1000000",
        "optimizer.initial=5000",
    ],
}


@pytest.mark.parametrize(("text", "override"), [(text, one) for text, many in WIDE.items() for one in many])
def test_far_wider_values_than_the_published_are_allowed(text: str, override: str) -> None:
    load(text, override)


BILLIONS = str(10**30)
HUGE = {
    STDP: [
        f"fixed.epochs={10**29}",
        f"fixed.map_size={10**11}",
        "fixed.e_refrac=100000000",
        "fixed.norm=1e39",
        "fixed.norm=.nan",
        "fixed.norm=.inf",
        "fixed.e_reset=.nan",
        "fixed.e_thresh=1e30",
        "fixed.tc_theta_decay=1e300",
        f"trainer.batch_size={BILLIONS}",
        "trainer.encoding.dt_ms=1e-6",
        "trainer.encoding.dt_ms=1e300",
        "trainer.encoding.max_rate_hz=1e300",
        f"trainer.encoding.steps={BILLIONS}",
        f"trainer.dataset.train={BILLIONS}",
        "trainer.time_limit=99999999d",
        "budget.wall_time=1e300",
        f"budget.wall_time={10**400}",
        f"budget.wall_time={10**400}h",
        f"budget.wall_time={10**400}:00:00",
        "workers.heartbeat_timeout=1e300",
        "workers.threads=100000",
        f"workers.gpus={BILLIONS}",
        f"optimizer.initial={BILLIONS}",
        f"stopping=[{{layer: excitatory, alpha: {BILLIONS}, beta: 0.1}}]",
        "stopping=[{layer: excitatory, alpha: 1, beta: 1}]",
        f"space.map_size={{type: int, low: 2, high: {10**15}}}",
    ],
    SLAYER: [
        "fixed.threshold=1e30",
        f"fixed.batch_size={BILLIONS}",
        f"fixed.c1_filters={10**12}",
        f"fixed.c1_k={10**12}",
        "fixed.learning_rate=1e30",
        "space.tau_grad.high=1e30",
        f"space.batch_size={{type: categorical, choices: [1, {BILLIONS}]}}",
    ],
    EVENTS: [
        "trainer.encoding.window_ms=1e300",
        "trainer.encoding.window_ms=1e-300",
        "trainer.encoding.denoise_ms=1e300",
        f"trainer.encoding.downsample={BILLIONS}",
    ],
}


@pytest.mark.parametrize(("text", "override"), [(text, one) for text, many in HUGE.items() for one in many])
def test_numbers_beyond_any_use_are_refused_in_one_line_with_what_is_allowed(text: str, override: str) -> None:
    said = refusal(text, override)
    assert said.startswith(f"--set {override[:60]}") and len(said.splitlines()) == 1
    assert any(word in said for word in ("at most", "at least", "less than", "greater than", "integer from", "finite"))


def test_a_refractory_period_is_bounded_in_time_steps_as_it_is_counted_down_in_them() -> None:
    load(STDP, "trainer.encoding.dt_ms=0.01", "fixed.e_refrac=1000")
    said = refusal(STDP, "trainer.encoding.dt_ms=0.001", "fixed.e_refrac=101")
    assert "at most 100000 time steps is allowed, which are 100 ms at dt_ms 0.001, found 101 ms" in said
    said = refusal(STDP, "trainer.encoding.dt_ms=0.001", "space.i_refrac={type: int, low: 0, high: 2000}")
    assert "key space.i_refrac" in said and "found 2000 ms" in said
    said = refusal(STDP, "trainer.encoding.dt_ms=0.001", "space.i_refrac={type: categorical, choices: [1, 2000]}")
    assert "key space.i_refrac" in said


@pytest.mark.parametrize(
    "override",
    [
        "fixed.a={}",
        "space.k={{type: categorical, choices: [1, {}]}}",
        "baseline={{name: b, params: {{x: {}}}}}",
        "space.x.low={}",
        "space.x.high={}",
    ],
)
@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e400", "true", "null", "[1]"])
def test_values_that_are_no_exact_numbers_are_refused_everywhere(override: str, value: str) -> None:
    said = refusal(OWN, override.format(value))
    assert said.startswith("--set ") and "found" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("override", ["fixed.a={}", "space.k={{type: categorical, choices: [1, {}]}}"])
def test_integers_that_others_would_round_are_refused(override: str) -> None:
    load(OWN, override.format(2**53))
    for value in (2**53 + 1, -(2**53) - 1, 10**400):
        assert "at most 9007199254740992 is allowed" in refusal(OWN, override.format(value))


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (-1e308, 1e308, "linear"),
        (1e-320, 1.0, "log"),
        (1e-300, 1e10, "log"),
        (1e-300, 1e10, "reverse_log"),
        (1e-20, 1.0, "reverse_log"),
        (1.0, math.nextafter(1.0, 2), "linear"),
        (1.0, 1.0 + 1e-13, "log"),
        (1e15, 1e15 + 1, "linear"),
        (0.0, 5e-324, "linear"),
        (-math.inf, 0.0, "linear"),
        (0.0, math.nan, "linear"),
    ],
)
def test_ranges_without_room_on_floating_point_numbers_are_refused(low: float, high: float, scale: Any) -> None:
    with pytest.raises(ValueError, match=r"must be|needs|too close|finite"):
        FloatParameter(type="float", low=low, high=high, scale=scale)


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (-1e300, 1e300, "linear"),
        (1e-300, 1.0, "log"),
        (1e-10, 1.0, "reverse_log"),
        (0.999, 1.0, "linear"),
        (0, 1e-300, "linear"),
    ],
)
def test_wide_ranges_decode_to_many_values_inside_them(low: float, high: float, scale: Any) -> None:
    import numpy as np

    from snnhpo_mpi.space import Space

    space = Space({"x": FloatParameter(type="float", low=low, high=high, scale=scale)})
    values = [float(space.decode(np.array([u]))["x"]) for u in np.linspace(0, 1, 101)]
    assert len(set(values)) == 101 and values == sorted(values) and low <= values[0] and values[-1] <= high
    assert [space.encode({"x": value})[0] for value in values] == pytest.approx(np.linspace(0, 1, 101), abs=1e-3)


def test_large_integers_that_lie_close_together_are_refused() -> None:
    for low, high in ((2**53 - 1, 2**53), (-(2**52), -(2**52) + 3)):
        with pytest.raises(ValueError, match="too close"):
            IntParameter(type="int", low=low, high=high)
    IntParameter(type="int", low=0, high=2**53)


@pytest.mark.parametrize("scale", ["linear", "log", "reverse_log"])
def test_every_one_of_a_few_large_integers_is_reached_and_found_again(scale: Any) -> None:
    import numpy as np

    from snnhpo_mpi.space import Space

    low = 2**48 - 3
    space = Space({"n": IntParameter(type="int", low=low, high=low + 3, scale=scale)})
    found = [space.decode(np.array([u]))["n"] for u in (np.arange(400) + 0.5) / 400]
    for value in range(low, low + 4):
        assert 60 <= found.count(value) <= 140
        assert space.decode(space.encode({"n": value})) == {"n": value}


def test_integers_beyond_exact_floating_point_numbers_are_refused() -> None:
    for low, high in ((0, 2**53 + 1), (-(2**53) - 1, 0), (0, 10**29)):
        with pytest.raises(ValueError, match="than or equal"):
            IntParameter(type="int", low=low, high=high)
