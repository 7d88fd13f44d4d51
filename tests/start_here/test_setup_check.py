"""The first cell of the course: says the same where all is well, and names the mend where it is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from ppml_helpers import cohort
from ppml_helpers.start_here import setup_check
from ppml_helpers.start_here.setup_check import ROOT, check_setup, look_at_packages, look_at_patients, look_at_python


def kit(folder: Path, lock: str, python: str = ">=3.11,<3.14") -> Path:
    """Write the two files that name versions."""
    (folder / "requirements.lock").write_text(lock, "utf-8")
    (folder / "pyproject.toml").write_text(f'[project]\nname = "kit"\nrequires-python = "{python}"\n', "utf-8")
    return folder


def test_what_is_fine_is_said_without_a_version_or_a_path() -> None:
    report = check_setup()
    assert report.fine, str(report)
    assert str(report) == (
        "Everything is in place.\n"
        "✔ Python: a version that the course supports\n"
        "✔ packages: every one has the version that the course was checked with\n"
        "✔ patients: the published table, unchanged: 9,105 people"
    )


def test_wrong_and_missing_packages_are_named_with_the_mend_and_many_stay_one_line(tmp_path: Path) -> None:
    lock = "# a comment\n\nnumpy==0.0.1\nnot-a-package-of-anybody==1\npandas==99\nscipy==0\ntorch==0\n"
    look = look_at_packages(kit(tmp_path, lock))
    assert look.found == (
        f"numpy is {metadata.version('numpy')} and should be 0.0.1; not-a-package-of-anybody is not installed; "
        f"pandas is {metadata.version('pandas')} and should be 99, and 2 more"
    )
    assert "kit.py lab" in look.mend


@pytest.mark.parametrize("line", ["torch==2.13.0", "appnope==9 ; sys_platform == 'no such system'"])
def test_another_build_and_another_systems_pin_are_fine(tmp_path: Path, line: str) -> None:
    assert not look_at_packages(kit(tmp_path, line + "\n"), version_of=lambda name: "2.13.0+cpu").mend


def test_every_line_of_the_lock_is_compared() -> None:
    asked: list[str] = []

    def version_of(name: str) -> str:
        asked.append(name)
        return "0"

    assert look_at_packages(ROOT, version_of).mend
    assert {"numpy", "torch", "jupyterlab", "opacus"} <= set(asked)
    assert len(asked) > 100


@pytest.mark.parametrize(
    ("running", "fine"), [("3.10.14", False), ("3.11.0", True), ("3.13.9", True), ("3.14.0", False)]
)
def test_the_python_is_held_to_pyproject(running: str, fine: bool) -> None:
    look = look_at_python(ROOT, running)
    assert (look.mend == "") is fine
    assert fine or running in look.found


@pytest.mark.parametrize("look", [look_at_packages, look_at_python])
@pytest.mark.parametrize("content", [None, "numpy=>1\n", '[project]\nrequires-python = "newest"\n', "\udcff"])
def test_an_unreadable_file_of_versions_is_a_finding(tmp_path: Path, look: Callable, content: str | None) -> None:
    for name in ("requirements.lock", "pyproject.toml") if content is not None else ():
        (tmp_path / name).write_text(content, "utf-8", errors="surrogateescape")
    found = look(tmp_path)
    assert "cannot be read" in found.found
    assert found.mend


def test_a_damaged_data_file_is_named_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(cohort.DATA_FOLDER / "SHA256SUMS", tmp_path)
    (tmp_path / cohort.DATA_FILE).write_bytes((cohort.DATA_FOLDER / cohort.DATA_FILE).read_bytes()[:-100])
    monkeypatch.setattr(cohort.table, "DATA_FOLDER", tmp_path)
    look = look_at_patients()
    assert look.found == "their table cannot be used"
    assert "git checkout -- data/support2.csv.gz" in look.mend
    assert "with network run `python data/build.py`" in look.mend


def test_a_report_counts_what_is_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit(tmp_path, "numpy==0.0.1\n", python=">=4")
    monkeypatch.setattr(setup_check.cohort.table, "DATA_FOLDER", tmp_path)
    report = check_setup(tmp_path)
    assert not report.fine
    assert report.headline == "Not yet: 3 of 3 to mend."
    bundle = report._repr_mimebundle_()
    assert bundle["text/plain"] == str(report)
    assert "<strong>Not yet: 3 of 3 to mend.</strong>" in bundle["text/html"]
    assert bundle["text/html"].count("✘") == 3
