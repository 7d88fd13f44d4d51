"""Write a printable page for each chapter, and the map of the course's objectives, from the notebooks.

A handout is what a participant takes home: the objectives, the picture of the idea, the explorer's picture, the
exercises with room to answer, what to ask at home, and what was seen.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from front_door import places
from front_door.site import read
from front_door.slides import build, core, picture_of, text_of
from front_door.terminal import say

MAP = places.ROOT / "workshop" / "map.md"
_BOX = re.compile(r"^\|[^|]*\| (\*\*\w+\*\*[^|]*?) *\|$", re.MULTILINE)
_NUMBER = re.compile(r"\b\d\d\w?\.\d\b")
_MAP_HEAD = """# The map of objectives

Each objective of each chapter, where it is met, and the exercise that asks for it. `python3 kit.py handouts` writes
this page from the notebooks.

| chapter | you will | seen in | exercises |
|---|---|---|---|
"""


class Objective(NamedTuple):
    """What a chapter promises, the sections where it is met, and the exercises that ask for it."""

    chapter: str
    promise: str
    sections: str
    exercises: list[str]


def handouts(out: str, names: list[Path]) -> int:
    """Write the handouts of some chapters to a folder, and the map; return the exit code."""
    count, index = build(out, "handouts", names, write)
    MAP.write_text(map_of(places.chapters()), "utf-8")
    say(f"{count} handouts. Open {index} in a browser and print the pages you need.")
    return 0


def write(path: Path, folder: Path) -> int:
    """Write a chapter's handout and its pictures into Sphinx' source folder; return 1."""
    cells = core(read(path)["cells"])
    texts = [text_of(cell) for cell in cells if cell["cell_type"] == "markdown"]
    parts = [re.sub(r"<details>.*?</details>", "", texts[0], flags=re.DOTALL)]
    for heading in ("The idea", "Predict, then turn the knob"):
        if picture := _first_picture(cells, heading, folder, path.stem):
            parts.append(f"## {heading}\n\n{picture}")
    tasks = [text for text in texts if re.match(r"(?:## Exercises.*?)?\*\*\d\d\w?\.\d ", text, re.DOTALL)]
    room = '\n\n```{raw} html\n<div class="answer"></div>\n```\n'
    parts.append("## Exercises\n\n" + room.join(text[text.index("**") :] for text in tasks) + room)
    for heading in ("In your organisation", "What you saw"):
        parts += [re.sub(r"^(#+) ", "## ", text) for text in texts if text.startswith(f"## {heading}")]
    (folder / f"{path.stem}.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    return 1


def _first_picture(cells: list[dict[str, Any]], heading: str, folder: Path, stem: str) -> str:
    """Return the first picture below a heading, or an empty text."""
    inside = False
    for cell in cells:
        text = text_of(cell)
        if cell["cell_type"] == "markdown" and text.startswith("## "):
            inside = text.startswith(f"## {heading}")
        for output in cell.get("outputs", []) if inside else []:
            if found := picture_of(output, folder, f"{stem}-{cell['id']}"):
                return found
    return ""


def objectives(path: Path) -> list[Objective]:
    """Return a chapter's objectives, each with where "What you saw" says that it was met."""
    texts = [text_of(cell) for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "markdown"]
    promised = _BOX.findall(texts[0])
    closing = next((text for text in texts if text.startswith("## What you saw")), "")
    seen = re.findall(r"^- (.*(?:\n  .*)*)", closing.partition("**References")[0], re.MULTILINE)
    found = []
    for promise, line in zip(promised, seen, strict=True):
        plain = re.sub(r"\*\*[^*]+\*\*", "", line.replace("\n", " "))
        named = [a or b for a, b in re.findall(r"\*([^*]+)\*|\"([^\"]+)\"", plain)]
        last = re.search(r": ([^:]+)$|\(([^()]+)\)\.?$", plain)
        told = re.sub(r"(,? and)? *\b\d\d\w?\.\d\b[,.]?|[().]", "", last[1] or last[2]).strip(" ,") if last else ""
        sections = ", ".join(named) or told
        found.append(Objective(path.stem, promise, sections, _NUMBER.findall(line)))
    return found


def map_of(names: list[Path]) -> str:
    """Return the map of all objectives as Markdown."""
    rows = []
    for path in names:
        for number, one in enumerate(objectives(path)):
            link = f"[{path.stem.partition('_')[0]}](../notebooks/{path.name})" if number == 0 else ""
            rows.append(f"| {link} | {one.promise} | {one.sections} | {', '.join(one.exercises)} |")
    return _MAP_HEAD + "\n".join(rows) + "\n"
