"""What `write_encrypted` and `read_as` refuse before pyarrow sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from ppml_helpers.errors import VaultError
from ppml_helpers.pseudonymise.vault.key_service import check_name


def checked_groups(names: list[str], column_keys: Any) -> dict[str, list[str]]:
    """Return the columns of each key; every column of the table must be under exactly one."""
    if not isinstance(column_keys, Mapping):
        raise VaultError(
            f"column_keys is a {type(column_keys).__name__}, it must be a dict of columns by key name: "
            f"{{'labs': ['crea', 'sod']}}."
        )
    groups = {}
    for key, columns in column_keys.items():
        if isinstance(columns, str | bytes) or not isinstance(columns, Iterable):
            raise VaultError(f"column_keys[{key!r}] = {columns!r} must be a list of columns: write [{columns!r}].")
        groups[key] = list(columns)
    group_of: dict[str, str] = {}
    for key, columns in groups.items():
        for column in columns:
            if column not in names:
                raise VaultError(
                    f"The key {key!r} is for the column {column!r}, which the table lacks: correct the name."
                )
            if column in group_of:
                raise VaultError(
                    f"The column {column!r} is under the keys {group_of[column]!r} and {key!r}, it must be under "
                    f"exactly one: choose one."
                )
            group_of[column] = key
    if open_ones := [name for name in names if name not in group_of]:
        raise VaultError(
            f"No key for the column(s) {', '.join(map(repr, open_ones))}, each must be under exactly one: add them to "
            f"a group (that of the footer key for everybody who may open the file) or drop them."
        )
    return groups


def checked_columns(columns: Any, names: list[str]) -> list[str]:
    """Return the columns asked for, if the file has them."""
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise VaultError(f"columns = {columns!r} must be a list of columns: write [{columns!r}].")
    wanted = list(columns)
    for position, column in enumerate(wanted):
        if column not in names:
            raise VaultError(f"The file has no column {column!r}: it has {', '.join(names)}.")
        if column in wanted[:position]:
            raise VaultError(f"columns names {column!r} twice: name each column once.")
    if not wanted:
        raise VaultError("columns is empty: name at least one column, or leave it out to read all.")
    return wanted


def as_table(table: Any) -> pa.Table:
    """Return the table as Arrow holds it, if its columns are flat and have distinct names."""
    if not isinstance(table, pd.DataFrame | pa.Table):
        raise VaultError(f"table is a {type(table).__name__}, it must be a DataFrame or a pyarrow Table: convert it.")
    names = [str(name) for name in (table.columns if isinstance(table, pd.DataFrame) else table.schema.names)]
    if twice := [name for position, name in enumerate(names) if name in names[:position]]:
        raise VaultError(f"The table has two columns {twice[0]!r}, names must differ: rename one.")
    try:
        content = pa.Table.from_pandas(table) if isinstance(table, pd.DataFrame) else table
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise VaultError(
            f"The table has a column that Parquet cannot hold ({'; '.join(map(str, error.args))[:200]}): give each "
            f"column one type, for example with .astype(str)."
        ) from None
    for field in content.schema:
        check_name(field.name, "column")
        if pa.types.is_nested(field.type):
            raise VaultError(f"The column {field.name!r} holds {field.type}, columns must be flat: split or drop it.")
    if not content.schema.names:
        raise VaultError("The table has no columns, there is nothing to encrypt: pass one that has.")
    return content
