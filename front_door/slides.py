"""Write a chapter as slides, from the cells of its notebook: the core path's pictures, questions and library calls.

What is said beside a slide, the notebook's own prose, stands in the speaker's notes.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from front_door import surroundings
from front_door.environment import ensure
from front_door.site import WEBSITE, links, may_write, read, recipe, replace
from front_door.terminal import Stop, say

_WORDS = 45  # of prose on a slide: what is longer is said
_LINES = 14  # of code on a slide
_DEEPER = re.compile(r"#+ Deeper: ")
_WHOLE = ("What you saw",)  # their lists are slides as they are
_CHOICES = "Predict"
LIBRARY = "With the real library"
TASK = re.compile(r"^(\*\*\d\d\w*\.\d .+?)(?= Write `| Put | Fill |\n\n|\Z)", re.MULTILINE | re.DOTALL)

Cell = dict[str, Any]


class Slide(NamedTuple):
    """A heading, what is shown below it in MyST Markdown, and what is said."""

    heading: str
    shown: str
    said: str = ""


def slides(out: str, names: list[Path]) -> int:
    """Write the slides of some chapters to a folder and return the exit code."""
    count, index = build(out, "slides", names, write)
    told = "arrow keys move, S opens the speaker's notes, E prepares a print"
    say(f"{count} slides of {len(names)} chapters. Open {index} in a browser: {told}.")
    return 0


def build(out: str, kind: str, names: list[Path], write: Callable[[Path, Path], int]) -> tuple[int, Path]:
    """Let Sphinx make pages of a kind, slides or handouts, from what `write` makes of each chapter.

    Returns
    -------
    tuple of int and Path
        The sum of what `write` returned, and the first page.
    """
    target = Path(out).expanduser().resolve()
    mark = f".course-{kind}"
    may_write(target, mark)
    python = ensure(recipe())
    with tempfile.TemporaryDirectory(prefix=f"kit-{kind}-") as scratch:
        source, built = Path(scratch) / "source", Path(scratch) / "built"
        (source / "_static").mkdir(parents=True)
        count = sum(write(path, source) for path in names)
        (source / "index.md").write_text(_contents(names), "utf-8")
        for name, place in ((f"{kind}_conf.py", "conf.py"), ("mathml.py", "mathml.py"), (f"{kind}.css", "_static")):
            shutil.copy(WEBSITE / name, source / place)
        builder = "revealjs" if kind == "slides" else "html"
        command = [str(python), "-m", "sphinx", "-q", "-W", "--keep-going", "-b", builder, str(source), str(built)]
        done = subprocess.run(command, env=surroundings.own(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Stop(f"{done.stderr.strip()}\nThe {kind} have the faults above: mend them and run the command again.")
        for left in (".doctrees", "_sources"):
            shutil.rmtree(built / left, ignore_errors=True)
        replace(target, built, mark)
    return count, target / "index.html"


def write(path: Path, folder: Path) -> int:
    """Write a chapter's slides and pictures into Sphinx' source folder; return how many slides there are."""
    made = list(deck(read(path), path.stem, folder))
    text = "\n".join(_as_myst(slide, first=number == 0) for number, slide in enumerate(made))
    (folder / f"{path.stem}.md").write_text(text, "utf-8")
    return len(made)


def deck(notebook: dict[str, Any], name: str, folder: Path) -> Iterator[Slide]:
    """Yield the slides of a notebook; its pictures are written into `folder`."""
    heading, cells = "", core(notebook["cells"])
    tasks = [task[1] for cell in cells if (task := TASK.search(text_of(cell)))]
    for number, cell in enumerate(cells):
        text = text_of(cell)
        following = text_of(cells[number + 1]) if number + 1 < len(cells) else ""
        if cell["cell_type"] == "markdown":
            found = re.match(r"##? (.+)\n*", text)
            if found:
                heading = found[1]
                yield from _opened(heading, text[found.end() :], tasks)
            continue
        if "solution" in cell["metadata"].get("tags", []) or "exercise" in cell["metadata"].get("tags", []):
            continue
        if heading == LIBRARY and len(text.splitlines()) <= _LINES:
            before = text_of(cells[number - 1]) if cells[number - 1]["cell_type"] == "markdown" else ""
            before = re.sub("^## .*", "", before).strip()
            yield Slide(heading, f"{_beginning(before)}\n\n```python\n{text}\n```", before)
        for output in cell.get("outputs", []):
            if picture := picture_of(output, folder, f"{name}-{cell['id']}"):
                yield Slide(heading, picture, following)


def core(cells: list[Cell]) -> list[Cell]:
    """Return the cells outside the sections that begin with "Deeper: "."""
    kept, inside = [], 0
    for cell in cells:
        first = text_of(cell).split("\n")[0] if cell["cell_type"] == "markdown" else ""
        level = len(first) - len(first.lstrip("#"))
        if level and (not inside or level <= inside):
            inside = level if _DEEPER.match(first) else 0
        if not inside:
            kept.append(cell)
    return kept


def _opened(heading: str, text: str, tasks: list[str]) -> Iterator[Slide]:
    """Yield the slides that a heading's own cell makes."""
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL).strip()
    if heading == "Exercises":
        yield Slide(heading, "\n".join(f"- {task}" for task in tasks))
    elif heading.startswith((_CHOICES, *_WHOLE)) or re.match(r"\d\d", heading):
        yield Slide(heading, re.split(r"\n\*\*References\*\*|\n#+ ", text)[0].strip())
    elif text and heading != LIBRARY:  # there the first sentences stand above the code
        yield Slide(heading, _beginning(text), text)


def _beginning(text: str) -> str:
    """Return the first sentences of a text, as many as fit a slide, without formulas, tables and code."""
    first = re.split(r"\n\n|\n[-|`$#<]", text)[0].replace("\n", " ")
    kept: list[str] = []
    for sentence in re.split(r"(?<=[.?:]) (?=[A-Z*])", first):
        if kept and len(" ".join([*kept, sentence]).split()) > _WORDS:
            break
        kept.append(sentence)
    return " ".join(kept)


def picture_of(output: dict[str, Any], folder: Path, stem: str) -> str:
    """Write an output's picture and return it as Markdown with its alternative text, also below it; "" without one."""
    data = output.get("data", {})
    if "image/png" not in data:
        return ""
    alt = output.get("metadata", {}).get("image/png", {}).get("alt") or "".join(data.get("text/plain", ""))
    (folder / f"{stem}.png").write_bytes(base64.b64decode("".join(data["image/png"])))
    plain = re.sub(r"[\[\]\\]", "", alt).replace("\n", " ")
    return f"![{plain}]({stem}.png)\n\n{plain}"


def _as_myst(slide: Slide, first: bool) -> str:
    """Return a slide as a section; the first is the page's title, under which the others stand."""
    said = re.sub(r"^#+ .*$|^```.*?^```$", "", slide.said, flags=re.MULTILINE | re.DOTALL).strip()
    notes = f"\n````{{revealjs-notes}}\n{said}\n````\n" if said else ""
    if first:
        return f"# {slide.heading}\n\n{slide.shown}\n{notes}"
    return f"## {slide.heading}\n\n{slide.shown}\n{notes}"


def text_of(cell: Cell) -> str:
    """Return a cell's source; in prose, links to other files become words."""
    text = "".join(cell["source"])
    return links(text, "", set()) if cell["cell_type"] == "markdown" else text


def _contents(names: list[Path]) -> str:
    lines = "\n".join(path.stem for path in names)
    return f"# The chapters\n\n```{{toctree}}\n:maxdepth: 1\n\n{lines}\n```\n"
