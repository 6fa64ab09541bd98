"""A search in which hyperparameters come and go: every reader of its record treats what is not there as not there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conditional_spaces import NETWORK, points

from snnhpo_mpi import cli
from snnhpo_mpi.analysis import edges, importance
from snnhpo_mpi.analysis import points as analysed
from snnhpo_mpi.analysis.partial_dependence import feasible_along
from snnhpo_mpi.analysis.summary import best_trials
from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.record import StudyData, StudyRecord, read
from snnhpo_mpi.report import figures, page, pictures, text, trials
from snnhpo_mpi.report.export import export
from snnhpo_mpi.report.figures import parallel
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State, Trial

BASELINE = {"name": "usual", "params": {"layers": 2, "optimizer": "adam", "rate": 0.01}}
NEVER = {"taps": {"type": "int", "low": 1, "high": 9, "when": {"readout": ["filter"]}}}
CONFIG = StudyConfig.model_validate(
    {
        "study": {"name": "s"},
        "budget": {"trials": 60},
        "trainer": {"name": "python", "function": "nowhere.py:evaluate", "constraints": ["silent"]},
        "fixed": {"readout": "linear"},
        "space": {"taps": NEVER["taps"], **NETWORK},
        "baseline": BASELINE,
    }
)
SPACE = Space(CONFIG.searched)


def outcome(trial: Trial) -> Outcome:
    """Better with momentum near 0.99, silent with three wide layers; every ninth fails."""
    if trial.number % 9 == 8:
        return Outcome(trial.number, State.FAILED, error="RuntimeError: out of memory")
    p = trial.params
    objective = 0.5 + 0.3 * float(p.get("momentum", 0.5)) - 0.05 * abs(math.log10(float(p["rate"])) + 2)
    silent = float(p.get("third_width", 10)) / 64 - 0.6
    state = State.STOPPED if silent > 0 else State.COMPLETED
    return Outcome(trial.number, state, {"accuracy": objective}, (silent,))


def written(folder: Path, asked: list[dict[str, Any]]) -> StudyData:
    record = StudyRecord.create(folder, "", CONFIG.model_dump(mode="json"), SPACE, CONFIG.constraint_names, {})
    for number, params in enumerate(asked):
        trial = Trial(number, params, number)
        ended = Ended(outcome(trial), 1, 10.0 * number + 9, 8.0)
        lengthscales = [0.5 + 0.1 * j for j in range(SPACE.dim)]
        proposed = Asked(trial, 10.0 * number, {"lengthscales": lengthscales}, 0)
        record.append(proposed, Started(number, 1, 10.0 * number), ended)
    record.close("complete")
    return read(folder)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    asked = [BASELINE["params"], *(SPACE.decode(x) for x in points(59, SPACE, 1))]
    return written(tmp_path_factory.mktemp("conditional") / "s", asked)  # type: ignore[arg-type]


def best(data: StudyData) -> dict[str, Any]:
    return dict(best_trials(data, 1)[0].params)


def test_an_axis_has_no_place_where_the_hyperparameter_does_not_exist(done: StudyData) -> None:
    axes = {axis.name: axis for axis in analysed.axes(done)}
    assert list(axes) == list(NETWORK)  # taps has no axis
    for name, axis in axes.items():
        for row in range(done.n_trials):
            assert math.isnan(axis.position[row]) == (name not in done.trial(row).params)
    assert axes["third_width"].whole and not axes["momentum"].whole


def test_no_figure_and_no_page_fails(done: StudyData, tmp_path: Path) -> None:
    written_files, failed = pictures.write_figures(figures.compute(done), tmp_path, ["png", "pdf"])
    assert failed == {}
    assert len(written_files) > 10
    html = page.render_page(done)
    table = html[html.index("<h3>Hyperparameters of trial") :]
    assert "taps" not in table[: table.index("</table>")]
    found = parallel.compute(done)
    assert not isinstance(found, str)
    (chart,) = parallel.charts(found)
    assert "A line is cut where a hyperparameter does not exist" in chart.caption
    gaps = [line for line in chart.traces if line["mode"] == "lines+markers"]
    assert gaps and all(any(math.isnan(y) for y in line["y"]) for line in gaps)


def test_the_page_shows_of_the_best_what_it_has(done: StudyData) -> None:
    rows = {row.name: row for row in page._parameters(done, page.summarise(done))}
    assert set(rows) == {*best(done), *BASELINE["params"]}  # type: ignore[misc]
    assert rows["momentum"].baseline == "-" and rows["momentum"].beside is None
    assert rows["momentum"].position is not None and rows["rate"].beside is not None


def test_a_page_of_a_best_that_lacks_what_the_baseline_has_shows_a_dash(tmp_path: Path) -> None:
    data = written(tmp_path / "s", [{"layers": 1, "optimizer": "adam", "rate": 0.01}])
    assert {row.name for row in page._parameters(data, page.summarise(data))} == {"layers", "optimizer", "rate"}
    assert "momentum" not in data.params
    page.render_page(data)
    assert [line.split()[0] for line in text.as_table(best_trials(data, 1)).splitlines()[2:]] == list(best(data))


def test_the_table_of_trials_has_empty_cells(done: StudyData) -> None:
    found = trials.table(done)
    cells = dict(zip(found["columns"], found["cells"], strict=True))
    for name in ("momentum", "third_width", "nesterov"):
        assert [cell is None for cell in cells[name]] == [
            name not in done.trial(row).params for row in range(done.n_trials)
        ]


def test_the_best_are_set_side_by_side_with_dashes(done: StudyData) -> None:
    found = best_trials(done, 6)
    lines = {line.split()[0]: line.split()[1:] for line in text.as_table(found).splitlines()[2:]}
    for name in {name for one in found for name in one.params}:
        assert [cell == "-" for cell in lines[name]] == [name not in one.params for one in found]


def test_commands_print_only_what_exists(
    done: StudyData, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where compare puts its figure
    assert cli.main(["best", str(done.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"][0]["params"] == best(done)
    assert cli.main(["best", str(done.folder), "--yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["fixed"] == {"readout": "linear", **best(done)}
    assert cli.main(["status", str(done.folder), "--json"]) == 0
    assert cli.main(["status", str(done.folder)]) == 0
    assert cli.main(["compare", str(done.folder), str(done.folder)]) == 0


def test_exports_have_missing_cells_and_optuna_just_what_was_suggested(done: StudyData, tmp_path: Path) -> None:
    optuna, _ = pytest.importorskip("optuna"), pytest.importorskip("pyarrow")
    csv, parquet, log = export(done, tmp_path, ["csv", "parquet", "optuna"])
    absent = {name: [name not in done.trial(row).params for row in range(done.n_trials)] for name in NETWORK}
    for table in (pd.read_csv(csv, dtype={"params_third_width": "Int64"}), pd.read_parquet(parquet)):
        for name in ("momentum", "third_width", "damping"):
            assert table[f"params_{name}"].isna().tolist() == absent[name]
        assert table["params_third_width"].dtype == pd.Int64Dtype()
        nesterov = table["params_nesterov"].fillna("")
        assert (nesterov == "").tolist() == absent["nesterov"]
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(log)))
    exported = optuna.load_study(study_name=None, storage=storage).trials
    assert [trial.params for trial in exported] == [dict(done.trial(row).params) for row in range(done.n_trials)]
    assert all(trial.params.keys() == trial.distributions.keys() for trial in exported)


def test_the_best_is_at_no_end_of_a_range_that_it_has_not(tmp_path: Path) -> None:
    data = written(tmp_path / "s", [{"layers": 1, "optimizer": "adam", "rate": 0.01}, {"layers": 3, "third_width": -1,
                   "optimizer": "sgd", "nesterov": "on", "momentum": 0.99, "rate": 0.01}])  # fmt: skip
    assert [edge.key for edge in edges.edges(data, 0)] == ["space.layers.low"]
    assert [edge.key for edge in edges.edges(data, 1)] == [
        "space.third_width.low",
        "space.layers.high",
        "space.momentum.high",
    ]
    assert edges.n_ranges(data) == 5  # not taps, which no trial can have


@pytest.mark.parametrize(
    ("space", "size"),
    [
        ({"a": {"type": "int", "low": 1, "high": 3}}, 3),
        (
            {
                "b": {"type": "int", "low": 1, "high": 4, "when": {"a": [2, 3]}},
                "a": {"type": "int", "low": 1, "high": 3},
            },
            1 + 2 * 4,
        ),
        (
            {
                "a": {"type": "categorical", "choices": ["x", "y"]},
                "b": {"type": "int", "low": 1, "high": 2, "when": {"a": ["x"]}},
                "c": {"type": "int", "low": 1, "high": 5, "when": {"b": [2]}},
            },
            1 + 1 + 5,
        ),
    ],
)
def test_a_finite_space_has_as_many_configurations_as_can_be_told_apart(space: dict[str, Any], size: int) -> None:
    everything = Space(space)
    params = {tuple(sorted(everything.decode(x).items())) for x in points(3000, everything)}
    assert len(params) == size
    assert edges._size(space, 100) == size
    assert edges._size(space, size - 1) > size - 1


def test_importance_shuffles_a_hyperparameter_among_the_trials_that_have_it() -> None:
    """Half of the rows lack the first column, which decides in the others; the second does nothing."""
    rng = np.random.default_rng(0)
    X = rng.random((400, 2))
    y = np.where(np.arange(400) % 2, X[:, 0], 0.5)
    X[::2, 0] = np.nan
    found = importance.permutation(X, y)
    assert found[0] > 0.5 and found[1] < 0.05
    X[:, 0] = np.nan  # nobody has it: nothing to shuffle
    assert importance.permutation(X, y)[0] == 0.0


def test_the_lengthscales_are_those_of_each_hyperparameters_own_columns(done: StudyData) -> None:
    found = {one.name: one.sensitivity for one in importance.importances(done)}
    scales = {name: 0.5 + 0.1 * SPACE.columns[name].start for name in SPACE.names}
    assert found == pytest.approx({name: 0.5 / scale for name, scale in scales.items()})


def test_the_feasible_share_is_that_where_the_hyperparameter_exists(done: StudyData) -> None:
    """The third layer alone makes networks silent: along it the border is seen, though most trials have none."""
    along = {one.name: one for one in feasible_along(done)}
    assert list(along) == list(NETWORK)
    width = along["third_width"].anywhere
    assert width[0] - width[-1] > 0.4 and np.isfinite(along["third_width"].near_best).all() == (
        "third_width" in {name for one in best_trials(done, 16) for name in one.params}
    )
    assert along["layers"].anywhere[0] > along["layers"].anywhere[-1]  # three layers: some are silent
