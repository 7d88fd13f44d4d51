"""The explorer of chapter 03: what k, l, t, suppression and the choice of columns do to risk and to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as W
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import figures, words
from ppml_helpers.anonymise.bench import (
    KS,
    LIMITS,
    LINKED,
    NAMES,
    PREDICTORS,
    QUASI_IDENTIFIERS,
    SENSITIVE,
    SHOWN,
    Anonymised,
    Asked,
    Bench,
    Example,
    Sensitive,
    check_tables,
    checked_ks,
)
from ppml_helpers.anonymise.hierarchy import TOP
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import Explorer, Progress
from ppml_helpers.people import identities

LS = (1, 2, 3, 4, 5, 6, 8)
TS = (1.0, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05)
WEIGHTS = (0, 1, 3)

_SIZE = (7.0, 4.15)  # inches: with the knobs above it fits a screen of 768 pixels
_SAME = 0.5  # share of the listed patients who must have the register's values under their own label
_GREY = "#555555"  # darker than the baseline's colour, for text


class AnonymityExplorer(Explorer):
    """Choose k, l, t, the suppression limit and what matters; see who is still found and what the table is good for.

    Three quarters of the patients are released, the others test the models, and the quasi-identifiers are those of the
    chapter. Every move searches the whole lattice, makes the release, attacks it by the register and draws.
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
        If only one of the two is given, the table lacks a column or has fewer than 300 patients, its row labels are not
        those that the register's truth names, or the ks do not rise.
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
            check_tables(extract, register)
            _check_labels(extract, register)
        self._given = extract, register, checked_ks(ks)
        self._bench: Bench | None = None
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    def controls(self) -> dict[str, W.Widget]:
        """Return the knobs: the models' parameters, the sensitive attribute, and the weight of each column."""
        ks = self._given[2]
        percent = [(f"{100 * limit:g} %", limit) for limit in LIMITS]
        names = [(sensitive.name, column) for column, sensitive in SENSITIVE.items()]
        wide = {"style": {"description_width": "105px"}, "layout": {"width": "270px"}}
        short_name = {"style": {"description_width": "70px"}, "layout": {"width": "240px"}}
        short = {"style": {"description_width": "20px"}, "layout": {"width": "250px"}}
        small = {"style": {"description_width": "70px"}, "layout": {"width": "132px"}}
        return {
            "k": W.SelectionSlider(options=ks, value=5 if 5 in ks else ks[0], description="k", **short),
            "l": W.SelectionSlider(options=LS, value=1, description="l", **short),
            "t": W.SelectionSlider(options=TS, value=1.0, description="t", **short),
            "limit": W.SelectionSlider(options=percent, value=0.05, description="suppress up to", **wide),
            "sensitive": W.Dropdown(options=names, value="ca", description="sensitive", **short_name),
            **{name: W.Dropdown(options=WEIGHTS, value=1, description=said, **small) for name, said in NAMES.items()},
        }

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay out the knobs in rows: what a class must keep, what may be left out, and what matters."""
        row = {"flex_flow": "row wrap"}
        patience = W.HTML("<small>another one takes seconds: a bar shows how far</small>")
        return W.VBox(
            [
                W.HBox([knobs["k"], knobs["l"], knobs["t"]], layout=row),
                W.HBox([knobs["limit"], knobs["sensitive"], patience], layout=row),
                W.HBox([W.HTML("weight of"), *(knobs[name] for name in QUASI_IDENTIFIERS)], layout=row),
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
        """Look at this setting on the bench, which keeps what other settings need too."""
        if self._bench is None:
            self._bench = Bench(*self._given, progress)
        asked = Asked(sensitive, limit, l, t, tuple(weights[name] for name in QUASI_IDENTIFIERS))
        return self._bench.look(k, asked, progress)

    def forget(self) -> None:
        """Drop every remembered result, release and model."""
        super().forget()
        self._bench = None

    def draw(self, figure: Figure, result: Anonymised) -> None:
        """Draw what is found and what is lost over k, and one class before and after."""
        figure.set_layout_engine("none")
        _draw_leak(figure.add_axes((0.095, 0.46, 0.385, 0.475)), result)
        use = figure.add_axes((0.6, 0.7, 0.375, 0.235))
        loss = figure.add_axes((0.6, 0.46, 0.375, 0.17), sharex=use)
        _draw_use(use, loss, result)
        _draw_example(figure.add_axes((0.0, 0.0, 1.0, 0.35)), result)

    def say(self, result: Anonymised) -> str:
        """Say what is asked, what is released, who is still found and what it is good for."""
        asked, solution, raw, present = result.asked, result.solution, result.raw, result.present
        sensitive, left_out = SENSITIVE[asked.sensitive], result.suppressed / result.patients
        told = [NAMES[name] for name in PREDICTORS]
        return (
            f"At k = {solution.k}, l = {asked.l}, t = {asked.t:g} and at most {_percent(asked.limit)} left out, "
            f"{_percent(left_out)} of the {result.patients:,} patients are left out and the others released "
            f"{_in_words(result)}; a register of {result.registered:,} people puts the right name to "
            f"{_percent(result.named)} of all patients, against {_percent(raw.named)} for the table as it was; "
            f"{_percent(result.certain)} of {sensitive.who} are in a class that gives that away; "
            f"and a model trained on the release predicts death in hospital with AUC {present.auc:.2f} against "
            f"{raw.auc:.2f} ({present.auc_alone:.2f} against {raw.auc_alone:.2f} from {words.listed(told)} alone)."
        )


def _check_labels(extract: pd.DataFrame, register: identities.Register) -> None:
    """Refuse an extract that lost its row labels (sorted and numbered anew): every right name would count as wrong."""
    listed = register.truth[register.truth.isin(extract.index)]
    if extract.index.is_unique and len(listed):
        known = list(LINKED)
        theirs = register.table.loc[listed.index, known].astype(str).to_numpy()
        if (theirs == extract.loc[listed, known].astype(str).to_numpy()).all(axis=1).mean() >= _SAME:
            return
    raise ExplorerError(
        "the row labels of the extract are not those that the register's truth names, and no name could be told right "
        "from wrong: give the extract with the labels that it was made with, without reset_index."
    )


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
    axis.set(ylim=(-2e-4, 250))  # room for the legend above 100 %
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
    for height, text in ((0.845, "all released columns"), (0.6, "declared columns alone")):
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
    places = (0.085, 0.172, 0.254, 0.346, 0.465, 0.705)
    heads = [f"{name}*" if name == "postcode" else name for name in NAMES.values()]
    for x, head in zip(places, [*heads, sensitive.name], strict=True):
        axis.text(x, 0.94, head, fontsize=10, weight="bold", va="center")
    for row, (_, patient) in enumerate(example.before.iterrows()):
        for x, name in zip(places, columns, strict=True):
            written = _written(patient[name], sensitive.words)
            axis.text(x, 0.815 - 0.12 * row, written, fontsize=10, va="center")
    axis.text(0.012, 0.815, "before", fontsize=10, va="center", color=_GREY)
    axis.plot([0.01, 0.99], [0.385, 0.385], color=figures.COLOURS["baseline"], linewidth=1)
    axis.text(0.012, 0.31, "after", fontsize=10, va="center", color=_GREY)
    after = [*(example.after[name] for name in QUASI_IDENTIFIERS), _counted(example, sensitive)]
    for x, label in zip(places, after, strict=True):
        axis.text(x, 0.31, label, fontsize=10, weight="bold", va="center")
    of = f", {SHOWN} shown" if example.patients > SHOWN else ""
    shown = "one patient alone" if example.patients == 1 else f"{example.patients} patients{of}"
    note = f"The class that tells most ({shown}).   * fictional"
    models = "The models behind the AUC curves are trained once and kept while only k moves."
    axis.text(0.012, 0.115, f"{note}\n{models}", fontsize=10, va="center", color=_GREY)


def _written(value: Any, words: Mapping[Any, str]) -> str:
    if pd.isna(value):
        return "missing"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return words.get(value, str(value))


def _counted(example: Example, sensitive: Sensitive) -> str:
    """Say how many of the class have the value that harms."""
    values = example.values
    value = values.index[0] if len(values) == 1 else sensitive.harm
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
        parts.append(f"{NAMES[name]} {how}")
    return f"with {words.listed(parts)}"


def _percent(share: float) -> str:
    """Return a share in percent, with enough digits to tell a small one from none."""
    percent = 100 * share
    if 0 < percent < 0.01:
        return "less than 0.01 %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
