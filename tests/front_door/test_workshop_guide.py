"""The instructor's guide: plans whose sections are there and whose minutes add up, and a part for each chapter."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from front_door.commands import parser
from ppml_helpers import course

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "workshop" / "README.md").read_text("utf-8")
CHAPTERS = {path.stem.partition("_")[0]: path for path in course.chapters()}
LENGTHS = {
    "90 minutes": 90, "Half a day: models": 180, "Half a day: tables": 180,
    "Two days: the first": 420, "Two days: the second": 420,
}  # fmt: skip
ROW = re.compile(r"^\| (\d+)-(\d+) \|([^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)
PARTS = {
    part.partition("\n")[0].partition(" ")[0]: part
    for part in re.split(r"^### ", GUIDE.partition("## Chapter by chapter")[2], flags=re.MULTILINE)[1:]
}


def prose(chapter: str) -> str:
    cells = course.read(CHAPTERS[chapter]).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def plan(name: str) -> list[tuple[int, int, str, str, str]]:
    """Begin, end, chapter (may be empty), sections and what happens, of each row."""
    part = GUIDE.partition(f"\n### {name}\n")[2]
    rows = ROW.findall(re.split(r"^##+ ", part, maxsplit=1, flags=re.MULTILINE)[0])
    return [(int(row[0]), int(row[1]), "".join(re.findall(r"\[(\w+)\]", row[2])), row[3], row[4]) for row in rows]


@pytest.mark.parametrize("name", LENGTHS)
def test_the_minutes_of_a_plan_add_up(name: str) -> None:
    rows = plan(name)
    assert (rows[0][0], rows[-1][1]) == (0, LENGTHS[name])
    assert all(one[1] == other[0] for one, other in pairwise(rows))
    assert {row[:2]: sum(map(int, re.findall(r"\((\d+)\)", row[3]))) for row in rows} == {
        row[:2]: row[1] - row[0] for row in rows
    }


@pytest.mark.parametrize("name", LENGTHS)
def test_the_sections_and_exercises_of_a_plan_are_in_the_core_path(name: str) -> None:
    for _, _, chapter, sections, happens in plan(name):
        named = re.findall(r"\*([^*]+)\* \(\d+\)", sections)
        assert bool(named) is bool(chapter)
        headings = re.findall(r"^##+ (.+)$", prose(chapter), re.MULTILINE) if chapter else []
        assert [one for one in named if one not in headings or one.startswith("Deeper")] == []
        for exercise in re.findall(r"\b\d\d\w?\.\d\b", happens):
            assert exercise.startswith(f"{chapter}.")
            assert re.search(rf"\*\*{exercise} (?![^*]*deeper)", prose(chapter)), exercise


@pytest.mark.parametrize("name", LENGTHS)
def test_no_section_comes_before_an_earlier_one_within_a_row(name: str) -> None:
    for _, _, chapter, sections, _ in plan(name):
        text = prose(chapter) if chapter else ""
        places = [text.index(f"# {one}") for one in re.findall(r"\*([^*]+)\* \(\d+\)", sections)]
        assert places == sorted(places)


def test_each_plan_is_there_and_each_chapter_is_taught_or_named_as_homework() -> None:
    taught = {row[2] for name in ("Two days: the first", "Two days: the second") for row in plan(name)} - {""}
    homework = set(re.findall(r"\d\d\w?", re.search(r"Chapters ([^.]+?), the exercises", GUIDE)[1]))
    assert taught | homework == set(CHAPTERS)
    assert taught & homework == set()


def test_each_chapter_has_its_part_in_order_and_under_its_title() -> None:
    assert list(PARTS) == list(CHAPTERS)
    for chapter, part in PARTS.items():
        assert f"# {part.partition(chr(10))[0]}" == course.read(CHAPTERS[chapter]).cells[0].source.partition("\n")[0]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_part_has_talking_points_and_misconceptions_of_exercises_that_are_there(chapter: str) -> None:
    said, heard = PARTS[chapter].split("Listen for:")
    shown = re.findall(r"^- \*\*(\S+)\*\*( \(deeper\))?, ", heard, re.MULTILINE)
    assert len(re.findall("^- ", said, re.MULTILINE)) >= 2
    assert 2 <= len(shown) == len(re.findall("^- ", heard, re.MULTILINE)) <= 3
    text, _, folded = prose(chapter).partition("## Exercises")[2].partition("### Deeper")
    for exercise, deeper in shown:
        assert exercise.startswith(f"{chapter}.")
        assert f"**{exercise} " in (folded if deeper else text), f"{exercise}: not in that part of the exercises"


def test_the_commands_and_links_of_the_guide_are_there() -> None:
    for command in re.findall(r"`python3 kit\.py ([^`]+)`", GUIDE):
        assert parser().parse_known_args(command.split())[0].command == command.split()[0]
    links = set(re.findall(r"\]\(([^)\s]+)\)", GUIDE))
    assert [link for link in sorted(links) if not (ROOT / "workshop" / link).is_file()] == []


def test_what_doctor_is_said_to_say_is_what_it_says() -> None:
    doctor = (ROOT / "front_door" / "doctor.py").read_text("utf-8")
    quoted = re.findall(r"^\| doctor: [^|\"]*\"([^\"]+)\"", GUIDE, re.MULTILINE)
    assert quoted
    assert [words for words in [*quoted, "Nothing needs mending."] if words not in doctor] == []
