"""One Parquet file, one key a group of columns: who holds which key decides who reads what.

Parquet modular encryption as pyarrow offers it. Every column has a random data key; a key service wraps it with the
master key of its group (RFC 3394). The footer (names and types of columns, number of rows, the wrapped data keys) is
encrypted too, so whoever reads anything needs the footer key, and whoever has it sees all names of columns. It holds
nothing else of the table: no attribute but the label of what is made up, no row labels, no count of categories.

Only AES_GCM_V1 with an encrypted footer is written or read. AES_GCM_CTR_V1 leaves the pages unauthenticated:
pyarrow returns altered data without a word. A plaintext footer lets pyarrow end the whole process, and so does
asking a file's ``metadata.row_group(0).column(i)`` for a column whose key is missing: use `readable` instead.

Within the file every page is bound to its place: pages cannot be swapped, not even between files. The whole file can
be: pyarrow takes no AAD prefix together with column keys, so an older or other file under the same keys opens as well.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from ppml_helpers import checks
from ppml_helpers.errors import ColumnAccessError, KitError, VaultError
from ppml_helpers.files import replacing
from ppml_helpers.people.fictional import LABELS, without_traces
from ppml_helpers.people.identifiers import KEY_BYTES
from ppml_helpers.pseudonymise.vault.files import reason
from ppml_helpers.pseudonymise.vault.key_service import KeyService, check_name
from ppml_helpers.words import listed

ALGORITHM = "AES_GCM_V1"
_MAGIC = b"PARE"  # first and last bytes of a Parquet file with an encrypted footer
# What precedes the encrypted footer, in the Thrift compact protocol: AES_GCM_V1 with 8 random bytes and no AAD prefix,
# then the footer key's material as JSON. Nothing authenticates it, so it has to look exactly so.
_GCM = b"\x1c\x1c"
_PREAMBLE = re.compile(rb"\x1c\x1c\x28\x08.{8}\x12\x00\x00\x18[\x80-\xff]*[\x00-\x7f](\{[^}]*\})\x00", re.DOTALL)
_SERVICE = {"kms_instance_id": "ppml-helpers", "kms_instance_url": "in-memory"}
_MATERIAL = {
    "keyMaterialType": "PKMT1",
    "internalStorage": True,
    "isFooterKey": True,
    "kmsInstanceID": _SERVICE["kms_instance_id"],
    "kmsInstanceURL": _SERVICE["kms_instance_url"],
    "doubleWrapping": False,
}
_NAMED = 5  # columns of a key that an error names
_MARK = {b"ppml-helpers": b"write_encrypted"}  # in the authenticated footer: no column was left in plain text


def write_encrypted(
    table: pd.DataFrame,
    path: str | Path,
    column_keys: Mapping[str, Sequence[str]],
    keys: Mapping[str, bytes],
    footer_key: str,
) -> Path:
    """Write a table to Parquet with one key a group of columns, replacing an older file in one step.

    Every column must be named in exactly one group. A column for everybody who may open the file belongs in the
    group of the footer key, by name: nothing becomes readable because it was forgotten. An index with values of its
    own is a column too. Of the table's attributes only its label is kept ("fictional", `LABELS`), because everybody
    with the footer key would read them; and a category that no row has is left behind.

    Parameters
    ----------
    table : DataFrame
        Flat columns with distinct names.
    path : str or Path
        The file; its folder must exist.
    column_keys : mapping of str to sequence of str
        Columns by the name of their key.
    keys : mapping of str to bytes
        All master keys used, 32 bytes each, by name.
    footer_key : str
        Name of the key of the footer.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    service = KeyService(keys)
    content = _as_arrow(table)
    groups = _groups(content.schema.names, column_keys)
    for name in (*groups, footer_key):
        if name not in list(keys):  # a list compares, where a dict would hash
            raise VaultError(f"keys has no key named {name!r}, every group and the footer need one: add it to keys.")
    configuration = pe.EncryptionConfiguration(
        footer_key,
        # pyarrow writes a column that is named here under no key in plain text, so all are, the footer key's too.
        column_keys={name: columns for name, columns in groups.items() if columns},
        encryption_algorithm=ALGORITHM,
        plaintext_footer=False,
        double_wrapping=False,
        internal_key_material=True,
        data_key_length_bits=8 * KEY_BYTES,
    )
    factory = pe.CryptoFactory(lambda _: service)
    try:
        with replacing(path) as scratch:
            properties = factory.file_encryption_properties(pe.KmsConnectionConfig(**_SERVICE), configuration)
            pq.write_table(content, scratch, encryption_properties=properties)
    except pa.ArrowException:  # some types are refused only here
        raise _culprit(table) from None
    except OSError as error:
        raise VaultError(
            f"{path} cannot be written ({reason(error)}): free the disk or name a folder that can be written; "
            f"an older file is untouched."
        ) from None
    return path


def _as_arrow(table: Any) -> pa.Table:
    """Return the table as Arrow holds it, without what its metadata would tell to all who may open the footer."""
    checks.table(table, "table", error=VaultError)
    for name in table.columns:
        check_name(name, "column")
    plain = without_traces(pd.DataFrame(table))
    plain.columns = pd.Index(list(table.columns))  # no name of the axis, no list of categories
    plain.attrs = {name: text for name, text in table.attrs.items() if name in LABELS and isinstance(text, str)}
    counted = isinstance(plain.index, pd.RangeIndex) and plain.index.start == 0 and plain.index.step == 1
    try:
        content = pa.Table.from_pandas(plain, preserve_index=None if counted else True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise _culprit(table) from None
    for field in content.schema:
        check_name(field.name, "column")
        if pa.types.is_nested(field.type):
            raise VaultError(f"The column {field.name!r} holds {field.type}, columns must be flat: split or drop it.")
    for name in filter(lambda each: plain[each].dtype == object, plain.columns):  # what others hold, Arrow keeps
        pairs = zip(content[name].to_pylist(), plain[name], strict=True)
        if any(kept is not None and kept != value for kept, value in pairs):  # text beside bytes became bytes
            raise _unfit(f"The column {name!r}")
    notes = json.loads(content.schema.metadata[b"pandas"])
    for column in notes["columns"]:
        if column["pandas_type"] == "categorical":
            column["metadata"] = None  # how many categories there are
    return content.replace_schema_metadata({b"pandas": json.dumps(notes).encode(), **_MARK})


def _culprit(table: pd.DataFrame) -> VaultError:
    """Name the column that Arrow or Parquet refuses; never a value of it, as their own messages do."""
    for name in table.columns:
        try:
            column = pa.Table.from_pandas(pd.DataFrame(table[[name]]), preserve_index=False)
            pq.write_table(column, pa.BufferOutputStream())
        except Exception:  # whatever it is, this is the column
            return _unfit(f"The column {name!r}")
    return _unfit("The index")


def _unfit(what: str) -> VaultError:
    return VaultError(
        f"{what} has values that Parquet cannot hold as they are: give it one plain type, for example .astype(str)."
    )


def _groups(names: list[str], column_keys: Any) -> dict[str, list[str]]:
    """Return the columns of each key; every column of the table must be under exactly one."""
    lists = column_keys.values() if isinstance(column_keys, Mapping) else [None]
    if not all(isinstance(columns, Iterable) and not isinstance(columns, str | bytes) for columns in lists):
        raise VaultError("column_keys must be a dict of columns by key: write it as in {'labs': ['crea', 'sod']}.")
    groups = {key: list(columns) for key, columns in column_keys.items()}
    given = [column for columns in groups.values() for column in columns]
    for column in (*names, *given):
        if column not in names:
            raise VaultError(f"column_keys names {column!r}, which the table lacks: correct the name.")
        if given.count(column) != 1:
            rows = "; it holds the labels of the rows (reset_index(drop=True))" if column.startswith("__index") else ""
            raise VaultError(
                f"The column {column!r} is under {given.count(column)} keys, it must be under exactly one: name it in "
                f"one group (that of the footer key for everybody who may open the file), or drop it{rows}."
            )
    return groups


def read_as(path: str | Path, keys: Mapping[str, bytes], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read what a role may read.

    Parameters
    ----------
    path : str or Path
        A file that `write_encrypted` wrote.
    keys : mapping of str to bytes
        The master keys that the role holds, by name; without the footer key nothing can be read.
    columns : sequence of str, optional
        Columns to read, in this order; otherwise all, which needs all keys.

    Returns
    -------
    DataFrame

    Raises
    ------
    ColumnAccessError
        If the role lacks the key of a column; the message names columns and keys.
    VaultError
        If the footer key is missing, a key is wrong, or any byte that was read has been altered.
    """
    service = KeyService(keys)
    with _opened(Path(path), service) as file:
        names = file.schema_arrow.names
        if isinstance(columns, str) or not isinstance(columns, Iterable | None):
            raise VaultError(f"columns = {columns!r} must be a list of columns: write [{columns!r}].")
        wanted = [
            checks.choice(name, "columns", names, error=VaultError) for name in (names if columns is None else columns)
        ]
        try:
            content = file.read(columns=wanted, use_threads=False).select(wanted)
            return content.to_pandas(integer_object_nulls=True)  # or whole numbers beside a missing one become floats
        except ColumnAccessError:
            raise ColumnAccessError(_denied(file, wanted, service)) from None


def readable(path: str | Path, keys: Mapping[str, bytes]) -> list[str]:
    """Return the columns that a role can read, in the file's order."""
    service = KeyService(keys)
    with _opened(Path(path), service) as file:
        return [name for name in file.schema_arrow.names if _lock(file, name, service) is None]


def _lock(file: pq.ParquetFile, name: str, service: KeyService) -> str | None:
    """Return the name of the key that a column needs and the role lacks, or None; by trying to read a row."""
    try:
        next(file.iter_batches(batch_size=1, columns=[name], use_threads=False), None)
    except (ColumnAccessError, VaultError):
        return service.refused
    return None


def _denied(file: pq.ParquetFile, wanted: list[str], service: KeyService) -> str:
    """Name the columns that a role asked for in vain, and the keys they need, in one sentence."""
    locked: dict[str, list[str]] = {}
    for name in wanted:
        if key := _lock(file, name, service):
            locked.setdefault(key, []).append(name)
    parts = [f"{listed(map(repr, names), most=_NAMED)} (key {key!r})" for key, names in locked.items()]
    return (
        f"This role lacks the key of {'; of '.join(parts)}: leave that out of `columns` (readable(path, keys) lists "
        f"what it may read) or ask the data owner."
    )


@contextlib.contextmanager
def _opened(path: Path, service: KeyService) -> Iterator[pq.ParquetFile]:
    """Open a file for a role; whatever pyarrow finds wrong, also later in the block, is one sentence."""
    # A factory for each reading: its cache of data keys must not serve another role.
    factory = pe.CryptoFactory(lambda _: service)
    try:
        _check_frame(path)
        properties = factory.file_decryption_properties(
            pe.KmsConnectionConfig(**_SERVICE), pe.DecryptionConfiguration()
        )
        try:
            file = pq.ParquetFile(path, decryption_properties=properties)
        except ColumnAccessError:
            raise VaultError(
                f"{path.name} needs the footer key {service.refused!r} to be opened at all, and this role does not "
                f"hold it: ask the data owner for it."
            ) from None
        with file:
            if not _MARK.items() <= (file.schema_arrow.metadata or {}).items():
                raise ValueError("its footer lacks the mark of write_encrypted, so columns may be in plain text")
            yield file
    except KitError:
        raise
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise VaultError(f"{path} cannot be read ({reason(error)}): name a file that write_encrypted wrote.") from None
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise VaultError(
            f"{path} is altered, cut short or no file of write_encrypted ({reason(error)[:100]}): "
            f"restore it from a backup."
        ) from None


def _check_frame(path: Path) -> None:
    """Check what pyarrow leaves unchecked: first and last bytes, the algorithm, the plain part of the footer key."""
    with path.open("rb") as stream:
        start = stream.read(4)
        size = stream.seek(0, 2)
        stream.seek(max(size - 8, 0))
        tail = stream.read(8)
        length = int.from_bytes(tail[:4], "little")
        if start != _MAGIC or tail[4:] != _MAGIC or not 0 < length <= size - 12:
            if start == tail[4:] == b"PAR1":
                raise VaultError(
                    f"{path} is Parquet with a footer in plain text, only encrypted footers are read: write it with "
                    f"write_encrypted."
                )
            raise ValueError("no encrypted Parquet file")
        stream.seek(size - 8 - length)
        preamble = stream.read(min(length, 4096))
    if not preamble.startswith(_GCM):
        raise VaultError(f"{path} is not encrypted with {ALGORITHM}, only that is read: write it with write_encrypted.")
    found = _PREAMBLE.match(preamble)
    material = json.loads(found[1]) if found else {}
    if {name: material.get(name) for name in _MATERIAL} != _MATERIAL or len(material) != len(_MATERIAL) + 2:
        raise ValueError("its key material is not what write_encrypted writes")
