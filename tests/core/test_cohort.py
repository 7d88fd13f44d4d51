"""The patients: loading, features by public knowledge, the split, the simulated hospitals."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from ppml_helpers import cohort
from ppml_helpers.errors import DataError, TrainingDataError

LEAKS = {
    *("death", "d.time", "slos", "charges", "totcst", "totmcst", "avtisst", "sfdm2"),
    *("sps", "aps", "surv2m", "surv6m", "prg2m", "prg6m", "dnr", "dnrday", "adlp", "adls", "adlsc"),
}


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


@pytest.fixture(scope="module")
def data(patients: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    return cohort.features(patients)


# ---------------------------------------------------------------------------------------------------- loading


def test_the_published_table(patients: pd.DataFrame) -> None:
    assert patients.shape == (9105, 48)
    assert list(patients.columns) == list(cohort.COLUMNS)
    assert patients["hospdead"].sum() == 2360
    assert patients["dzgroup"].value_counts()["ARF/MOSF w/Sepsis"] == 3515


def test_published_oddities_are_kept(patients: pd.DataFrame) -> None:
    assert patients["meanbp"].min() == 0
    assert patients["alb"].max() > 28
    assert patients["edu"].max() == 31
    assert patients["totmcst"].min() < 0
    assert patients["dnrday"].min() < 0


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz", "mine.txt"])
def test_another_table_of_the_same_schema(patients: pd.DataFrame, tmp_path, name: str) -> None:
    text = patients.head(50).to_csv(index=False).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    other = cohort.load_patients(tmp_path / name)
    assert len(other) == 50
    assert len(cohort.features(other)[0]) == 50


# --------------------------------------------------------------------------------------------------- features


def test_features_are_bounded_finite_and_aligned(patients, data) -> None:
    X, y = data
    assert X.shape == (9105, 39)
    assert y.name == "hospdead"
    assert set(y) == {0, 1}
    assert np.isfinite(X.to_numpy()).all()
    assert X.to_numpy().min() >= -1
    assert X.to_numpy().max() <= 1
    assert X.index.equals(patients.index)
    assert y.index.equals(patients.index)
    assert set(X.dtypes) == {np.dtype("float64")}
    assert (X.std() > 0).all()


def test_no_column_that_gives_the_label_away(data) -> None:
    assert len(cohort.SUPPORT2.columns) == 26
    assert not LEAKS & set(cohort.SUPPORT2.columns)
    assert "hospdead" not in cohort.SUPPORT2.columns
    assert not {name.split(":")[0].split(" ")[0] for name in data[0]} & {*LEAKS, "hospdead"}


def test_a_logistic_regression_reaches_auc_080(data) -> None:
    X, y = data
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    auc = cross_val_score(LogisticRegression(max_iter=2000), X, y, cv=folds, scoring="roc_auc").mean()
    assert 0.80 <= auc <= 0.83  # above .83 a leaking column would be the likelier reason


def test_each_row_is_prepared_from_itself_alone(patients, data) -> None:
    """No statistic of the table is used: a patient's features do not change with the other patients."""
    rows = np.random.default_rng(0).choice(len(patients), 40, replace=False)
    for row in rows:
        alone, _ = cohort.features(patients.iloc[[row]])
        np.testing.assert_array_equal(alone.to_numpy(), data[0].iloc[[row]].to_numpy())


def test_missing_values_get_the_published_normal_values(patients) -> None:
    fills = {"alb": 3.5, "pafi": 333.3, "bili": 1.01, "crea": 1.01, "bun": 6.51, "wblc": 9, "urine": 2502}
    given_values = patients.head(1).assign(**fills)
    missing = given_values.assign(**dict.fromkeys(fills, np.nan))
    X, _ = cohort.features(given_values, fills)
    pd.testing.assert_frame_equal(cohort.features(missing, fills)[0], X)
    assert {name: cohort.SUPPORT2.columns[name].fill for name in fills} == fills


def test_shapes_by_hand() -> None:
    number = cohort.Number
    schema = cohort.Schema(
        {
            "line": number("u", 0, 10, 5, "by hand"),
            "log": number("u", 1, 100, 10, "by hand", "log"),
            "share": number("u", 0, 4, 0, "by hand", "share"),
            "sides": number("u", 0, 10, 5, "by hand", "sides", (4, 6)),
            "kind": cohort.Category(("a", "b", "c"), "by hand"),
            "step": cohort.Category(("low", "mid", "high"), "by hand", ordered=True),
        },
        "ill",
    )
    table = pd.DataFrame(
        {
            "line": [0, 10, 7.5, np.nan, 99],
            "log": [1, 100, 10, np.nan, 0],
            "share": [0, 4, 1, np.nan, -3],
            "sides": [5, 2, 8, np.nan, 99],
            "kind": ["a", "b", "c", None, "b"],
            "step": ["low", "mid", "high", None, "low"],
            "ill": [0, 1, 1, 0, 1],
        },
        index=list("vwxyz"),
    )
    X, y = cohort.features(table, schema=schema)
    expected = {
        "line": [-1, 1, 0.5, 0, 1],
        "log": [-1, 1, 0, 0, -1],
        "share": [0, 1, 0.25, 0, 0],
        "sides low": [0, 0.5, 0, 0, 0],
        "sides high": [0, 0, 0.5, 0, 1],
        "kind: b": [0, 1, 0, 0, 1],
        "kind: c": [0, 0, 1, 0, 0],
        "step": [-1, 0, 1, 0, -1],
    }
    pd.testing.assert_frame_equal(X, pd.DataFrame(expected, index=list("vwxyz"), dtype=float))
    assert y.name == "ill"
    assert list(y) == [0, 1, 1, 0, 1]


number_roles = st.builds(
    lambda low, width, share, shape: cohort.Number(
        "u", low, low + width, low + share * width, "drawn", shape, (low + 0.3 * width, low + 0.6 * width)
    ),
    low=st.floats(0.01, 1e6),
    width=st.floats(1, 1e6),
    share=st.floats(0, 1),
    shape=st.sampled_from(["line", "log", "share", "sides"]),
)


@settings(max_examples=150, deadline=None)
@given(role=number_roles, values=st.lists(st.none() | st.floats(-1e12, 1e12), min_size=1, max_size=20))
def test_any_number_lands_between_minus_one_and_one(role, values) -> None:
    table = pd.DataFrame({"x": pd.Series(values, dtype=float), "y": 0})
    X, _ = cohort.features(table, schema=cohort.Schema({"x": role}, "y"))
    assert np.isfinite(X.to_numpy()).all()
    assert np.abs(X.to_numpy()).max() <= 1


def test_chosen_columns_only(patients) -> None:
    X, _ = cohort.features(patients.head(5), ["age", "meanbp", "ca"])
    assert list(X) == ["age", "meanbp low", "meanbp high", "ca: yes", "ca: metastatic"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [(["age", "shoe size"], "'shoe size' has no role"), (["slos"], "'slos' has no role"), ([], "No column")],
)
def test_a_column_without_a_role_is_refused(patients, columns, words) -> None:
    with pytest.raises(DataError, match=words):
        cohort.features(patients, columns)


@pytest.mark.parametrize("column", ["age", "dzgroup", "hospdead"])
def test_a_column_that_is_not_there_is_refused(patients, column) -> None:
    with pytest.raises(DataError, match=f"lacks the column '{column}'"):
        cohort.features(patients.drop(columns=column))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("hospdead", 2, "hospdead = 2.* in row 2.*label must be 0 or 1"),
        ("hospdead", np.nan, "hospdead = nan in row 2.*label must be 0 or 1"),
        ("age", np.inf, "age = inf in row 2.*finite number"),
        ("age", "old", "age = old in row 2.*finite number"),
        ("race", "martian", "race = martian in row 2.*must be one of"),
        ("income", "plenty", "income = plenty in row 2.*must be one of"),
    ],
)
def test_a_value_that_a_role_forbids_is_refused(patients, column, value, words) -> None:
    table = patients.head(3).astype({column: object})
    table.loc[1, column] = value
    with pytest.raises(DataError, match=words):
        cohort.features(table)


def test_a_table_that_is_none_is_refused(patients) -> None:
    with pytest.raises(DataError, match="must be a DataFrame"):
        cohort.features(patients.to_numpy())
    with pytest.raises(DataError, match="must be a DataFrame"):
        cohort.hospitals(None, 2, 0, 0)
    with pytest.raises(DataError, match="two columns named 'age'"):
        cohort.features(pd.concat([patients, patients[["age"]]], axis=1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("u", 5, 5, 5, "w"), "low < high"),
        (("u", 0, np.inf, 5, "w"), "finite"),
        (("u", 0, 5, 6, "w"), "Fill-in value 6"),
        (("u", 0, 5, 1, "w", "log"), "lower bound above 0"),
        (("u", 0, 5, 1, "w", "sides"), "normal range"),
        (("u", 0, 5, 1, "w", "sides", (2, 9)), "normal range"),
        (("u", 0, 5, 1, "w", "curve"), "'curve' is unknown"),
    ],
)
def test_a_role_that_contradicts_itself_is_refused(arguments, words) -> None:
    with pytest.raises(DataError, match=words):
        cohort.Number(*arguments)


@pytest.mark.parametrize("levels", [(), ("one",), ("twice", "twice")])
def test_a_category_needs_two_names(levels) -> None:
    with pytest.raises(DataError, match="two or more different names"):
        cohort.Category(levels, "by hand")


# ------------------------------------------------------------------------------------------------------ split


def test_split_is_stratified_seeded_and_complete(data) -> None:
    X, y = data
    one, same, other = cohort.split(X, y, 1), cohort.split(X, y, 1), cohort.split(X, y, 2)
    assert one._fields == ("X_train", "X_test", "y_train", "y_test")
    assert len(one.X_test) == round(0.25 * 2360) + round(0.25 * 6745)
    assert abs(one.y_train.mean() - one.y_test.mean()) < 1e-3
    assert one.X_train.index.equals(one.y_train.index)
    assert one.X_test.index.equals(one.y_test.index)
    assert sorted([*one.X_train.index, *one.X_test.index]) == list(X.index)
    pd.testing.assert_frame_equal(one.X_train, same.X_train)
    assert not one.X_train.index.equals(other.X_train.index)
    pd.testing.assert_frame_equal(one.X_train, X.loc[one.X_train.index])


@settings(max_examples=60, deadline=None)
@given(
    deaths=st.integers(2, 40),
    lives=st.integers(2, 40),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**40),
)
def test_split_of_any_size(deaths, lives, share, seed) -> None:
    y = pd.Series([1] * deaths + [0] * lives, index=range(100, 100 + deaths + lives))
    X = pd.DataFrame({"x": np.arange(len(y), dtype=float)}, index=y.index)
    part = cohort.split(X, y, seed, share)
    assert set(part.y_train) == set(part.y_test) == {0, 1}
    assert sorted([*part.y_train.index, *part.y_test.index]) == list(y.index)
    assert abs(part.y_test.sum() - share * deaths) <= 1


def test_split_takes_arrays_too() -> None:
    part = cohort.split(np.arange(20.0).reshape(10, 2), np.array([0, 1] * 5), 0)
    assert len(part.X_train) + len(part.X_test) == 10


def _small() -> tuple[pd.DataFrame, pd.Series]:
    return pd.DataFrame({"x": np.arange(8.0)}), pd.Series([0, 1] * 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X, y: (X.mask(X == 3), y), "nan in column 'x'.*finite number"),
        (lambda X, y: (X.replace(3, np.inf), y), "inf in column 'x'.*finite number"),
        (lambda X, y: (X.astype(object).replace(3.0, "three"), y), "three in column 'x'"),
        (lambda X, y: (X, y + 1), "label 2.*must be 0 or 1"),
        (lambda X, y: (X, y.mask(y.index == 3)), "label nan.*must be 0 or 1"),
        (lambda X, y: (X, y * 0), "8 patients with label 0 and 0 with label 1"),
        (lambda X, y: (X.head(2), y.head(2)), "both need at least two"),
        (lambda X, y: (X.head(0), y.head(0)), "both need at least two"),
        (lambda X, y: (X, y.head(5)), "8 rows and y has 5"),
        (lambda X, y: (X, y.set_axis(range(1, 9))), "indices must be the same"),
    ],
)
def test_split_refuses_what_cannot_be_trained_on(change, words) -> None:
    with pytest.raises(TrainingDataError, match=words):
        cohort.split(*change(*_small()), 0)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, np.nan, "half", None, True])
def test_split_refuses_a_share_outside_zero_and_one(share) -> None:
    with pytest.raises(TrainingDataError, match="test_share"):
        cohort.split(*_small(), 0, share)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "one", True])
def test_a_seed_must_be_a_whole_number(patients, seed) -> None:
    with pytest.raises(TrainingDataError, match="seed"):
        cohort.split(*_small(), seed)
    with pytest.raises(DataError, match="seed"):
        cohort.hospitals(patients, 3, seed, 0)


# -------------------------------------------------------------------------------------------------- hospitals


def _distance(patients: pd.DataFrame, dealt: dict[str, pd.DataFrame]) -> float:
    """Mean total variation distance between a hospital's mix of diagnoses and everybody's."""
    everybody = patients["dzgroup"].value_counts(normalize=True)
    mixes = [table["dzgroup"].value_counts(normalize=True) for table in dealt.values()]
    return float(np.mean([mix.sub(everybody, fill_value=0).abs().sum() / 2 for mix in mixes]))


@pytest.mark.parametrize("n", [2, 5, 8, 12, 30])
@pytest.mark.parametrize("skew", [0, 0.5, 1])
def test_every_patient_is_in_exactly_one_hospital(patients, n, skew) -> None:
    dealt = cohort.hospitals(patients, n, 0, skew)
    assert len(dealt) == n
    assert all(len(table) for table in dealt.values())
    together = pd.concat(dealt.values())
    assert together.index.is_unique
    pd.testing.assert_frame_equal(together.sort_index(), patients)
    for name, table in dealt.items():
        assert name.endswith("(simulated)")
        assert "simulated" in table.attrs["simulated"]
        assert table.index.is_monotonic_increasing


def test_hospital_names_go_beyond_z(patients) -> None:
    names = list(cohort.hospitals(patients, 28, 0, 0))
    assert names[0] == "Hospital A (simulated)"
    assert names[25:] == ["Hospital Z (simulated)", "Hospital AA (simulated)", "Hospital AB (simulated)"]


def test_skew_goes_from_the_same_mix_to_one_home_a_diagnosis(patients) -> None:
    distances = [_distance(patients, cohort.hospitals(patients, 5, 3, skew)) for skew in (0, 0.25, 0.5, 0.75, 1)]
    assert distances == sorted(distances)
    assert distances[0] < 0.005
    assert distances[-1] > 0.6
    dealt = cohort.hospitals(patients, 5, 3, 1)
    homes = pd.concat([table.assign(at=name) for name, table in dealt.items()]).groupby("dzgroup")["at"]
    assert (homes.nunique() == 1).all()


@pytest.mark.parametrize("skew", [0.2, 0.5, 0.8])
def test_skew_is_the_share_that_goes_home(patients, skew) -> None:
    for table in cohort.hospitals(patients, 5, 3, 1).values():  # at skew 1 everybody is at home
        home = set(table["dzgroup"])
        dealt = cohort.hospitals(patients, 5, 3, skew).values()
        at_home = max(part["dzgroup"].isin(home).sum() for part in dealt)
        assert at_home / len(table) == pytest.approx(skew + (1 - skew) / 5, abs=0.02)


def test_the_seed_decides_which_hospital_is_home(patients) -> None:
    dealt = [cohort.hospitals(patients, 5, seed, 1)["Hospital A (simulated)"] for seed in range(6)]
    assert len({tuple(sorted(table["dzgroup"].unique())) for table in dealt}) > 1


def test_the_seed_decides(patients) -> None:
    first, same, other = (cohort.hospitals(patients, 4, seed, 0.3) for seed in (1, 1, 2))
    for name in first:
        assert first[name].index.equals(same[name].index)
    assert not first["Hospital A (simulated)"].index.equals(other["Hospital A (simulated)"].index)


def test_the_dealt_tables_can_be_changed_without_harm(patients) -> None:
    before = patients["age"].sum()
    for table in cohort.hospitals(patients, 3, 0, 0).values():
        table["age"] = 0
    assert patients["age"].sum() == before


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=40),
    n=st.integers(2, 12),
    skew=st.floats(0, 1),
    seed=st.integers(0, 10**6),
)
def test_no_hospital_is_empty_whatever_the_diagnoses(sizes, n, skew, seed) -> None:
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    table = pd.DataFrame({"group": groups})
    if len(table) < 20 * n:
        with pytest.raises(DataError, match="fewer than 20 each"):
            cohort.hospitals(table, n, seed, skew, by="group")
        return
    dealt = cohort.hospitals(table, n, seed, skew, by="group")
    assert min(len(part) for part in dealt.values()) >= 1
    assert sorted(row for part in dealt.values() for row in part.index) == list(table.index)


@pytest.mark.parametrize(
    ("n", "skew", "words"),
    [
        (1, 0, "n = 1 must be a whole number of at least 2"),
        (0, 0, "n = 0"),
        (2.5, 0, "n = 2.5"),
        (True, 0, "n = True"),
        (456, 0, "at most 455 hospitals"),
        (3, -0.1, "skew = -0.1"),
        (3, 1.1, "skew = 1.1"),
        (3, np.nan, "skew = nan"),
        (3, "much", "skew = 'much'"),
    ],
)
def test_hospitals_refuse_what_makes_no_sense(patients, n, skew, words) -> None:
    with pytest.raises(DataError, match=words):
        cohort.hospitals(patients, n, 0, skew)


def test_hospitals_need_a_diagnosis(patients) -> None:
    with pytest.raises(DataError, match="lacks the column 'ward'"):
        cohort.hospitals(patients, 3, 0, 0, by="ward")
    with pytest.raises(DataError, match="race = nan"):
        cohort.hospitals(patients, 3, 0, 0, by="race")
