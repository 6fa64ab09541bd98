import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest
from mpi_families import Family, families

from snnhpo_mpi import cli, codec
from snnhpo_mpi.analysis.repeats import repeats
from snnhpo_mpi.analysis.summary import best_trials
from snnhpo_mpi.config import StdpSettings, StudyConfig
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.record import Candidate, read
from snnhpo_mpi.record.entries import Entry, Session, from_json
from snnhpo_mpi.record.journal import Journal, scan
from snnhpo_mpi.snn.data import digits
from snnhpo_mpi.snn.load_network import load_network
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.build import build_trainer
from snnhpo_mpi.study.retrain import Wish, configure
from snnhpo_mpi.trial import Trial

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Run:
    """Run ``snnhpo ARGUMENTS`` in this process, in the toy's folder: exit code, output, log."""
    monkeypatch.chdir(toy)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "path", [str(toy), *sys.path])

    def call(*arguments: str) -> tuple[int, str, str]:
        caplog.clear()
        code = cli.main(arguments)
        output, errors = capfd.readouterr()
        return code, output, caplog.text + errors

    return call


@pytest.fixture
def searched(run: Run, toy: Path) -> Path:
    assert run("run", "toy.yaml")[0] == 0
    return toy / "results" / "toy"


def test_the_best_are_trained_again_with_seeds_that_the_search_never_had(run: Run, searched: Path) -> None:
    code, said, _ = run("retrain", "results/toy", "--top", "2", "--repeats", "3", "--workers", "2")
    assert code == 0
    search, again = read(searched), read(searched / "retrain")
    best = json.loads(run("best", "results/toy", "--top", "2", "--json")[1])["best"]
    assert [again.trial(row).params for row in range(6)] == [best[i % 2]["params"] for i in range(6)]
    assert len(set(again.seed)) == 6
    assert not set(again.seed) & set(search.seed)
    for i, one in enumerate(repeats(again)):
        values = [again.objective[row] for row in range(6) if again.number[row] % 2 == i]
        assert (one.number, one.searched) == (best[i]["number"], best[i]["objective"])
        assert one.mean == pytest.approx(np.mean(values))
        assert one.sd == pytest.approx(np.std(values, ddof=1))
        assert f"{one.mean:.4f}" in said


def test_a_retraining_goes_on_where_it_was_and_keeps_its_trials(run: Run, searched: Path) -> None:
    assert run("retrain", "results/toy", "--repeats", "2")[0] == 0
    (before,) = repeats(read(searched / "retrain"))
    assert run("run", "toy.yaml", "--resume", "--trials", "60")[0] == 0
    assert json.loads(run("best", "results/toy", "--json")[1])["best"][0]["number"] != before.number
    code, more, log = run("retrain", "results/toy", "--repeats", "3")
    assert code == 0 and "2 trials done" in more and "--name begins another" in log
    (after,) = repeats(read(searched / "retrain"))
    assert after.number == before.number
    assert after.values[:2] == before.values and len(after.values) == 3
    code, again, _ = run("retrain", "results/toy", "--repeats", "3")
    assert code == 0 and "nothing is left to do" in again
    assert again.splitlines()[-3:-1] == more.splitlines()[-3:-1]  # says its result once more


def test_what_does_not_fit_is_refused_with_a_way_out(run: Run, searched: Path) -> None:
    assert run("retrain", "results/toy", "--repeats", "1")[0] == 0
    for arguments, message in (
        (["--top", "3"], "--name"),
        (["--epochs", "4", "--name", "b"], "has no hyperparameter epochs"),
        (["--set", "space.x.hihg=2", "--name", "b"], "space.x.hihg"),
        (["--set", "study.name=other", "--name", "b"], "--name names its folder"),
        (["--set", "study={name: other}", "--name", "b"], "--name names its folder"),
        (["--set", "budget.trials=3", "--name", "b"], "--repeats says how many"),
        (["--set", "baseline={name: a, params: {x: 1}}", "--name", "b"], "a retraining has its own baseline"),
        (["--name", "report"], "--name report: the program keeps other things"),
        (["--name", "logs"], "--name logs: the program keeps other things"),
        (["--name", "Checkpoints"], "--name Checkpoints: the program keeps other things"),
        (["--name", "study.h5"], "--name study.h5: the program keeps other things"),
        (["--name", "../b"], "--name ../b: at most 100 letters"),
        (["--name", ""], "--name : at most 100 letters"),
    ):
        code, _, log = run("retrain", "results/toy", *arguments)
        assert code == 2
        assert message in log and "Traceback" not in log
        assert {path.name for path in searched.parent.iterdir()} == {"toy"} and not (searched / "b").exists()
    code, _, log = run("retrain", "results/toy/retrain")
    assert code == 2 and "is a retraining already: give the folder of its search, results/toy" in log


def test_a_retraining_says_no_best_while_it_runs_and_when_it_ends(run: Run, searched: Path) -> None:
    code, said, _ = run("retrain", "results/toy", "--top", "2", "--repeats", "3")
    assert code == 0 and "best" not in said and "max" not in said.lower()
    lines = said.splitlines()
    assert lines[-1].startswith("complete: 6 trials in ")
    candidates = [line.split()[0] for line in lines if re.fullmatch(r" *\d+ +-?\d.*", line)]
    assert candidates == [str(one.number) for one in best_trials(read(searched), 2)]


def test_a_complete_search_says_what_its_best_is_worth_and_then_its_last_line(run: Run, toy: Path) -> None:
    code, said, _ = run("run", "toy.yaml")
    assert code == 0
    n = int(read(toy / "results" / "toy").feasible.sum())
    assert f"(best of {n} scores)" in said and "`snnhpo retrain results/toy` measures it" in said
    assert said.splitlines()[-1].startswith("complete: 12 trials")
    assert run("retrain", "results/toy", "--repeats", "2")[0] == 0
    again = run("run", "toy.yaml", "--resume")[1]
    assert "retrain  trial" in again and "too good by chance" not in again


def test_a_search_without_a_feasible_trial_has_nothing_to_train_again(run: Run, toy: Path) -> None:
    (toy / "toy.py").write_text(
        "def evaluate(params, seed, device):\n    return {'objective': 1, 'constraints': [1]}\n"
    )
    assert run("run", "toy.yaml", "--trials", "2")[0] == 0
    code, _, log = run("retrain", "results/toy")
    assert code == 2 and "no feasible trial" in log


def test_what_is_trained_again_stands_in_the_record_and_not_in_the_configuration(run: Run, searched: Path) -> None:
    assert run("retrain", "results/toy", "--top", "2", "--repeats", "1")[0] == 0
    (searched / "retrain" / "journal.jsonl").rename(searched / "kept")
    of_snapshot = read(searched / "retrain")
    (searched / "kept").rename(searched / "retrain" / "journal.jsonl")
    (searched / "retrain" / "study.h5").unlink()
    for data in (of_snapshot, read(searched / "retrain")):
        assert "retrain" not in data.config
        assert data.retraining is not None and data.retraining.networks is None
        best = best_trials(read(searched), 2)
        assert data.retraining.candidates == tuple(Candidate(one.number, one.objective, one.params) for one in best)


def as_recorded_then(entry: Entry) -> Entry:
    if not isinstance(entry, Session):
        return entry
    assert entry.retraining is not None
    config = {**entry.config, "retrain": json.loads(codec.write(entry.retraining))}
    return replace(entry, config=config, retraining=None)


def test_a_retraining_of_an_earlier_program_opens_and_goes_on(run: Run, searched: Path) -> None:
    assert run("retrain", "results/toy", "--repeats", "2")[0] == 0
    folder = searched / "retrain"
    (found,) = repeats(read(folder))
    entries = [from_json(line.text) for line in scan(folder / "journal.jsonl")]
    Journal.write_new(folder / "journal.jsonl", map(as_recorded_then, entries)).close()
    (folder / "study.h5").unlink()
    assert "candidates" in read(folder).config["retrain"]
    assert repeats(read(folder)) == [found]
    code, said, log = run("retrain", "results/toy", "--repeats", "3")
    assert code == 0 and "2 trials done" in said, log
    (after,) = repeats(read(folder))
    assert after.values[:2] == found.values and len(after.values) == 3


def test_a_search_does_not_go_on_in_the_folder_of_a_retraining(run: Run, searched: Path) -> None:
    assert run("retrain", "results/toy", "--repeats", "2")[0] == 0
    code, _, log = run("run", "toy.yaml", "--set", "study.name=retrain", "--results", "results/toy", "--resume")
    assert code == 3 and "-retrain.candidates" in log


def test_a_retrain_section_is_not_for_hands(run: Run, toy: Path) -> None:
    text = (toy / "toy.yaml").read_text() + "retrain: {candidates: [{number: 1, objective: 0.5, params: {}}]}\n"
    (toy / "toy.yaml").write_text(text)
    code, _, log = run("run", "toy.yaml")
    assert code == 2 and "retrain" in log and "unknown" in log


@pytest.mark.mpi
@pytest.mark.parametrize("family", families(), ids=str)
def test_a_retraining_runs_under_mpiexec(family: Family, searched: Path) -> None:
    arguments = ["-m", "snnhpo_mpi", "retrain", "results/toy", "--repeats", "4"]
    done = subprocess.run(
        family.command(3, arguments), cwd=searched.parents[1], env=family.variables(),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = read(searched / "retrain")
    assert data.ended.sum() == 4 and set(data.rank) <= {1, 2}
    assert f"{repeats(data)[0].mean:.4f}" in done.stdout


def searched_networks(folder: Path, without: tuple[str, ...] = ()) -> Path:
    """A made-up search of Diehl & Cook networks, whose configuration is complete but for some keys of its trainer."""
    trainer = {
        "name": "stdp",
        "dataset": {"name": "digits5000", "train": 200, "held_out": 100},
        "encoding": {"steps": 10, "max_rate_hz": 500.0},
    }
    sections = {key: fake_study.CONFIG[key] for key in ("study", "budget", "optimizer", "stopping")}
    sections |= {"saturation": [{"layer": "excitatory"}], "chance": {"after_epochs": 1}, "pruning": {"rule": "gain"}}
    space = {
        **fake_study.CONFIG["space"],
        "decoder": {"type": "categorical", "choices": ["all", "vote", "2gram", "3gram"]},
    }
    config = StudyConfig.model_validate(sections | {"trainer": trainer, "space": space})
    whole = config.model_dump(mode="json")
    kept = {key: value for key, value in whole["trainer"].items() if key not in without}
    return fake_study.written(folder, 30, configuration=whole | {"trainer": kept})


def test_epochs_data_and_stopping_are_those_of_a_final_training(tmp_path: Path) -> None:
    search = searched_networks(tmp_path / "s")
    (best,) = best_trials(read(search), 1)
    task = configure(Wish(search, repeats=4, epochs=5))
    config = task.config
    assert task.retraining is not None
    (candidate,) = task.retraining.candidates
    assert candidate.params == {**best.params, "epochs": 5}
    assert Space(config.space).decode(Space(config.space).encode(candidate.params))["epochs"] == 5
    assert (config.budget.trials, config.baseline) == (4, None)
    assert (config.stopping, config.saturation, config.chance) == ((), (), None)
    assert config.pruning.rule == "none"
    assert config.study.seed == 1  # the split is that of the search
    assert task.document.text == fake_study.CONFIG_TEXT
    again = configure(Wish(search)).retraining
    assert again is not None and again.candidates[0].params == best.params


def test_what_a_program_did_before_it_had_a_key_is_done_again(tmp_path: Path) -> None:
    search = searched_networks(tmp_path / "s", without=("readout", "readout_samples"))
    trainer = configure(Wish(search)).config.trainer
    assert isinstance(trainer, StdpSettings) and (trainer.readout, trainer.readout_samples) == ("latest", 1000)


@pytest.mark.parametrize("change", ["trainer.dataset.train=100", "trainer.dataset.held_out=50", "study.seed=2"])
def test_digits_that_the_search_has_seen_cannot_become_the_test(tmp_path: Path, change: str) -> None:
    search = searched_networks(tmp_path / "s")
    with pytest.raises(ConfigError, match=rf"{change.split('=')[0].split('.')[-1]} must stay as in the search"):
        configure(Wish(search, overrides=(change,)))
    configure(Wish(search, overrides=("workers.threads=1",)))


@pytest.mark.stdp
def test_a_network_is_tested_on_what_the_search_never_saw_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNNHPO_CACHE", str(tmp_path / "cache"))  # not that of the whole digits
    x, y = digits.read()
    monkeypatch.setattr(digits, "read", lambda: (x[::12], y[::12]))  # 417 of them
    task = configure(Wish(searched_networks(tmp_path / "s"), epochs=2, save=True))
    assert task.retraining is not None and task.retraining.networks == "networks"
    folder = tmp_path / "results" / "quickstart" / "retrain" / "networks"
    learns = {
        "map_size": 60,
        "norm": 78.4,
        "strength_exc": 22.5,
        "strength_inh": 250.0,
        "e_thresh": -52.0,
        "nu_pre": 1e-4,
    }
    params = {**task.retraining.candidates[0].params, **learns}
    trainer = build_trainer(task.config, "cpu", lambda progress: None, final=True, networks=folder)
    outcome = trainer.evaluate(Trial(0, params, 9))
    assert outcome.metrics["n_samples"] == 2 * 300
    table = np.asarray(outcome.curves["confusion"])
    assert table.sum() == 117  # the search's split left so many untouched
    assert outcome.objective == pytest.approx(np.trace(table) / 117)
    assert load_network(folder / "trial_000.pt").n_classes == 10
    blocks = re.findall(r"```python\n(.*?)```", Path("docs/results.md").read_text(), re.DOTALL)
    monkeypatch.delenv("SNNHPO_CACHE")
    (script,) = [block for block in blocks if "load_network" in block]  # word for word
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert 0.1 < float(ran.stdout) < 1
