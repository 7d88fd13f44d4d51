"""Executing twice gives the same bytes, and strict nbval sees an output that drifted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from samples import code, prose, stored

from ppml_helpers import course

HERE = Path(__file__).parent
WIDGET = """\
import ipywidgets
from IPython.display import display
print("first")
print("second")
ipywidgets.IntSlider(value=3, description="epsilon")"""
PICTURE = """\
import base64
png = base64.b64encode(b"\\x89PNG-picture").decode()
view = {"model_id": slider.model_id, "version_major": 2, "version_minor": 0}
display({"image/png": png, "text/plain": "a picture", "application/vnd.jupyter.widget-view+json": view}, raw=True)"""
ERROR = """\
def refuse():
    raise ValueError("epsilon is -1: give a number above 0.")
refuse()"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small notebook with a widget, a picture that stands in for one, and an error that is meant; after one run."""
    path = stored(
        tmp_path_factory.mktemp("once") / "live.ipynb",
        prose("# Live", "title"),
        code(WIDGET + "\n", name="slider"),
        prose("A picture.", "between"),
        code(PICTURE.replace("slider.model_id", "'%032x' % __import__('os').getpid()"), name="picture"),
        code(ERROR, "raises-exception", name="refusal"),
    )
    assert course.run(path) is True
    return path.read_bytes()


@pytest.fixture
def live(executed: bytes, tmp_path: Path) -> Path:
    """A copy of that notebook for one test."""
    (tmp_path / "live.ipynb").write_bytes(executed)
    return tmp_path / "live.ipynb"


def nbval(path: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--disable-plugin-autoload"]
    command += ["-p", "nbval", "--nbval", "--nbval-current-env"]
    command += [f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}", *extra, str(path)]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=120, check=False)


def test_twice_gives_the_same_bytes_and_nbval_agrees(live: Path) -> None:
    once = live.read_bytes()
    assert course.run(live) is False
    assert live.read_bytes() == once
    assert course.problems(live) == []
    text = once.decode()
    assert text.endswith("}\n")
    notebook = course.read(live)
    data = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert [sorted(one) for one in data] == [["text/plain"], ["image/png", "text/plain"]], "no widget ids are stored"
    assert "widgets" not in notebook.metadata
    assert "IntSlider(value=3, description='epsilon')" in text
    assert '"first\\n",' in text, "what is printed in pieces is stored as one stream"
    assert str(live.parent) not in text
    assert [cell.id for cell in notebook.cells] == ["title", "slider", "between", "picture", "refusal"]
    checked = nbval(live)
    assert checked.returncode == 0, checked.stdout
    assert "3 passed" in checked.stdout


@pytest.mark.parametrize(
    ("before", "after"),
    [("first\\n", "First\\n"), ("a picture", "another picture"), ("IntSlider(value=3", "IntSlider(value=4")],
    ids=["printed", "beside a picture", "result"],
)
def test_strict_nbval_fails_on_a_drifted_output(live: Path, before: str, after: str) -> None:
    text = live.read_text()
    head, found, tail = text.rpartition(before)
    assert found, "the drift must change an output"
    live.write_text(head + after + tail)
    checked = nbval(live)
    assert checked.returncode == 1, checked.stdout
    assert "failed" in checked.stdout


@pytest.mark.parametrize(
    ("printed", "word"),
    [
        ("'<object at ' + hex(id(object())) + '>'", "ADDRESS"),
        ("'/x/ipykernel_' + str(os.getpid()) + '/1.py'", "KERNEL"),
    ],
)
def test_what_is_sanitised_may_differ(printed: str, word: str, tmp_path: Path) -> None:
    path = stored(tmp_path / "s.ipynb", code(f"import os\nprint({printed})", name="one"))
    course.run(path)
    assert word in (HERE / "sanitize.cfg").read_text()
    assert nbval(path).returncode == 0


def test_nothing_else_may_differ(tmp_path: Path) -> None:
    drifting = stored(tmp_path / "d.ipynb", code("import time\nprint(time.time_ns())", name="one"))
    course.run(drifting)
    assert nbval(drifting).returncode == 1


def test_a_failing_cell_is_one_block_and_the_file_stays_as_it_was(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "f.ipynb", code("a = 1\nprint(a)", name="fine"), prose("."), code("a += 1\na / 0", name="wrong")
    )
    before = path.read_bytes()
    with pytest.raises(course.CourseError) as raised:
        course.run(path)
    message = str(raised.value)
    assert message.startswith("cell 3 (id wrong): ZeroDivisionError: division by zero")
    assert "    | a / 0" in message
    assert "\x1b" not in message
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["f.ipynb"]


def test_a_cell_that_hangs_is_ended_and_named(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "h.ipynb", code("1", name="ok"), prose("."), code("import time; time.sleep(99)", name="hang")
    )
    with pytest.raises(course.CourseError, match=r"cell 3 \(id hang\): took longer than 2 s"):
        course.run(path, timeout=2)


def test_a_kernel_that_dies_is_named(tmp_path: Path) -> None:
    path = stored(tmp_path / "k.ipynb", code("import os; os._exit(9)", name="dies"))
    with pytest.raises(course.CourseError, match=r"cell 1 \(id dies\): ended its kernel"):
        course.run(path)


def test_a_notebook_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    source = f"open({str(tmp_path / 'c.ipynb')!r}, 'a').write(' ')"
    path = stored(tmp_path / "c.ipynb", code(source, name="edits"))
    with pytest.raises(course.CourseError, match=r"c\.ipynb was changed while it ran"):
        course.run(path)
    assert path.read_text().endswith("\n ")


def test_the_command_line_goes_on_after_a_failure_and_keeps_results_apart(tmp_path: Path) -> None:
    """One notebook's results must not reach the next one, or what it prints would depend on the order."""
    leave = (
        "import os, pathlib\nfolder = pathlib.Path(os.environ['PPML_RESULTS'])\nprint(folder.exists())\nfolder.mkdir()"
    )
    paths = [
        stored(tmp_path / "a.ipynb", code(leave, name="a")),
        stored(tmp_path / "b.ipynb", code("1/0", name="b")),
        stored(tmp_path / "c.ipynb", code(leave, name="c")),
    ]
    command = [sys.executable, "-m", "ppml_helpers.course", "run", *map(str, paths)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ})
    assert answer.returncode == 1
    lines = answer.stdout.splitlines()
    assert lines[0].startswith("[1/3] a ... ")
    assert lines[0].endswith(" s, written")
    assert "b.ipynb, cell 1 (id b): ZeroDivisionError" in answer.stdout
    assert lines[-1].startswith("[3/3] c ... ")
    assert "False" in paths[0].read_text()
    assert "False" in paths[2].read_text()
    assert "Traceback" not in answer.stderr
