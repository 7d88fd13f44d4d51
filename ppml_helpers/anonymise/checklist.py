"""The release checklist: one page that says what leaves the hospital, who decided it, and what it still tells.

What can be counted is counted from the release by code. The rest are questions, and the page is not complete while one
of them has no answer. It is kept as a small JSON file in the folder `releases` of the results, where the last chapter
finds it.
"""

from __future__ import annotations

import datetime
import html
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from ppml_helpers import checks, outcome, words
from ppml_helpers.anonymise.disclosure_attack import background_knowledge
from ppml_helpers.anonymise.models import k_anonymity, l_diversity, t_closeness
from ppml_helpers.anonymise.released import Released, check_released
from ppml_helpers.errors import AnonymityError
from ppml_helpers.files import keep

QUESTIONS: Mapping[str, str] = MappingProxyType(
    {
        "purpose": "What is the table for?",
        "recipient": "Who gets it, and under which agreement?",
        "why_columns": "Why is each column needed?",
        "who_knows": "Who could know which of the columns about a patient?",
        "why_k": "Why this k?",
        "why_secret": "Why is this the secret, and is no other column one?",
        "who_is_left_out": "Who is left out or coarsened most, and is the result still fair to them?",
        "still_leaks": "What does the table still tell, and to whom?",
        "earlier": "What was released about these patients before?",
        "decision": "Release, do not release, or ask first?",
        "date": "When was it decided?",
        "name": "Who decided it?",
    }
)
"""What only a person can answer, in the order of the page."""

DECISIONS = ("release", "do not release", "ask first")
FOLDER = "releases"  # in the folder of the results

_TITLE = re.compile(r"[A-Za-z0-9]+(?:[ -][A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Checklist:
    """What is decided about one release, on one page.

    Make it with `measure`, answer with `answer`; neither changes a page, each returns a new one.

    Parameters
    ----------
    title : str
        Which release this is: letters, digits, single spaces and hyphens, at most 60.
    measured : dict of str to text or number
        Counted from the release.
    answers : dict of str to str
        Answers to `QUESTIONS`, as many as there are yet.
    """

    title: str
    measured: Mapping[str, str | int | float]
    answers: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuse a title that is no file name, and an answer that is none."""
        if not isinstance(self.title, str) or not _TITLE.fullmatch(self.title) or len(self.title) > 60:
            raise AnonymityError(
                f"title = {self.title!r} must be at most 60 letters and digits, with single spaces or hyphens between "
                f"them: it names the file, too."
            )
        for question, answer in self.answers.items():
            _check_answer(question, answer)

    @classmethod
    def measure(
        cls,
        title: str,
        released: Released,
        original: pd.DataFrame,
        secret: str,
        groups: Sequence[str] = (),
        figures: Mapping[str, float] | None = None,
    ) -> Checklist:
        """Begin the page of a release with all that can be counted.

        Parameters
        ----------
        title : str
        released : Released
            From `Lattice.apply` or `mondrian`.
        original : DataFrame
            The table that was anonymised; it may have more columns.
        secret : str
            The column that l and t are counted for.
        groups : sequence of str
            Columns of `original` whose groups are looked at: which lost the largest share of its patients.
        figures : mapping of str to float, optional
            What was measured besides: the AUC, what an attack got.

        Returns
        -------
        Checklist

        Raises
        ------
        AnonymityError
            If the release has no rows or was made from another table, or a column is unknown.
        """
        check_released(released, some=True)
        checks.table(original, "The original", groups, error=AnonymityError)
        if len(original) != released.n:
            raise AnonymityError(
                f"The release was made from {released.n} rows, the original has {len(original)}: pass the table that "
                f"was anonymised."
            )
        table, qi = released.table, list(released.qi)
        undeclared = [name for name in table.columns if name not in (*qi, secret)]
        measured = {
            "rows": len(table),
            "columns": words.listed(table.columns),
            "declared quasi-identifiers": words.listed(qi),
            "columns not declared": words.listed(undeclared) or "none",
            "k": k_anonymity(table, qi),
            "secret": secret,
            "l": int(l_diversity(table, qi, secret)),
            "t": round(t_closeness(table, qi, secret), 2),
            "secret certain, share of patients": round(background_knowledge(table, qi, secret, 0), 3),
            "patients left out": released.suppressed,
            "left out most": _left_out_most(released, original, groups),
        }
        return cls(title, {**measured, **_rounded(figures or {})}, {})

    def answer(self, **answers: str) -> Checklist:
        """Return the page with these answers to `QUESTIONS`, by their names."""
        return Checklist(self.title, self.measured, {**self.answers, **answers})

    @property
    def missing(self) -> list[str]:
        """Names of the questions without an answer."""
        return [question for question in QUESTIONS if question not in self.answers]

    @property
    def complete(self) -> bool:
        """Whether every question has an answer."""
        return not self.missing

    def save(self, folder: str | Path | None = None) -> Path:
        """Keep a complete page for a later chapter; one of the same title is replaced.

        Parameters
        ----------
        folder : str or Path, optional
            Of the results, as for `outcome.save`.

        Raises
        ------
        AnonymityError
            If an answer is missing, or the file cannot be written.
        """
        if self.missing:
            raise AnonymityError(
                f"{words.counted(len(self.missing), 'answer').capitalize()} missing ({words.listed(self.missing)}): a "
                f"page with a gap is no decision, so answer all, then save."
            )
        target = _folder(folder) / f"{self.title.lower().replace(' ', '-')}.json"
        mend = f"free the disk, or let {outcome.FOLDER_VARIABLE} name a folder that can be written"
        return keep(target, asdict(self), mend, AnonymityError)

    @classmethod
    def load(cls, folder: str | Path | None = None) -> list[Checklist]:
        """Read all pages that were saved, sorted by title; none if there is no folder yet."""
        return sorted(map(_read, _folder(folder).glob("*.json")), key=lambda page: page.title)

    def lines(self) -> list[tuple[str, str]]:
        """Return the page as pairs of a heading and what stands beside it."""
        open_ = "... (not answered)"
        answered = [(question, self.answers.get(name, open_)) for name, question in QUESTIONS.items()]
        return [*((name, str(value)) for name, value in self.measured.items()), *answered]

    @property
    def _head(self) -> str:
        state = "complete" if self.complete else f"{words.counted(len(self.missing), 'answer')} missing"
        return f"Release checklist: {self.title} ({state})"

    def __repr__(self) -> str:
        """Show the page as text."""
        return "\n".join([self._head, *(f"  {name}  {value}" for name, value in self.lines())])

    def _repr_html_(self) -> str:
        """Show the page with a heading beside each entry."""
        style = "display:grid;grid-template-columns:2fr 3fr;gap:2px 12px;max-width:770px;line-height:1.4"
        entries = (
            f"<div style='color:#555555'>{html.escape(name)}</div><div>{html.escape(value)}</div>"
            for name, value in self.lines()
        )
        return f"<b>{html.escape(self._head)}</b><div style='{style}'>{''.join(entries)}</div>"


def _check_answer(question: str, answer: Any) -> None:
    checks.choice(question, "The question", QUESTIONS, error=AnonymityError)
    if not isinstance(answer, str) or not answer.strip(" .…?-"):
        raise AnonymityError(f"{question} = {answer!r} must be a text that answers {QUESTIONS[question]!r}: write one.")
    if question == "decision":
        checks.choice(answer, question, DECISIONS, error=AnonymityError)
    if question == "date":
        try:
            datetime.date.fromisoformat(answer)
        except ValueError:
            raise AnonymityError(f"date = {answer!r} must be a day such as '2026-11-28': write it so.") from None


def _left_out_most(released: Released, original: pd.DataFrame, groups: Sequence[str]) -> str:
    """Name the group that lost the largest share of its patients; of equals the first."""
    if not released.suppressed:
        return "nobody"
    gone = pd.Series(True, index=range(released.n))
    gone.iloc[released.kept] = False
    shares = [
        (float(share), f"{column} {name}")
        for column in groups
        for name, share in gone.groupby(original[column].astype(object).fillna("missing").to_numpy()).mean().items()
    ]
    if not shares:
        return "not looked at"
    share, group = max(shares, key=lambda pair: pair[0])
    return f"{group}: {words.percent(share)} of them"


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    numbers = {str(name): checks.number(value, str(name), error=AnonymityError) for name, value in figures.items()}
    return {name: int(value) if value.is_integer() else round(value, 3) for name, value in numbers.items()}


def _folder(folder: str | Path | None) -> Path:
    return Path(folder or os.environ.get(outcome.FOLDER_VARIABLE) or outcome.DEFAULT_FOLDER) / FOLDER


def _read(file: Path) -> Checklist:
    mend = "delete it, and save the page again"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or set(content) != {field.name for field in fields(Checklist)}:
            raise ValueError("it must hold a title, what was measured, and answers")
        return Checklist(**content)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise AnonymityError(f"{file} is damaged or cannot be read ({error}): {mend}.") from None
