"""Pictures of a study for the documentation: the report's overview and the terminal view, by a headless Chromium.

Usage: python results/reference/pictures.py results/quickstart [folder of the pictures]
While the study runs, the terminal view shows its workers; it is what ``snnhpo status --watch`` shows in 80 columns.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import figures, page
from snnhpo_mpi.report import terminal as live

WIDTH, OVERVIEW = 1280, (1280, 1180)
SCALE = 2  # device pixels of a CSS pixel, for sharp text


def main(study: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = read(study)
    with tempfile.TemporaryDirectory() as scratch:
        report, _ = page.write_page(data, figures.compute(data), Path(scratch))
        photograph(report, folder / "report.png", *OVERVIEW)
        view = Path(scratch) / "terminal.svg"
        view.write_text(terminal(data), encoding="utf-8")
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', view.read_text(encoding="utf-8"))
        assert box is not None
        photograph(view, folder / "terminal.png", round(float(box[1])), round(float(box[2])))


def terminal(data: StudyData) -> str:
    """The view as an SVG picture, with the fonts of this machine."""
    console = Console(record=True, width=80, height=24, force_terminal=True, file=io.StringIO())
    console.print(live.render(data, 24))
    svg = console.export_svg(title=f"snnhpo status results/{data.name} --watch", theme=MONOKAI)
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S).replace("Fira Code", "DejaVu Sans Mono")


def photograph(file: Path, picture: Path, width: int, height: int) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("chromium is needed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=20000"]
    size = [f"--window-size={width},{height}", f"--force-device-scale-factor={SCALE}", f"--screenshot={picture}"]
    subprocess.run([browser, *options, *size, file.resolve().as_uri()], check=True, capture_output=True, timeout=300)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "quickstart")
