"""The worksheet of an own table: what is chosen is in the file at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_tables import hostile, mixed

from ppml_helpers.choose.own_table.worksheet import RolesWorksheet
from ppml_helpers.choose.proposal import READ, read_roles
from ppml_helpers.choose.table import Table
from ppml_helpers.errors import TableError

TABLE = Table.read(mixed(80))


def test_what_is_chosen_is_in_the_file_and_another_worksheet_begins_with_it(tmp_path: Path) -> None:
    sheet = RolesWorksheet(TABLE, tmp_path / "own.toml")
    assert sheet._said.value.startswith("6 columns still without a public source: age, sex, dose and 3 more.")
    assert "Choose what to predict" in sheet._said.value
    sheet.target.value = "died"
    sheet.column.value = "age"
    assert sheet.source.value == READ
    sheet.numbers["low"].value, sheet.numbers["high"].value, sheet.numbers["fill"].value = "18", "100", "60"
    sheet.source.value = "adults"
    sheet.column.value = "ward"
    sheet.levels.value = "A; B;C ; D"
    sheet.sensitive.value = True
    roles = read_roles(tmp_path / "own.toml")
    assert roles == sheet.roles == RolesWorksheet(TABLE, tmp_path / "own.toml").roles
    assert (roles.target, roles.columns["age"].low, roles.columns["age"].known) == ("died", 18, "18 to 100 (adults)")
    assert roles.columns["ward"].levels == ("A", "B", "C", "D")
    assert roles.columns["ward"].sensitive
    assert "age" not in roles.unconfirmed


def test_looking_at_a_column_changes_nothing(tmp_path: Path) -> None:
    sheet = RolesWorksheet(TABLE, tmp_path / "own.toml")
    for name in sheet.roles.columns:
        sheet.column.value = name
    assert sheet.roles == TABLE.proposal
    assert not (tmp_path / "own.toml").exists()


def test_what_cannot_be_saved_is_told_and_the_file_stays(tmp_path: Path) -> None:
    sheet = RolesWorksheet(TABLE, tmp_path / "own.toml")
    sheet.target.value = "died"
    before = (tmp_path / "own.toml").read_bytes()
    sheet.column.value = "age"
    sheet.numbers["low"].value = "<b>eighteen"
    assert "Not saved" in sheet._said.value
    assert "<b>eighteen" not in sheet._said.value
    assert (tmp_path / "own.toml").read_bytes() == before
    with pytest.raises(TableError, match="about other columns"):
        RolesWorksheet(Table.read(hostile(80)), tmp_path / "own.toml")


def test_names_of_columns_are_text_and_every_control_has_a_label(tmp_path: Path) -> None:
    sheet = RolesWorksheet(Table.read(hostile(80)), tmp_path / "own.toml")
    shown = [label for label, _ in sheet.column.options]
    assert max(map(len, shown)) < 100
    assert "\u202e" not in "".join(shown) + sheet._said.value
    assert "<script>" not in sheet._said.value
    assert all(field.description for field in sheet._box.children[:-1])
    assert set(sheet._repr_mimebundle_()) >= {"text/plain", "application/vnd.jupyter.widget-view+json"}
