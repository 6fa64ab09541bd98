"""What a study found, as a few lines of text: the end of a run, of a retraining, and the head of a report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from snnhpo_mpi.analysis.durations import duration
from snnhpo_mpi.analysis.edges import advice
from snnhpo_mpi.analysis.finalists import Finalist
from snnhpo_mpi.analysis.repeats import (
    Floats,
    Repeats,
    is_retraining,
    n_tested,
    pooled_confusion,
    repeats,
    retrainings,
    shares,
    tested_on,
)
from snnhpo_mpi.analysis.score import score, standard_error
from snnhpo_mpi.analysis.summary import HELD_OUT_ACCURACY, Baseline, Summary, objective_name, summarise
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report.text import busy, figure, percent, violated

_MOST_CLASSES = 20  # of a confusion matrix as text


def conclusion(data: StudyData) -> str:
    """What a search or a retraining found."""
    if is_retraining(data):
        return _of_retraining(data)
    return of_search(summarise(data), data.folder, retrainings(data))


def last_words(data: StudyData) -> str:
    """What is said at the end of a run: the result, and how far it can be trusted."""
    if is_retraining(data):
        return _of_retraining(data)
    return "\n".join(_result(summarise(data), data.folder, retrainings(data)))


def worth(data: StudyData) -> str:
    """What the score of the best is worth, for below a table of the best."""
    summary = summarise(data)
    again = [line.strip() for line in _again(summary, data.folder, retrainings(data))]
    return "\n".join([summary.chosen_from, *again])


def of_search(summary: Summary, folder: Path, retrained: Sequence[StudyData] = ()) -> str:
    """The same of a search with these numbers, and with the retrainings in its folder."""
    lines = [f"{summary.study}: {_counts(summary)} in {duration(summary.seconds)}"]
    lines += _result(summary, folder, retrained, with_params=True)
    if summary.baseline is not None:
        lines.append(f"baseline {against(summary, summary.baseline)}")
    if summary.silent_share is not None:
        saved = f"; stopping them early saved {duration(summary.saved_seconds)} of training"
        share = f"{percent(summary.silent_share)} of the networks"
        lines.append(f"{summary.stopped_as:8} {share}{saved if summary.saved_seconds else ''}")
    if summary.pruned:
        saved = f"; that saved {duration(summary.pruned_seconds)} of training" if summary.pruned_seconds else ""
        lines.append(f"pruned   {summary.pruned} of {summary.ended} trials, which could not win{saved}")
    if summary.busy_share is not None:
        lines.append(f"workers  busy {busy(summary)}")
    return "\n".join(lines)


def _result(summary: Summary, folder: Path, retrained: Sequence[StudyData], *, with_params: bool = False) -> list[str]:
    """The best, how far it can be trusted, and where the search's own limits may have held it back."""
    lines = ["no feasible network was found yet", *(f"         {line}" for line in violated(summary))]
    if (best := summary.best) is not None:
        lines = [f"best     trial {best.number}, {summary.objective_name} {best.text} ({summary.chosen_from})"]
        params = [f"{name}={figure(value)}" for name, value in best.params.items()]
        lines += _wrapped(params, indent=9) if with_params else []
        lines += finalists_lines(summary) if with_params else []
        lines += _again(summary, folder, retrained)
    if summary.edges:
        lines += _wrapped(_words(advice(summary.edges, summary.n_ranges)), indent=9, label="edge", gap=" ")
    if summary.used_up:
        lines.append(f"space    all {used_up_text(summary.used_up)}")
    return lines


def finalists_lines(summary: Summary) -> list[str]:
    """A table of what was trained again, the winner first."""
    rows = [["finalist", "search", "mean", "s.d.", "repeats", "posterior mean"]]
    for one in summary.finalists:
        of = one.repeats
        cells = ["-" if value is None else score(value) for value in (of.mean, of.sd)]
        rows.append([f"trial {one.number}", score(of.searched), *cells, trainings(one)])
        rows[-1].append("-" if one.posterior is None else score(one.posterior))
    if len(rows) == 1:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def trainings(one: Finalist) -> str:
    """How many a finalist had: ``3``, ``2 of 3 (1 infeasible)``."""
    counts = {"infeasible": one.n_infeasible, "failed": one.repeats.n_failed}
    bad = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    n = len(one.repeats.values)
    return f"{n}{f' of {one.n_trained}' if n != one.n_trained else ''}{f' ({bad})' if bad else ''}"


def used_up_text(size: int) -> str:
    """What it means that a space of so many configurations was asked completely."""
    return f"{size:,} configurations of the space were asked: more trials would repeat them with other seeds"


def _again(summary: Summary, folder: Path, retrained: Sequence[StudyData]) -> list[str]:
    told = [(one, found) for one in retrained for found in repeats(one) if found.values]
    if told:
        return [retrained_line(one, found) for one, found in told]
    if summary.finalists or summary.feasible <= 1:
        return []
    return _wrapped(_words(doubt(summary, folder)), indent=9, gap=" ")


def doubt(summary: Summary, folder: Path | None = None) -> str:
    """Why the best score of many is not to be believed, and what is to be done about it."""
    noisy = "" if summary.best and summary.best.n else "where seeds change the score, "
    command = f"snnhpo retrain {folder}" if folder else "snnhpo retrain"
    return f"{noisy}the best of many is too good by chance: `{command}` measures it"


def retrained_line(data: StudyData, one: Repeats) -> str:
    """What a candidate's trainings gave, for the end of its search."""
    of = f"mean and standard deviation of {one.seeds}; {data.folder}"
    return f"retrain  trial {one.number}, {objective_name(data)} {one.text} ({of})"


def _counts(summary: Summary) -> str:
    parts = [f"{summary.completed} completed"]
    parts += [f"{summary.stopped} stopped early"] if summary.silent_share is not None or summary.stopped else []
    parts += [f"{n} {name}" for name in ("pruned", "failed", "lost") if (n := getattr(summary, name))]
    return f"{summary.ended} trials ({', '.join(parts)})"


def against(summary: Summary, baseline: Baseline) -> str:
    """The baseline's score, and how far the best is from it."""
    if not baseline.scored:
        state = "stopped early" if baseline.state == "stopped" else baseline.state
        return f"{baseline.name}: {state}, so it has no score (trial {baseline.number})"
    text = f"{baseline.name}: {baseline.text} (trial {baseline.number}{'' if baseline.feasible else ', infeasible'})"
    if summary.best is None:
        return text
    gain = summary.best.worth - baseline.objective
    if summary.objective_name != HELD_OUT_ACCURACY:
        return f"{text}; the best is {gain:+.4g} from it"
    return f"{text}; the best is {abs(100 * gain):.1f} points {'better' if gain >= 0 else 'worse'}"


def _words(text: str) -> list[str]:
    """Words that a line may end between; a command in backticks is one."""
    return re.findall(r"`[^`]*`|\S+", text)


def _wrapped(words: Sequence[str], indent: int, label: str = "", gap: str = "  ", width: int = 100) -> list[str]:
    lines = [label.ljust(indent)]
    for word in words:
        if len(lines[-1]) + len(word) > width and len(lines[-1]) > indent:
            lines.append(" " * indent)
        lines[-1] += f"{word}{gap}"
    return [line.rstrip() for line in lines]


def _of_retraining(data: StudyData) -> str:
    """Mean and standard deviation of each candidate, and the confusion matrix of the search's best."""
    found = repeats(data)
    what = objective_name(data)
    lines = [f"{what}, {tested_on(data)}; mean and standard deviation over seeds"]
    rows = [["trial", "search", "mean", "s.d.", "seeds", "failed"]]
    for one in found:
        cells = ["-" if value is None else score(value) for value in (one.mean, one.sd)]
        rows.append([str(one.number), score(one.searched), *cells, str(len(one.values)), str(one.n_failed)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines += [error.strip()] if (error := sampling_error(data)) else []
    confusion, n = pooled_confusion(data, found[0]) if found else (None, 0)
    if confusion is not None and len(confusion) <= _MOST_CLASSES:
        of = f"trial {found[0].number}, {n} seed{'s' * (n != 1)} together"
        lines += ["", f"{of}: of each true class (row), the share read as each class (column) [%]"]
        lines += confusion_lines(confusion)
    if data.retraining and (networks := data.retraining.networks):
        lines.append(f"networks {data.folder / networks}")
    lines.append(f"trained  {duration(float(np.nansum(data.seconds)))} in all")
    return "\n".join(lines)


def sampling_error(data: StudyData) -> str:
    """How far the number of test samples alone moves one training's score; empty where it is not known."""
    n = n_tested(data)
    means = [one.mean for one in repeats(data) if one.mean is not None]
    error = standard_error(means[0], n) if means else None
    return f" Scored on {n:,} test samples: a standard error of {error:.2g} for one training." if error else ""


def confusion_lines(confusion: Floats) -> list[str]:
    """A confusion matrix as text: rows of whole percents."""
    share = shares(confusion)
    classes = [str(j) for j in range(len(confusion))] + (["none"] if share.shape[1] > len(confusion) else [])
    lines = [" " * 4 + "".join(f"{name:>5}" for name in classes)]
    for i, row in enumerate(share):
        lines.append(f"{i:>4}" + "".join(f"{'.' if value < 0.005 else f'{100 * value:.0f}':>5}" for value in row))
    return lines
