"""Write the course as a website that is read without Python: stored outputs, nothing executed, nothing from outside."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from front_door import places, surroundings
from front_door.environment import Recipe, ensure
from front_door.terminal import Stop, say

WEBSITE = Path(__file__).with_name("website")
MARK = ".course-site"
# By name: what a teacher keeps beside them is nobody else's.
PAGES = (
    *("data/DATA_CARD.md", "data/ACTG175_CARD.md", "benchmarks/README.md", "SECURITY.md", "CHANGELOG.md"),
    *(f"notebooks/{name}.md" for name in ("decide", "law", "glossary")),
    *(f"workshop/{name}.md" for name in ("README", "map", "real-network")),
)
_OTHER_TABLE = re.compile(r'^PATH = (?!"\.\./data/actg175\.csv\.gz"$)', re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
# The theme gives some buttons another name than what is written on them, and who speaks to a computer says the latter.
_NAMES = re.compile(
    r' aria-label="Toggle hidden content"|(?<=search-button__button pst-js-only") title="[^"]*" aria-label="[^"]*"'
)


def recipe(root: Path = places.ROOT) -> Recipe:
    """Return what the environment that writes the site must hold."""
    return Recipe(
        name="what writes the website",
        folder=root / ".venvs" / "site",
        state=root / ".kit",
        requirements=root / "requirements-site.lock",
        disk_needed=500_000_000,
    )


def site(out: str) -> int:
    """Write the website to a folder and return the exit code."""
    target = Path(out).expanduser().resolve()
    may_write(target, MARK)
    python = ensure(recipe())
    with tempfile.TemporaryDirectory(prefix="kit-site-") as scratch:
        source, built = Path(scratch) / "source", Path(scratch) / "built"
        pages = prepare(places.ROOT, source)
        command = [str(python), "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(source), str(built)]
        done = subprocess.run(command, env=surroundings.own(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Stop(f"{done.stderr.strip()}\nThe website has the faults above: mend them and run the command again.")
        for folder in (".doctrees", "_sources"):
            shutil.rmtree(built / folder, ignore_errors=True)
        for page in built.rglob("*.html"):
            page.write_text(_NAMES.sub("", page.read_text("utf-8")), "utf-8")
        (built / ".nojekyll").touch()  # code hosts would leave out folders that begin with an underscore
        replace(target, built, MARK)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    say(f"{pages} pages, {size / 1e6:.0f} MB. Open {target / 'index.html'} in a browser.")
    return 0


def may_write(target: Path, mark: str) -> None:
    """Stop where writing would take something away: a folder with the mark was written by us."""
    if target.is_file():
        raise Stop(f"{target} is a file: name a new folder.")
    if target == places.ROOT or places.ROOT.is_relative_to(target):
        raise Stop(f"{target} holds the kit itself: name a new folder.")
    if target.exists() and any(target.iterdir()) and not (target / mark).is_file():
        raise Stop(f"{target} is not empty and was not written by this command: name a new folder.")


def replace(target: Path, built: Path, mark: str) -> None:
    """Put what was built in the place of what this command wrote before; whatever else is there stays."""
    earlier = (target / mark).read_text("utf-8").splitlines() if (target / mark).is_file() else []
    for name in earlier:
        inside = (target / name).resolve()
        if inside.is_relative_to(target):
            inside.unlink(missing_ok=True)
    written = [path.relative_to(built).as_posix() for path in sorted(built.rglob("*")) if path.is_file()]
    shutil.copytree(built, target, dirs_exist_ok=True)
    (target / mark).write_text("\n".join([*written, mark]) + "\n", "utf-8")


def read(path: Path) -> dict[str, Any]:
    """Read a notebook that is to be shown to others, and stop if it shows somebody's own table."""
    notebook = json.loads(path.read_text("utf-8"))
    if any(_OTHER_TABLE.search("".join(cell["source"])) for cell in notebook["cells"] if cell["cell_type"] == "code"):
        told = "shows a table of your own: take its outputs out, and set PATH back"
        raise Stop(f"{path.name} {told} ('python3 kit.py clear {path.stem.partition('_')[0]}').")
    return notebook


def prepare(root: Path, source: Path) -> int:
    """Copy what the site shows, made ready for Sphinx, into a new folder; return the number of pages."""
    notebooks = places.chapters(root / "notebooks")
    texts = [root / name for name in PAGES if (root / name).is_file()]
    pictures = [path for folder in ("docs", "benchmarks") for path in sorted((root / folder).glob("*.png"))]
    there = {path.relative_to(root).as_posix() for path in (*notebooks, *texts, *pictures)}
    there.add("README.md")
    for path in notebooks:
        notebook = _for_reading(read(path), f"notebooks/{path.name}", there)
        _write(source / "notebooks" / path.name, json.dumps(notebook))
    for path in texts:
        name = path.relative_to(root).as_posix()
        _write(source / name, links(path.read_text("utf-8"), name, there))
    _write(source / "index.md", _landing(root, there, notebooks, texts))
    for path in pictures:
        copy = source / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    _write(source / "_static" / "course.css", (WEBSITE / "course.css").read_text("utf-8"))
    for name in ("conf.py", "mathml.py"):
        shutil.copy(WEBSITE / name, source)
    return len(notebooks) + len(texts) + 1


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _landing(root: Path, there: set[str], notebooks: Iterable[Path], texts: Iterable[Path]) -> str:
    """Return the README with what the sidebar lists."""
    text = links((root / "README.md").read_text("utf-8"), "README.md", there)
    parts = {"The chapters": notebooks, "Beside them": texts}
    for caption, paths in parts.items():
        names = "\n".join(path.relative_to(root).with_suffix("").as_posix() for path in paths)
        text += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{names}\n```\n"
    return text


def _for_reading(notebook: dict[str, Any], name: str, there: set[str]) -> dict[str, Any]:
    """Fold the solutions, and keep one form of each output: pictures that carry their alternative text."""
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "solution" in tags:
            cell["metadata"]["tags"] = [*tags, "hide-cell"]
        if cell["cell_type"] == "markdown":
            cell["source"] = links("".join(cell["source"]), name, there)
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output["data"] = {"text/html": output["data"]["text/html"]}
    return notebook


def links(text: str, name: str, there: set[str]) -> str:
    """Keep links to what the site holds; of others, which lead into the code, keep the words."""
    folder = Path(name).parent

    def kept(found: re.Match[str]) -> str:
        picture, words, address = found.groups()
        if re.match(r"[a-z]+:|#", address):
            return found[0]
        path, _, anchor = address.partition("#")
        inside = _inside(folder, path)
        if inside not in there:
            return words
        where = "index.md" if inside == "README.md" else inside
        up = "../" * len(folder.parts)
        return f"{picture}[{words}]({up}{where}{'#' * bool(anchor)}{anchor})"

    return _LINK.sub(kept, text)


def _inside(folder: Path, path: str) -> str:
    """Return a link's path from the root of the kit."""
    parts: list[str] = list(folder.parts)
    for part in Path(path).parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)
