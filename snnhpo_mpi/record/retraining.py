"""What a retraining trains again, as its record has it. A retraining is a study whose trials were chosen by another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snnhpo_mpi import codec
from snnhpo_mpi.trial import Params


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial of a search that is trained again.

    Attributes:
        number: in the search.
        objective: what it gave there.
        params: of its retraining: those of the search, with other epochs if these were asked for.
    """

    number: int
    objective: float
    params: Params


@dataclass(frozen=True, slots=True)
class Retraining:
    """Trials of a search that are trained again with other seeds, on all training data, and scored on test data.

    Attributes:
        candidates: the best first; trial i of the retraining is candidate i modulo their count.
        networks: folder, in that of the study, for the trained networks; None to forget them.
    """

    candidates: tuple[Candidate, ...]
    networks: str | None = None


def retraining_of(recorded: Retraining | None, config: Mapping[str, Any]) -> Retraining | None:
    """What a session trained again, None of a search.

    Args:
        recorded: in the session.
        config: of the session; earlier programs kept it there.
    """
    if recorded is None and (formerly := config.get("retrain")):
        return codec.read(Retraining, codec.write(formerly))
    return recorded
