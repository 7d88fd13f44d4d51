"""The explorer of chapter 03: what k, l, t, suppression and the choice of columns do to risk and to use."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import cohort, figures
from ppml_helpers.anonymise import (
    Lattice,
    Released,
    Risk,
    Solution,
    classes,
    disclosure_attack,
    model_auc,
    support2_hierarchies,
)
from ppml_helpers.anonymise.hierarchy import TOP
from ppml_helpers.anonymise.reidentification import risk
from ppml_helpers.errors import AnonymityError, ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.people import identities, linkage

KS = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100)
LS = (1, 2, 3, 4, 5, 6, 8)
TS = (1.0, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05)
LIMITS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
WEIGHTS = (0, 1, 3)
QUASI_IDENTIFIERS = ("age", "sex", "race", "postcode", "admission")
FICTIONAL = ("postcode", "admission")
LINKED = ("age", "sex", "postcode")
"""What the register knows, beside names."""

NOT_RELEASED = ("edu", "income")
"""Quasi-identifiers that the release does without."""

PREDICTORS = ("age", "sex", "race")
"""The quasi-identifiers that a model may use: postcode and admission are made up and predict nothing."""

_SHOWN = 4  # patients of the example class
_SIZE = (7.0, 5.3)  # inches
_FEWEST = 300  # patients: with fewer no model can be judged


class Sensitive(NamedTuple):
    """A sensitive attribute: its name, the value whose disclosure harms (None: each), and how to speak of it."""

    name: str
    harm: Any
    who: str
    given_away: str = "that"
    words: Mapping[Any, str] = MappingProxyType({})


_YES_NO = MappingProxyType({0: "no", 1: "yes"})
_ORDERS = MappingProxyType(
    {"no dnr": "none", "dnr after sadm": "after study entry", "dnr before sadm": "before study entry"}
)

SENSITIVE: Mapping[str, Sensitive] = MappingProxyType(
    {
        "dzgroup": Sensitive("diagnosis", None, "those released", "their diagnosis"),
        "ca": Sensitive("cancer", "metastatic", "those released with metastatic cancer"),
        "dnr": Sensitive(
            "do-not-resuscitate order",
            "dnr after sadm",
            "those released with a do-not-resuscitate order after study entry",
            words=_ORDERS,
        ),
        "dementia": Sensitive("dementia", 1, "those released with dementia", words=_YES_NO),
        "hospdead": Sensitive("death in hospital", 1, "those released who died in hospital", words=_YES_NO),
    }
)


class Asked(NamedTuple):
    """What is asked of a release beside k: the setting that a curve over k belongs to."""

    sensitive: str  # column
    limit: float = 0.0
    l: int = 1  # noqa: E741
    t: float = 1.0
    weights: tuple[int, ...] = (1,) * len(QUASI_IDENTIFIERS)


class Example(NamedTuple):
    """One class of a release, for the table under the curves."""

    before: pd.DataFrame  # first patients of the class: quasi-identifiers and sensitive value as they were
    after: dict[str, str]  # the label that all patients of the class share
    patients: int
    values: pd.Series  # sensitive value -> patients of the class, most frequent first


class Anonymised(NamedTuple):
    """What one setting of the knobs gives; shares are from 0 to 1."""

    asked: Asked
    solution: Solution
    patients: int  # in the extract
    registered: int  # people in the register
    suppressed: int
    risk: Risk
    named: float  # share of all patients to whom the register puts the right name
    certain: float  # share of those released (with the value that harms) whose class gives it away
    raw: pd.Series  # named, certain, auc, auc_alone: of the extract as it was
    curves: pd.DataFrame  # index: k; columns: named, certain, auc, auc_alone, loss
    example: Example

    @property
    def present(self) -> pd.Series:
        """The row of the curves at the present k."""
        return self.curves.loc[self.solution.k]


class AnonymityExplorer(Explorer):
    """Choose k, l, t, the suppression limit and what matters; see who is still found and what the table is good for.

    Every move searches the whole lattice of generalisations, makes the release, attacks it by the register and draws.
    The curves over k are computed once for each setting of the other knobs; their models are not trained anew when
    only k moves.

    Parameters
    ----------
    extract : DataFrame, optional
        A table as `identities.deidentified` makes it; by default the patients of the course with seed 0.
    register : Register, optional
        The register to attack with; by default one of 100,000 people with seed 0.
    ks : tuple of int
        Every k on offer, increasing; the curves are computed at these. Fewer make a very large table quicker.

    Raises
    ------
    ExplorerError
        If only one of the two is given, or one is of another kind, or the table lacks a column that the explorer
        needs or has fewer than 300 patients, or the ks do not increase.
    """

    title = "What anonymising costs, and what still leaks"

    def __init__(
        self,
        extract: pd.DataFrame | None = None,
        register: identities.Register | None = None,
        ks: tuple[int, ...] = KS,
    ) -> None:
        if (extract is None) != (register is None):
            raise ExplorerError(
                "the explorer needs an extract and the register of the same people: give both, or neither."
            )
        if extract is not None:
            _check(extract, register)
        self._given = extract, register, _checked_ks(ks)
        self._bench: _Bench | None = None
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    def controls(self) -> dict[str, W.Widget]:
        """Return the knobs: the models' parameters, the sensitive attribute, and the weight of each column."""
        ks = self._given[2]
        percent = [(f"{100 * limit:g} %", limit) for limit in LIMITS]
        names = [(sensitive.name, column) for column, sensitive in SENSITIVE.items()]
        short = {"style": {"description_width": "20px"}, "layout": {"width": "250px"}}
        small = {"style": {"description_width": "70px"}, "layout": {"width": "140px"}}
        return {
            "k": W.SelectionSlider(options=ks, value=5 if 5 in ks else ks[0], description="k", **short),
            "l": W.SelectionSlider(options=LS, value=1, description="l", **short),
            "t": W.SelectionSlider(options=TS, value=1.0, description="t", **short),
            "limit": W.SelectionSlider(options=percent, value=0.05, description="suppress up to", **LOOK),
            "sensitive": W.Dropdown(options=names, description="sensitive", **LOOK),
            **{name: W.Dropdown(options=WEIGHTS, value=1, description=name, **small) for name in QUASI_IDENTIFIERS},
        }

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay out the knobs in rows: what a class must keep, what may be left out, and what matters."""
        row = {"flex_flow": "row wrap"}
        return W.VBox(
            [
                W.HBox([knobs["k"], knobs["l"], knobs["t"]], layout=row),
                W.HBox([knobs["limit"], knobs["sensitive"]], layout=row),
                W.HTML("How much each column matters to you (0: not important):"),
                W.HBox([knobs[name] for name in QUASI_IDENTIFIERS], layout=row),
            ]
        )

    def compute(
        self,
        progress: Progress,
        k: int,
        l: int,  # noqa: E741 - the field's name for it
        t: float,
        limit: float,
        sensitive: str,
        **weights: int,
    ) -> Anonymised:
        """Solve, release and attack at this k, and whatever of the curves was not yet computed."""
        if self._bench is None:
            self._bench = _Bench(*self._given, progress)
        bench = self._bench
        asked = Asked(sensitive, limit, l, t, tuple(weights[name] for name in QUASI_IDENTIFIERS))
        released, solution = bench.release(k, asked, progress)  # first, so that the impossible is refused at once
        return Anonymised(
            asked=asked,
            solution=solution,
            patients=released.n,
            registered=len(bench.register.table),
            suppressed=released.suppressed,
            risk=risk(released, bench.register.table, LINKED),
            named=bench.named(released),
            certain=certain(released.table, released.qi, sensitive),
            raw=bench.raw(sensitive, progress),
            curves=bench.curves(asked, progress),
            example=pick(released, bench.extract, sensitive),
        )

    def forget(self) -> None:
        """Drop every remembered result, release and model."""
        super().forget()
        self._bench = None

    def draw(self, figure: Figure, result: Anonymised) -> None:
        """Draw what is found and what is lost over k, and one class before and after."""
        figure.set_layout_engine("none")
        _draw_leak(figure.add_axes((0.095, 0.49, 0.385, 0.46)), result)
        use = figure.add_axes((0.6, 0.725, 0.375, 0.225))
        loss = figure.add_axes((0.6, 0.49, 0.375, 0.16), sharex=use)
        _draw_use(use, loss, result)
        _draw_example(figure.add_axes((0.0, 0.0, 1.0, 0.39)), result)

    def say(self, result: Anonymised) -> str:
        """Say what is asked, what is released, who is still found and what it is good for."""
        asked, solution, raw, present = result.asked, result.solution, result.raw, result.present
        sensitive, left_out = SENSITIVE[asked.sensitive], result.suppressed / result.patients
        return (
            f"At k = {solution.k}, l = {asked.l}, t = {asked.t:g} and at most {_percent(asked.limit)} left out, "
            f"{_percent(left_out)} of the {result.patients:,} patients are left out and the others released "
            f"{_in_words(result)}; a register of {result.registered:,} people puts the right name to "
            f"{_percent(result.named)} of all patients, against {_percent(raw.named)} for the table as it was; "
            f"{_percent(result.certain)} of {sensitive.who} are in a class that gives {sensitive.given_away} away; "
            f"and a model trained on the release predicts death in hospital with AUC {present.auc:.2f} against "
            f"{raw.auc:.2f} ({present.auc_alone:.2f} against {raw.auc_alone:.2f} from age, sex and race alone)."
        )


class _Bench:
    """What stays the same while knobs move: extract, register, lattices, and the curves computed so far."""

    def __init__(
        self,
        extract: pd.DataFrame | None,
        known: identities.Register | None,
        ks: tuple[int, ...],
        progress: Progress,
    ) -> None:
        if extract is None or known is None:
            progress(0.0, "inventing identities")
            patients = cohort.load_patients()
            people = identities.identities(patients, seed=0)
            extract, known = identities.deidentified(patients, people), identities.register(people, seed=0)
        self.extract, self.register, self._ks = pd.DataFrame(extract), known, ks
        self._hierarchies = support2_hierarchies(self.extract)
        self._use = _Use(self.extract)
        self._lattices: dict[str, Lattice] = {}
        self._raw: dict[str, pd.Series] = {}
        self._points: dict[Asked, dict[int, dict[str, float]]] = {}

    def release(self, k: int, asked: Asked, progress: Progress) -> tuple[Released, Solution]:
        """Find the best node for what is asked, and release the table at it."""
        if asked.sensitive not in self._lattices:
            table = self.extract[[*QUASI_IDENTIFIERS, asked.sensitive]]
            lattice = Lattice(table, QUASI_IDENTIFIERS, self._hierarchies, asked.sensitive)
            self._lattices[asked.sensitive] = lattice.precompute(max(self._ks), max(LIMITS), progress)
        lattice = self._lattices[asked.sensitive]
        weights = dict(zip(QUASI_IDENTIFIERS, asked.weights, strict=True))
        solution = lattice.solve(k, asked.limit, l=asked.l, t=asked.t, weights=weights)
        return lattice.apply(solution), solution

    def named(self, released: Released) -> float:
        """Return the share of all patients to whom the register puts the right name."""
        register = released.recode(self.register.table[list(LINKED)])
        found = linkage.link(released.table, register, LINKED)
        return found.score(self.register.truth, self.extract.index[released.kept]).n_right / released.n

    def raw(self, sensitive: str, progress: Progress) -> pd.Series:
        """Return the figures of the extract as it was, which is its release at k = 1."""
        if sensitive not in self._raw:
            self._raw[sensitive] = pd.Series(self._point(1, Asked(sensitive), progress))
        return self._raw[sensitive]

    def curves(self, asked: Asked, progress: Progress) -> pd.DataFrame:
        """Return every curve over k for one setting of the other knobs; what was computed before is kept."""
        points = self._points.setdefault(asked, {})
        for number, k in enumerate(self._ks):
            if k not in points:
                progress(number / len(self._ks), f"releasing, attacking and training at k = {k}")
                points[k] = self._point(k, asked, progress)
        return pd.DataFrame.from_dict(points, orient="index").sort_index()

    def _point(self, k: int, asked: Asked, progress: Progress) -> dict[str, float]:
        try:
            released, solution = self.release(k, asked, progress)
        except AnonymityError:  # out of reach at this k, though not at the present one: the curves have a gap
            return dict.fromkeys(("named", "certain", "auc", "auc_alone", "loss"), np.nan)
        return {
            "named": self.named(released),
            "certain": certain(released.table, released.qi, asked.sensitive),
            **self._use.aucs(released),
            "loss": solution.loss,
        }


class _Use:
    """What a release is good for: models of death in hospital, trained on its rows and tested on other patients."""

    def __init__(self, extract: pd.DataFrame) -> None:
        places = pd.DataFrame({"place": np.arange(len(extract))}, index=extract.index)
        split = cohort.split(places, extract[cohort.SUPPORT2.label], seed=0)
        self._rows = np.sort(split.X_train["place"].to_numpy())
        self._train, self._test = extract.iloc[self._rows], extract.iloc[split.X_test["place"].to_numpy()]
        self._clinical = [name for name in cohort.SUPPORT2.columns if name not in (*PREDICTORS, *NOT_RELEASED)]

    def aucs(self, released: Released) -> dict[str, float]:
        """Return the AUC with all released columns, and with age, sex and race alone."""
        training = self._training_part(released)
        return {
            "auc": model_auc(training, self._train, self._test, [*PREDICTORS, *self._clinical]),
            "auc_alone": model_auc(training, self._train, self._test, PREDICTORS),
        }

    def _training_part(self, released: Released) -> Released:
        """Take the rows of the training patients: those to be tested on must not be trained on."""
        place = np.full(released.n, -1)
        place[self._rows] = np.arange(len(self._rows))
        mine = place[released.kept] >= 0
        return dataclasses.replace(
            released,
            table=released.table[mine].reset_index(drop=True),
            kept=place[released.kept][mine],
            n=len(self._rows),
            ncp=released.ncp[mine],
        )


def certain(table: pd.DataFrame, qi: Iterable[str], sensitive: str) -> float:
    """Return the share of rows (of those with the value that harms) whose sensitive value their class gives away."""
    harm = SENSITIVE[sensitive].harm
    if harm is not None and not (table[sensitive] == harm).any():
        return 0.0
    return disclosure_attack.homogeneity(table, list(qi), sensitive, harm)


def pick(released: Released, extract: pd.DataFrame, sensitive: str) -> Example:
    """Pick the class of a release that tells most: the one with the largest share of (one of) the values that harm.

    Among equals the rarest value wins, then the largest class, then the first: the choice depends on the release alone.
    """
    table = released.table
    number = classes(table, released.qi)
    value, names = pd.factorize(table[sensitive], use_na_sentinel=False)
    counts = np.bincount(number * len(names) + value, minlength=(number.max() + 1) * len(names))
    counts = counts.reshape(-1, len(names))
    size, everywhere = counts.sum(axis=1), counts.sum(axis=0)
    harm = SENSITIVE[sensitive].harm
    telling = np.ones(len(names), dtype=bool) if harm is None else np.asarray(names == harm)
    share = np.where(telling, counts / size[:, None], -1)
    most = share.argmax(axis=1)
    chosen = np.lexsort((-size, everywhere[most], -share.max(axis=1)))[0]
    rows = np.flatnonzero(number == chosen)
    columns = [*released.qi, sensitive]
    return Example(
        before=extract[columns].iloc[np.sort(released.kept[rows])[:_SHOWN]],
        after={name: str(table[name].iloc[rows[0]]) for name in released.qi},
        patients=len(rows),
        values=table[sensitive].iloc[rows].value_counts(dropna=False),
    )


# --------------------------------------------------------------------------------------------------------------
# The picture and the words
# --------------------------------------------------------------------------------------------------------------

_GREY = "#555555"  # darker than the baseline's colour, for text


def _draw_leak(axis: Axes, result: Anonymised) -> None:
    """Draw over k: who is named by the register, whose secret is certain, and the promise 1/k."""
    figures.style(axis)
    curves, k, leak = result.curves, result.solution.k, figures.COLOURS["leak"]
    ks = curves.index.to_numpy()
    axis.plot(ks, 1 / ks, "--", color=figures.COLOURS["promise"], linewidth=1.5)
    axis.plot(ks, curves.named, "-", color=leak, marker="o", markersize=4, markerfacecolor="white")
    axis.plot(ks, curves.certain, ":", color=leak, marker="D", markersize=4, markerfacecolor="white")
    axis.plot(k, result.certain, "D", color=leak, markersize=8, clip_on=False)
    axis.plot(k, result.named, "o", color=leak, markersize=10, clip_on=False)
    axis.plot(k, result.risk.prosecutor_max, "s", color=figures.COLOURS["promise"], markersize=7)
    axis.set_yscale("symlog", linthresh=1e-3, linscale=0.7)
    axis.set(ylim=(-2e-4, 20))  # room for the legend above 100 %
    axis.set_yticks([0, 0.001, 0.01, 0.1, 1], ["0", "0.1 %", "1 %", "10 %", "100 %"])
    _log_k(axis)
    names = ("promise: 1 in k at most", "named by the register", "sensitive value certain")
    axis.legend(axis.lines[:3], names, fontsize=10, frameon=False, loc="upper right", bbox_to_anchor=(1.05, 1.03))
    axis.set_title("still found, share of patients", fontsize=10, loc="left")


def _draw_use(use: Axes, loss: Axes, result: Anonymised) -> None:
    """Draw over k: what the release is good for, and below it how much is generalised away."""
    curves, k, blue = result.curves, result.solution.k, figures.COLOURS["utility"]
    for axis in (use, loss):
        figures.style(axis)
    for name, line, marker in (("auc", "-", "o"), ("auc_alone", "--", "s")):
        use.plot(curves.index, curves[name], line, color=blue, marker=marker, markersize=4, markerfacecolor="white")
        use.plot(k, curves[name][k], marker, color=blue, markersize=9)
    for height, text in ((0.845, "all released columns"), (0.6, "age, sex and race alone")):
        use.text(110, height, text, color=blue, fontsize=10, ha="right")
    use.set(ylim=(0.45, 0.95), yticks=(0.5, 0.7, 0.9))
    use.tick_params(labelbottom=False)
    use.set_title("test AUC for death in hospital", fontsize=10, loc="left")
    loss.plot(curves.index, curves.loss, color=_GREY, linewidth=1, marker="^", markersize=4, markerfacecolor="white")
    loss.plot(k, result.solution.loss, "^", color=_GREY, markersize=9)
    loss.set(ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
    loss.set_title("information lost (0 to 1)", fontsize=10, loc="left")
    _log_k(loss)


def _log_k(axis: Axes) -> None:
    axis.set(xscale="log", xlim=(0.85, 120))
    axis.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axis.minorticks_off()
    axis.set_xlabel("k", fontsize=10, labelpad=1)


def _draw_example(axis: Axes, result: Anonymised) -> None:
    """Write the patients of one class as they were, and what the release says of all of them."""
    example, sensitive = result.example, SENSITIVE[result.asked.sensitive]
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.axis("off")
    columns = (*QUASI_IDENTIFIERS, result.asked.sensitive)
    places = (0.088, 0.183, 0.273, 0.385, 0.513, 0.652)
    heads = [f"{name}*" if name in FICTIONAL else name for name in QUASI_IDENTIFIERS]
    for x, head in zip(places, [*heads, sensitive.name], strict=True):
        axis.text(x, 0.93, head, fontsize=10, weight="bold", va="center")
    for row, (_, patient) in enumerate(example.before.iterrows()):
        for x, name in zip(places, columns, strict=True):
            written = _written(patient[name], sensitive.words)
            axis.text(x, 0.81 - 0.115 * row, written, fontsize=10, va="center")
    axis.text(0.012, 0.81, "before", fontsize=10, va="center", color=_GREY)
    axis.plot([0.01, 0.99], [0.385, 0.385], color=figures.COLOURS["baseline"], linewidth=1)
    axis.text(0.012, 0.31, "after", fontsize=10, va="center", color=_GREY)
    after = [*(example.after[name] for name in QUASI_IDENTIFIERS), _counted(example, sensitive)]
    for x, label in zip(places, after, strict=True):
        axis.text(x, 0.31, label, fontsize=10, weight="bold", va="center")
    shown = (
        f"{example.patients} patients, {_SHOWN} shown" if example.patients > _SHOWN else f"{example.patients} patients"
    )
    if example.patients == 1:
        shown = "one patient alone"
    note = f"The class that tells most ({shown}).   * fictional"
    models = "The models behind the AUC curves are trained once and kept while only k moves."
    axis.text(0.012, 0.1, f"{note}\n{models}", fontsize=10, va="center", color=_GREY)


def _written(value: Any, words: Mapping[Any, str]) -> str:
    if pd.isna(value):
        return "missing"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return words.get(value, str(value))


def _counted(example: Example, sensitive: Sensitive) -> str:
    """Say how many of the class have the value that harms (its commonest value, where each harms)."""
    values = example.values
    value = values.index[0] if sensitive.harm is None or len(values) == 1 else sensitive.harm
    said, count = _written(value, sensitive.words), int(values.get(value, 0))
    if len(values) == 1:
        return f"all: {said}"
    if example.patients < 100:
        return f"{count} of {example.patients}: {said}"
    return f"{_percent(count / example.patients)}: {said}"  # two long numbers would run out of the picture


def _in_words(result: Anonymised) -> str:
    """Say how each quasi-identifier is released, by the label that the example has."""
    node = result.solution.node
    if not any(node.values()):
        return "as they were"
    parts = []
    for name in QUASI_IDENTIFIERS:
        label = result.example.after[name]
        how = "as it was" if node[name] == 0 else "left out" if label == TOP else f'as "{label}"'
        parts.append(f"{name} {how}")
    return f"with {', '.join(parts[:-1])} and {parts[-1]}"


def _percent(share: float) -> str:
    """Return a share in percent, with enough digits to tell a small one from none."""
    percent = 100 * share
    if 0 < percent < 0.01:
        return "less than 0.01 %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"


def _check(extract: Any, register: Any) -> None:
    """Refuse what the explorer cannot work on, before anything is computed."""
    made_by = "give the table that identities.deidentified returns"
    if not isinstance(extract, pd.DataFrame):
        raise ExplorerError(f"the extract is of type {type(extract).__name__}: {made_by}.")
    if not isinstance(register, identities.Register):
        kind = type(register).__name__
        raise ExplorerError(f"the register is of type {kind}, not a Register: give what identities.register returns.")
    needed = dict.fromkeys([*QUASI_IDENTIFIERS, *SENSITIVE, *cohort.SUPPORT2.columns, cohort.SUPPORT2.label])
    lacking = [name for name in needed if name not in extract.columns and name not in NOT_RELEASED]
    if lacking:
        raise ExplorerError(f"the extract lacks the column {lacking[0]!r}: {made_by}.")
    if len(extract) < _FEWEST:
        raise ExplorerError(
            f"the extract has {len(extract)} patients; the explorer needs {_FEWEST} or more: take more."
        )


def _checked_ks(ks: Iterable[int]) -> tuple[int, ...]:
    ks = tuple(ks)
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) and k >= 1 for k in ks)
    if not ks or not whole or list(ks) != sorted(set(ks)):
        raise ExplorerError(f"ks = {ks!r} must be increasing whole numbers of at least 1: try {KS}.")
    return ks
