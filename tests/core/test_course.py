"""The learner edition, and how notebooks are written."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
from pathlib import Path

import pytest
from samples import code, prose, result, stored, stream

from ppml_helpers import course

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A kit in small."""
    root = tmp_path / "kit"
    handed_out = (*course.EDITION_FILES, "ppml_helpers/words.py", "front_door/lab.py")
    kept = ("tests/test_x.py", "benchmarks/x.py", "ppml_helpers/__pycache__/x.pyc", ".venv/x", "workshop/x")
    for name in (*handed_out, *kept):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "notebooks").mkdir(exist_ok=True)
    stored(
        root / "notebooks" / "00_start_here.ipynb",
        prose("Your turn.", "task"),
        code("answer = ...", "exercise", name="fill", count=1),
        code("answer = 42", "solution", name="solved", count=2, outputs=[result(2, plain="42")]),
        prose("Because.", "why", "solution"),
        code("print(1)", name="last", count=3, outputs=[stream("1\n")]),
    )
    return root


def test_the_learner_edition_has_everything_to_run_and_no_answers(kit: Path, tmp_path: Path) -> None:
    out = tmp_path / "learners" / "2026"
    written = course.write_learner_edition(out, kit)
    assert set(course.EDITION_FILES) <= set(written)
    assert {"data/support2.csv.gz", "ppml_helpers/words.py", "front_door/lab.py"} <= set(written)
    folders = {path.name for path in out.iterdir() if path.is_dir()}
    assert folders == {"data", "benchmarks", "ppml_helpers", "front_door", "notebooks", "workshop"}
    notebook = course.read(out / "notebooks" / "00_start_here.ipynb")
    assert [cell.id for cell in notebook.cells] == ["task", "fill", "last"]
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert "42" not in (out / "notebooks" / "00_start_here.ipynb").read_text()


def test_the_kits_own_learner_edition_is_complete(tmp_path: Path) -> None:
    written = set(course.write_learner_edition(tmp_path / "out"))
    assert written >= {
        *("kit.py", "requirements.lock", "requirements-optional.lock", "pyproject.toml", "environment.yml", "LICENSE"),
        *("data/support2.csv.gz", "data/SHA256SUMS", "data/DATA_CARD.md", "data/build.py", "ppml_helpers/course.py"),
        *("front_door/lab.py", "jupyter_config/jupyter_server_config.json", "data/scoreboard/federated.json"),
        *(f"notebooks/{path.name}" for path in course.chapters()),
    }
    measured = {name for name in written if name.startswith("benchmarks/")}
    names = ("encrypted", "encrypted-training", "parties", "tf-encrypted")
    assert measured == {f"benchmarks/results/{name}.json" for name in names}
    assert not [name for name in written if name.startswith(("tests/", ".git/", ".venv"))]
    assert "kit.py test" not in (tmp_path / "out" / "README.md").read_text(), "there are no tests in it"


def test_an_edition_of_some_chapters_has_no_link_to_the_others(tmp_path: Path) -> None:
    written = course.write_learner_edition(tmp_path / "out", only=["01", "05"])
    held = [name for name in written if name.startswith("notebooks/") and name.endswith(".ipynb")]
    assert [name[10:13] for name in held] == ["00_", "01_", "05_"]
    for name in [*held, "README.md"]:
        text = (tmp_path / "out" / name).read_text("utf-8")
        assert {
            found for found in re.findall(r"[\w]+\.ipynb", text) if not (tmp_path / "out/notebooks" / found).exists()
        } == set()
    with pytest.raises(course.CourseError, match="There is no chapter '5': choose among 00, 01, 02"):
        course.write_learner_edition(tmp_path / "again", only=["5"])


PRIVATE = (
    "data/my_hospital.csv", "data/cases/2026.csv.gz", "data/.support2.csv.gz.part", "notebooks/my_patients.ipynb",
    "notebooks/00_start_here-Copy1.ipynb", "notebooks/.ipynb_checkpoints/00_start_here-checkpoint.ipynb",
    "ppml_helpers/.ipynb_checkpoints/words-checkpoint.py", "docs/.private/marks.csv", "front_door/.env", "marks.csv",
)  # fmt: skip


def test_what_a_teacher_keeps_beside_the_course_is_not_handed_out(kit: Path, tmp_path: Path) -> None:
    usual = course.write_learner_edition(tmp_path / "usual", kit)
    for name in PRIVATE:
        (kit / name).parent.mkdir(parents=True, exist_ok=True)
        (kit / name).write_text("Mrs Miller, 61")
    out = tmp_path / "out"
    assert course.write_learner_edition(out, kit) == usual
    there = [path for path in out.rglob("*") if path.is_file()]
    assert len(there) == len(usual) + 1, "the files and their manifest"
    assert not [path for path in there if b"Miller" in path.read_bytes()]
    hidden = kit.rename(tmp_path / ".kits")  # whose own name begins with a dot as private files do
    assert course.write_learner_edition(tmp_path / "again", hidden) == usual


def test_an_earlier_edition_is_replaced_and_a_learners_own_work_stays(kit: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    course.write_learner_edition(out, kit)
    (out / "my notes.txt").write_text("mine")
    (kit / "ppml_helpers" / "words.py").unlink()
    (kit / "LICENSE").write_text("new")
    course.write_learner_edition(out, kit)
    assert (out / "LICENSE").read_text() == "new"
    assert not (out / "ppml_helpers" / "words.py").exists()
    assert (out / "my notes.txt").read_text() == "mine"
    chapter = out / "notebooks" / "00_start_here.ipynb"
    chapter.write_text(chapter.read_text().replace("answer = ...", "answer = 41"))
    with pytest.raises(course.CourseError, match=r"00_start_here\.ipynb has been worked on"):
        course.write_learner_edition(out, kit)
    assert "answer = 41" in chapter.read_text()


@pytest.mark.parametrize("there", [".", "notebooks/x", "../file", "../full", "../broken"])
def test_what_would_be_lost_is_refused_in_one_sentence(there: str, kit: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for folder in ("full", "broken"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "thesis.txt").write_text("years of work")
    (tmp_path / "broken" / course.MANIFEST).write_text("[")
    out = (kit / there).resolve()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(course.CourseError) as raised:
        course.write_learner_edition(out, kit)
    assert str(out) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_chapters_come_in_their_order(tmp_path: Path) -> None:
    for name in ("05_b", "00_a", "09b_c", "draft", "5_b", "05_b-Copy1"):
        (tmp_path / f"{name}.ipynb").touch()
    assert [path.stem for path in course.chapters(tmp_path)] == ["00_a", "05_b", "09b_c"]


def test_normalising_twice_changes_nothing_and_the_argument_stays(tmp_path: Path) -> None:
    notebook = course.read(stored(tmp_path / "x.ipynb", code("1", count=1, outputs=[stream("1\n")]), normal=False))
    notebook.cells[0].metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
    notebook.metadata["widgets"] = {"state": {}}
    once = course.normalise(notebook)
    assert "execution" in notebook.cells[0].metadata
    assert course.to_text(course.normalise(once)) == course.to_text(once)
    assert "execution_count" in course.to_text(once)
    assert "iopub" not in course.to_text(once)
    assert "widgets" not in once.metadata


def test_the_stored_text_is_the_same_for_any_order_of_keys(tmp_path: Path) -> None:
    path = stored(tmp_path / "x.ipynb", prose("# A\n\nB é"), code("1\n2", count=1))
    reversed_keys = json.loads(path.read_text("utf-8"), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    (tmp_path / "y.ipynb").write_text(json.dumps(reversed_keys))
    assert course.to_text(course.read(tmp_path / "y.ipynb")) == path.read_text("utf-8")
    assert "é" in path.read_text("utf-8"), "letters stay readable in a diff"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom file permissions stop")
def test_a_folder_that_cannot_be_written_to_leaves_no_half_file(tmp_path: Path) -> None:
    path = stored(tmp_path / "x.ipynb", prose("."))
    before = path.read_bytes()
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OSError, match="denied"):
            course.write(course.read(path), path)
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == before


def test_tasks_that_are_left_behind_after_ctrl_c_print_no_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted(paths: object) -> int:
        loop = asyncio.new_event_loop()
        loop.create_future().set_exception(RuntimeError("left behind"))  # nobody asks for it
        loop.close()
        raise KeyboardInterrupt

    caplog.set_level("ERROR", logger="asyncio")  # and is put back afterwards
    monkeypatch.setattr(course, "_run_all", interrupted)
    assert course.main(["run", "x.ipynb"]) == 130
    gc.collect()
    assert caplog.text == ""


def test_clear_takes_out_every_output_and_the_copy_that_jupyterlab_keeps(tmp_path: Path, capsys) -> None:
    path = tmp_path / "own.ipynb"
    stored(path, prose("Mine."), code("print(1)", count=1, outputs=[stream("Mrs Miller, 61\n"), result(1, plain="61")]))
    copy = tmp_path / ".ipynb_checkpoints" / "own-checkpoint.ipynb"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert course.main(["clear", str(path)]) == 0
    assert "holds no output any more" in capsys.readouterr().out
    assert "61" not in path.read_text("utf-8")
    assert [cell.source for cell in course.read(path).cells] == ["Mine.", "print(1)"]
    assert not copy.exists()
    assert course.main(["clear", str(tmp_path / "no.ipynb")]) == 2
