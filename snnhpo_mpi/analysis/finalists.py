"""Which of the configurations that were trained again at the end of a search is the best, and how good it is.

The best of many noisy scores is too good by chance, and what it was best in cannot tell by how much. So the search's
own scores choose the finalists and take no further part: the repeats alone are averaged, and their means drawn together
as far as the noise explains why they differ. What remains of chance in the choice of the largest is then mostly gone.

Notation
    k finalists    r_i scores of finalist i, with mean m_i    n samples behind a score
    s2  variance of one score    t2  variance of what the finalists are truly worth

    s2 = max(pooled variance within finalists, mean of m_i (1 - m_i) / n)
    t2 = max(0, variance of the m_i - s2 mean of 1 / r_i)
    w_i = 1 / (t2 + s2 / r_i),  mu = sum of w_i m_i / sum of w_i,  b_i = t2 w_i
    posterior mean of i = mu + b_i (m_i - mu)

Source: the normal model with its variances estimated by moments, Efron & Morris, JASA 1975.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.analysis.repeats import Repeats, is_retraining
from snnhpo_mpi.analysis.score import standard_error
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import Repeat, State

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Finalist:
    """A configuration that was trained again.

    Attributes:
        repeats: what these trainings gave.
        posterior: mean of what it is worth, given all finalists; None without a score.
        n_trained: trainings that ended, in whatever way.
        n_infeasible: of them, those that were stopped early or violate a constraint.
    """

    repeats: Repeats
    posterior: float | None
    n_trained: int
    n_infeasible: int

    @property
    def number(self) -> int:
        """Of its trial."""
        return self.repeats.number

    @property
    def may_win(self) -> bool:
        """Whether at least half of its trainings are good for something: completed, within all constraints."""
        n_bad = self.n_infeasible + self.repeats.n_failed
        return self.posterior is not None and 2 * n_bad <= self.n_trained


def by_score(data: StudyData) -> Rows:
    """Rows of the feasible trials, the largest objective first; of equals the earliest."""
    rows = np.flatnonzero(data.feasible)
    best_first: Rows = rows[np.argsort(-data.objective[rows], kind="stable")]
    return best_first


def finalists(data: StudyData) -> list[Finalist]:
    """Those of a search, the winner first and those that may not win last.

    None before each of those that are the best by now has been trained again at least once: until then, or when a
    search goes on with a larger budget, the search's scores are all there is to compare.
    """
    settings = data.config.get("finalists")
    if not settings or is_retraining(data):
        return []
    trained: dict[int, list[Repeat]] = {}
    for repeat in data.repeats:
        trained.setdefault(repeat.number, []).append(repeat)
    rows = by_score(data)
    if not len(rows) or any(number not in trained for number in data.number[rows[: settings["count"]]].tolist()):
        return []
    places = {int(data.number[row]): int(row) for row in rows}
    found = [_repeats(data, places[number], of) for number, of in trained.items() if number in places]
    posterior = iter(posterior_means([one.values for one in found if one.values], _n_scored(data.repeats)))
    told = []
    for one in found:
        mine = trained[one.number]
        n_infeasible = sum(not repeat.feasible for repeat in mine) - one.n_failed
        told.append(Finalist(one, next(posterior) if one.values else None, len(mine), n_infeasible))
    return sorted(told, key=_rank)


def _rank(one: Finalist) -> tuple[bool, float, float, float]:
    worth = -np.inf if one.posterior is None else one.posterior
    mean = -np.inf if one.repeats.mean is None else one.repeats.mean
    return not one.may_win, -worth, -mean, -one.repeats.searched


def _repeats(data: StudyData, row: int, trained: Sequence[Repeat]) -> Repeats:
    values = tuple(one.score for one in trained if one.score is not None)
    n_failed = sum(one.state in (State.FAILED, State.LOST) for one in trained)
    return Repeats(int(data.number[row]), float(data.objective[row]), data.trial(row).params, values, (), n_failed)


def _n_scored(repeats: Sequence[Repeat]) -> int | None:
    return next((one.n_scored for one in repeats if one.n_scored is not None), None)


def posterior_means(scores: Sequence[Sequence[float]], n: int | None = None) -> list[float]:
    """What each configuration is worth, by the formulas above.

    Args:
        scores: of each configuration at least one.
        n: samples that each was measured on; None if nobody knows.
    """
    m, r = np.array([np.mean(own) for own in scores]), np.array([len(own) for own in scores])
    if len(m) < 2:
        return [float(value) for value in m]
    s2 = _variance_of_one(scores, m, n)
    t2 = max(0.0, float(np.var(m, ddof=1) - s2 * np.mean(1.0 / r)))
    if s2 == 0.0 or not np.isfinite(t2):
        return [float(value) for value in m]
    w = 1.0 / (t2 + s2 / r)
    mu = float(w @ m / w.sum())
    return [float(value) for value in mu + t2 * w * (m - mu)]


def _variance_of_one(scores: Sequence[Sequence[float]], m: NDArray[np.float64], n: int | None) -> float:
    """Of one score: of few repeats chance makes it small, but no smaller than the number of samples alone does."""
    squares = sum(float(np.sum((np.asarray(own) - mean) ** 2)) for own, mean in zip(scores, m, strict=True))
    freedom = sum(len(own) - 1 for own in scores)
    errors = [standard_error(float(mean), n) for mean in m]
    by_samples = float(np.mean([error**2 for error in errors if error is not None] or [0.0]))
    return max(squares / freedom if freedom else 0.0, by_samples)
