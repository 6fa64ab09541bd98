"""Settings by their names, as on the command line."""

from __future__ import annotations

import dataclasses

import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.optim.settings import DEFAULTS, changed, named


def test_a_changed_setting_leaves_all_others_as_they_were() -> None:
    settings = changed(["region.length_init=0.4", "refit.n_every=30", "thompson.penalties=10,1e3"])
    assert (settings.region.length_init, settings.refit.n_every, settings.thompson.penalties) == (0.4, 30, (10.0, 1e3))
    before, after = dict(named()), dict(named(settings))
    assert [name for name in before if before[name] != after[name]] == [
        "region.length_init",
        "thompson.penalties",
        "refit.n_every",
    ]
    assert changed([]) == DEFAULTS


def test_every_setting_can_be_written_as_it_is_and_is_documented() -> None:
    for name, value in named():
        rows = value if isinstance(value, tuple) else (value,)
        text = (
            ";".join(",".join(map(str, row)) for row in rows)
            if isinstance(rows[0], tuple)
            else ",".join(map(str, rows))
        )
        assert changed([f"{name}={text}"]) == DEFAULTS
        owner, _, attribute = name.rpartition(".")
        assert f"    {attribute}: " in (getattr(DEFAULTS, owner) if owner else DEFAULTS).__doc__


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "region.length=0.4",
            "--setting region.length: there is no such setting; the settings are region.length_init,",
        ),
        ("region=1", "--setting region: there is no such setting"),
        ("region.length_init", "--setting region.length_init: expected NAME=VALUE"),
        ("region.length_init=long", "expected a number, found 'long'; it is 0.8 now"),
        ("region.length_init=nan", "expected a number of at least 0, found 'nan'"),
        ("region.length_max=-1", "expected a number of at least 0, found '-1'"),
        ("refit.n_every=2.5", "expected an integer, found '2.5'; it is 20 now"),
        ("refit.n_every=0", "expected an integer of at least 1, found '0'"),
        ("gp.noise_bounds=1e-6", "expected 2 values separated by commas, found '1e-6'; it is 1e-07,1.0 now"),
    ],
)
def test_a_wrong_assignment_is_answered_with_what_is_right(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed([text])
    assert expected in str(caught.value)


def test_settings_cannot_be_written_to() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULTS.region.length_init = 1.0  # type: ignore[misc]
