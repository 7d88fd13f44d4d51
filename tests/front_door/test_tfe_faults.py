"""``kit.py tfe``: where a Python 3.10 is found, what is said without one, and an install that stops in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from samples import code, stored
from wheels import tiny_wheel

from front_door import checks, commands, doctor, environment, places, pythons, tfe
from front_door.environment import Recipe
from front_door.terminal import Stop
from ppml_helpers import course

RUNNING = "{}.{}".format(*sys.version_info)
posix = pytest.mark.skipif(os.name == "nt", reason="commands as on Linux and macOS")

# ------------------------------------------------------------------------------------------- a Python of that version


def answering(path: Path, *lines: str) -> None:
    """Write a command that answers whatever it is asked."""
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    path.chmod(0o755)


@posix
@pytest.mark.parametrize(
    ("place", "variable"),
    [
        ("bin/python3.10", "PATH"),
        ("bin/py", "PATH"),
        (".pyenv/versions/3.10.4/bin/python3", ""),
        ("own/versions/3.10.4/bin/python3", "PYENV_ROOT"),
        (".local/share/uv/python/cpython-3.10.9-linux/bin/python3", ""),
        ("own/cpython-3.10.9-linux/bin/python3", "UV_PYTHON_INSTALL_DIR"),
    ],
)
def test_a_python_is_found_where_people_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, variable: str
) -> None:
    for name in ("PYENV_ROOT", "XDG_DATA_HOME", "APPDATA", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    answering(tmp_path / ".pyenv/versions/3.10.1/bin/python3", "pyenv: version not installed")
    answering(tmp_path / ".pyenv/versions/3.10.2/bin/python3", "3.11", "/x/python3.11")
    assert pythons.find("3.10") == "", "a launcher with nothing behind it, and another version, are passed over"
    answering(tmp_path / place, "3.10", "/x/python3.10")
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / place.split("/")[0]))
    assert pythons.find("3.10") == "/x/python3.10"


def test_without_a_python_3_10_it_is_one_sentence_and_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tfe, "recipe", lambda: recipe)
    monkeypatch.setattr(environment, "find", lambda version: "")
    recipe = Recipe("TF Encrypted", tmp_path / "tfe", tmp_path / ".kit", ("tiny==1.0",), version="3.10")
    assert commands.main(["tfe"]) == 2
    [told] = capsys.readouterr().out.splitlines()
    assert "needs Python 3.10, and there is none on PATH" in told
    assert "'uv python install 3.10' or 'pyenv install 3.10'" in told
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence_after_the_space_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(tfe.recipe(), folder=tmp_path / "tfe", state=tmp_path / ".kit")
    monkeypatch.setattr(tfe, "recipe", lambda: recipe)
    monkeypatch.setattr(tfe, "ensure", lambda wanted: wanted is places.COURSE or environment.ensure(wanted))
    monkeypatch.setattr(environment, "find", lambda version: sys.executable)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 0, int(1.9e9)))
    assert commands.main(["tfe"]) == 1
    space, told = capsys.readouterr().out.splitlines()
    assert f"takes {tfe.SPACE} GB of disk" in space
    assert "needs about 2.2 GB of disk and 1.9 GB are free" in told
    assert not (tmp_path / "tfe").exists()


# -------------------------------------------------------------------------------------- made, broken off, broken, moved


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kit whose list for chapter 09b names one tiny package, which itself asks for one that is nowhere."""
    folder = tmp_path_factory.mktemp("kit") / "a kit"
    links = folder.parent / "links"  # pip splits a list of folders at blanks
    links.mkdir()
    tiny_wheel(links, more="Requires-Dist: nowhere==1.0\n")
    (folder / "ppml_helpers").mkdir(parents=True)
    (folder / "requirements-tfe.lock").write_text(f"--no-index\n--find-links {links}\ntiny==1.0\n")
    (folder / "ppml_helpers" / "__init__.py").write_text("here = True\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "find", lambda version: getattr(sys, "_base_executable", sys.executable))
        yield folder


def wanted(root: Path) -> Recipe:
    return replace(tfe.recipe(root), version=RUNNING)


def imported(root: Path) -> str:
    code = "import ppml_helpers, tiny; print(ppml_helpers.here, tiny.version)"
    command = [str(environment.python_of(wanted(root).folder)), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_an_install_that_was_broken_off_is_completed_and_a_complete_one_is_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, really = wanted(root), environment._run

    def broken_off(command: list[str], *more: object) -> object:
        if "install" in command:
            raise KeyboardInterrupt
        return really(command, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(environment, "_run", broken_off)
        with pytest.raises(KeyboardInterrupt):
            environment.ensure(recipe)
    assert "not finished" in environment.whats_wrong(recipe)
    environment.ensure(recipe)
    assert imported(root) == "True 1.0\n", "without what tiny asks for, and with the kit beside it"
    monkeypatch.setattr(environment, "_run", None)
    environment.ensure(recipe)  # nothing is left to do


@pytest.mark.parametrize("lost", ["tiny", "kit.pth"])
def test_what_is_lost_is_seen_and_put_back(root: Path, lost: str) -> None:
    recipe = wanted(root)
    environment.ensure(recipe)
    site = environment.site_packages(recipe.folder)
    assert site is not None
    shutil.rmtree(site / lost) if (site / lost).is_dir() else (site / lost).unlink()
    assert f"{lost} is missing" in environment.whats_wrong(recipe)
    environment.ensure(recipe)
    assert imported(root) == "True 1.0\n"


def test_an_environment_of_another_python_is_made_afresh(root: Path) -> None:
    environment.ensure(wanted(root))
    assert not environment._reusable(wanted(root).folder, "3.10")
    assert environment._reusable(wanted(root).folder, RUNNING)


@posix
def test_the_kernel_is_in_the_courses_environment_alone_and_follows_a_move(root: Path) -> None:
    environment.ensure(wanted(root))
    before = {path for path in root.rglob("*") if ".venvs" not in path.parts}
    tfe.offer_kernel(root)
    tfe.offer_kernel(root)
    new = {path for path in root.rglob("*") if ".venvs" not in path.parts} - before
    assert [path.name for path in new if path.is_file()] == ["kernel.json"]
    moved = root.with_name("moved né")
    root.rename(moved)
    try:
        kernels = KernelSpecManager(kernel_dirs=[str(moved / ".venv" / "share" / "jupyter" / "kernels")])
        spec = kernels.get_kernel_spec(tfe.KERNEL)
        python = Path(spec.argv[0].format(resource_dir=spec.resource_dir))
        assert python.samefile(environment.python_of(wanted(moved).folder))
        assert imported(moved) == "True 1.0\n"
    finally:
        moved.rename(root)


# ------------------------------------------------------------------------------------------ what the other commands say


def test_the_doctor_tells_the_three_states_and_none_of_them_needs_mending(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.tf_encrypted(tmp_path).mend == f"'{tfe.MAKE}', {tfe.SPACE} GB"
    environment.ensure(wanted(root))
    monkeypatch.setattr(tfe, "missing", lambda root: "its Python does not start")
    assert doctor.tf_encrypted(root).text == "chapter 09b cannot run: its Python does not start"
    assert tfe.MAKE in doctor.tf_encrypted(root).mend
    monkeypatch.setattr(tfe, "missing", lambda root: "")
    assert doctor.tf_encrypted(root).state == "ok"


def declared(path: Path, kernel: str = tfe.KERNEL) -> Path:
    stored(path, code("print(1)", name="one"))
    notebook = course.read(path)
    notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    course.write(notebook, path)
    return path


def test_kit_run_leaves_the_chapter_out_or_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(tfe, "missing", lambda: "it has not been made yet")
    monkeypatch.setattr(commands, "in_course", lambda arguments, scratch: ran.append(arguments) or 0)
    monkeypatch.setattr(places, "NOTEBOOKS", tmp_path)
    stored(tmp_path / "01_a.ipynb", code("1", name="one"))
    declared(tmp_path / "02_b.ipynb")
    commands.run([])
    assert [Path(one).name for one in ran[0][3:]] == ["01_a.ipynb"]
    assert "02_b is left out, since it has not been made yet: 'python3 kit.py tfe' makes it." in capsys.readouterr().out
    with pytest.raises(Stop, match=r"02_b cannot run, since it has .*: type 'python3 kit\.py tfe' first"):
        commands.run(["02_b"])
    monkeypatch.setattr(tfe, "missing", lambda: "")
    commands.run([])
    assert [Path(one).name for one in ran[1][3:]] == ["01_a.ipynb", "02_b.ipynb"]


def test_a_kernel_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(course.KERNELS, "absent", {"name": "absent", "display_name": "x", "language": "python"})
    with pytest.raises(course.CourseError, match=r"its kernel is not there: 'python3 kit\.py tfe' makes it"):
        course.run(declared(tmp_path / "x.ipynb", "absent"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "Ctrl-C would do nothing after it"


def test_all_makes_the_environment_first_and_holds_the_chapter_to_its_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(checks, "ensure", lambda recipe: None)
    monkeypatch.setattr(tfe, "tfe", lambda: done.append("made"))
    monkeypatch.setattr(checks.elsewhere, "found", list)
    monkeypatch.setattr(checks, "_hub_stage", lambda: checks._HUB_LEFT_OUT)
    monkeypatch.setattr(checks, "_run", lambda stage, arguments: done.append(stage) or checks.Result("x", 0, 0.0, {}))
    checks.run_tests([], only="notebooks")
    usual = [word for stage in done for word in stage.arguments]  # type: ignore[attr-defined]
    assert not [word for word in usual if "09b_tf" in word]
    done.clear()
    checks.run_tests([], only="notebooks", everything=True)
    assert done[0] == "made"
    [chapter] = [stage.arguments for stage in done[1:] if stage.name == "TF Encrypted"]  # type: ignore[attr-defined]
    assert {"--nbval", str(places.NOTEBOOKS / "09b_tf_encrypted.ipynb")} <= set(chapter)
    assert [word for word in chapter if word.endswith("test_tf_encrypted_exercises.py")]
    assert "--nbval-current-env" not in chapter
