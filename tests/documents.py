"""The documentation's files, and what stands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def text(page: str) -> str:
    """A page by its path from the root."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(kind: str) -> list[tuple[str, str]]:
    """(page:line, code) of every code block of a kind."""
    found = []
    for page in PAGES:
        lines = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{kind}\n(.*?)^```$", lines, re.DOTALL | re.MULTILINE):
            found.append((f"{page.name}:{lines[: match.start()].count(chr(10)) + 1}", match[1]))
    return found


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
