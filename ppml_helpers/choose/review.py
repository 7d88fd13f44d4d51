"""The review: answers to the questions of an impact assessment, kept as they are typed, and the report made of them.

Answers lie in one JSON file. Whoever writes says which answer they had before their eyes. If it is still the one that
is kept, the new one takes its place; if somebody else has written in the meantime, both are kept, and the newer one
stands first until a person decides.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from ppml_helpers import checks, cohort, outcome, words
from ppml_helpers.anonymise.checklist import Checklist
from ppml_helpers.choose.questions import LAW, PARTS, QUESTIONS
from ppml_helpers.choose.report import Quoted, Section, write
from ppml_helpers.choose.scoreboard import WHO, Row, table
from ppml_helpers.errors import ReportError
from ppml_helpers.files import keep
from ppml_helpers.private_training.choice import Choice

FILE = Path("review") / "review.json"  # in the folder of the results
_WAIT = 10.0  # seconds for another notebook to finish its write
_OPEN = "Not answered."
_FOLDS = 5
NO_ADVICE = (
    "This report is no legal advice. It collects measurements and answers for those who decide: whether the processing "
    "is lawful is for the controller to judge, with the data protection officer."
)


@dataclass(frozen=True)
class Answer:
    """What somebody answered, and when.

    Parameters
    ----------
    text : str
        As it was typed.
    by : str
        Who answered; may be empty.
    at : str
        When, as "2026-11-29" or "2026-11-29T08:20:00".

    Raises
    ------
    ReportError
        If one is no text, or `at` no time.
    """

    text: str
    by: str
    at: str

    def __post_init__(self) -> None:
        """Refuse what is no text and no time; half characters, which no file can hold, are written out."""
        for name, value in asdict(self).items():
            if not isinstance(value, str):
                raise ReportError(f"{name} = {checks.shown(value)} must be text: write some.")
            object.__setattr__(self, name, value.encode("utf-8", "backslashreplace").decode())
        try:
            datetime.fromisoformat(self.at)
        except ValueError:
            raise ReportError(f"at = {self.at!r} must be a time such as '2026-11-29T08:20:00': write it so.") from None

    @property
    def when(self) -> datetime:
        """The time; one without a zone counts as UTC, so that all can be put in order."""
        time = datetime.fromisoformat(self.at)
        return time if time.tzinfo else time.replace(tzinfo=UTC)

    @property
    def signed(self) -> str:
        """When it was answered and by whom, in words."""
        when = self.when.strftime("%Y-%m-%d %H:%M" if "T" in self.at else "%Y-%m-%d")
        return f"{when}, by {self.name or 'somebody who gave no name'}"  # last: it may be written from right to left

    @property
    def name(self) -> str:
        """The name in one short line."""
        return " ".join(self.by.split())[:100]


@dataclass(frozen=True)
class Kept:
    """The answers to one question: the newest first; more than one if two people wrote at the same time."""

    answers: tuple[Answer, ...] = ()

    @property
    def first(self) -> Answer | None:
        """The newest answer, if there is one."""
        return self.answers[0] if self.answers else None

    def with_(self, new: Answer, over: Answer | None) -> Kept:
        """Return the answers with `new` in the place of `over`, or beside the others if `over` is not among them."""
        if new == over:
            return self
        others = tuple(one for one in self.answers if one != over and (one.text, one.by) != (new.text, new.by))
        mine = (new,) if new.text.strip() else ()
        # Sorting is stable: of two answers of the same second the one that came later stands first.
        return Kept(tuple(sorted((*mine, *others), key=lambda one: one.when, reverse=True)))


class Review:
    """The answers of one review, in a file that any number of notebooks may have open.

    Parameters
    ----------
    path : str or Path, optional
        A JSON file, made with the first answer; otherwise `review/review.json` in the folder of the results.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        folder = Path(os.environ.get(outcome.FOLDER_VARIABLE) or outcome.DEFAULT_FOLDER)
        self.path = Path(path) if path is not None else folder / FILE

    def read(self) -> dict[str, Kept]:
        """Return what is kept, by the question's name; nothing for those without an answer.

        Raises
        ------
        ReportError
            If the file is damaged or cannot be read.
        """
        mend = "give it another name, and begin anew or mend it by hand"
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            kept = {name: Kept(tuple(Answer(**one) for one in answers)) for name, answers in content.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ReportError(f"{self.path} is damaged or cannot be read ({error}): {mend}.") from None
        return {name: one for name, one in kept.items() if one.answers}

    def write(self, name: str, new: Answer, over: Answer | None) -> Kept:
        """Keep an answer; return all that are kept to this question now.

        Parameters
        ----------
        name : str
            Of one of `QUESTIONS`.
        new : Answer
            An empty text takes the answer back.
        over : Answer or None
            The answer that the writer had before their eyes, None if there was none.

        Raises
        ------
        ReportError
            If there is no such question, or the file cannot be read or written.
        """
        checks.choice(name, "The question", QUESTIONS, error=ReportError)
        return self._change(name, lambda kept: kept.with_(new, over))

    def settle(self, name: str, only: Answer) -> Kept:
        """Drop all answers to a question but this one; nothing is dropped if it is not among them."""
        return self._change(name, lambda kept: Kept((only,)) if only in kept.answers else kept)

    def _change(self, name: str, change: Callable[[Kept], Kept]) -> Kept:
        mend = f"free the disk, or let {outcome.FOLDER_VARIABLE} name a folder that can be written"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock"), timeout=_WAIT):
                kept = self.read()
                kept[name] = change(kept.get(name, Kept()))
                content = {one: [asdict(answer) for answer in kept[one].answers] for one in sorted(kept)}
                keep(self.path, content, mend, ReportError)
        except Timeout:
            raise ReportError(f"{self.path} is held by another notebook: close it, and type again.") from None
        except OSError as refused:
            raise ReportError(f"{self.path} cannot be written ({refused.strerror or refused}): {mend}.") from None
        return kept[name]


def sections(
    kept: Mapping[str, Kept],
    measured: Mapping[str, Sequence[Section]] | None = None,
    rows: Sequence[Row] = (),
    choices: Sequence[Choice] = (),
    checklists: Sequence[Checklist] = (),
) -> list[Section]:
    """Lay out the review in the order of Article 35(7).

    Parameters
    ----------
    kept : dict of str to Kept
        From `Review.read`.
    measured : dict of str to list of Section, optional
        What was measured, by the part of the report (`PARTS`) that it belongs to.
    rows : sequence of Row, optional
        The scoreboard: all of it under the risks, the techniques that the answer names under the measures.
    choices, checklists : sequences
        The kept statements of chapter 05 and checklists of chapter 03.

    Returns
    -------
    list of Section
    """
    given = {part: list((measured or {}).get(part, ())) for part in _parts(measured)}
    if rows:
        given["risks"].append(Section("the scoreboard", ["What the attacks got."], [("All rows", table(rows))]))
    given["measures"] += [*_chosen(kept, rows), *map(_statement, choices), *map(_page, checklists)]
    found = [_opening(kept, given)]
    for part, (heading, article) in PARTS.items():
        found.append(Section(heading, [f"GDPR Article {article}."]))
        found += [_answered(name, kept.get(name, Kept())) for name, one in QUESTIONS.items() if one.part == part]
        found += [replace(one, title=f"Measured: {one.title}", level=3) for one in given[part]]
    return [*found, _gaps(kept), _sources()]


def _parts(measured: Mapping[str, Sequence[Section]] | None) -> Iterable[str]:
    """Return the parts of the report, after refusing measurements for another one."""
    for part in measured or {}:
        checks.choice(part, "The part of the report", PARTS, error=ReportError)
    return PARTS


def export_review(
    review: Review,
    path_html: str | Path | None = None,
    path_md: str | Path | None = None,
    *,
    title: str = "Review of a use of patients' data",
    folder: str | Path | None = None,
    measured: Mapping[str, Sequence[Section]] | None = None,
    rows: Sequence[Row] = (),
) -> Path:
    """Write the report of a review, with what chapters 03 and 05 kept in the folder of the results.

    Parameters
    ----------
    review : Review
    path_html, path_md : str or Path, optional
        As for `report.write`; without them `report.html` and `report.md` beside the answers.
    title : str
    folder : str or Path, optional
        Of the results, as for `outcome.save`.
    measured, rows
        As for `sections`.

    Returns
    -------
    Path
        Of the web page.
    """
    if path_html is None:
        path_html, path_md = review.path.with_name("report.html"), path_md or review.path.with_name("report.md")
    parts = sections(review.read(), measured, rows, Choice.load(folder), Checklist.load(folder))
    write(path_html, path_md, title, parts)
    return Path(path_html)


def columns_needed(
    patients: pd.DataFrame, schema: cohort.Schema = cohort.SUPPORT2, most: int = 7, seed: int = 0
) -> Section:
    """Measure what each column adds to a model, and whom the useful ones single out: the ground of minimisation.

    A third of the patients choose the columns, one at a time; the logistic regressions that are compared are trained
    and tested on the others.

    Parameters
    ----------
    patients : DataFrame
        With the schema's columns and label.
    schema : Schema
        Of the patients of the course by default.
    most : int
        Columns to choose.
    seed : int
        Deals the patients.

    Returns
    -------
    Section
        For the part "necessity" of the report.
    """
    from sklearn.linear_model import LogisticRegression  # a second that a worksheet need not wait for
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    from ppml_helpers.anonymise import singling_out, useful_columns

    parts = cohort.split(*cohort.features(patients, schema=schema), seed=seed, test_share=1 / 3)
    study, design = patients.loc[parts.X_train.index], patients.loc[parts.X_test.index]
    order = useful_columns(design, min(most, len(schema.columns)), seed=seed, schema=schema)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)

    def auc(columns: list[str]) -> str:
        X, y = cohort.features(study, columns, schema)
        found = cross_val_score(LogisticRegression(max_iter=1000), X, y, cv=folds, scoring="roc_auc")
        return f"{found.mean():.2f}"

    rows = [(str(n), f"{'and ' * (n > 1)}{order[n - 1]}", auc(order[:n])) for n in range(1, len(order) + 1)]
    rows.append((f"all {len(schema.columns)}", "all others", auc(list(schema.columns))))
    added = pd.DataFrame(rows, columns=["columns", "which", "AUC"]).set_index("columns")
    alone = singling_out(study, order, min(3, len(order))).head(3)[["alone"]]
    return Section(
        "what each column adds",
        [
            f"{len(design):,} patients chose the columns, {len(study):,} others were used to compare them; each AUC is "
            f"the mean of {_FOLDS} folds."
        ],
        [("Usefulness by columns", added), ("Patients who stand alone in some of these columns", alone)],
    )


def _opening(kept: Mapping[str, Kept], given: Mapping[str, Sequence[Section]]) -> Section:
    """Say what the report rests on: answers, by whom; measurements; gaps."""
    names = sorted({one.name or "somebody without a name" for some in kept.values() for one in some.answers})
    answered = [name for name in QUESTIONS if name in kept]
    double = [name for name in answered if len(kept[name].answers) > 1]
    titles = [one.title for some in given.values() for one in some]
    said = [
        NO_ADVICE,
        f"Answered: {len(answered)} of {words.counted(len(QUESTIONS), 'question')}"
        + (f", by {words.listed(names, most=12)}." if names else "."),
        f"Measured: {words.listed(titles)}." if titles else "Measured: nothing was added to this report.",
        "An answer is what its writer says; nothing in this report checks it. A measurement shows what one attack got, "
        "and not what every attack would get.",
    ]
    if double:
        asked = words.listed(f'"{QUESTIONS[name].asks}"' for name in double)
        said.append(f"Answered twice and not decided between: {asked}.")
    return Section("What this report rests on", said)


def _answered(name: str, kept: Kept) -> Section:
    """Show one question with its answers, or the gap."""
    question = QUESTIONS[name]
    said: list[str] = [] if kept.answers else [_OPEN]
    for place, answer in enumerate(kept.answers):
        if place:
            said.append("Another answer, kept beside it:")
        said += [Quoted(answer.text), f"Answered {answer.signed}."]
    return Section(question.asks, [*said, f"GDPR: {words.listed(question.articles)}."], level=3)


def named(text: str, names: Iterable[str]) -> list[str]:
    """Return those of `names` that a text names, whole and in any case; a longer name hides a shorter within it."""
    left, found = text.casefold(), set()
    for name in sorted(map(str, names), key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(name.casefold())}(?!\w)"
        if re.search(pattern, left):
            found.add(name)
            left = re.sub(pattern, " . ", left)
    return [name for name in map(str, names) if name in found]


def _chosen(kept: Mapping[str, Kept], rows: Sequence[Row]) -> list[Section]:
    """Show what was measured of the techniques that the answer names, and what is true of them on any table."""
    answer = kept.get("techniques", Kept()).first
    names = named(answer.text, [row.technique for row in rows]) if answer else []
    chosen = [row for row in rows if row.technique in names]
    if not chosen:
        return [Section("the chosen techniques", ["The answer names no technique of the scoreboard."])] if rows else []
    index = pd.Index([row.technique for row in chosen], name="technique", dtype=object)
    seen = pd.DataFrame([{who: row.sees.get(who, "") for who in WHO} for row in chosen], index=index)
    left = {
        "who must be trusted": ["; ".join(row.trusted) or "nobody" for row in chosen],
        "what passes by": [row.reads for row in chosen],
        "not protected": [row.not_protected for row in chosen],
    }
    ways = list(dict.fromkeys((of.replace("_", " "), how) for row in chosen for of, how in row.methods.items()))
    tables = [
        ("Measured", table(chosen)),
        ("Who sees what", seen),
        ("What stays open", pd.DataFrame(left, index=index)),
        ("How it was measured", pd.DataFrame(ways, columns=["of", "how"]).set_index("of")),
    ]
    return [Section("the chosen techniques", [], [(caption, rows) for caption, rows in tables if len(rows)])]


def _statement(choice: Choice) -> Section:
    title = f"epsilon {choice.epsilon:.3g}, delta {choice.delta:.1g}, {choice.technique}"
    return Section(title, ["The statement that was kept in chapter 05:", Quoted(choice.statement)])


def _page(checklist: Checklist) -> Section:
    table = pd.DataFrame(checklist.lines(), columns=["entry", "value"]).set_index("entry")
    return Section(f"release checklist {checklist.title}", [], [("The page that was saved in chapter 03", table)])


def _gaps(kept: Mapping[str, Kept]) -> Section:
    gaps = [one.asks for name, one in QUESTIONS.items() if name not in kept]
    return Section("What was not answered", gaps or ["Every question has an answer."])


def _sources() -> Section:
    """List the articles in our words."""
    table = pd.DataFrame({"what it says, in short": dict(LAW)}).rename_axis("article")
    said = [
        "Articles and recitals are those of Regulation (EU) 2016/679 (GDPR). The short forms are ours: read the text.",
        "The seven words of the threat model are those of LINDDUN (DistriNet, KU Leuven).",
    ]
    return Section("Sources", said, [("The articles that the questions serve", table)])
