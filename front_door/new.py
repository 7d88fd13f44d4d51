"""``kit.py new NN name``: the skeleton of a chapter, which passes the tests as it is."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from front_door import places
from front_door.terminal import Stop, say

SKELETON = Path(__file__).parent / "chapter"
_ROW = re.compile(r"^\| \[(\d\d[a-z]?) [^\]]*\]\(notebooks/[^)]+\) \|.*$", re.MULTILINE)


def new(number: str, name: str, root: Path = places.ROOT) -> list[Path]:
    """Write the room, the tests and the notebook of a chapter, and its row in the README's map.

    Parameters
    ----------
    number
        Two digits, and a letter for the second part of a chapter: "09", "09b".
    name
        Small letters, digits and underscores: "secure_computation"; the room is called the same.

    Returns
    -------
    list of Path
        The files that were written; the notebook is the last.

    Raises
    ------
    Stop
        When the number or the name cannot be used, or is used already; nothing is written then.
    """
    _check(number, name, root)
    words = _words(number, name)
    written = []
    for source in sorted(SKELETON.rglob("*.*")):
        folder, file = source.relative_to(SKELETON).parts[0], source.name
        target = {"room": root / "ppml_helpers" / name / file, "tests": root / "tests" / name / file}.get(
            folder, root / "notebooks" / f"{number}_{name}.ipynb"
        )
        target.parent.mkdir(exist_ok=True)
        text = source.read_text("utf-8")
        for placeholder, word in words.items():
            text = text.replace(placeholder, word)
        target.write_text(text, "utf-8")
        written.append(target)
    _add_row(root / "README.md", number, name, words["Topic title"])
    say(f"Chapter {number} is begun: {len(written)} files. Its place in the map is a row of README.md.")
    say("Still to write: three questions in ppml_helpers/exercises/quiz.toml, and its part of workshop/README.md.")
    return sorted(written, key=lambda path: path.suffix == ".ipynb")


def _check(number: str, name: str, root: Path) -> None:
    if not re.fullmatch(r"\d\d[a-z]?", number):
        raise Stop(
            f"'{number}' is no number of a chapter: give two digits, and a letter if need be, such as 09 or 09b."
        )
    if keyword.iskeyword(name) or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise Stop(f"'{name}' is no name of a chapter: give small letters and underscores, such as secure_computation.")
    # The package answers the names of earlier versions, each written there in quotes, before a room is looked for.
    if f'"{name}"' in (root / "ppml_helpers" / "__init__.py").read_text("utf-8"):
        raise Stop(f"'{name}' is a name of an earlier version, whose imports are told where it went: choose another.")
    taken = [path.name for path in (root / "notebooks").glob(f"{number}_*.ipynb")]
    taken += [path.name for path in (root / "ppml_helpers").glob(f"{name}*") if path.stem == name]
    taken += [path.name for path in (root / "tests").glob(name)]
    if taken:
        raise Stop(f"'{taken[0]}' is there already: choose another number or name.")


def _words(number: str, name: str) -> dict[str, str]:
    title = name.replace("_", " ").capitalize()
    topic = "".join(part.capitalize() for part in name.split("_"))
    return {"room_name": name, "TopicExplorer": f"{topic}Explorer", "Topic title": title, "NN": number}


def _add_row(readme: Path, number: str, name: str, title: str) -> None:
    """Put the chapter where its number belongs in the map."""
    row = f"| [{number} {title}](notebooks/{number}_{name}.ipynb) | Its question? | the kit itself | 40 |\n"
    text = readme.read_text("utf-8")
    later = [match for match in _ROW.finditer(text) if match[1] > number]
    last = list(_ROW.finditer(text))[-1]
    at = later[0].start() if later else last.end() + 1
    readme.write_text(text[:at] + row + text[at:], "utf-8")
