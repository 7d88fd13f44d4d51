"""Parquet with column keys (`columns`, `key_service`): a role reads its columns, and nobody reads altered data."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from ppml_helpers.columns import as_objects
from ppml_helpers.errors import ColumnAccessError, VaultError
from ppml_helpers.people.identifiers import new_key
from ppml_helpers.pseudonymise.vault import KeyService, read_as, readable, write_encrypted
from ppml_helpers.pseudonymise.vault.columns import _opened

REPOSITORY = Path(__file__).resolve().parents[2]
KEYS = {name: bytes(range(start, start + 32)) for start, name in enumerate(("open", "labs", "who"))}
GROUPS = {"open": ["age"], "labs": ["crea", "d.time"], "who": ["name", "national id"]}
ANALYST = {name: KEYS[name] for name in ("open", "labs")}


@pytest.fixture
def path(tmp_path: Path, small: pd.DataFrame) -> Path:
    return write_encrypted(small, tmp_path / "people.parquet", GROUPS, KEYS, "open")


def refused(words: str):
    return pytest.raises(VaultError, match=words)


def denied(words: str):
    return pytest.raises(ColumnAccessError, match=words)


# ------------------------------------------------------------------------------------------------- who reads what


def test_the_analyst_reads_labs_and_not_names_also_after_one_who_may(small: pd.DataFrame, path: Path) -> None:
    pd.testing.assert_frame_equal(read_as(path, KEYS), small)
    assert readable(path, KEYS) == list(small.columns)
    table = read_as(path, ANALYST, ["d.time", "age"])
    pd.testing.assert_frame_equal(table, small[["d.time", "age"]])
    assert readable(path, ANALYST) == ["age", "crea", "d.time"]
    with denied("lacks the key of 'name' .key 'who'.: leave that out") as caught:
        read_as(path, ANALYST, ["age", "name"])
    assert isinstance(caught.value, PermissionError)
    assert caught.value.__cause__ is None
    with denied("lacks the key of 'name' and 'national id' .key 'who'."):
        read_as(path, ANALYST)
    with denied("of 'name' and 'national id' .key 'who'.; of 'crea' and 'd.time' .key 'labs'."):
        read_as(path, {"open": KEYS["open"]})
    assert readable(path, {"open": KEYS["open"]}) == ["age"]


def test_nothing_opens_without_the_footer_key(path: Path) -> None:
    read_as(path, KEYS)  # what another role read before must not serve this one
    for step in (read_as, readable):
        with refused("needs the footer key 'open' to be opened at all") as caught:
            step(path, {name: KEYS[name] for name in ("labs", "who")})
        assert not isinstance(caught.value, ColumnAccessError)
        with refused("needs the footer key 'open'"):
            step(path, {})


@pytest.mark.parametrize("name", ["open", "labs", "who"])
def test_a_wrong_key_is_named(small: pd.DataFrame, path: Path, name: str) -> None:
    read_as(path, KEYS)
    wrong = {**KEYS, name: new_key()}
    with refused(f"The key '{name}' does not open this file") as caught:
        read_as(path, wrong)
    assert not isinstance(caught.value, ColumnAccessError)
    if name != "open":
        assert readable(path, wrong) == [column for column in small if column not in GROUPS[name]]


def test_nothing_is_in_plain_in_the_file_also_not_under_the_footer_key(small: pd.DataFrame, tmp_path: Path) -> None:
    table = small.assign(note="Beispielbefund")
    for groups in ({**GROUPS, "open": ["age", "note"]}, {"open": list(table)}):
        content = write_encrypted(table, tmp_path / "x.parquet", groups, KEYS, "open").read_bytes()
        for secret in ("Müller", "0000000042", "Beispielbefund", "national id", "d.time", "pandas"):
            assert secret.encode() not in content
        assert table["age"].to_numpy()[3].tobytes() not in content
        for key in KEYS.values():
            assert key not in content
            assert key.hex().encode() not in content
        pd.testing.assert_frame_equal(read_as(tmp_path / "x.parquet", KEYS), table)


def test_dates_categories_and_attributes_come_back(tmp_path: Path) -> None:
    day = pd.date_range("1993-01-01", periods=3_000, freq="min")
    table = pd.DataFrame({"day": day, "kind": pd.Categorical(np.resize(["a", "b"], 3_000))})
    table.attrs["fictional"] = "made up"
    path = write_encrypted(table, tmp_path / "x.parquet", {"open": list(table)}, KEYS, "open")
    back = read_as(path, KEYS)
    pd.testing.assert_frame_equal(back, table)
    assert back.attrs == {"fictional": "made up"}


def test_the_footer_tells_names_types_and_rows_and_nothing_else(tmp_path: Path) -> None:
    """What pandas adds to a file is there for everybody with the footer key; what is left out must not be."""
    table = pd.DataFrame({"age": [60, 61, 62], "dx": pd.Categorical(["x", "y", "patient 17"])}, index=[17, 18, 23])
    table.attrs = {"left out": ["patient 17"], "source": "patient 17", "fictional": "made up", "synthetic": [17]}
    table.columns.name = "patient 17"
    table = table[table["dx"] != "patient 17"].reset_index(drop=True)
    path = write_encrypted(table, tmp_path / "x.parquet", {"open": ["age"], "who": ["dx"]}, KEYS, "open")
    with _opened(path, KeyService({"open": KEYS["open"]})) as file:
        told = file.schema_arrow.metadata[b"pandas"].decode()
        assert file.schema_arrow.names == ["age", "dx"]
    assert "17" not in told
    assert "num_categories" not in told
    assert read_as(path, ANALYST, ["age"]).attrs == {"fictional": "made up"}
    assert list(read_as(path, KEYS)["dx"].cat.categories) == ["x", "y"]


def test_labels_of_rows_are_a_column_also_when_they_count(small: pd.DataFrame, tmp_path: Path) -> None:
    later = small.iloc[17:23]
    with refused("'__index_level_0__' is under 0 keys.*labels of the rows .reset_index"):
        write_encrypted(later, tmp_path / "x.parquet", GROUPS, KEYS, "open")
    groups = {**GROUPS, "who": [*GROUPS["who"], "__index_level_0__"]}
    path = write_encrypted(later, tmp_path / "x.parquet", groups, KEYS, "open")
    pd.testing.assert_frame_equal(read_as(path, KEYS), later, check_index_type=False)
    assert read_as(path, ANALYST, ["age"]).index.tolist() == list(range(6))


def arrow(values: list[object], kind: pa.DataType) -> pd.Series:
    """Return a column of a type that pandas holds and cannot take a value out of."""
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)))


REFUSED = {
    "age bands": pd.cut([61, 64, 70], [60, 65, 80]),
    "months in categories": pd.Categorical(pd.period_range("2020-01", periods=3, freq="M")),
    "pairs": pd.Categorical([(1, 2), (1, 3), (1, 2)]),
    "beyond 64 bits": pd.Series([2**70, 1, 2], dtype=object),
    "lists": pd.Series([[1], [2], [3]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "spans of months": arrow([(1, 2, 3), None, (1, 1, 1)], pa.month_day_nano_interval()),
    "complex": [1j, 2j, 3j],
    "sparse": pd.arrays.SparseArray([0, 0, 1]),
    "text and number": ["Anna", 5, 6],
    "dates of NumPy": pd.Series([np.datetime64("2020"), np.datetime64("2020-01-01"), None], dtype=object),
    "text and bytes": ["Anna", b"x", "y"],
    "two kinds of dates": pd.Series([pd.Timestamp("2020"), pd.Timestamp("2020", tz="CET"), None], dtype=object),
}
KEPT = {
    "whole numbers beside a missing one": pd.Series([2**53 + 1, None, 3], dtype=object),
    "truths beside a missing one": pd.Series([True, None, False], dtype=object),
    "half precision": np.array([0.5, 1, 2], "float16"),
    "an Arrow dictionary": pd.Series(["b", None, "a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
    "a view of texts": arrow(["b", None, "a"], pa.string_view()),
    "a view of bytes": arrow([b"b", None, b"a"], pa.binary_view()),
    "Arrow whole numbers": pd.Series([2**62, None, 1], dtype="int64[pyarrow]"),
    "nullable whole numbers": pd.array([2**62, None, 1], "Int64"),
    "nanoseconds": pd.array(["2020-01-01 00:00:00.000000001", None, "1900"], "datetime64[ns]"),
    "the last day": pd.Series([datetime.date(9999, 12, 31), None, datetime.date(1, 1, 1)], dtype=object),
    "decimals": pd.Series([Decimal("0.10"), None, Decimal(7)], dtype=object),
    "steps": pd.Categorical(["low", None, "high"], ["low", "high"], ordered=True),
    "months": pd.Series(pd.period_range("2020-01", periods=3, freq="M")),
    "intervals": pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3])),
}


@pytest.mark.parametrize("kind", [*REFUSED, *KEPT])
def test_a_column_comes_back_with_its_values_or_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    table, groups = pd.DataFrame({"x": (REFUSED | KEPT)[kind], "y": range(3)}), {"open": ["y"], "who": ["x"]}
    if kind in REFUSED:
        with refused("The column 'x' h") as caught:
            write_encrypted(table, tmp_path / "x.parquet", groups, KEYS, "open")
        assert "Anna" not in str(caught.value)
        assert not list(tmp_path.iterdir())
        return
    back = read_as(write_encrypted(table, tmp_path / "x.parquet", groups, KEYS, "open"), KEYS)["x"]
    assert as_objects(back).tolist() == as_objects(table["x"]).tolist()


def test_an_index_with_values_is_a_column(small: pd.DataFrame, tmp_path: Path) -> None:
    table = small.set_index("name")
    with refused("The column 'name' is under 0 keys"):
        write_encrypted(table, tmp_path / "x.parquet", {**GROUPS, "who": ["national id"]}, KEYS, "open")
    path = write_encrypted(table, tmp_path / "x.parquet", GROUPS, KEYS, "open")
    pd.testing.assert_frame_equal(read_as(path, KEYS), table)
    assert list(read_as(path, ANALYST, ["age"]).columns) == ["age"]


def test_a_column_cannot_be_carried_into_another_file(small: pd.DataFrame, tmp_path: Path) -> None:
    """Pages of the same place, table and keys, but of another file: each file has its own associated data."""
    one, two = (write_encrypted(small, tmp_path / name, GROUPS, KEYS, "open").read_bytes() for name in ("one", "two"))
    assert len(one) == len(two)
    (tmp_path / "mixed").write_bytes(one[: len(one) // 4] + two[len(one) // 4 :])
    with refused("altered, cut short"):
        read_as(tmp_path / "mixed", KEYS)


# ------------------------------------------------------------------------------------------------- the key service


FACTORY = pe.CryptoFactory(lambda config: KeyService(KEYS))


def by_pyarrow(**settings: object) -> Callable[[Path, pd.DataFrame], None]:
    """Write a table with our keys by pyarrow alone."""

    def write(path: Path, table: pd.DataFrame) -> None:
        setup = pe.EncryptionConfiguration("open", column_keys=GROUPS, **{"double_wrapping": False} | settings)
        connection = pe.KmsConnectionConfig(kms_instance_id="ppml-helpers", kms_instance_url="in-memory")
        properties = FACTORY.file_encryption_properties(connection, setup)
        pq.write_table(pa.Table.from_pandas(table), path, encryption_properties=properties)

    return write


def test_the_key_service_serves_pyarrow_directly(small: pd.DataFrame, tmp_path: Path) -> None:
    service = KeyService(KEYS)
    assert service.unwrap_key(service.wrap_key(b"d" * 32, "labs"), "labs") == b"d" * 32
    assert service.wrap_key(b"d" * 32, "labs") != service.wrap_key(b"d" * 32, "who")
    with denied("does not hold the key 'who'"):
        KeyService(ANALYST).wrap_key(b"d" * 32, "who")
    for wrapped in (service.wrap_key(b"d" * 32, "who"), "zz", service.wrap_key(b"d" * 32, "labs").upper()):
        with refused("The key 'labs' does not open this file"):
            service.unwrap_key(wrapped, "labs")
    assert "who" in repr(service)
    assert KEYS["who"].hex() not in repr(service)
    by_pyarrow(double_wrapping=True)(tmp_path / "x.parquet", small)
    back = pq.read_table(
        tmp_path / "x.parquet", decryption_properties=FACTORY.file_decryption_properties(pe.KmsConnectionConfig())
    )
    pd.testing.assert_frame_equal(back.to_pandas(), small)


# ---------------------------------------------------------------------------------------------------- altered files


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path, table: table.to_parquet(path), "Parquet with a footer in plain text"),
        (by_pyarrow(plaintext_footer=True), "Parquet with a footer in plain text"),
        (by_pyarrow(encryption_algorithm="AES_GCM_CTR_V1"), "not encrypted with AES_GCM_V1"),
        (by_pyarrow(), "lacks the mark of write_encrypted"),
        (b"", "no encrypted Parquet file"),
        (b"PARE\0\0\0\0PARE", "no encrypted Parquet file"),
        (b"PARE" + b"\1" * 99 + b"\x20\0\0\0PARE", "not encrypted with AES_GCM_V1"),
        (lambda path, table: path.mkdir(), "cannot be read .Is a directory"),
        (lambda path, table: None, "cannot be read .No such file"),
    ],
)
def test_what_is_no_file_of_ours(small: pd.DataFrame, tmp_path: Path, make: Callable | bytes, words: str) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(make) if isinstance(make, bytes) else make(path, small)
    for step in (read_as, readable):
        with refused(words) as caught:
            step(path, KEYS)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_file_cut_short_anywhere_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 1, len(whole) - 8]:
        path.write_bytes(whole[:length])
        with refused("altered, cut short|Parquet"):
            read_as(path, KEYS)
    path.write_bytes(whole + b"x")
    with refused("altered, cut short"):
        read_as(path, KEYS)


FLIP = """
    import json, resource, sys
    from pathlib import Path
    from ppml_helpers.errors import VaultError
    from ppml_helpers.pseudonymise.vault import read_as

    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))  # a flipped length must not ask for gigabytes
    path, keys = Path(sys.argv[1]), {name: bytes.fromhex(key) for name, key in json.loads(sys.argv[2]).items()}
    whole, results = path.read_bytes(), {"refused": 0, "same": [], "altered": [], "other": []}
    expected = read_as(path, keys)
    for position in json.loads(sys.argv[3]):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position * 5 + position // 8) % 8
        path.write_bytes(damaged)
        try:
            results["same" if read_as(path, keys).equals(expected) else "altered"].append(position)
        except VaultError:
            results["refused"] += 1
        except BaseException as error:
            results["other"].append([position, repr(error)])
    print(json.dumps(results))
"""


@pytest.mark.skipif(os.name == "nt", reason="memory limits as on Linux and macOS")
def test_any_flipped_byte_in_any_region_is_refused(path: Path) -> None:
    """In a process of its own: a flip that crashed the reader, or took all memory, would show as that."""
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    preamble_end = whole.index(b"}", footer) + 2
    pages = range(4, footer, max((footer - 4) // 200, 1))
    encrypted_footer = range(preamble_end, len(whole) - 8, 29)
    positions = [*range(4), *pages, *range(footer, preamble_end), *encrypted_footer, *range(len(whole) - 8, len(whole))]
    assert len(pages) >= 200
    keys = json.dumps({name: key.hex() for name, key in KEYS.items()})
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FLIP), str(path), keys, json.dumps(positions)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"refused": len(positions), "same": [], "altered": [], "other": []}


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"column_keys": {"open": ["age"]}}, "The column 'name' is under 0 keys, it must be under exactly one"),
        ({"column_keys": {**GROUPS, "open": ["age", "crea"]}}, "The column 'crea' is under 2 keys"),
        ({"column_keys": {**GROUPS, "open": ["age", "bmi"]}}, "column_keys names 'bmi', which the table lacks"),
        ({"column_keys": {**GROUPS, "open": "age"}}, "^column_keys must be a dict of columns by key"),
        ({"column_keys": {**GROUPS, "open": None}}, "^column_keys must be a dict of columns by key"),
        ({"column_keys": pd.Series({"open": "age"})}, "^column_keys must be a dict of columns by key"),
        ({"keys": ANALYST}, "keys has no key named 'who'"),
        ({"keys": {**KEYS, "a:b": KEYS["who"]}}, "'a:b' cannot name a key"),
        ({"footer_key": "nobody"}, "keys has no key named 'nobody'"),
        ({"footer_key": ["open"]}, "keys has no key named .'open'."),
        ({"table": pd.DataFrame({"a,b": [1]})}, "'a,b' cannot name a column"),
        ({"table": pd.DataFrame({"a": [[1], [2]]})}, "column 'a' holds list"),
        ({"table": pd.DataFrame([[1, 2]], columns=["a", "a"])}, "two columns named 'a'"),
        ({"table": pd.DataFrame([[1, 2]], columns=["0", 0])}, "0 cannot name a column, it must be text"),
        ({"table": pd.DataFrame({"a": [1]}, index=pd.Index([2**70], dtype=object))}, "The index has values that"),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(
    small: pd.DataFrame, path: Path, changed: dict[str, object], words: str
) -> None:
    before = path.read_bytes()
    given = {"table": small, "column_keys": GROUPS, "keys": KEYS, "footer_key": "open"} | changed
    with refused(words):
        write_encrypted(path=path, **given)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1

    with refused("^columns = "):
        read_as(path, KEYS, ["bmi"])
