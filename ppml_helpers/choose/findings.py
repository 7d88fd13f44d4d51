"""What can be measured on anybody's table, each as a part of the report: figures about all people, never a row.

Nothing here repeats a value of the table. Names of columns, numbers of people and what models do to people who were
not trained on are exact, and so outside of every promise: they are for those who hold the table.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ppml_helpers import accounting, checks, cohort, figures, words
from ppml_helpers.anonymise import Hierarchy, Lattice, k_anonymity, l_diversity, singling_out
from ppml_helpers.choose.ground import Ground, ground, judged
from ppml_helpers.choose.report import Section, fragment
from ppml_helpers.choose.scoreboard import Row
from ppml_helpers.choose.table import Table
from ppml_helpers.choose.techniques import measured_on
from ppml_helpers.errors import AnonymityError

Progress = Callable[[float, str], None]

MOST_PEOPLE = 10_000
"""People on whom models are trained and releases are made; of a larger table as many are drawn."""

FEWEST_OF_EITHER = 40  # of either outcome in the table: a quarter is tested on, and an attack needs ten of them
KS = (2, 5, 11, 25)
LIMIT = 0.05  # share of rows that a release may leave out
EPSILONS = (0.1, 1.0)
ORDINARY = ("no protection: overfitted forest", "no protection: logistic regression", "minimised")
PRIVATE = ("private training, epsilon 1", "private training, epsilon 0.1", "federated + masks + noise")
CONTROL = "control: clipped, no noise"

_SETS = 100_000_000  # sets of columns times rows that are counted: seconds
_BINS = 64
_MEANS = 6
_SHOWN = 8  # rows of a table
_NAME = 40  # characters of a column's name in a sentence
_TELLS_ALL = 0.95  # AUC of one column alone from which it is suspected to be known only afterwards


class Finding(Section):
    """A part of the report that a notebook shows."""

    def __repr__(self) -> str:
        """Return sentences and tables as text."""
        tables = [f"{caption}\n{rows.to_string()}" for caption, rows in self.tables]
        told = [textwrap.fill(sentence, 110) for sentence in (*self.sentences, *(alt for _, alt in self.pictures))]
        return "\n\n".join([self.title, *told, *tables])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": fragment(self)}


def findings(table: Table, seed: int = 0, progress: Progress = lambda *_: None) -> list[Section]:
    """Measure all that applies to a table.

    Parameters
    ----------
    table : Table
        With roles.
    seed : int
        Of what is drawn: the split, the noise for display.
    progress : callable
        ``progress(fraction, what)``; it may raise to end the work.

    Returns
    -------
    list of Section
        In the order in which somebody asks; a part that does not apply says why in one sentence.
    """
    parts = {
        "what the columns are": described,
        "what singles people out": singled_out,
        "an anonymised release": anonymised,
        "private statistics": statistics,
        "models, attacked": attacked,
        "the price of epsilon": priced,
    }
    made = []
    for place, (what, part) in enumerate(parts.items()):
        progress(place / len(parts), what)
        made.append(part(table, seed))
    progress(1.0, "done")
    return made


# The table -------------------------------------------------------------------------------------------------------


def described(table: Table, seed: int = 0) -> Finding:
    """Say how large a table is, what its columns mean, and what nobody has confirmed yet."""
    roles, people = table.decided, table.people
    label = people[table.schema.label]
    told = [
        f"{table.name}: {len(table.frame):,} rows, {len(roles.columns)} columns. {table.unit}",
        f"Predicted is {table.schema.outcome}, which {label.sum():,} of {len(people):,} people have "
        f"({words.percent(label.mean(), 1)}). {words.counted(len(roles.predictors), 'column')} may be used for it.",
        "All figures of this report are exact, so no promise covers them: they are for those who hold the table.",
    ]
    gaps = people.drop(columns=table.schema.label).isna().mean()
    if gaps.max() > 0:
        told.append(
            f"Values are missing in {words.counted(int((gaps > 0).sum()), 'column')}, most in {_name(gaps.idxmax())} "
            f"({words.percent(gaps.max())}); each is filled with one public value."
        )
    if roles.unconfirmed:
        told.append(_unconfirmed(table))
    for name in _telling(table):
        told.append(f"{_name(name)} alone nearly tells the outcome: check that it is known before the outcome is.")
    return Finding("The table", told, [("What the columns are, as somebody said", roles.shown())])


def _unconfirmed(table: Table) -> str:
    """Return why nothing is promised."""
    names = words.listed(map(_name, table.decided.unconfirmed), most=3)
    return (
        f"No epsilon is promised: the bounds or names of {names} were read from the table, and whoever sees a release "
        "learns from them. Put public ones into the roles, and write in `source` where they come from."
    )


def _telling(table: Table) -> list[str]:
    """Return the numbers that alone sort people by their outcome."""
    y, found = table.people[table.schema.label], []
    for name in table.decided.predictors:
        values = table.people[name]
        if table.decided.columns[name].kind == "number" and values.notna().any():
            auc = roc_auc_score(y, values.fillna(values.median()))
            found += [name] if max(auc, 1 - auc) > _TELLS_ALL else []
    return found


def _name(name: str) -> str:
    """Return a column's name for a sentence."""
    shown = checks.shown(name)
    return shown if len(shown) <= _NAME else f"{shown[:_NAME]}..."


# What singles people out -----------------------------------------------------------------------------------------


def singled_out(table: Table, seed: int = 0) -> Finding:
    """Count who stands alone by what others may know, and rank sets of columns by it."""
    roles, people = table.decided, table.people
    names = [name for name in people.columns if name != table.schema.label]
    most = max(size for size in (1, 2, 3) if size == 1 or _work(len(names), size) * len(people) <= _SETS)
    most = min(most, len(names))
    ranked = singling_out(people, names, most).head(_SHOWN)
    rows = pd.DataFrame(
        {
            "people alone": [f"{count:,}" for count in ranked["alone"]],
            "share": [words.percent(share, 1) for share in ranked["share"]],
        },
        index=pd.Index(ranked.index, name="columns"),
    )
    told = [
        f"Of all sets of at most {words.counted(most, 'column')}, {ranked.index[0]:.200} leaves most people alone: "
        f"{rows['people alone'].iloc[0]} of {len(people):,}. Ask of each set in the table who else knows these values."
    ]
    quasi = roles.quasi_identifiers
    if quasi:
        size = people.groupby(quasi, dropna=False, sort=False)[table.schema.label].transform("size")
        told.append(
            f"By what others may know ({words.listed(map(_name, quasi), most=6)}), {(size == 1).sum():,} of "
            f"{len(people):,} people ({words.percent((size == 1).mean(), 1)}) stand alone; the smallest group has "
            f"{words.counted(k_anonymity(people, quasi), 'person')}, so k = {k_anonymity(people, quasi)}."
        )
    else:
        told.append(_NO_QUASI)
    return Finding("What singles people out", told, [("Sets of columns by how many people stand alone", rows)])


_NO_QUASI = (
    "No column is named as known to others, so neither k nor a release is computed: set `quasi_identifier = true` in "
    "the roles for what a neighbour, an employer or a register knows."
)


def _work(columns: int, most: int) -> int:
    return sum(math.comb(columns, size) for size in range(1, most + 1))


# An anonymised release -------------------------------------------------------------------------------------------


def anonymised(table: Table, seed: int = 0) -> Finding:
    """Coarsen what others may know until k people look alike, and measure what a model loses by it."""
    title, quasi = "An anonymised release, and its price", table.decided.quasi_identifiers
    if not quasi:
        return Finding(title, [_NO_QUASI])
    if (few := _too_few(table)) is not None:
        return Finding(title, [few])
    people = table.drawn(MOST_PEOPLE, seed)
    split = cohort.split(*cohort.features(people, schema=table.schema), seed)
    coarse, hierarchies = _coarse(table, people)
    train, test = coarse.loc[split.X_train.index], coarse.loc[split.X_test.index]
    lattice = Lattice(train, quasi, hierarchies)
    others = [name for name in table.decided.predictors if name not in quasi]
    found, unreached = [], []
    for k in (k for k in KS if k <= len(train)):
        try:
            released = lattice.apply(lattice.solve(k, LIMIT))
        except AnonymityError:
            unreached.append(k)
            continue
        auc = _auc_of_release(table, split, released, test, hierarchies)
        alone = _alone(released.table, [*quasi, *others])
        least = [l_diversity(released.table, quasi, name) for name in _secrets(table) if name in released.table]
        found.append((k, released.suppressed, auc, words.percent(alone, 1), min(least) if least else "-"))
    heads = ["k", "rows left out", "AUC", "alone by all predictors", "fewest sensitive values in a group"]
    rows = pd.DataFrame(found, columns=heads).set_index("k")
    rows["AUC"] = [_rounded(value) for value in rows["AUC"]]
    exact = LogisticRegression(max_iter=1000).fit(split.X_train, split.y_train)
    auc = roc_auc_score(split.y_test, exact.predict_proba(split.X_test)[:, 1])
    told = [
        f"{words.counted(len(train), 'person').replace('persons', 'people')}{_drawn(table, people)} are released with "
        f"{words.listed(map(_name, quasi), most=6)} coarsened together until at least k look alike, at most "
        f"{words.percent(LIMIT)} of the rows left out; the other predictors stay as they are. A logistic regression "
        f"trained on the release is tested on {len(test):,} others: AUC {auc:.2f} on the table as it is.",
        'Whoever also knows the other predictors still finds the share in the column "alone by all predictors": '
        "k holds for what was named as known to others, and for nothing else.",
    ]
    if unreached:
        told.append(f"No coarsening reaches k = {words.listed(unreached)} with so few rows left out.")
    if _secrets(table):
        told.append("A group with a single sensitive value tells it of everybody in it, however large k is.")
    return Finding(title, told, [("What k costs", rows)] if found else [])


def _secrets(table: Table) -> list[str]:
    return [one.name for one in table.decided.columns.values() if one.sensitive and not one.quasi_identifier]


def _drawn(table: Table, people: pd.DataFrame) -> str:
    """Say that only some people were taken, and how many."""
    everybody = len(table.people)
    return "" if len(people) == everybody else f" (three quarters of {len(people):,}, drawn from {everybody:,})"


def _alone(released: pd.DataFrame, columns: Sequence[str]) -> float:
    """Return the share of released rows that are the only ones with their values."""
    size = released.groupby(list(columns), dropna=False, sort=False)[columns[0]].transform("size")
    return float((size == 1).mean())


def _coarse(table: Table, people: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Hierarchy]]:
    """Return people with numbers of quasi-identifiers on a public grid, and how each quasi-identifier is coarsened."""
    coarse, hierarchies = people.copy(), {}
    for name in table.decided.quasi_identifiers:
        one = table.decided.columns[name]
        if one.kind == "category":
            hierarchies[name] = Hierarchy.suppression(one.levels)
            continue
        width, count = _grid(one.low, one.high)
        starts = [float(f"{one.low + width * place:.12g}") for place in range(count)]
        levels: list[list[Any]] = [starts]
        for step in (2, 4, 8, 16):
            firsts = [place // step * step for place in range(count)]
            lasts = [min(first + step, count) for first in firsts]
            levels.append(
                [f"{starts[a]:.12g} to {one.low + width * b:.12g}" for a, b in zip(firsts, lasts, strict=True)]
            )
        hierarchies[name] = Hierarchy([*levels, ["*"] * count], name)
        place = np.floor((people[name].clip(one.low, one.high) - one.low) / width + 1e-9).clip(upper=count - 1)
        coarse[name] = [math.nan if math.isnan(at) else starts[int(at)] for at in place]
    return coarse, hierarchies


def _grid(low: float, high: float) -> tuple[float, int]:
    """Return a round width of at most 64 bins between two public bounds, and their number."""
    least = (high - low) / _BINS
    power = 10.0 ** math.floor(math.log10(least))
    width = next(power * step for step in (1, 2, 5, 10) if power * step >= least * (1 - 1e-9))
    return width, max(1, math.ceil((high - low) / width - 1e-9))


def _auc_of_release(
    table: Table, split: cohort.Split, released: Any, test: pd.DataFrame, hierarchies: dict[str, Hierarchy]
) -> float:
    """Train on a release, with labels as features, and test on people whose values are coarsened the same way."""
    own = [name for name in table.decided.quasi_identifiers if name in table.decided.predictors]
    keep = [name for name in table.decided.predictors if name not in own]
    label = table.schema.label
    sides = []
    for labels in (released.table, released.recode(test)):
        blocks = [_of_labels(labels[name], hierarchies[name], released.node[name]) for name in own]
        if keep:
            blocks.append(cohort.features(labels, keep, table.schema)[0].to_numpy())
        sides.append((np.hstack(blocks), labels[label].to_numpy()))
    (X, y), (X_test, y_test) = sides
    if len(set(y)) < 2:
        return math.nan
    return float(roc_auc_score(y_test, LogisticRegression(max_iter=1000).fit(X, y).predict_proba(X_test)[:, 1]))


def _of_labels(labels: pd.Series, hierarchy: Hierarchy, level: int) -> np.ndarray:
    """Return one feature for the middle of a band, or one for each name; none for a column that was taken out."""
    names, base = hierarchy.levels[level], list(hierarchy.values)
    if isinstance(base[0], float | int):
        middle = pd.Series(base, dtype=float).groupby(list(names)).mean()
        low, high = min(base), max(base)
        place = labels.map(middle).to_numpy(dtype=float)
        return np.nan_to_num(2 * (place - low) / max(high - low, 1e-12) - 1)[:, None]
    return np.column_stack([(labels == name).to_numpy(dtype=float) for name in dict.fromkeys(names)])


def _too_few(table: Table) -> str | None:
    """Return why no model is trained, if so."""
    labels = table.people[table.schema.label]
    fewer = min(int(labels.sum()), int((1 - labels).sum()))
    if fewer >= FEWEST_OF_EITHER:
        return None
    return (
        f"No model is trained: the rarer outcome of {_name(table.decided.target)} has {fewer} people, and to test a "
        f"model and an attack on it takes {FEWEST_OF_EITHER}: give more people, or a target that is less rare."
    )


def _rounded(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


# Statistics with a promise ---------------------------------------------------------------------------------------


def statistics(table: Table, seed: int = 0) -> Finding:
    """Say how far from the truth a share, a count and means are when they keep a promise."""
    from ppml_helpers.private_statistics.noise import bounded_mean, noise_margin, noisy_rate

    title = "Statistics with a promise"
    if table.decided.unconfirmed:
        return Finding(title, [_unconfirmed(table)])
    people, schema = table.people, table.schema
    numbers = [name for name, role in schema.columns.items() if isinstance(role, cohort.Number)]
    means = [name for name in numbers if people[name].notna().any()][:_MEANS]
    names = next((name for name, role in schema.columns.items() if isinstance(role, cohort.Category)), None)
    asked = 1 + len(means) + (names is not None)
    yes = int(people[schema.label].sum())
    errors: dict[str, list[str]] = {}
    for epsilon in EPSILONS:
        part = epsilon / asked
        rate, share = noisy_rate(yes, len(people) - yes, part), yes / len(people)
        off = max(abs(rate.quantile(0.025) - share), abs(rate.quantile(0.975) - share))
        errors.setdefault("share with the outcome", []).append(f"{100 * off:.1f} points of 100")
        if names is not None:
            errors.setdefault(f"counts by {_name(names)}", []).append(f"{noise_margin(part):,} people")
        for name in means:
            answer = bounded_mean(people[name].dropna(), schema.columns[name], part)
            off = max(answer.true - answer.low, answer.high - answer.true)
            errors.setdefault(f"mean of {_name(name)}", []).append(f"{off:.2g}")
    index = pd.Index(errors, name="answer")
    rows = pd.DataFrame(list(errors.values()), columns=[f"epsilon {one:g} in all" for one in EPSILONS], index=index)
    told = [
        f"One budget is shared equally by {words.counted(asked, 'answer')}. The table says how far from the truth 95 % "
        "of the releases are at most, in the unit of the column, values beyond the public bounds moved to them; the "
        "truth itself is not shown.",
        "The promise is pure epsilon-differential privacy for tables that differ by one person; the noise is the "
        "two-sided geometric one, with the public bounds of the roles. A second look at the same people adds up.",
    ]
    return Finding(title, told, [("Error of each answer", rows)])


# Models, attacked ------------------------------------------------------------------------------------------------


def attacked(table: Table, seed: int = 0) -> Finding:
    """Train ordinary and private models, and attack each the same way; the rows of the scoreboard that apply."""
    title = "Models, attacked"
    if (few := _too_few(table)) is not None:
        return Finding(title, [few])
    field = ground(table.split(seed, MOST_PEOPLE), seed)
    private = not table.decided.unconfirmed
    rows = [measured_on(name, field) for name in (*ORDINARY, *(PRIVATE if private else ()))]
    if private:
        rows.insert(len(ORDINARY), _control(field))
    rows = [row for row in rows if not row.missing]
    trained, tested = len(field.split.y_train), len(field.split.y_test)
    told = [
        f"Each model is trained on {trained:,} people and tested on {tested:,} others. "
        "The attack compares how sure a model is of what happened with how sure a calm model is that never saw the "
        "person; half of the tested people are the attacker's own. An attack that fails proves nothing.",
        f"Intervals: of AUC {rows[0].methods.get('auc_interval', 'none')}; of the advantage "
        f"{rows[0].methods.get('advantage_interval', 'none')}.",
    ]
    if tested // 2 < 100:
        told.append("With fewer than 100 people to be wrongly accused, 1 % of false alarms cannot be measured.")
    if not private:
        told.append(_unconfirmed(table))
    worst = max(rows, key=lambda row: row.leak or 0)
    others = [row for row in rows if row is not worst]
    aucs, leak = [row.auc for row in others], max(row.leak or 0 for row in others)
    alt = (
        f"Of {len(rows)} models, {worst.technique} leaks most, with an advantage of {worst.leak or 0:.2f} at an AUC of "
        f"{worst.auc:.2f}; the others have an advantage of at most {leak:.2f}, and AUCs "
        f"from {min(aucs):.2f} to {max(aucs):.2f}."
    )
    return Finding(title, told, [("The rows of the scoreboard that apply", _board(rows))], [(_drawing(rows), alt)])


def _control(field: Ground) -> Row:
    """Return clipping without noise: what it does is not what the promise does."""
    from ppml_helpers.private_training import RECIPES, train

    recipe = RECIPES["logistic regression"]
    model = train(field.split.X_train, field.split.y_train, recipe, [0.0], [field.seed])
    told = judged(field, lambda X: model.risks(X)[0])
    sees = dict.fromkeys(("patient", "hospital", "server", "researcher", "public"), "as of any model")
    return Row(CONTROL, "training", "a model", patients=len(field.split.y_train), sees=sees, **told)


def _board(rows: Sequence[Row]) -> pd.DataFrame:
    made = {
        row.technique: {
            "AUC": _with(row.auc, row.auc_interval),
            "log loss": f"{row.log_loss:.2f}",
            "advantage of the attack": _with(row.advantage, row.advantage_interval),
            "found at 1 % false alarms": "-"
            if row.tpr_at_1_percent is None
            else words.percent(row.tpr_at_1_percent, 1),
            "promise": "none" if row.epsilon is None else f"epsilon {row.epsilon:.2g}, delta {row.delta:g}",
        }
        for row in rows
    }
    return pd.DataFrame(made).T.rename_axis("technique")


def _with(value: float | None, ends: tuple[float, float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" + ("" if ends is None else f" ({ends[0]:.2f} to {ends[1]:.2f})")


def _drawing(rows: Sequence[Row]) -> bytes:
    """Draw use and leak of each row side by side, with their intervals."""
    figure, (left, right) = figures.new_figure(2, (7.0, 0.9 + 0.34 * len(rows)))
    for axis, colour, name in ((left, "utility", "auc"), (right, "leak", "advantage")):
        for place, row in enumerate(reversed(rows)):
            value, ends = getattr(row, name), getattr(row, f"{name}_interval")
            if value is not None:
                axis.plot(ends or [value], [place] * (2 if ends else 1), color=figures.COLOURS[colour], linewidth=2)
                axis.plot(value, place, "o" if name == "auc" else "s", color=figures.COLOURS[colour], markersize=6)
        axis.set_ylim(-0.6, len(rows) - 0.4)
    left.set_yticks(range(len(rows)), [row.technique for row in reversed(rows)], fontsize=10)
    right.set_yticks(range(len(rows)), [""] * len(rows))
    right.axvline(0, color=figures.COLOURS["promise"], linestyle="--", linewidth=1)
    left.set_title("use: AUC", fontsize=10, loc="left")
    right.set_title("leak: advantage (0 is guessing)", fontsize=10, loc="left")
    return figures.to_png(figure)


# The price of epsilon --------------------------------------------------------------------------------------------


def priced(table: Table, seed: int = 0, epsilon: float = 1.0) -> Finding:
    """Draw what the epsilon explorer shows of this table at its first setting."""
    from ppml_helpers.private_training import RECIPES, drawing
    from ppml_helpers.private_training.setting import Asked, Desk, up

    title = "What epsilon costs here, and what it buys"
    if table.decided.unconfirmed:
        return Finding(title, [_unconfirmed(table)])
    if (few := _too_few(table)) is not None:
        return Finding(title, [few])
    desk = Desk(cohort.checked_split(table.split(seed, MOST_PEOPLE)), accounting.DELTA)
    model = "logistic regression"
    knobs = {"usefulness": "AUC", "among": "all test patients", "view": "curve", "wished": 0.9, "prior": 0.5}
    once = {"models_a_year": 1, "years": 1, "rows": 1, "games": 100}
    norm = RECIPES[model].clipping_norm
    shown = desk.look(Asked(epsilon, desk.counts[-1], model, clipping_norm=norm, **knobs, **once), lambda *_: None)
    figure = Figure(figsize=(7.0, 3.6), dpi=figures.DPI)
    drawing.draw(figure, shown)
    curve = shown.curve["mean"]
    ends = [f"{curve.iloc[place]:.2f} at epsilon {curve.index[place]:g}" for place in (0, -1)]
    alt = (
        f"At epsilon {epsilon:g} a logistic regression on {shown.asked.patients:,} people has an AUC of "
        f"{shown.present.mean():.2f}, against {shown.non_private:.2f} without privacy; {words.listed(ends)}. The "
        f"strongest attacker is right at most {words.in_100(shown.allowed.exact)} times in 100 against these "
        f"trainings, and at most {words.in_100(shown.allowed.promise)} against any with this promise."
    )
    told = [
        f"The promise: epsilon {up(shown.allowed.total)} at delta {accounting.DELTA:g} to a person with one row, for "
        f"one model with noise of its own. Looking at all {shown.models} models of this picture would cost epsilon "
        f"{up(shown.cost)} if they were published: choose with the picture, and publish one.",
        "The noise of this kit is for teaching: train what you release with a library whose noise is made for that.",
    ]
    return Finding(title, told, pictures=[(figures.to_png(figure), alt)])
