"""Train the best configurations of a search again: other seeds, all training data, the official test set.

A retraining is a study like any other, in a folder inside that of the search: same ranks, same record, resumed by the
same command. Its optimizer asks the candidates over and over; nothing is stopped early, so nothing is constrained.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from snnhpo_mpi.analysis.repeats import is_retraining
from snnhpo_mpi.analysis.summary import best_trials
from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.config.datasets import DATASETS, has_test
from snnhpo_mpi.config.document import Document, apply_override
from snnhpo_mpi.config.settings import StudySettings
from snnhpo_mpi.config.validation import validate
from snnhpo_mpi.errors import ConfigError, RecordError
from snnhpo_mpi.record import Candidate, Retraining, StudyData, exists, read
from snnhpo_mpi.record.identity import completed
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.request import Request, Say, Task
from snnhpo_mpi.study.run import run_search
from snnhpo_mpi.study.search import OWN_FOLDERS

log = logging.getLogger(__name__)
NETWORKS = "networks"
# What a retraining decides itself, and by which of its options.
DECIDED = {
    "study.name": "--name names its folder",
    "budget.trials": "--repeats says how many trainings",
    "optimizer": "it trains what the search found",
    "baseline": "it trains what the search found",
    "stopping": "it stops nothing early",
    "saturation": "it stops nothing early",
    "chance": "it stops nothing early",
    "pruning": "it stops nothing early",
    "finalists": "--repeats says how many trainings",
}
NO_LIMIT_S = 30 * 86400.0  # a search's limit is for its own samples and epochs; a job's end still cuts a training


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked ``snnhpo retrain`` for.

    Attributes:
        search: results folder of the search.
        top: how many configurations.
        repeats: trainings of each.
        epochs: instead of what the search found; None for that.
        save: keep the trained networks.
        name: folder in that of the search.
        overrides: texts of ``--set``.
        accept_damage: train although something of the search's record is lost.
    """

    search: Path
    top: int = 1
    repeats: int = 10
    epochs: int | None = None
    save: bool = False
    name: str = "retrain"
    overrides: tuple[str, ...] = ()
    accept_damage: bool = False


def run_retraining(wish: Wish, workers: int | None, say: Say, conclude: Callable[[Path], str] | None = None) -> int:
    """Train on all ranks of this job, or in this process alone; begin or go on. The exit code, as of a search.

    Args:
        wish: what is trained.
        workers: evaluators without MPI, None for one.
        say: takes the lines for the user; called on rank 0 only.
        conclude: what is said of a complete retraining, from its folder.

    Raises:
        ConfigError: without MPI only; with it rank 0 says it and all ranks end with its code.
    """
    search = wish.search.parent if wish.search.is_file() else wish.search
    return run_search(
        Request(
            partial(configure, wish),
            search,
            resume=True,
            workers=workers,
            conclude=conclude,
            accept_damage=wish.accept_damage,
        ),
        say,
    )


def configure(wish: Wish) -> Task:
    """What is trained again, with the configuration of the search where a retraining has no other.

    Raises:
        ConfigError: the search has no feasible trial, a ``--set`` is wrong, or the folder holds other trainings.
        RecordError: there is no search, or the best of it may be among what is lost.
    """
    past = read(wish.search)
    if is_retraining(past):
        raise ConfigError(f"{past.folder} is a retraining already: give the folder of its search, {past.folder.parent}")
    if past.losses and not wish.accept_damage:
        raise RecordError(
            f"a better trial may be among what is lost of {past.folder}: put the file back if there is a copy, "
            "or train the best of the rest with --accept-damage"
        )
    folder = past.folder / wish.name
    _refuse_name(wish.name, folder)
    for assignment in wish.overrides:
        _refuse_decided(assignment)
    candidates = _candidates(past, wish)
    if exists(folder):
        candidates = _begun(folder, candidates)
    document = Document(str(past.folder), past.config_text, _changed(past, wish, len(candidates)))
    for assignment in wish.overrides:
        apply_override(document, assignment)
    config, retraining = validate(document), Retraining(candidates, NETWORKS if wish.save else None)
    _refuse_another_split(past, config)
    if wish.epochs is not None:
        _refuse_other_conditions(config, candidates, wish.epochs)
    if exists(folder):
        _refuse_others(folder, config, retraining)
    return Task(config, Document(str(wish.search), past.config_text, config.model_dump(mode="json")), retraining)


def _refuse_name(name: str, folder: Path) -> None:
    """Raise where a retraining would lie outside its search, or among what the program itself keeps there."""
    try:
        StudySettings(name=name)
    except ValueError:
        raise ConfigError(
            f"--name {name}: at most 100 letters, digits, _ . and - are allowed, a letter or a digit first"
        ) from None
    if name.lower() in OWN_FOLDERS or folder.is_file():
        raise ConfigError(f"--name {name}: the program keeps other things under this name; choose another")


def _refuse_decided(assignment: str) -> None:
    """Raise where ``--set`` would change what a retraining is."""
    key = assignment.partition("=")[0].strip()
    for decided, why in DECIDED.items():
        if f"{key}.".startswith(f"{decided}.") or decided.startswith(f"{key}."):
            raise ConfigError(f"--set {key}: a retraining has its own {decided}: {why}")


def _candidates(past: StudyData, wish: Wish) -> tuple[Candidate, ...]:
    found = best_trials(past, wish.top)
    if not found:
        raise ConfigError(f"{past.folder} has no feasible trial yet: nothing to train again")
    has_epochs = "epochs" in {*past.config["space"], *past.config["fixed"]}
    if wish.epochs is not None and past.config["trainer"]["name"] == "python" and not has_epochs:
        raise ConfigError("--epochs: the function of this search has no hyperparameter epochs")
    epochs = {} if wish.epochs is None else {"epochs": wish.epochs}
    return tuple(
        Candidate(
            number=one.number,
            objective=one.objective,
            params=dict(one.params) | (epochs if "epochs" in one.params else {}),
        )
        for one in found
    )


def _begun(folder: Path, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """The candidates that a retraining was begun with, if it has as many: the search may have found better ones."""
    recorded = read(folder).retraining
    if recorded is None:
        raise ConfigError(f"{folder} holds a study that is no retraining: --name gives this one another folder")
    begun = recorded.candidates
    if len(begun) != len(candidates) or begun == candidates:
        return candidates
    if [one.params for one in begun] != [one.params for one in candidates]:
        log.warning("%s goes on with the trials it was begun with; --name begins another with today's best", folder)
    return begun


def _changed(past: StudyData, wish: Wish, n_candidates: int) -> dict[str, Any]:
    """The configuration of the search with what a retraining has otherwise, as plain data."""
    unstopped: dict[str, Any] = {"stopping": [], "saturation": [], "chance": None, "pruning": {}}
    config = {**completed(json.loads(json.dumps(past.config))), **unstopped, "baseline": None, "finalists": None}
    config.pop("retrain", None)  # of earlier programs
    config["study"] = {**config["study"], "name": wish.name}
    config["budget"] = {**config["budget"], "trials": n_candidates * wish.repeats, "wall_time": None}
    config["trainer"] = {**config["trainer"], "time_limit": NO_LIMIT_S}
    if wish.epochs is not None:
        _set_epochs(config, wish.epochs)
    return config


def _set_epochs(config: dict[str, Any], epochs: int) -> None:
    searched = config["space"].get("epochs")
    if searched is None:
        config["fixed"]["epochs"] = epochs
    elif "choices" in searched:
        searched["choices"] += [epochs] if epochs not in searched["choices"] else []
    else:  # the record keeps where a value lies in its range
        searched["low"], searched["high"] = min(searched["low"], epochs), max(searched["high"], epochs)


def _refuse_other_conditions(config: StudyConfig, candidates: Sequence[Candidate], epochs: int) -> None:
    """Raise where another number of epochs brings about, or forbids, a hyperparameter of a candidate."""
    space = Space(config.searched)
    if not any("epochs" in need for need in space.needs.values()):
        return
    for one in candidates:
        if reason := space.unfit(one.params):
            raise ConfigError(f"--epochs {epochs}: trial {one.number} would be another configuration: {reason}")


def _refuse_another_split(past: StudyData, config: StudyConfig) -> None:
    """Raise where the test samples would be others than the search left: it trained on some of them.

    A data set with an official test set is tested on that, whatever its training part is split into.
    """
    after = config.model_dump(mode="json")
    before, after = (
        {**one["trainer"].get("dataset", {}), "seed": one["study"]["seed"]} for one in (past.config, after)
    )
    changed = [key for key in ("train", "held_out", "seed") if before.get(key) != after.get(key)]
    name = str(before.get("name"))
    if changed and name == after.get("name") and not has_test(before):
        raise ConfigError(
            f"--set: a retraining on {name} is tested on the {DATASETS[name].samples} that the search left, so "
            f"{', '.join(changed)} must stay as in the search; --epochs makes it shorter"
        )


def _refuse_others(folder: Path, config: StudyConfig, retraining: Retraining) -> None:
    """Raise where the folder holds trainings of other trials, epochs, data, or networks that were not kept."""
    begun = read(folder)
    before, after = completed(begun.config), config.model_dump(mode="json")
    changed = [key for key in ("space", "fixed", "trainer") if before.get(key) != after[key]]
    if begun.retraining != retraining:
        changed = ["retrain", *changed]
    if changed and begun.retraining is not None:
        trials = ", ".join(str(one.number) for one in begun.retraining.candidates)
        raise ConfigError(
            f"{folder} holds trainings of trial {trials} that differ from what is asked now in {', '.join(changed)}: "
            "ask for the same again to go on with them, or give these another folder by --name"
        )
