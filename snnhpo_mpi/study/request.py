"""What a user asks of a run, apart from the configuration of the study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snnhpo_mpi.config import Document, StudyConfig
from snnhpo_mpi.record import Retraining

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Task:
    """What a study is about.

    Attributes:
        config: its configuration.
        document: where that stands.
        retraining: what is trained again; None of a search.
    """

    config: StudyConfig
    document: Document
    retraining: Retraining | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked ``snnhpo run`` for.

    Attributes:
        load: reads what the study is about; called on rank 0 only.
        results: folder that holds the studies' folders.
        resume: go on with the study if there is one.
        accept_config: go on although the configuration changed.
        workers: evaluators without MPI, None for one.
        conclude: what is said of a complete study before the last line, from its folder.
        tensorboard: write TensorBoard scalars too.
        accept_damage: go on although something of the record is lost.
    """

    load: Callable[[], Task]
    results: Path = Path("results")
    resume: bool = False
    accept_config: bool = False
    workers: int | None = None
    conclude: Callable[[Path], str] | None = None
    tensorboard: bool = False
    accept_damage: bool = False
