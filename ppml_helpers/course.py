"""The course as code: list its chapters, execute them to the same bytes every time, check them, hand them out.

    python -m ppml_helpers.course run NOTEBOOK ...
    python -m ppml_helpers.course learner FOLDER

``kit.py run`` and ``kit.py learner`` call this in the repeatable environment (fixed hash seed and threads).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import NoSuchKernel, get_kernel_spec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning

from ppml_helpers.errors import CourseError, KitError
from ppml_helpers.exercises import rooms
from ppml_helpers.files import replacing

ROOT = Path(__file__).resolve().parent.parent
CELL_TIMEOUT = 300  # seconds
MAX_CODE_LINES = 15
MAX_OUTPUT_LINES = 40
MAX_TABLE_ROWS = 18  # the map of the course has a row for each chapter
MAX_PICTURE_HEIGHT = 800  # pixels
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TFE_KERNEL = {"display_name": "TF Encrypted", "language": "python", "name": "tf-encrypted"}  # made by 'kit.py tfe'
KERNELS = {kernel["name"]: kernel for kernel in (KERNEL, TFE_KERNEL)}

_CHAPTER = re.compile(r"[0-9]{2}[a-z]?_[a-z0-9_]+\.ipynb")
_DEEPER = re.compile("#+ Deeper: ")
_HEADING_FOLDED = "jp-MarkdownHeadingCollapsed"  # JupyterLab opens such a section closed
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_OF_A_MACHINE = re.compile(
    r"(?<![\w.:/<])/(?:home|Users|root|tmp|var|private|opt|mnt|srv)/[\w.-]+"  # the usual homes of a path
    r"|(?<![\w.:/<])/(?:[\w.-]+/){2,}[\w.-]+\.\w+"  # any other absolute path of a file
    r"|\b[A-Za-z]:\\\\?\w+"
)


# ----------------------------------------------------------------------------------------------- reading, writing


def chapters(folder: Path | None = None) -> list[Path]:
    """Return the notebooks of the course in their order: ``05_private_training.ipynb``, and no copies or drafts."""
    found = (ROOT / "notebooks" if folder is None else Path(folder)).glob("*.ipynb")
    return sorted(path for path in found if _CHAPTER.fullmatch(path.name))


def read(path: Path) -> NotebookNode:
    """Read and validate a notebook; a missing or invalid one is a `CourseError`."""
    try:
        with warnings.catch_warnings():
            # nbformat would make up other ids, new ones each time, and go on.
            warnings.simplefilter("error", DuplicateCellId)
            warnings.simplefilter("error", MissingIDFieldWarning)
            notebook = nbformat.read(path, as_version=4)
            nbformat.validate(notebook)
    except OSError as error:
        raise CourseError(f"{path} cannot be read ({error.strerror}): name a notebook of the course.") from None
    except (ValueError, TypeError, AttributeError, KeyError, nbformat.ValidationError, Warning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CourseError(f"{path} is not a valid notebook ({reason[:120]}): take it from the kit again.") from None
    return notebook


def to_text(notebook: NotebookNode) -> str:
    """Return the one text that this notebook is stored as (sorted keys, one line a source line, newline at the end)."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def write(notebook: NotebookNode, path: Path) -> None:
    """Store a notebook in one step: a reader sees the old file or the new one, never half of it."""
    _replace(path, to_text(notebook).encode("utf-8"))


def _replace(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as scratch:
            scratch.write_bytes(content)
            # The scratch file is private; give it the permissions of what it replaces, else the usual ones.
            scratch.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
    except OSError as refused:
        told = f"{path} cannot be written ({refused.strerror or refused}), and what was there is whole"
        raise CourseError(f"{told}: make room, or take a folder of your own.") from None


# ------------------------------------------------------------------------------------- executing to the same bytes


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without anything that changes from run to run or from machine to machine.

    Ids of cells stay. Execution times, widget ids and state, tracebacks (they hold paths) and versions of the
    kernel go. Where a widget stood, its stored picture and text remain: that is what a reader sees before the first
    run. Sections that go deeper, and solutions, are folded.
    """
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = nbformat.from_dict(_kernel(notebook))
    notebook.metadata["language_info"] = nbformat.from_dict({"name": "python"})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        _fold(cell)
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_normal_output, cell.outputs) if output is not None]
    return notebook


def _kernel(notebook: NotebookNode) -> dict[str, str]:
    """Return the kernel that a notebook declares, or the course's own where it names none that we know."""
    return KERNELS.get(notebook.metadata.get("kernelspec", {}).get("name"), KERNEL)


def _fold(cell: NotebookNode) -> None:
    """Fold what a learner opens on purpose; what somebody folded or opened otherwise is not kept."""
    cell.metadata.pop(_HEADING_FOLDED, None)
    if _DEEPER.match(_heading(cell)):
        cell.metadata[_HEADING_FOLDED] = True
    if cell.cell_type == "code" and "solution" in cell.metadata.get("tags", []):
        # What `check` said to a solution gives the answer away as well.
        cell.metadata["jupyter"] = {**cell.metadata.get("jupyter", {}), "source_hidden": True, "outputs_hidden": True}


def _heading(cell: NotebookNode) -> str:
    """Return the heading that a cell begins with, or nothing."""
    return cell.source.split("\n")[0] if cell.cell_type == "markdown" and cell.source.startswith("#") else ""


def core_path(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells outside the sections called "Deeper: ...", which end where a heading of their level stands."""
    core, inside = [], 0  # the level of the deeper heading that stands above, 0 for none
    for cell in notebook.cells:
        heading = _heading(cell)
        level = len(heading) - len(heading.lstrip("#"))
        if heading and (not inside or level <= inside):
            inside = level if _DEEPER.match(heading) else 0
        if not inside:
            core.append(cell)
    return core


def _normal_output(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "error":
        output.traceback = [f"{output.ename}: {output.evalue}"]
    if "data" in output:
        output.data.pop(WIDGET_VIEW, None)
        if not output.data:
            return None
    return output


def execute(notebook: NotebookNode, folder: Path, timeout: int = CELL_TIMEOUT) -> NotebookNode:
    """Execute a copy of a notebook in a fresh kernel, in `folder`, and return it normalised.

    A cell that fails, or takes longer than `timeout` seconds, is a `CourseError` that names it. After Ctrl-C the kernel
    is ended first.
    """
    fresh = nbformat.from_dict(json.loads(json.dumps(notebook)))
    kernel, begun = _kernel(notebook)["name"], []
    try:
        get_kernel_spec(kernel)  # before nbclient takes over Ctrl-C, which it keeps where there is no kernel to start
    except NoSuchKernel:
        raise CourseError("its kernel is not there: 'python3 kit.py tfe' makes it.") from None
    client = NotebookClient(
        fresh,
        timeout=timeout,
        kernel_name=kernel,
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        on_cell_execute=lambda cell, cell_index: begun.append(cell_index),
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        # What a kernel says on its own stderr is about sockets, not about the course; a cell's stderr is an output.
        client.execute(stderr=subprocess.DEVNULL)
    except Exception as error:
        # On Ctrl-C nbclient ends the kernel, then fails one way or another; its own record of the signal tells.
        if getattr(client, "_async_cleanup_kernel_future", None) is not None:
            raise KeyboardInterrupt from None
        if not isinstance(error, (CellExecutionError, CellTimeoutError, DeadKernelError)):
            raise
        raise CourseError(_explain(fresh, begun[-1] if begun else 0, error, timeout)) from None
    return normalise(fresh)


def _explain(notebook: NotebookNode, index: int, error: Exception, timeout: int) -> str:
    """Return the cell that ran last, error and the lines around it as one readable block."""
    number, cell = index + 1, notebook.cells[index]
    if isinstance(error, CellTimeoutError):
        reason = f"took longer than {timeout} s"
    elif isinstance(error, DeadKernelError):
        reason = "ended its kernel (often: not enough memory)"
    else:
        reason = f"{error.ename}: {error.evalue}"
    lines = [f"cell {number} (id {cell.get('id', 'none')}): {reason}"]
    lines += ["    | " + line for line in cell.source.splitlines()[:MAX_CODE_LINES]]
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            trace = _ANSI.sub("", "\n".join(output.traceback)).splitlines()
            lines += ["    " + line for line in trace[-8:]]
    return "\n".join(lines)


def run(path: Path, timeout: int = CELL_TIMEOUT) -> bool:
    """Execute a notebook in place, to the same bytes every time, and say whether they changed.

    The file changes only when every cell ran, and nobody else changed it meanwhile.
    """
    path = Path(path)
    notebook = read(path)
    before = path.read_bytes()
    content = to_text(execute(without_outputs(notebook), path.parent, timeout)).encode("utf-8")
    if path.read_bytes() != before:
        raise CourseError(f"{path.name} was changed while it ran: save and close it elsewhere, then run it again.")
    if content != before:
        _replace(path, content)
    return content != before


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without outputs, numbers of cells and widget state."""
    bare = nbformat.from_dict(json.loads(json.dumps(notebook)))
    bare.metadata.pop("widgets", None)
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return bare


# ------------------------------------------------------------------------------------------------------- hygiene


def problems(path: Path) -> list[str]:
    """Return everything that a stored notebook of the course must not have, a sentence each; empty when it is clean."""
    notebook = read(path)
    found = [f"{where}: {what}" for where, what in _cell_problems(notebook)]
    found += _notebook_problems(notebook)
    if not found and path.read_text("utf-8") != to_text(normalise(notebook)):
        found.append("the file is not as 'kit.py run' writes it: run it once more")
    return found


def _notebook_problems(notebook: NotebookNode) -> Iterator[str]:
    if "widgets" in notebook.metadata:
        yield "widget state is stored in the notebook's metadata"
    if notebook.metadata.get("kernelspec", {}).get("name") not in KERNELS:
        yield f"the kernel is not named {' or '.join(KERNELS)}"
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    if None not in counts and counts != list(range(1, len(counts) + 1)):
        yield "the cells were not run once each from top to bottom: their numbers are not 1, 2, 3 ..."
    row = 0
    for number, cell in enumerate(notebook.cells, 1):
        row = row + 1 if cell.cell_type == "code" else 0
        if row == 3:
            yield f"cell {number}: the third code cell in a row without a sentence between"


def _cell_problems(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    for number, cell in enumerate(notebook.cells, 1):
        where = f"cell {number} ({cell.get('id', 'no id')})"
        for what in _source_problems(cell):
            yield where, what
        if cell.cell_type == "code":
            for what in _output_problems(cell):
                yield where, what


def _source_problems(cell: NotebookNode) -> Iterator[str]:
    if path := _OF_A_MACHINE.search(cell.source):
        yield f"its source names a path of one machine ({path[0]})"
    if cell.cell_type != "code":
        return
    lines = len(cell.source.splitlines())
    if lines > MAX_CODE_LINES:
        yield f"{lines} lines of code, {MAX_CODE_LINES} at most"
    if magic := re.search(r"^\s*(?:%(?!matplotlib\b)|!)\S*", cell.source, re.MULTILINE):
        yield f"the magic {magic[0].strip()}: none but %matplotlib"
    if cell.source.strip() and cell.execution_count is None:
        yield "it has no execution count: nbval would pass over it in silence"


def _output_problems(cell: NotebookNode) -> Iterator[str]:
    expected_error = "raises-exception" in cell.metadata.get("tags", [])
    lines = 0
    for output in cell.outputs:
        if output.output_type == "error" and not expected_error:
            yield f"a stored error ({output.ename}) without the tag raises-exception"
        if output.get("name") == "stderr":
            yield f"output on stderr ({output.text.strip().splitlines()[0][:60] if output.text.strip() else 'empty'})"
        data = output.get("data", {})
        if WIDGET_VIEW in data:
            yield "a stored widget id, which changes with every run"
        text = _text_of(output)
        if path := _OF_A_MACHINE.search(text):
            yield f"its output names a path of one machine ({path[0]})"
        # A picture's or a table's text/plain is what stands in for it, not shown beside it.
        lines += 0 if {"image/png", "image/svg+xml", "text/html"} & set(data) else len(text.splitlines())
        rows = data.get("text/html", "").count("<tr")
        if rows > MAX_TABLE_ROWS:
            yield f"a table of {rows} rows, {MAX_TABLE_ROWS} at most"
        height = _png_height(data["image/png"]) if "image/png" in data else 0
        if height > MAX_PICTURE_HEIGHT:
            yield f"a picture of {height} pixels in height, {MAX_PICTURE_HEIGHT} at most"
    if lines > MAX_OUTPUT_LINES:
        yield f"{lines} lines of output, {MAX_OUTPUT_LINES} at most"


def _text_of(output: NotebookNode) -> str:
    data = output.get("data", {})
    parts = [output.get("text", ""), output.get("evalue", ""), data.get("text/plain", ""), data.get("text/html", "")]
    # A picture inside HTML is base64, in which anything may look like a path.
    return re.sub(r"base64,[A-Za-z0-9+/=\s]+", "base64,", "\n".join(part for part in parts if part))


def _png_height(encoded: str) -> int:
    header = base64.b64decode("".join(encoded.split())[:64])
    return struct.unpack(">I", header[20:24])[0] if header[:4] == b"\x89PNG" and len(header) >= 24 else 0


# ----------------------------------------------------------------------------------------------- learner edition

MANIFEST = ".learner-edition.json"
# By name, not the folder data/: a teacher's own tables lie there too, and must not be handed out.
EDITION_FILES = (
    "README.md", "SECURITY.md", "CITATION.cff", "LICENSE",
    "environment.yml", "pyproject.toml", "requirements.in", "requirements.lock",
    "requirements-optional.lock", "requirements-tfe.lock", "kit.py", ".gitignore", ".gitattributes",
    "data/support2.csv.gz", "data/attack_study.json", "data/SHA256SUMS", "data/DATA_CARD.md", "data/build.py",
    "data/actg175.csv.gz", "data/actg175.roles.toml", "data/ACTG175_CARD.md",
    "benchmarks/results/encrypted.json", "benchmarks/results/encrypted-training.json",  # chapter 08 draws them
    "benchmarks/results/parties.json", "benchmarks/results/tf-encrypted.json",  # so does chapter 09
    "notebooks/law.md", "notebooks/glossary.md", "notebooks/decide.md",
    "workshop/real-network.md",  # chapter 07 leads to it; the rest of workshop/ is for those who teach
)  # fmt: skip
NOT_FOR_LEARNERS = (
    "Figures",
    "How to teach with it",
    "How to check it in CI",
    "How to contribute",
)  # parts of the README
EDITION_FOLDERS = ("front_door", "jupyter_config", "ppml_helpers", "docs", "data/scoreboard")


def learner_notebook(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without solutions, outputs and widget state."""
    bare = normalise(without_outputs(notebook))
    bare.cells = [cell for cell in bare.cells if "solution" not in cell.metadata.get("tags", [])]
    return bare


def learner_readme(text: str) -> str:
    """Return the README without the parts that are about what the edition lacks: plans, tests, how to carry it on."""
    first, *parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return first + "".join(part for part in parts if part[3:].partition("\n")[0] not in NOT_FOR_LEARNERS)


def write_learner_edition(out: Path, root: Path = ROOT, only: Sequence[str] = ()) -> list[str]:
    """Write the edition for learners: chapters without solutions and outputs, and what they need to run.

    Parameters
    ----------
    out : Path
        A new folder, or that of an earlier edition in which nobody has worked.
    root : Path
        The kit.
    only : sequence of str
        Numbers of chapters, such as "05" or "02b"; without any, all. Chapter 00, with which lessons begin, always comes
        along. A link to a chapter that is left out becomes plain words, and its line in the map goes.

    Returns
    -------
    list of str
        The files, relative to `out`.

    Raises
    ------
    CourseError
        If a number is no chapter's, or something in `out` would be lost.
    """
    root = root.resolve()
    absent = left_out(chapters(root / "notebooks"), only)
    content = {name: data for name, data in _edition(root) if name not in absent}
    for name in content:
        if name.endswith((".ipynb", ".md")):
            content[name] = _without_links(content[name].decode("utf-8"), absent).encode("utf-8")
    write_edition(content, out, root)
    return sorted(content)


def write_edition(content: Mapping[str, bytes], out: Path, root: Path) -> None:
    """Write the files of an edition, and which they are; what an earlier one had besides goes, work of others stays."""
    out = Path(out).resolve()
    earlier = _earlier_edition(out, root)
    out.mkdir(parents=True, exist_ok=True)
    for name in sorted(set(earlier) - set(content)):
        (out / name).unlink(missing_ok=True)
    for name, data in content.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        _replace(out / name, data)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(content.items())}
    _replace(out / MANIFEST, (json.dumps(sums, indent=1) + "\n").encode())


def left_out(there: Sequence[Path], only: Sequence[str], always: Sequence[str] = ("00",)) -> set[str]:
    """Return the notebooks that an edition of some chapters does not hold."""
    numbers = {path.stem.partition("_")[0]: f"notebooks/{path.name}" for path in there}
    for number in only:
        if number not in numbers:
            raise CourseError(f"There is no chapter '{number}': choose among {', '.join(numbers)}.")
    return {name for number, name in numbers.items() if only and number not in (*only, *always)}


def _without_links(text: str, absent: Iterable[str]) -> str:
    """Take the links to chapters that are not there out of a text, and their lines out of the map."""
    for name in absent:
        address = re.escape(Path(name).name)
        text = re.sub(rf"^\| \[[^\]]*\]\([^)]*{address}\).*\n", "", text, flags=re.MULTILINE)
        text = re.sub(rf"\[([^\]]*)\]\([^)\s]*{address}[^)]*\)", r"\1", text)
    return text


def _earlier_edition(out: Path, root: Path) -> dict[str, str]:
    if out == root or any(folder in (out, *out.parents) for folder in (root / "notebooks", root / "data")):
        raise CourseError(f"{out} is part of the kit itself: name a folder outside it.")
    if out.exists() and not out.is_dir():
        raise CourseError(f"{out} is a file: name a new folder.")
    if not out.exists() or not any(out.iterdir()):
        return {}
    try:
        earlier = dict(json.loads((out / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        raise CourseError(f"{out} is not empty and no earlier learner edition: name a new folder.") from None
    for name, digest in earlier.items():
        if (out / name).exists() and hashlib.sha256((out / name).read_bytes()).hexdigest() != digest:
            raise CourseError(f"{out / name} has been worked on: name a new folder, so that no one's work is lost.")
    return earlier


def _edition(root: Path) -> Iterator[tuple[str, bytes]]:
    for name in EDITION_FILES:
        if (root / name).is_file():
            yield name, (root / name).read_bytes()
    if (root / "README.md").is_file():
        yield "README.md", learner_readme((root / "README.md").read_text("utf-8")).encode("utf-8")
    for folder in EDITION_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            inside = path.relative_to(root)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.is_file() and not hidden:
                yield inside.as_posix(), path.read_bytes()
    for path in chapters(root / "notebooks"):
        yield f"notebooks/{path.name}", to_text(learner_notebook(read(path))).encode("utf-8")


# -------------------------------------------------------------------------------------------------- command line


def prepare(path: Path) -> bool:
    """Let a chapter's room make what its notebook reads and does not compute itself; say whether it made something.

    A room that has such a thing hands out a function `prepare`.
    """
    for room in rooms():
        if path.stem.endswith(room) and (make := getattr(import_module(f"ppml_helpers.{room}"), "prepare", None)):
            try:
                return make()
            except KitError as error:
                raise CourseError(f"what it reads cannot be made: {error}") from None
    return False


def _clear_all(paths: Sequence[Path]) -> int:
    """Take every output out of notebooks, in place, and delete the copy with outputs that JupyterLab keeps."""
    for path in paths:
        write(without_outputs(read(path)), path)
        (path.parent / ".ipynb_checkpoints" / f"{path.stem}-checkpoint.ipynb").unlink(missing_ok=True)
        print(f"{path.name} holds no output any more.", flush=True)
    return 0


def _run_all(paths: Sequence[Path]) -> int:
    """Execute notebooks one after the other; one that fails does not stop the rest. Return the number that failed."""
    failed = 0
    for number, path in enumerate(paths, 1):
        begun = time.perf_counter()
        try:
            prepare(path)
            print(f"[{number}/{len(paths)}] {path.stem} ...", end=" ", flush=True)
            with _fresh_results():
                changed = run(path)
        except CourseError as error:
            failed += 1
            print(f"failed\n{path.name}, {error}", flush=True)
            continue
        state = "written" if changed else "same bytes as before"
        print(f"{time.perf_counter() - begun:.1f} s, {state}", flush=True)
    return failed


class _fresh_results:
    """Give each notebook empty progress and results, so that its outputs do not depend on which ran before."""

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in ("PPML_PROGRESS", "PPML_RESULTS")}
        self._scratch = tempfile.mkdtemp(prefix="course-")
        for name in self._before:
            os.environ[name] = str(Path(self._scratch) / name.lower())

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
        shutil.rmtree(self._scratch, ignore_errors=True)


def _end_with_the_parent(parent: int) -> None:
    """Press Ctrl-C when the program that started us is gone: one that was killed could not."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="course", description="Execute notebooks or write the learner edition.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run").add_argument("notebooks", nargs="+", type=Path)
    commands.add_parser("clear").add_argument("notebooks", nargs="+", type=Path)
    learner = commands.add_parser("learner")
    learner.add_argument("out", type=Path)
    learner.add_argument("--chapters", default="", help="numbers, separated by commas")
    options = parser.parse_args(arguments)
    # After Ctrl-C nbclient leaves tasks behind, and asyncio would print a traceback for each, about nothing of ours.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if sys.platform != "linux":  # there the system tells us itself
        threading.Thread(target=_end_with_the_parent, args=(os.getppid(),), daemon=True).start()
    try:
        if options.command == "run":
            return 1 if _run_all(options.notebooks) else 0
        if options.command == "clear":
            return _clear_all(options.notebooks)
        only = [number for number in options.chapters.replace(" ", "").split(",") if number]
        files = write_learner_edition(options.out, only=only)
    except CourseError as error:
        print(error, flush=True)
        return 2
    except KeyboardInterrupt:
        print("\nThe notebook that was running keeps its old outputs; those done before are written.", flush=True)
        return 130
    print(f"The learner edition is in {options.out}: {len(files)} files. Begin there with 'python3 kit.py lab'.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
