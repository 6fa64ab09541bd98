"""Figures as PNG and PDF files, for papers and READMEs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl

from snnhpo_mpi.report.canvas import STYLE, empty, save
from snnhpo_mpi.report.failing import attempt
from snnhpo_mpi.report.figures import Computed


def write_figures(
    figures: Iterable[Computed], folder: Path, formats: Iterable[str]
) -> tuple[list[Path], dict[str, str]]:
    """Write every figure in every format. A figure that has nothing to show yet says so instead.

    Args:
        figures: of a study, see ``figures.compute``.
        folder: where to.
        formats: ``png``, ``pdf``.

    Returns:
        The paths written, and of the figures that could not be drawn the reason by name.

    Raises:
        OSError: the folder cannot be written.
    """
    formats = list(formats)
    written: list[Path] = []
    failed: dict[str, str] = {}
    if formats:
        folder.mkdir(parents=True, exist_ok=True)
    for figure in figures if formats else ():
        paths = [folder / f"{figure.name}.{kind}" for kind in formats]
        reason = figure.fault or attempt(partial(_write, figure, paths))[1]
        if reason:
            failed[figure.name] = reason
        else:
            written += paths
    return written, failed


def _write(figure: Computed, paths: Sequence[Path]) -> None:
    with mpl.rc_context(STYLE):
        drawn = empty(figure.nothing) if figure.nothing else figure.drawing.paper(figure.found)
        for path in paths:
            save(drawn, path)
