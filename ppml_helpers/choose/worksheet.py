"""The worksheet of the review: a box for each question, saved while somebody types."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import ipywidgets as W

from ppml_helpers.choose.questions import PARTS, QUESTIONS
from ppml_helpers.choose.report import Section
from ppml_helpers.choose.review import Answer, Kept, Review, export_review
from ppml_helpers.choose.scoreboard import Row
from ppml_helpers.errors import KitError, ReportError
from ppml_helpers.plain_text import visible

_SHOWN = 300  # characters of another person's answer; the report has all


def _now() -> str:
    """Return the time of this computer, with its zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


class ReviewWorksheet:
    """Answer the questions of the review; end a cell with it to show it.

    What is typed is kept at once, so that a kernel that ends takes nothing with it. The same review may be open in
    several notebooks: if two people answer one question, both answers are kept, and the worksheet says so.

    Parameters
    ----------
    path : str or Path, optional
        As for `Review`.
    rows, measured
        What was measured, for the report: as for `export_review`.
    now : callable, optional
        Returns the time that is written beside an answer.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        rows: Sequence[Row] = (),
        measured: Mapping[str, Sequence[Section]] | None = None,
        now: Callable[[], str] = _now,
    ) -> None:
        self.review = Review(path)
        self._rows, self._measured, self._now = rows, measured, now
        self._seen: dict[str, Answer | None] = dict.fromkeys(QUESTIONS)
        self._reading, self._unsaved = False, set[str]()
        self.by = W.Text(description="your name", placeholder="stands beside your answers", style=_NARROW)
        self.part = W.Dropdown(
            description="part",
            options=[(f"{n} {heading}", part) for n, (part, (heading, _)) in enumerate(PARTS.items(), 1)],
            style=_NARROW,
            layout={"width": "480px"},
        )
        self.again = W.Button(description="Read again", icon="refresh", tooltip="Show what others wrote meanwhile")
        self.fields = {name: _field(name) for name in QUESTIONS}
        self._said = {name: W.HTML() for name in QUESTIONS}
        self.only = {name: W.Button(description="Keep only this one", layout={"display": "none"}) for name in QUESTIONS}
        self.write = W.Button(description="Write the report", icon="file-text-o", tooltip="As a web page and Markdown")
        self._done, self._links, self._page = W.HTML(), W.HTML(), W.VBox()
        top = W.HBox([self.by, self.again, self._done], layout=_WRAP)
        self._box = W.VBox([top, self.part, self._page, W.HBox([self.write, self._links], layout=_WRAP)])
        self.read()
        self._wire()
        self._turn()

    def read(self) -> None:
        """Show what is in the file; what could not be saved is tried again, and stays if that fails."""
        for name in sorted(self._unsaved):
            self._keep(name)
        try:
            kept = self.review.read()
        except ReportError as refused:
            self._done.value = _alert(str(refused))
            return
        self._reading = True
        for name in self.fields.keys() - self._unsaved:
            field = self.fields[name]
            some = kept.get(name, Kept())
            field.value = some.first.text if some.first else ""
            self._show(name, some)
        self._reading = False
        self._count(kept)

    def _wire(self) -> None:
        """Let typing save, and the buttons and the part do what they say."""
        for name, field in self.fields.items():
            field.observe(lambda _, name=name: self._keep(name), "value")
            self.only[name].on_click(lambda _, name=name: self._settle(name))
        self.again.on_click(lambda _: self.read())
        self.write.on_click(lambda _: self._export())
        self.part.observe(lambda _: self._turn(), "value")

    def _turn(self) -> None:
        """Show the questions of the chosen part."""
        rows = []
        for name, question in QUESTIONS.items():
            if question.part == self.part.value:
                asked = f"<b>{html.escape(question.asks)}</b><br><small>{html.escape(question.think_of)}</small>"
                rows += [W.HTML(asked), self.fields[name], W.HBox([self._said[name], self.only[name]])]
        self._page.children = rows

    def _keep(self, name: str) -> None:
        """Save what stands in a box, over what this worksheet last saw of it."""
        before, text = self._seen[name], self.fields[name].value
        if self._reading or text == (before.text if before else ""):
            return
        new = Answer(text, self.by.value, self._now())
        try:
            some = self.review.write(name, new, before)
        except ReportError as refused:
            self._unsaved.add(name)
            self._said[name].value = _alert(f"Not saved: {refused}")
            return
        self._unsaved.discard(name)
        self._show(name, some, new if text.strip() else None)
        self._count(self.review.read())

    def _settle(self, name: str) -> None:
        """Drop the other answers to a question, and keep the one in the box."""
        mine = self._seen[name]
        try:
            some = self.review.settle(name, mine) if mine else Kept()
        except ReportError as refused:
            self._said[name].value = _alert(str(refused))
            return
        self._show(name, some, mine)

    def _export(self) -> None:
        """Write the report, and give it to the browser: its folder may lie on another computer."""
        try:
            page = export_review(self.review, rows=self._rows, measured=self._measured)
        except KitError as refused:
            self._links.value = _alert(f"Not written: {refused}")
            return
        links = (_link(path) for path in (page, page.with_suffix(".md")))
        self._links.value = f"Written. Save {' or '.join(links)}"

    def _show(self, name: str, some: Kept, mine: Answer | None = None) -> None:
        """Say below a box who answered, and which other answers are kept."""
        self._seen[name] = mine or some.first
        others = [one for one in some.answers if one != self._seen[name]]
        said = f"Saved {_text(self._seen[name].signed)}." if self._seen[name] else ""
        for one in others:
            cut = one.text if len(one.text) <= _SHOWN else f"{one.text[:_SHOWN]} ... ({len(one.text):,} characters)"
            said += f"<br>{_alert(f'Another answer is kept beside it, {one.signed}: {cut}')}"
        self._said[name].value = said
        self.only[name].layout.display = "flex" if others else "none"

    def _count(self, kept: dict[str, Kept]) -> None:
        self._done.value = f"{len(kept.keys() & QUESTIONS.keys())} of {len(QUESTIONS)} answered"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Give the live worksheet, and for places without a kernel its list of questions, never the answers."""
        questions = {part: [one.asks for one in QUESTIONS.values() if one.part == part] for part in PARTS}
        listed = "".join(
            f"<li>{PARTS[part][0]}<ol>{''.join(f'<li>{asked}</li>' for asked in some)}</ol></li>"
            for part, some in questions.items()
        )
        head = f"The review: {len(QUESTIONS)} questions in {len(PARTS)} parts"
        return {
            "text/plain": f"{head}, to be answered in JupyterLab.",
            "text/html": f"<details><summary>{head}</summary><ol>{listed}</ol></details>",
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self._box.model_id,
            },
        }


_WRAP = {"flex_flow": "row wrap"}
_NARROW = {"description_width": "90px"}


def _field(name: str) -> W.Textarea:
    """Return the box for one answer; its label is the question's name, its title the question."""
    return W.Textarea(
        description=name.replace("_", " "),
        tooltip=QUESTIONS[name].asks,
        placeholder="not answered",
        rows=3,
        style={"description_width": "120px"},
        layout={"width": "98%"},
    )


def _link(path: Path) -> str:
    """Return a link that hands a file to the browser, from within the page."""
    kind = {".html": "text/html", ".md": "text/markdown"}[path.suffix]
    inside = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return f'<a download="{path.name}" href="{inside}" style="text-decoration:underline">{path.name}</a>'


def _text(text: str) -> str:
    return html.escape(visible(text))


def _alert(text: str) -> str:
    return f'<span role="alert">{_text(text)}</span>'
