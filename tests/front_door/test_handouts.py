"""The handouts hold what a participant takes home and no answer; the map of objectives is the notebooks' own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from front_door import handouts, places

CHAPTERS = sorted(places.NOTEBOOKS.glob("*.ipynb"))


def test_the_map_is_that_of_the_notebooks() -> None:
    assert handouts.MAP.read_text("utf-8") == handouts.map_of(CHAPTERS), "python3 kit.py handouts writes it anew"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_objective_is_met_where_the_chapter_says_and_its_exercises_are_there(path: Path) -> None:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    asked = set(re.findall(r"\*\*(\d\d\w?\.\d) ", text))
    found = handouts.objectives(path)
    assert len(found) >= 3
    for one in found:
        assert one.exercises, f"No exercise asks for this: {one.promise}"
        assert set(one.exercises) <= asked
    assert len(asked) <= 5


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_handout_asks_and_does_not_answer(path: Path, tmp_path: Path) -> None:
    handouts.write(path, tmp_path)
    text = (tmp_path / f"{path.stem}.md").read_text("utf-8")
    assert text.startswith(f"# {path.stem[:2]}")
    assert text.count('class="answer"') >= 1
    assert "## What you saw" in text
    assert "<details" not in text
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        if "solution" in cell["metadata"].get("tags", []) and cell["cell_type"] == "code":
            assert "".join(cell["source"]) not in text
    for name in re.findall(r"\]\(([^)]+\.png)\)", text):
        assert (tmp_path / name).is_file()
