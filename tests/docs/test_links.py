"""What the documentation names is there: pages, headings, pictures, files and keys."""

import re
from pathlib import Path

import pytest
from documents import PAGES, ROOT, prose, text

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
PLACES = ("snnhpo_mpi", "tests", "docs", "configs", "slurm", "results/reference")


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def spread(path: str) -> list[str]:
    """``a/{b,c}.py`` -> ``a/b.py``, ``a/c.py``."""
    found = re.fullmatch(r"(.*)\{(.*)\}(.*)", path)
    return [f"{found[1]}{part}{found[3]}" for part in found[2].split(",")] if found else [path]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_exists(name: str) -> None:
    for path in re.findall(rf"`((?:{'|'.join(PLACES)})/[^`\s]*)`", prose(ROOT / name)):
        for one in spread(path):
            found = list(ROOT.glob(re.sub(r"<\w+>", "*", one).rstrip("/")))
            assert found or one == "configs/mine.yaml", f"{name}: {path}"


def test_every_file_of_the_rooms_exists() -> None:
    rooms = "|".join(folder.name for folder in (ROOT / "snnhpo_mpi").iterdir() if folder.is_dir())
    paths = re.findall(rf"`((?:{rooms})/[\w./]*|\w+\.py)`", prose(ROOT / "docs" / "architecture.md"))
    assert len(paths) > 50
    for path in paths:
        assert (ROOT / "snnhpo_mpi" / path).exists(), path


def test_the_readme_names_every_page_and_is_short() -> None:
    readme = text("README.md")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in readme, page.name
    assert len(readme.splitlines()) <= 160
