"""What learners get: the course's own cells, nothing given away, nothing that leads nowhere, and it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from learner import before_the_first_exercise, run_to_the_first_exercise, write_edition

from ppml_helpers import course

CHAPTERS = course.chapters()
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]+\.\w+)")


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_edition(tmp_path_factory.mktemp("elsewhere") / "a learner's")


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def pair(edition: Path, request: pytest.FixtureRequest) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    """A chapter as it is stored, and as learners get it."""
    return course.read(request.param), course.read(edition / "notebooks" / request.param.name)


def test_up_to_the_first_exercise_a_learner_runs_the_cells_that_the_course_runs(pair) -> None:
    ours, theirs = (before_the_first_exercise(notebook.cells) for notebook in pair)
    assert theirs
    assert [(cell.id, cell.source) for cell in theirs] == [(cell.id, cell.source) for cell in ours]
    assert pair[1].metadata.kernelspec == pair[0].metadata.kernelspec


def test_nothing_is_given_away(pair) -> None:
    stored, theirs = pair
    assert "widgets" not in theirs.metadata
    assert not [cell.id for cell in theirs.cells if "solution" in cell.metadata.get("tags", [])]
    assert not [cell.id for cell in theirs.cells if cell.get("outputs") or cell.get("execution_count")]
    text = "\n".join(cell.source for cell in theirs.cells)
    given = "\n".join(cell.source for cell in stored.cells if "solution" not in cell.metadata.get("tags", []))
    assert text == given, "all else is as it was"
    solutions = [cell.source for cell in stored.cells if "solution" in cell.metadata.get("tags", [])]
    solved = [source.partition("check(")[0] for source in solutions]
    assert [source for source in solved if source in text] == []


def test_answers_and_deeper_sections_are_folded(pair) -> None:
    stored, theirs = pair
    folded = [[c.id for c in nb.cells if c.metadata.get("jp-MarkdownHeadingCollapsed")] for nb in pair]
    assert folded[0] == folded[1] == [cell.id for cell in stored.cells if re.match("#+ Deeper: ", cell.source)]
    for cell in theirs.cells:
        if cell.cell_type == "markdown" and "<details" in cell.source:
            assert list(_details(cell.source)) == ["details", "/details"] * cell.source.count("<details>")


def _details(source: str) -> Iterator[str]:
    """The marks of what is folded, in their order; one that is open from the start would have a word more."""
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, about: found.append(" ".join([tag, *(name for name, _ in about)]))
    parser.handle_endtag = lambda tag: found.append(f"/{tag}")
    parser.feed(source)
    return (mark for mark in found if "details" in mark)


def test_every_link_leads_to_a_file_that_learners_have(edition: Path) -> None:
    pages = [*edition.glob("notebooks/*.md"), *(edition / "notebooks" / path.name for path in CHAPTERS)]
    for page in [*pages, edition / "README.md"]:
        text = page.read_text("utf-8")
        if page.suffix == ".ipynb":
            text = "\n".join(cell.source for cell in course.read(page).cells if cell.cell_type == "markdown")
        links = set(LINK.findall(text))
        lost = {link for link in links if not (page.parent / link).exists()}
        assert lost == set(), page.name


@pytest.mark.parametrize("number", ["00", "11"])
def test_a_chapter_runs_up_to_its_first_exercise_in_a_learners_folder(number: str, tmp_path: Path) -> None:
    """The others: 'kit.py test --all'."""
    name = next(path.name for path in CHAPTERS if path.name.startswith(f"{number}_"))
    run_to_the_first_exercise(write_edition(tmp_path / "a learner's"), name, tmp_path)
