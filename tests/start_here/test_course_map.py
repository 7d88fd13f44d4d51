"""The map of the course is what the notebooks say of themselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ppml_helpers import course
from ppml_helpers.start_here import read_map

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def test_every_chapter_has_its_row_with_title_promise_and_minutes() -> None:
    shown = read_map()
    assert "| [01 What leaks](01_what_leaks.ipynb) | " in shown._repr_markdown_()
    assert repr(shown).startswith("00 Start here (20 minutes): ")
    rows = shown.rows
    assert [file for file, *_ in rows] == [path.name for path in course.chapters()]
    assert [file for file, title, promise, _ in rows if "\n" in title or "**" in promise] == [], "more than the promise"
    for file, title, promise, minutes in rows:
        head = course.read(NOTEBOOKS / file).cells[0].source
        assert head.startswith(f"# {title}\n")
        assert f"| **Time** | {minutes} minutes" in head
        assert promise in " ".join(head.split())


def test_copies_drafts_and_broken_files_are_passed_over(tmp_path: Path) -> None:
    chapter = NOTEBOOKS / "00_start_here.ipynb"
    for name in (chapter.name, "00_start_here-Copy1.ipynb", "my_patients.ipynb"):
        shutil.copy(chapter, tmp_path / name)
    (tmp_path / "11_half.ipynb").write_text('{"cells": [')
    (tmp_path / "12_empty.ipynb").write_text(json.dumps({"cells": []}))
    (tmp_path / "13_draft.ipynb").write_text(json.dumps({"cells": [{"source": ["notes"]}]}))
    assert [file for file, *_ in read_map(tmp_path).rows] == [chapter.name]
