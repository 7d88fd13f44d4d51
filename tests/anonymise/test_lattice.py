"""The `lattice`, with its `search`, `frequencies`, `suppression` and `demand`.

Optimal by brute force, released tables that keep their promise, and refusals.
"""

from __future__ import annotations

import importlib
import itertools
import math
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppml_helpers.anonymise import Hierarchy, Lattice, Released, Solution, k_anonymity, support2_hierarchies
from ppml_helpers.anonymise.frequencies import Frequencies
from ppml_helpers.errors import AnonymityError

# ------------------------------------------------------------------------------------------------ brute force

NONE = "missing"


class Case(NamedTuple):
    table: pd.DataFrame
    levels: dict[str, list[list[Any]]]
    demand: dict[str, Any]
    distance: str


EVERYTHING = {"l": 1, "t": 1.0, "diversity": "distinct", "weights": {}}  # asks for nothing beyond k


def labelled(case: Case, name: str) -> list[dict[Any, str]]:
    """Label of each base value at each level; a missing value joins a single top only."""
    levels = case.levels[name]
    maps = [{value: str(label) for value, label in zip(levels[0], level, strict=True)} for level in levels]
    if case.table[name].isna().any():
        for number, labels in enumerate(maps):
            single = number > 0 and len(set(labels.values())) == 1
            labels[None] = next(iter(labels.values())) if single else NONE
    return maps


def distance_of(rows: list[Any], reference: list[Any], distance: str) -> Fraction:
    p, q = Counter(rows), Counter(reference)
    values = sorted(q, key=lambda value: (value is None, value))
    differences = [Fraction(p[v], len(rows)) - Fraction(q[v], len(reference)) for v in values]
    if distance == "equal":
        return sum((abs(d) for d in differences), Fraction(0)) / 2
    steps = list(itertools.accumulate(differences))[:-1]
    return sum((abs(s) for s in steps), Fraction(0)) / max(1, len(steps))


def diversity_of(rows: list[Any], kind: str) -> float:
    counts = Counter(value for value in rows if value is not None).values()
    if kind == "distinct" or not counts:
        return len(counts)
    shares = [count / sum(counts) for count in counts]
    return math.exp(-sum(share * math.log(share) for share in shares))


def kept_at(
    case: Case, groups: dict[tuple[str, ...], list[int]], secret: list[Any]
) -> dict[tuple[str, ...], list[int]]:
    """Drop all failing classes at once, take the distribution of what is left, and go on until none fails."""
    d = case.demand
    kept = dict(groups)
    while True:
        everybody = [secret[i] for rows in kept.values() for i in rows]
        stay = {}
        for labels, rows in kept.items():
            values = [secret[i] for i in rows]
            if (
                len(rows) >= d["k"]
                and (d["l"] == 1 or diversity_of(values, d["diversity"]) >= d["l"] - 1e-9)
                and distance_of(values, everybody, case.distance) <= Fraction(d["t"]) + Fraction(1, 10**9)
            ):
                stay[labels] = rows
        if len(stay) == len(kept):
            return kept
        kept = stay


class Truth(NamedTuple):
    loss: Fraction
    node: tuple[int, ...]
    kept: list[int]


def brute_force(case: Case) -> Truth | None:
    """Every node, every class, exact fractions."""
    table, d = case.table, case.demand
    names, rows = list(case.levels), len(case.table)
    columns = {name: [None if pd.isna(v) else v for v in table[name]] for name in names}
    secret = [None if pd.isna(v) else v for v in table["secret"]]
    maps = {name: labelled(case, name) for name in names}
    weights = {name: Fraction(d["weights"].get(name, 1)) for name in names}
    best = None
    for node in itertools.product(*(range(len(maps[name])) for name in names)):
        chosen = {name: maps[name][level] for name, level in zip(names, node, strict=True)}
        leaves = {name: Counter(labels.values()) for name, labels in chosen.items()}
        groups = defaultdict(list)
        for i in range(rows):
            groups[tuple(chosen[name][columns[name][i]] for name in names)].append(i)
        kept = kept_at(case, groups, secret)
        stay = sum(len(members) for members in kept.values())
        if not stay or rows - stay > d["suppression_limit"] * rows + 1e-9:
            continue
        loss = Fraction(rows - stay)
        for labels, members in kept.items():
            for name, label in zip(names, labels, strict=True):
                most = max(1, sum(leaves[name].values()) - 1)
                ncp = Fraction(leaves[name][label] - 1, most)
                loss += len(members) * ncp * weights[name] / sum(weights.values())
        rank = (loss / rows, sum(node), node)
        if best is None or rank < best:
            best, stay_in = rank, sorted(itertools.chain(*kept.values()))
    return best and Truth(best[0], best[2], stay_in)


# ----------------------------------------------------------------------------------------------- random cases


@st.composite
def hierarchies(draw: st.DrawFn, base: list[Any]) -> list[list[Any]]:
    """Nested levels over base values: each level merges labels of the one below at random."""
    levels: list[list[Any]] = [list(base)]
    group = list(range(len(base)))
    for number in range(draw(st.integers(0, 3))):
        merged = {g: draw(st.integers(0, max(0, len(base) - 1 - number))) for g in sorted(set(group))}
        group = [merged[g] for g in group]
        levels.append([f"{number}:{g}" for g in group])
    if draw(st.integers(0, 2)):
        levels.append(["*"] * len(base))
    return levels


BASES = (
    ["äß", "ø o", "漢", "d"],
    [3, 1, 2, 10, 7],
    [0.5, 1.0, 2.5],
    ["only"],
    list(pd.to_datetime(["1993-01-02", "1993-01-03", "1993-05-01"])),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rows = draw(st.integers(1, 16))
    table, levels = {}, {}
    for number in range(draw(st.integers(1, 3))):
        base = draw(st.sampled_from(BASES))
        choice = [*base, None] if draw(st.integers(0, 3)) == 0 else base
        table[f"qi {number}"] = [draw(st.sampled_from(choice)) for _ in range(rows)]
        levels[f"qi {number}"] = draw(hierarchies(base))
    distance = draw(st.sampled_from(["equal", "ordered"]))
    secrets = [10, 20, 25, 90] if distance == "ordered" else ["flu", "gout", "Ödem", None]
    table["secret"] = [draw(st.sampled_from(secrets)) for _ in range(rows)]
    frame = pd.DataFrame(table)
    beyond = draw(st.booleans())
    kind = draw(st.sampled_from(["distinct", "entropy"]))
    most_l = min(3, max(1, frame["secret"].nunique()))
    l = 1 if not beyond else draw(st.integers(1, most_l) if kind == "distinct" else st.floats(1, most_l))  # noqa: E741
    demand = {
        "k": draw(st.integers(1, min(rows, 5))),
        "suppression_limit": draw(st.sampled_from([0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0])),
        "l": l,
        "t": draw(st.sampled_from([1.0, 0.5, 0.3, 0.2, 0.1, 0.0])) if beyond else 1.0,
        "diversity": kind,
        "weights": {name: draw(st.sampled_from([0, 0.3, 1, 1, 2.5])) for name in levels},
    }
    if not any(demand["weights"].values()):
        demand["weights"] = {}
    return Case(frame, levels, demand, distance)


def outcome(lattice: Lattice, demand: dict[str, Any]) -> Solution | None:
    try:
        return lattice.solve(**demand)
    except AnonymityError as error:
        if "No generalisation reaches" not in str(error):
            raise
        return None


def test_the_node_is_the_one_of_brute_force() -> None:
    """Among the random cases many have suppression, l or t at work, or no solution at all."""
    seen: Counter[str] = Counter()

    @settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases())
    def look(case: Case) -> None:
        truth = brute_force(case)
        solved_as(case, truth)
        seen["none"] += truth is None
        seen["suppressed"] += truth is not None and len(truth.kept) < len(case.table)
        seen["generalised"] += truth is not None and sum(truth.node) > 0
        seen["l or t"] += truth is not None and (case.demand["l"] > 1 or case.demand["t"] < 1)

    look()
    assert min(seen[what] for what in ("none", "suppressed", "generalised", "l or t")) >= 5, seen


def solved_as(case: Case, truth: Truth | None) -> None:
    as_dict = {name: dict(enumerate(levels)) for name, levels in case.levels.items()}
    names = list(case.levels)
    plain = Lattice(case.table, names, as_dict, "secret", case.distance)
    ready = Lattice(case.table, names, {n: Hierarchy(v) for n, v in case.levels.items()}, "secret", case.distance)
    ready.precompute(limit_max=1.0)
    short = Lattice(case.table, names, as_dict, "secret", case.distance).precompute(k_max=3, limit_max=0.2)
    for lattice in (plain, ready, short):
        solution = outcome(lattice, case.demand)
        assert (solution is None) == (truth is None)
        if solution is not None:
            assert tuple(solution.node[name] for name in names) == truth.node
            assert solution.loss == pytest.approx(float(truth.loss), abs=1e-11)
            assert solution.suppressed == len(case.table) - len(truth.kept)
    if truth is not None:
        check_released(case, plain.apply(outcome(plain, case.demand)), truth)


def check_released(case: Case, released: Released, truth: Truth) -> None:
    """The rows that brute force keeps, each with its labels, its cost and its own secret, and nothing else."""
    assert sorted(released.kept) == truth.kept
    assert released.suppressed == released.n - len(truth.kept)
    assert released.table.index.equals(pd.RangeIndex(len(truth.kept)))
    assert list(released.table.columns) == list(case.table.columns)
    original = case.table.iloc[released.kept].reset_index(drop=True)
    pd.testing.assert_series_equal(released.table["secret"], original["secret"])
    for column, (name, level) in enumerate(zip(case.levels, truth.node, strict=True)):
        leaves = Counter(labelled(case, name)[level].values())
        labels = [labelled(case, name)[level][None if pd.isna(value) else value] for value in original[name]]
        if level:
            assert released.table[name].tolist() == labels
        most = max(1, sum(leaves.values()) - 1)
        assert released.ncp[:, column] == pytest.approx([(leaves[label] - 1) / most for label in labels])


@pytest.mark.parametrize("distance", ["equal", "ordered"])
def test_a_class_that_fails_only_after_another_was_dropped_is_dropped_too(distance: str) -> None:
    """Of ones, D has 0.4, B 0.7 and A 1; all have 0.55. Without A it is 0.46, and B is suddenly 0.24 away."""
    rows = {"A": (0, 10), "B": (3, 7), "D": (24, 16)}
    table = pd.DataFrame(
        [(label, value) for label, counts in rows.items() for value in (0, 1) for _ in range(counts[value])],
        columns=["q", "secret"],
    )
    demand = EVERYTHING | {"k": 2, "suppression_limit": 0.34, "t": 0.2}
    case = Case(table, {"q": [["A", "B", "D"]]}, demand, distance)
    assert brute_force(case) == (Fraction(20, 60), (0,), list(range(20, 60)))
    lattice = Lattice(table, ["q"], {"q": {0: ["A", "B", "D"]}}, "secret", distance)
    for one in (lattice, lattice.precompute(limit_max=0.5)):
        solution = one.solve(**demand)
        assert solution.suppressed == 20
        assert set(one.apply(solution).table["q"]) == {"D"}


# ------------------------------------------------------------------------------------------------ larger tables


@pytest.fixture(scope="module")
def made_up() -> pd.DataFrame:
    """What a release has to cope with: missing values, dates, mixed types, and a sensitive value that is rare."""
    rng, n = np.random.default_rng(0), 600
    return pd.DataFrame(
        {
            "age": np.clip(rng.normal(63, 15, n), 18, 104).round(),
            "sex": rng.choice(["female", "male"], n),
            "race": rng.choice(["white", "black", "asian", None], n, p=[0.7, 0.2, 0.05, 0.05]),
            "admission": pd.Timestamp("1993-01-01") + pd.to_timedelta(rng.integers(0, 365, n), unit="D"),
            "dementia": (rng.random(n) < 0.05).astype(int),
            "lab": rng.normal(size=n).round(2),
            "note": [7 if i % 2 else f"n{i % 3}" for i in range(n)],
        }
    )


QI = ("age", "sex", "race", "admission")


@pytest.fixture(scope="module")
def plain(made_up: pd.DataFrame) -> Lattice:
    return Lattice(made_up, QI, support2_hierarchies(made_up), "dementia")


@pytest.fixture(scope="module")
def lattice(made_up: pd.DataFrame) -> Lattice:
    return Lattice(made_up, QI, support2_hierarchies(made_up), "dementia").precompute()


@pytest.mark.parametrize(
    "demand",
    [
        {"k": 5, "suppression_limit": 0.2, "weights": {"age": 3}},
        {"k": 60, "suppression_limit": 0, "weights": {"sex": 0, "admission": 0.2}},
        {"k": 5, "suppression_limit": 0.3, "t": 0.03},
    ],
)
def test_a_larger_table_is_solved_as_by_brute_force(
    made_up: pd.DataFrame, plain: Lattice, lattice: Lattice, demand: dict[str, Any]
) -> None:
    levels = {name: [one.values, *one.levels[1:]] for name, one in support2_hierarchies(made_up).items()}
    truth = brute_force(Case(made_up.rename(columns={"dementia": "secret"}), levels, EVERYTHING | demand, "equal"))
    for one in (plain, lattice):
        solution = one.solve(**demand)
        assert (solution.loss, tuple(solution.node.values())) == (pytest.approx(float(truth.loss)), truth.node)
        assert sorted(one.apply(solution).kept) == truth.kept


@pytest.mark.parametrize("demand", [{"k": 3, "l": 2}, {"k": 4, "t": 0.1}])
def test_a_release_keeps_no_thread_to_the_original(made_up: pd.DataFrame, lattice: Lattice, demand: dict) -> None:
    released = lattice.apply(lattice.solve(**demand))
    assert released.suppressed < len(made_up)
    shuffled = made_up.sample(frac=1, random_state=1).rename_axis("record number")
    shuffled.index = shuffled.index // 2
    shuffled.attrs = {"positions": list(range(600)), "source": "made up"}
    other = Lattice(shuffled, QI, support2_hierarchies(made_up), "dementia")
    twin = other.apply(other.solve(**demand))
    assert twin.node == released.node
    pd.testing.assert_frame_equal(twin.table, released.table)
    assert list(twin.table.columns) == list(made_up.columns)
    assert twin.table.index.equals(pd.RangeIndex(len(twin.table)))
    assert twin.table.attrs == {"source": "made up"}
    # The holder can still go back; a reader of the table cannot: positions are in no order of the table.
    assert twin.table["lab"].tolist() == shuffled["lab"].iloc[twin.kept].tolist()
    assert not np.array_equal(twin.kept, np.sort(twin.kept))
    assert list(made_up.columns[:4]) == list(QI)
    assert all(released.table[name].dtype == "str" for name in QI)


def test_suppressed_rows_leave_no_category_and_do_not_change_the_order() -> None:
    table = pd.DataFrame(
        {"q": ["a"] * 4 + ["b"], "other": pd.Categorical(["x", "y", "x", "y", "rare"]), "m": [10, 9, 2, 1, "t"]}
    )
    lattice = Lattice(table, ["q"], {"q": {0: ["a", "b"]}})
    released = lattice.apply(lattice.solve(2, 0.2))
    assert released.suppressed == 1
    assert list(released.table["other"].cat.categories) == ["x", "y"]
    without = Lattice(table.iloc[:4], ["q"], {"q": {0: ["a", "b"]}})
    assert without.apply(without.solve(2, 0)).table["m"].tolist() == released.table["m"].tolist()


def test_another_table_is_recoded_the_same_way(made_up: pd.DataFrame, lattice: Lattice) -> None:
    released = lattice.apply(lattice.solve(5))
    again = released.recode(made_up.iloc[released.kept]).reset_index(drop=True)
    pd.testing.assert_frame_equal(again[list(QI)], released.table[list(QI)])
    register = pd.DataFrame({"name": ["Ä"], "age": [63]}, index=[7])
    recoded = released.recode(register)
    expected = support2_hierarchies(made_up)["age"].generalise(register["age"], released.node["age"])
    pd.testing.assert_frame_equal(recoded, register.assign(age=expected))
    assert register["age"].tolist() == [63]
    with pytest.raises(AnonymityError, match="lacks 1 value of the column: '7'"):
        released.recode(pd.DataFrame({"age": [7]}))


# ---------------------------------------------------------------------------------------------------- progress


@pytest.mark.parametrize(
    ("work", "demand"),
    [
        ("precompute", {"k_max": 20}),
        ("solve", {"k": 4}),
        ("solve", {"k": 4, "l": 2, "t": 0.3, "suppression_limit": 0.3}),
    ],
)
def test_progress_rises_to_1_and_what_is_stopped_loses_nothing_done(
    made_up: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, work: str, demand: dict[str, Any]
) -> None:
    counted: list[tuple] = []
    seen: list[tuple[float, str]] = []
    for name in ("lost", "profile"):
        real = getattr(Frequencies, name)
        monkeypatch.setattr(Frequencies, name, lambda self, *of, real=real: [counted.append(of), real(self, *of)][1])

    def stop(fraction: float, _: str) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    fresh, stopped = (Lattice(made_up, QI, support2_hierarchies(made_up), "dementia") for _ in range(2))
    done = getattr(fresh, work)(**demand, progress=lambda *step: seen.append(step))
    whole, fractions = set(counted), [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert (fractions[-1], seen[-1][1]) == (1, f"{fresh.nodes:,} of {fresh.nodes:,} nodes")
    assert len(fractions) >= 3
    counted.clear()
    with pytest.raises(KeyboardInterrupt):
        getattr(stopped, work)(**demand, progress=stop)
    assert 0 < len(counted) < len(whole)
    again = getattr(stopped, work)(**demand)
    assert set(counted) == whole
    assert len(counted) == len(whole)  # none twice
    assert work == "precompute" or again == done


@pytest.mark.parametrize("wish", [{}, {"l": 3}, {"weights": {"q0": 0, "q1": 0, "q2": 3}}, {"suppression_limit": 0}])
def test_a_search_counts_few_of_many_nodes_and_never_one_twice(wish: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    names = [f"q{number}" for number in range(7)]
    table = pd.DataFrame(
        {name: rng.integers(0, 64, 1000) for name in names} | {"secret": rng.choice(list("abcd"), 1000)}
    )
    lattice = Lattice(table, names, dict.fromkeys(names, Hierarchy.bands(0, 63, (4, 8, 16))), "secret")
    counted, real = [], Frequencies.lost
    monkeypatch.setattr(Frequencies, "lost", lambda self, *of: [counted.append(of[0]), real(self, *of)][1])
    solution = lattice.solve(5, **{"suppression_limit": 0.05} | wish)
    assert len(counted) == len(set(counted)) < lattice.nodes / 40
    assert lattice.apply(solution).suppressed == solution.suppressed


def test_more_combinations_than_fit_a_64_bit_number() -> None:
    rng = np.random.default_rng(1)
    names = [f"q{i}" for i in range(12)]
    table = pd.DataFrame({name: rng.integers(0, 50, 40) for name in names})
    table.iloc[20:] = table.iloc[:20].to_numpy()
    lattice = Lattice(table, names, {name: Hierarchy.suppression(range(50)) for name in names})
    solution = lattice.solve(2, 0)
    assert set(solution.node.values()) == {0}  # every row has its double
    assert lattice.apply(solution).suppressed == 0


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("demand", "says"),
    [
        ({"k": 601}, "k = 601 must be a whole number from 1 to 600: the table has 600 rows"),
        ({"k": 5, "t": math.nan}, "t = nan"),
        ({"k": 5, "l": 1.5}, "l = 1.5"),
        ({"k": 5, "l": 2.1, "diversity": "entropy"}, "l = 2.1 is more than the 2 values that 'dementia' has"),
        ({"k": 5, "suppression_limit": 5}, "suppression_limit = 5"),
        ({"k": 5, "weights": {"height": 1}}, "'height' is not on offer"),
        ({"k": 5, "weights": dict.fromkeys(QI, 0)}, "All weights are 0"),
    ],
)
def test_a_wrong_demand_is_refused(lattice: Lattice, demand: dict[str, Any], says: str) -> None:
    with pytest.raises(AnonymityError, match=says):
        lattice.solve(**demand)


MANY, DEEP = "abcdefgh", {level: ["x"] for level in range(15)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sensitive": "sex"}, "'sex' is both sensitive and a quasi-identifier"),
        ({"sensitive": "note"}, "The column 'note' mixes numbers and text, such as 7 and 'n0'"),
        ({"distance": "euclid"}, "distance = 'euclid'"),
        ({"hierarchies": {"age": Hierarchy.bands(18, 104)}}, "There is no hierarchy for 'sex'"),
        ({"qi": ["age"], "hierarchies": {"age": Hierarchy.bands(70, 104)}}, "The hierarchy of 'age' lacks"),
        ({"qi": [*MANY], "hierarchies": dict.fromkeys(MANY, DEEP)}, "span 2,562,890,625 nodes, at most 2,000,000"),
    ],
)
def test_a_wrong_table_is_refused(made_up: pd.DataFrame, change: dict[str, Any], says: str) -> None:
    given = {"df": made_up.assign(**dict.fromkeys(MANY, "x")), "qi": QI, "sensitive": "dementia"}
    with pytest.raises(AnonymityError, match=says):
        Lattice(**{"hierarchies": support2_hierarchies(made_up)} | given | change)


def test_what_cannot_be_reached_is_said() -> None:
    apart = Lattice(pd.DataFrame({"q": ["a", "b", "c"]}), ["q"], {"q": {0: ["a", "b", "c"]}})
    with pytest.raises(AnonymityError, match=r"l = 2 and t = 1\.0 need a sensitive attribute"):
        apart.solve(2, l=2)
    for one in (apart, apart.precompute()):  # all rows would have to go, and an empty table is no release
        with pytest.raises(AnonymityError, match=r"No generalisation reaches k = 2 with at most 2 of 3 rows suppr"):
            one.solve(2, 1.0)


def test_a_solution_of_another_table_is_refused(made_up: pd.DataFrame, lattice: Lattice) -> None:
    other = Lattice(made_up.head(200), QI, support2_hierarchies(made_up), "dementia")
    for solution, says in (
        (lattice.solve(5), "solve it anew with this lattice"),
        (Solution({"age": 99}, 5, 1, 1.0, 0, 0.0), "is none of this lattice"),
        ({"age": 0}, "is no Solution"),
    ):
        with pytest.raises(AnonymityError, match=says):
            other.apply(solution)


def test_a_release_that_breaks_its_promise_is_stopped(lattice: Lattice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defence in depth: were the search wrong, the counting afterwards would say so."""
    node, bottom = lattice.solve(5).node, dict.fromkeys(QI, 0)
    monkeypatch.setattr(Lattice, "_kept_rows", lambda self, *wish: np.ones(len(self._df), dtype=bool))
    for wrong, name in (
        (Solution(bottom, 5, 1, 1.0, 0, 0.0), "k = 1 where 5 was asked for: do not release it"),
        (Solution(node, 1, 2, 1.0, 0, 0.0), "l = 1 where 2"),
        (Solution(node, 1, 1, 0.01, 0, 0.0), r"t = 0\."),
    ):
        with pytest.raises(AnonymityError, match=f"released table has {name}"):
            lattice.apply(wrong)


# ---------------------------------------------------------------------------------------------------- the benchmark


def test_the_benchmark_works_out_the_same_loss_from_the_released_table_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    benchmark = importlib.import_module("anonymise")
    table, levels = benchmark.made_up(500)
    lattice = Lattice(table, benchmark.QI, {name: dict(enumerate(labels)) for name, labels in levels.items()})
    solution = lattice.solve(5, 0.05)
    released = lattice.apply(solution)
    assert released.suppressed > 0
    assert benchmark.loss(released.table, levels, len(table)) == pytest.approx(solution.loss)
    pd.testing.assert_frame_equal(benchmark.ours(table, levels, 5).table, released.table)
    small = benchmark.numbers(300, 2)
    assert (benchmark.searched(*small).k, k_anonymity(benchmark.cut(*small).table, list(small[0]))) == (5, 5)
