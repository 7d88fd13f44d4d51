"""The worksheet of an own table: what each column means, saved while somebody decides it."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as W

from ppml_helpers import words
from ppml_helpers.choose.proposal import KINDS, SEVERAL, USES, Column, Roles, read_roles, with_target
from ppml_helpers.choose.table import Table
from ppml_helpers.errors import TableError
from ppml_helpers.plain_text import visible

_LOOK: dict[str, Any] = {"style": {"description_width": "150px"}, "layout": {"width": "640px"}}
_NUMBERS = ("low", "high", "fill")


class RolesWorksheet:
    """Say what the columns of a table mean; end a cell with it to show it.

    Each change is saved at once, in place of the file, so that a kernel that ends takes nothing with it. It shows
    names of columns and what was said of them, and no row.

    Parameters
    ----------
    table : Table
        Its roles, or else its proposal, are where one begins.
    path : str or Path
        The TOML file, see `table.roles_path`; if it is there, it is read.

    Raises
    ------
    TableError
        If the file is there and cannot be read, or cannot be written.
    """

    def __init__(self, table: Table, path: str | Path) -> None:
        self.path, self._reading = Path(path), False
        names = set(map(str, table.frame.columns))
        self.roles: Roles = read_roles(self.path) if self.path.is_file() else table.roles or table.proposal
        if set(self.roles.columns) != names:
            raise TableError(f"{self.path} is about other columns than {table.name}: name another file, or delete it.")
        offered = [("(choose)", ""), *((_short(name), name) for name in self.roles.columns)]
        self.target = W.Dropdown(options=offered, value=self.roles.target, description="predict", **_LOOK)
        self.positive = W.Text(value=self.roles.positive, description="where it is", **_LOOK)
        self.outcome = W.Text(value=self.roles.outcome, description="which means", **_LOOK)
        people = [("each row is a person", ""), *offered[1:]]
        self.person = W.Dropdown(options=people, value=self.roles.person, description="people are told by", **_LOOK)
        self.several = W.Dropdown(options=SEVERAL, value=self.roles.several, description="several rows are", **_LOOK)
        self.column = W.Dropdown(options=offered[1:], description="column", **_LOOK)
        self.use = W.Dropdown(options=USES, description="use", **_LOOK)
        self.kind = W.Dropdown(options=[("", ""), *((kind, kind) for kind in KINDS)], description="kind", **_LOOK)
        self.quasi_identifier = W.Checkbox(description="others may know it (quasi-identifier)", **_LOOK)
        self.sensitive = W.Checkbox(description="nobody should learn it (sensitive)", **_LOOK)
        self.numbers = {
            name: W.Text(description=f"{name}, public", placeholder="a number", **_LOOK) for name in _NUMBERS
        }
        self.levels = W.Text(description="all names, public", placeholder="separated by ;", **_LOOK)
        self.source = W.Text(description="where they come from", placeholder="a rule, a range, a form", **_LOOK)
        self._said = W.HTML()
        self._wire()
        self._show()

    @property
    def _of_column(self) -> tuple[W.Widget, ...]:
        numbers = tuple(self.numbers.values())
        return self.use, self.kind, self.quasi_identifier, self.sensitive, *numbers, self.levels, self.source

    def _wire(self) -> None:
        top = (self.target, self.positive, self.outcome, self.person, self.several)
        for field in (*top, *self._of_column):
            field.observe(lambda _: self._keep(), "value")
        self.column.observe(lambda _: self._show(), "value")
        self._box = W.VBox([*top, self.column, *self._of_column, self._said])

    def _show(self) -> None:
        """Show what is said of the chosen column."""
        one, self._reading = self.roles.columns[self.column.value], True
        self.use.value, self.kind.value, self.source.value = one.use, one.kind, one.source
        self.quasi_identifier.value, self.sensitive.value = one.quasi_identifier, one.sensitive
        for name, field in self.numbers.items():
            value = getattr(one, name)
            field.value = "" if value is None else f"{value:.15g}"
        self.levels.value = "; ".join(one.levels)
        self._reading = False
        self._count()

    def _keep(self) -> None:
        """Save what the fields say; a number that is none, or a file that cannot be written, is told below them."""
        if self._reading:
            return
        try:
            columns = {**self.roles.columns, self.column.value: self._said_of_column()}
            top = {name: getattr(self, name).value for name in ("positive", "outcome", "person", "several")}
            roles = replace(self.roles, columns=columns, **top)
            roles = with_target(roles, self.target.value) if self.target.value else roles
            roles.save(self.path)
        except TableError as refused:
            self._said.value = f'<b role="alert">Not saved: {html.escape(visible(str(refused)))}</b>'
            return
        changed, self.roles = self.roles.columns != roles.columns, roles
        if changed:
            self._show()
        self._count()

    def _said_of_column(self) -> Column:
        numbers = {name: _number(field.value, name) for name, field in self.numbers.items()}
        return replace(
            self.roles.columns[self.column.value],
            use=self.use.value,
            kind=self.kind.value,
            quasi_identifier=self.quasi_identifier.value,
            sensitive=self.sensitive.value,
            levels=tuple(level.strip() for level in self.levels.value.split(";") if level.strip()),
            source=self.source.value,
            **numbers,
        )

    def _count(self) -> None:
        left = self.roles.unconfirmed
        said = "Every bound and name has a public source."
        if left:
            few = words.listed(map(_short, left), most=3)
            said = f"{words.counted(len(left), 'column')} still without a public source: {few}."
        predicted = "" if self.roles.target else " Choose what to predict."
        self._said.value = html.escape(visible(f"{said}{predicted} Saved in {self.path.name}."))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Give the live worksheet, and for places without a kernel a sentence."""
        told = f"The roles of {len(self.roles.columns)} columns, to be decided in JupyterLab."
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        return {"text/plain": told, "text/html": told, "application/vnd.jupyter.widget-view+json": view}


def _number(text: str, name: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise TableError(f"{name} = {text!r:.40} is no number: write one with a point.") from None


def _short(name: str) -> str:
    """Return a column's name for a list, without what could reorder it."""
    shown = visible(name)
    return shown if len(shown) <= 60 else f"{shown[:60]}... ({len(shown):,} characters)"
