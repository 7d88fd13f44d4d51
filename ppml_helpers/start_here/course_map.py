"""The map of the course, read from the first cells of the notebooks, so that no list has to follow them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
_TITLE = re.compile(r"# (?P<title>\d\d[a-z]? [^\n]+)\n\n(?P<promise>.+?)\n\n", re.DOTALL)
_MINUTES = re.compile(r"\| \*\*Time\*\* \| (\d+) minutes")


@dataclass(frozen=True)
class CourseMap:
    """A row a chapter: file, title, what one can do at its end, minutes; shown as a table with links."""

    rows: tuple[tuple[str, str, str, int], ...]

    def __repr__(self) -> str:
        return "\n".join(f"{title} ({minutes} minutes): {promise}" for _, title, promise, minutes in self.rows)

    def _repr_markdown_(self) -> str:
        rows = [f"| [{title}]({file}) | {promise} | {minutes} |" for file, title, promise, minutes in self.rows]
        return "\n".join(["| chapter | what you can do then | minutes |", "|---|---|---|", *rows])


def read_map(folder: Path = NOTEBOOKS) -> CourseMap:
    """Read the map from the notebooks of the course; a copy or a draft is passed over."""
    rows = []
    for path in sorted(folder.glob("[0-9][0-9]*_*.ipynb")):
        try:
            head = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
        except (OSError, ValueError, LookupError, TypeError):
            continue  # half saved, or somebody's own
        title, minutes = _TITLE.match(head), _MINUTES.search(head)
        if title and minutes and "-Copy" not in path.name:
            promise = " ".join(title["promise"].split()).removeprefix("By the end you can ").rstrip(".")
            rows.append((path.name, title["title"], promise, int(minutes[1])))
    return CourseMap(tuple(rows))
