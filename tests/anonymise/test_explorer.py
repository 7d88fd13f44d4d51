"""The explorer of chapter 03 without a browser, and the `bench` that computes for it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from readable import assert_readable
from sklearn.linear_model import LogisticRegression

from ppml_helpers import anonymise as anonymity
from ppml_helpers import cohort
from ppml_helpers.anonymise import bench
from ppml_helpers.anonymise import explorer as widget
from ppml_helpers.anonymise.bench import LINKED, QUASI_IDENTIFIERS, SENSITIVE
from ppml_helpers.anonymise.explorer import AnonymityExplorer
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import Stopped
from ppml_helpers.people import identities, linkage

QI = list(QUASI_IDENTIFIERS)
FEW = (1, 2, 5, 100)
START = {"k": 5, "limit": 0.05, "l": 1, "t": 1.0, "sensitive": "ca", **dict.fromkeys(QI, 1)}


Tables = tuple[pd.DataFrame, identities.Register]


@pytest.fixture(scope="module")
def some(extract: pd.DataFrame, register: identities.Register) -> Tables:
    return extract.iloc[:1000], register


@pytest.fixture(scope="module")
def explorer(some: Tables) -> AnonymityExplorer:
    """A quick explorer of 1,000 patients; each test says all the knobs that it depends on."""
    return AnonymityExplorer(*some, ks=FEW)


def looked(explorer: AnonymityExplorer, **turned: Any) -> bench.Anonymised:
    """What the explorer computes at these knobs, without drawing it."""
    return explorer.compute(lambda *_: None, **START | turned)


# ---------------------------------------------------------------------------------------------------- the numbers


def by_hand(extract: pd.DataFrame, register: identities.Register, knobs: dict) -> dict:
    """The same figures from the library and plain pandas, without the explorer."""
    later = cohort.split(*cohort.features(extract), seed=0).X_test.index
    extract = extract.drop(index=later)
    sensitive, weights = knobs["sensitive"], {name: knobs[name] for name in QI}
    lattice = anonymity.Lattice(extract, QI, anonymity.support2_hierarchies(extract), sensitive)
    solution = lattice.solve(knobs["k"], knobs["limit"], l=knobs["l"], t=knobs["t"], weights=weights)
    released = lattice.apply(solution)
    rows = released.table.assign(patient=extract.index[released.kept])
    people = released.recode(register.table[list(LINKED)]).assign(patient=register.truth)
    alone = people[~people.duplicated(list(LINKED), keep=False)]
    pairs = rows.merge(alone, on=list(LINKED))
    groups = rows.fillna({sensitive: "missing"}).groupby(QI)[sensitive]
    sure = groups.transform("nunique") == 1
    return {
        "node": solution.node,
        "suppressed": len(extract) - len(rows),
        "loss": anonymity.ncp(released, weights),
        "named": (pairs.patient_x == pairs.patient_y).sum() / len(extract),
        "certain": sure[rows[sensitive] == SENSITIVE[sensitive].harm].mean(),
        "risk": anonymity.risk(released, register.table, LINKED),
    }


TURNED = (
    {"k": 2, "limit": 0.2, "sensitive": "hospdead", "postcode": 3, "dzgroup": 0},
    {"l": 2, "t": 0.3},
    {"k": 1, "limit": 0.0, "sensitive": "dementia"},
)


@pytest.mark.parametrize("turned", TURNED)
def test_it_shows_what_the_library_gives(explorer: AnonymityExplorer, some: Tables, turned: dict) -> None:
    result = looked(explorer, **turned)
    shown = result._asdict() | {"node": result.solution.node, "loss": result.solution.loss}
    for name, expected in by_hand(*some, START | turned).items():
        assert shown[name] == pytest.approx(expected, abs=1e-12), name
    for name in ("named", "certain"):
        assert result.present[name] == getattr(result, name)
    assert result.present.loss == result.solution.loss
    if turned.get("k") == 1:
        assert result.named == pytest.approx(result.raw.named)
        assert result.raw.named > 0.2  # this is the attack of chapter 01
        assert result.certain == result.raw.certain > 0.9
        assert result.present.auc == result.raw.auc > result.raw.auc_alone + 0.02


# ---------------------------------------------------------------------------------------------------- what is kept


def test_moving_k_trains_and_precomputes_nothing(some: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    done: Counter[str] = Counter()

    def count(where: Any, name: str) -> None:
        original = getattr(where, name)
        monkeypatch.setattr(where, name, lambda *given, **named: done.update([name]) or original(*given, **named))

    for where, name in ((LogisticRegression, "fit"), (anonymity.Lattice, "precompute"), (linkage, "link")):
        count(where, name)
    explorer = AnonymityExplorer(some[0].iloc[:400], some[1], ks=(2, 5, 100))
    looked(explorer)
    first = done.copy()
    assert first["fit"] >= 3
    assert first["precompute"] == 1
    for number, k in enumerate((2, 100), 1):
        looked(explorer, k=k)
        assert done == first + Counter(link=number)  # the attack is run anew
    looked(explorer, limit=0.1)
    looked(explorer, k=2)
    assert first["fit"] < done["fit"] <= 2 * first["fit"]
    assert done["precompute"] == 1
    looked(explorer, sensitive="dnr")
    assert done["precompute"] == 2
    explorer.forget()
    assert explorer._bench is None  # and with it all that it kept


def test_a_stopped_curve_goes_on_where_it_was(some: Tables) -> None:
    explorer, seen = AnonymityExplorer(*some, ks=FEW), []

    def impatient(fraction: float, what: str = "") -> None:
        seen.append(what)
        if what.endswith("k = 5"):
            raise Stopped("enough")

    with pytest.raises(Stopped):
        explorer.compute(impatient, **START)
    assert seen[-1].endswith("k = 5")
    begun = len(seen)
    result = explorer.compute(lambda fraction, what="": seen.append(what), **START)
    assert seen[begun].endswith("k = 5")
    assert list(result.curves.index) == list(FEW)
    assert not result.curves.isna().any(axis=None)


def test_nothing_is_made_before_the_first_look(monkeypatch: pytest.MonkeyPatch, some: Tables) -> None:
    loaded = []
    monkeypatch.setattr(cohort, "load_patients", lambda: loaded.append(1))
    AnonymityExplorer()
    AnonymityExplorer(*some)
    assert loaded == []


# ---------------------------------------------------------------------------------------------------- refusals


def test_unfit_tables_and_ks_are_refused_in_one_sentence(some: Tables) -> None:
    extract, register = some
    for given, words in (
        ((extract, None), "give both, or neither"),
        ((extract.drop(columns="hospdead"), register), "lacks the column 'hospdead'"),
        ((extract.iloc[:99], register), "patients of the extract = 99"),
        ((extract, register.table), "the register is of type Fictional"),
        ((extract.sort_values("age").reset_index(drop=True), register), "row labels of the extract are not those"),
        ((extract.iloc[100:].reset_index(drop=True), register), "row labels of the extract are not those"),
        ((extract.set_axis(np.zeros(1000, int)), register), "row labels of the extract are not those"),
        ((extract.set_axis([f"row {n}" for n in range(1000)]), register), "row labels of the extract are not those"),
        ((None, None, ()), "increasing whole numbers"),
        ((None, None, (5, 2)), "increasing whole numbers"),
        ((None, None, (0, 5)), "one of the ks = 0"),
    ):
        with pytest.raises(ExplorerError, match=words):
            AnonymityExplorer(*given)


def test_a_table_that_kept_its_labels_is_attacked_as_before_in_any_order(some: Tables) -> None:
    extract, register = some
    shares = []
    for table in (extract, extract.sort_values("age"), extract.convert_dtypes(dtype_backend="pyarrow")):
        bench_of = bench.Bench(table, register, FEW, print)
        released, _ = bench_of.release(1, bench.Asked("ca"), print)
        shares.append(bench_of.named(released))
        AnonymityExplorer(table, register)  # is not refused
    assert shares == [shares[0]] * 3
    assert shares[0] > 0.2


# ---------------------------------------------------------------------------------------------------- the example


@pytest.mark.parametrize("backend", [None, "numpy_nullable", "pyarrow"])
def test_missing_orders_in_any_kind_of_column_harm_nobody(some: Tables, backend: str | None) -> None:
    """The class that tells most is one with orders, also where pandas compares a missing one to "missing"."""
    extract = some[0].head(400).copy()
    extract.loc[extract.index[:40], "dnr"] = None
    table = extract if backend is None else extract.convert_dtypes(dtype_backend=backend)
    tables = bench.Bench(table, some[1], FEW, print)
    released, _ = tables.release(5, bench.Asked("dnr", 0.2), print)
    example = bench.pick(released, tables.table, "dnr")
    counts = released.table.groupby(list(released.qi)).dnr.agg(
        lambda dnr: (dnr.astype(object) == "dnr after sadm").mean()
    )
    assert example.values.get("dnr after sadm") / example.patients == pytest.approx(counts.max())


def test_the_example_is_a_real_class_of_the_release(some: Tables) -> None:
    extract, tables = some[0], bench.Bench(*some, FEW, print)
    hierarchies = anonymity.support2_hierarchies(extract)
    for sensitive, k in (("dementia", 2), ("dnr", 5), ("ca", 100)):
        released, solution = tables.release(k, bench.Asked(sensitive, 0.05), print)
        example = bench.pick(released, tables.table, sensitive)
        pd.testing.assert_frame_equal(example.before, pd.DataFrame(extract.loc[example.before.index, [*QI, sensitive]]))
        for name in QI:
            labels = hierarchies[name].with_missing().generalise(example.before[name], solution.node[name])
            assert set(labels) == {example.after[name]}
        assert example.patients == example.values.sum() >= max(k, len(example.before))
        assert len(example.before) == min(4, example.patients)


def release(rows: list[tuple[str, str]]) -> tuple[anonymity.Released, pd.DataFrame]:
    table = pd.DataFrame(rows, columns=["age", "ca"])
    lattice = anonymity.Lattice(table, ["age"], {"age": anonymity.Hierarchy.suppression(sorted(set(table.age)))})
    return lattice.apply(lattice.solve(2, 0.0)), table


def test_the_class_shown_tells_most_of_what_harms_and_is_then_the_largest() -> None:
    metastatic = [(age, "metastatic") for age in "bbcccd"]
    rows = [*[("a", "no")] * 6, *metastatic, ("d", "no")]
    for some in (rows, rows[::-1]):
        example = bench.pick(*release(some), "ca")
        assert (example.after, example.patients, example.values.to_dict()) == ({"age": "c"}, 3, {"metastatic": 3})
    without = [row for row in rows if row[0] not in "bc"]
    assert bench.pick(*release(without), "ca").after == {"age": "d"}  # half of two, before none of six


@pytest.mark.parametrize(
    ("sensitive", "values", "said"),
    [
        ("ca", {"no": 8, "yes": 2}, "0 of 10: metastatic"),
        ("ca", {"yes": 10}, "all: yes"),
        ("dementia", {0: 9, 1: 1}, "1 of 10: yes"),
        ("dnr", {np.nan: 10}, "all: missing"),
        ("ca", {"no": 999, "metastatic": 1}, "0.1 %: metastatic"),
    ],
)
def test_the_example_counts_what_harms(sensitive: str, values: dict, said: str) -> None:
    example = bench.Example(pd.DataFrame(), {}, sum(values.values()), pd.Series(values))
    assert widget._counted(example, SENSITIVE[sensitive]) == said


def test_a_release_without_the_value_that_harms_gives_nobody_away() -> None:
    table = pd.DataFrame({"age": ["a", "a", "b"], "ca": ["no", "yes", "no"]})
    assert bench.certain(table, ["age"], "ca") == 0.0
    assert bench.certain(table.assign(ca=["no", "yes", "metastatic"]), ["age"], "ca") == 1.0


# ---------------------------------------------------------------------------------------------------- words, picture


def test_the_sentence_says_the_numbers(explorer: AnonymityExplorer) -> None:
    result = looked(explorer, k=2, limit=0.2, sensitive="hospdead")
    sentence = explorer.say(result)
    assert sentence.startswith("At k = 2, l = 1, t = 1 and at most 20 % left out, ")
    for share in (result.suppressed / result.patients, result.named, result.raw.named, result.certain):
        assert widget._percent(share) in sentence
    assert f"AUC {result.present.auc:.2f} against {result.raw.auc:.2f}" in sentence
    assert "those released who died in hospital" in sentence
    assert "released as they were" in explorer.say(looked(explorer, k=1))
    sentence = explorer.say(looked(explorer, k=100, limit=0.0, age=3))
    assert any(f"{name} left out" in sentence for name in bench.NAMES.values())
    said = [widget._percent(share) for share in (0, 1e-5, 0.0003, 0.0172, 0.31)]
    assert said == ["0 %", "less than 0.01 %", "0.03 %", "1.7 %", "31 %"]


def test_picture_and_sentence_follow_every_knob(explorer: AnonymityExplorer) -> None:
    seen = []
    for turned in ({}, {"k": 100}, *TURNED):
        explorer.set(**START | turned)
        seen.append((explorer.sentence, explorer._png))
    sentences, pictures = zip(*seen, strict=True)
    assert len(set(sentences)) == len(set(pictures)) == len(seen)


def test_the_picture_marks_the_present_point_the_promise_and_what_is_made_up(explorer: AnonymityExplorer) -> None:
    result = explorer.set(**START | {"k": 2}).result
    leak, use, loss, example = explorer._figure.axes
    promise = leak.lines[0]
    assert promise.get_linestyle() == "--"
    np.testing.assert_allclose(promise.get_ydata(), 1 / np.array(FEW))
    points = {
        tuple(line.get_xydata()[0]) for axis in (leak, use, loss) for line in axis.lines if len(line.get_xdata()) == 1
    }
    assert {(2, result.named), (2, result.certain), (2, result.risk.prosecutor_max)} <= points
    assert {(2, result.present.auc), (2, result.present.auc_alone), (2, result.solution.loss)} <= points
    written = [text.get_text() for text in example.texts]
    assert {"postcode*", "diagnosis", "age", "sex", "race"} <= set(written)
    assert any("* fictional" in text and "trained once and kept while only k moves" in text for text in written)


@pytest.mark.parametrize("sensitive", SENSITIVE)
def test_the_longest_words_fit_on_the_picture(explorer: AnonymityExplorer, sensitive: str) -> None:
    result = looked(explorer)
    longest = max(cohort.COLUMNS[sensitive].levels or (1,), key=lambda value: len(widget._written(value, {})))
    words = {"sex": "female", "race": "hispanic", "postcode": "QA12 9", sensitive: longest}
    words["dzgroup"] = "ARF/MOSF w/Sepsis"
    after = words | {"age": "100-104", "dzgroup": "COPD/CHF/Cirrhosis"}
    example = bench.Example(result.example.before.assign(**words), after, 99, pd.Series({longest: 88, "other": 11}))
    explorer._figure.clear()
    explorer.draw(explorer._figure, result._replace(example=example, asked=bench.Asked(sensitive)))
    explorer._figure.canvas.draw()
    assert_readable(explorer)
