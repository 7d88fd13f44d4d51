"""What a chapter's slides hold: the core path's pictures and questions, nothing that gives an exercise away."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from samples import code, prose, stored

from front_door import places, slides

CHAPTERS = sorted(places.NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_becomes_slides(path: Path, tmp_path: Path) -> None:
    notebook = json.loads(path.read_text("utf-8"))
    deck = list(slides.deck(notebook, path.stem, tmp_path))
    shown = "\n".join(slide.shown for slide in deck)
    assert deck[0].heading[:2] == path.stem[:2]
    assert {"What goes wrong without it", "What you saw"} <= {slide.heading for slide in deck} or path.stem[:2] == "00"
    core = slides.core(notebook["cells"])
    drawn = [out for cell in core for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    answered = [cell for cell in core if {"solution", "exercise"} & set(cell["metadata"].get("tags", []))]
    within = sum("image/png" in out.get("data", {}) for cell in answered for out in cell.get("outputs", []))
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", shown)
    assert len(pictures) == len(drawn) - within
    assert all((tmp_path / name).is_file() and len(alt) > 15 for alt, name in pictures)
    for cell in notebook["cells"]:
        if "solution" in cell["metadata"].get("tags", []):
            assert "".join(cell["source"]).split("\ncheck(")[0] not in shown
    assert "<details" not in shown


def test_a_slide_shows_the_beginning_and_the_notes_say_the_rest(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "05_small.ipynb",
        prose("# 05 Small\n\nBy the end you can."),
        prose("## The idea\n\nOne sentence. " + "Another one with words. " * 30 + "\n\nThe last paragraph."),
        prose("### Deeper: more\n\nHidden depth."),
        prose("## With the real library\n\nIt has [one call](04_x.ipynb). And more.", name="call-text"),
        code("call(\n    epsilon=1\n)", name="call", count=1),
        prose("## Exercises\n\n**05.1 Warm-up.** Find the leak. Write `x`."),
        code("x = ...", "exercise", name="fill", count=2),
        code("x = 42", "solution", name="solved", count=3),
    )
    title, idea, call, tasks = slides.deck(json.loads(path.read_text("utf-8")), "05_small", tmp_path)
    assert title == ("05 Small", "By the end you can.", "")
    assert len(idea.shown.split()) <= 50
    assert idea.shown.startswith("One sentence. Another")
    assert "The last paragraph." in idea.said
    assert call.shown.startswith("It has one call. And more.\n\n```python\ncall(")
    assert tasks.shown == "- **05.1 Warm-up.** Find the leak."
    written = slides.write(path, tmp_path)
    text = (tmp_path / "05_small.md").read_text("utf-8")
    assert written == 4
    assert "Hidden depth" not in text
    assert "42" not in text
    assert "{revealjs-notes}" in text
