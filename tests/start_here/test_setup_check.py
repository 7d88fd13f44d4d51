"""The first cell of the course: says the same where all is well, and names the mend where it is not."""

from __future__ import annotations

import shutil
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


def test_a_wrong_version_is_named_with_the_mend(tmp_path: Path) -> None:
    look = look_at_packages(kit(tmp_path, "numpy==0.0.1\npandas==99\n"))
    assert f"numpy is {metadata.version('numpy')} and should be 0.0.1" in look.found
    assert f"pandas is {metadata.version('pandas')} and should be 99" in look.found
    assert "kit.py lab" in look.mend


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    look = look_at_packages(kit(tmp_path, "# a comment\n\nnot-a-package-of-anybody==1\n"))
    assert look.found == "not-a-package-of-anybody is not installed"
    assert look.mend


def test_many_wrong_versions_stay_one_line(tmp_path: Path) -> None:
    lock = "".join(f"package{number}==1\n" for number in range(10))
    look = look_at_packages(kit(tmp_path, lock), version_of=lambda name: "2")
    assert look.found.count("should be 1") == 3
    assert look.found.endswith("and 7 more")


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


@pytest.mark.parametrize("content", [None, "numpy=>1\n", "\udcff"])
def test_an_unreadable_lock_is_a_finding(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "requirements.lock").write_text(content, "utf-8", errors="surrogateescape")
    look = look_at_packages(tmp_path)
    assert "requirements.lock" in look.found
    assert look.mend


@pytest.mark.parametrize(
    ("running", "fine"), [("3.10.14", False), ("3.11.0", True), ("3.13.9", True), ("3.14.0", False)]
)
def test_the_python_is_held_to_pyproject(running: str, fine: bool) -> None:
    look = look_at_python(ROOT, running)
    assert (look.mend == "") is fine
    assert fine or running in look.found


@pytest.mark.parametrize("content", ["", "not toml", '[project]\nrequires-python = "newest"\n'])
def test_an_unreadable_pyproject_is_a_finding(tmp_path: Path, content: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content, "utf-8")
    assert look_at_python(tmp_path).mend
    assert look_at_python(tmp_path / "nowhere").mend


@pytest.mark.parametrize("damage", ["cut short", "one letter", "missing"])
def test_a_damaged_data_file_is_named_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    for name in (cohort.DATA_FILE, "SHA256SUMS"):
        shutil.copy(cohort.DATA_FOLDER / name, tmp_path / name)
    file = tmp_path / cohort.DATA_FILE
    if damage == "missing":
        file.unlink()
    elif damage == "cut short":
        file.write_bytes(file.read_bytes()[:-100])
    else:
        import gzip

        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b"male", b"mule", 1)))
    monkeypatch.setattr(cohort.table, "DATA_FOLDER", tmp_path)
    look = look_at_patients()
    assert look.found == "their table cannot be used"
    assert cohort.DATA_FILE in look.mend
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
