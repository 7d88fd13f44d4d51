"""`dealing`: the split and the simulated hospitals; every patient ends in exactly one part."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from ppml_helpers import cohort
from ppml_helpers.errors import DataError, ExplorerError, TrainingDataError


def test_split_is_stratified_seeded_and_complete(patients) -> None:
    X, y = cohort.features(patients, ["age", "sex"])
    one, same, other = cohort.split(X, y, 1), cohort.split(X, y, 1), cohort.split(X, y, 2)
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


def arrow(values: list[object], kind: pa.DataType) -> pd.arrays.ArrowExtensionArray:
    """Return a column of a type that pandas holds and cannot take a value out of."""
    return pd.arrays.ArrowExtensionArray(pa.array(values, kind))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X, y: (X.mask(X == 3), y, 0), "nan in column 'x'.*finite number"),
        (lambda X, y: (X.astype(object).replace(3.0, "three"), y, 0), "'three' in column 'x'"),
        (lambda X, y: (X, y + 1, 0), "label 2.*must be 0 or 1"),
        (lambda X, y: (X, y * 0, 0), "8 patients with label 0 and 0 with label 1"),
        (lambda X, y: (X.head(0), y.head(0), 0), "both need at least 2"),
        (lambda X, y: (X, y.head(5), 0), "8 rows and y has 5"),
        (lambda X, y: (X, y.to_frame(), 0), "y has 2 dimensions, it must have 1"),
        (lambda X, y: (np.zeros((8, 1, 1)), y, 0), "X has 3 dimensions, it must have 2"),
        (lambda X, y: (X.assign(x=pd.Timestamp("1993-01-01")), y, 0), "1993-01-01 .*in column 'x'"),
        (lambda X, y: (X.assign(x=pd.array([*range(7), None], "Int64")), y, 0), "<NA> in column 'x'"),
        (lambda X, y: (X, y.set_axis(range(1, 9)), 0), "indices must be the same"),
        (lambda X, y: (X.set_axis([0] * 8), y.set_axis([0] * 8), 0), "8 rows of 0 by its index.*one patient's rows"),
        (lambda X, y: (X.assign(x="3"), y, 0), "'3' in column 'x'"),
        (lambda X, y: (X, y.map({0: "alive", 1: "dead"}), 0), r"label 'alive', .*y == 'dead'"),
        (lambda X, y: ([[1], [1, 2]] * 4, y, 0), "X has rows of different lengths"),
        (lambda X, y: (X, [[0], [0, 1]] * 4, 0), "y has rows of different lengths"),
        (lambda X, y: (X.assign(x=arrow(["3"] * 8, pa.string_view())), y, 0), "'3' in column 'x'"),
        (lambda X, y: (X.assign(x=arrow([(1, 2, 3)] * 8, pa.month_day_nano_interval())), y, 0), "months=1.*column 'x'"),
        (lambda X, y: (X, y, -1), "seed = -1"),
        (lambda X, y: (X, y, 0, 1), "test_share = 1 "),
    ],
)
def test_split_takes_arrays_and_refuses_what_cannot_be_trained_on(change, words) -> None:
    X, y = pd.DataFrame({"x": np.arange(8.0)}), pd.Series([0, 1] * 4)
    assert len(cohort.split(X.to_numpy(), y.to_numpy(), 0).X_train) == 6
    with pytest.raises(TrainingDataError, match=words):
        cohort.split(*change(X, y))


# ------------------------------------------------------------------------------------------- a split of one's own


@pytest.fixture(scope="module")
def tumours() -> tuple[pd.DataFrame, pd.Series]:
    X, y = load_breast_cancer(as_frame=True, return_X_y=True)
    return (X - X.mean()) / X.std(), y


def _parts(X, y) -> cohort.Split:
    return cohort.Split(*train_test_split(X, y, test_size=0.4, random_state=0))


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (X.to_numpy(), y.to_numpy()),
        lambda X, y: (X, y.to_numpy()),
        lambda X, y: (X.to_numpy(), y),
        lambda X, y: (X.convert_dtypes(dtype_backend="pyarrow"), y.astype("category")),
        lambda X, y: (X.astype(object), y == 1),
        lambda X, y: (csr_array(X.to_numpy()), y.astype("Int8")),
    ],
)
def test_a_split_of_arrays_or_of_any_pandas_type_is_the_same_split(tumours, change) -> None:
    expected, checked = _parts(*tumours), cohort.checked_split(_parts(*change(*tumours)))
    for given_part, part in zip(expected, checked, strict=True):
        np.testing.assert_array_equal(part.to_numpy(), given_part.to_numpy())
    assert {str(kind) for kind in checked.X_train.dtypes} == {"float64"}
    assert checked.y_train.dtype == np.int64
    for X, y in ((checked.X_train, checked.y_train), (checked.X_test, checked.y_test)):
        assert X.index.equals(y.index)


def test_columns_are_found_by_their_names(tumours) -> None:
    split = _parts(*tumours)
    turned = cohort.checked_split(split._replace(X_test=split.X_test[split.X_test.columns[::-1]]))
    pd.testing.assert_frame_equal(turned.X_test, split.X_test)


def _far(X: pd.DataFrame, value: object) -> pd.DataFrame:
    return X.astype({"mean area": object}).assign(**{"mean area": [value, *X["mean area"][1:]]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: tuple(s), "given as a tuple, not a Split"),
        (lambda s: s._replace(X_train=s.X_train.assign(ward="north")), "X_train holds 'north' in column 'ward'"),
        (lambda s: s._replace(X_test=s.X_test.assign(age=1.0)), "X_train lacks the column 'age'"),
        (lambda s: s._replace(X_test=s.X_test.iloc[:, 1:]), "X_test lacks the column 'mean radius'"),
        (lambda s: s._replace(X_test=s.X_test.to_numpy()), "X_test lacks the column 'mean radius'"),
        (lambda s: s._replace(X_test=_far(s.X_test, np.nan)), "X_test holds nan in column 'mean area'"),
        (lambda s: s._replace(X_train=_far(s.X_train, 1e39)), r"X_train holds 1e\+39 in column 'mean area'"),
        (lambda s: s._replace(X_train=_far(s.X_train, -1e20)), r"-1e\+20 in column 'mean area'"),
        (lambda s: s._replace(X_train=_far(s.X_train, "7")), "'7' in column 'mean area'"),
        (lambda s: s._replace(X_train=s.X_train.iloc[:, [0, 0]]), "two columns named 'mean radius'"),
        (lambda s: s._replace(X_test=s.X_test[[]]), "X_test has no column"),
        (lambda s: s._replace(y_train=s.y_train[::-1]), "indices must be the same"),
        (lambda s: s._replace(y_test=s.y_test * 0), "both need at least 1"),
        (lambda s: s._replace(y_train=s.y_train + 1), "y_train holds the label 2"),
        (lambda s: s._replace(X_test=s.X_train.reset_index(drop=True), y_test=[*s.y_train]), "very features"),
        (
            lambda s: s._replace(X_test=s.X_train[:40].to_numpy(), X_train=s.X_train.to_numpy(), y_test=s.y_train[:40]),
            "40 of 40 patients of X_test have the very features",
        ),
    ],
)
def test_a_split_on_which_nobody_can_train_is_refused_in_a_sentence(tumours, change, words) -> None:
    with pytest.raises(ExplorerError, match=words):
        cohort.checked_split(change(_parts(*tumours)), error=ExplorerError)


@pytest.mark.parametrize(("levels", "columns"), [(6, 4), (2, 2), (12, 3), (10, 5)])
@pytest.mark.parametrize("test_size", [0.1, 0.5, 0.9])
def test_people_alike_by_chance_may_be_in_both_parts(levels, columns, test_size) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, y = rng.integers(0, levels, (400, columns)).astype(float), rng.integers(0, 2, 400)
        cohort.checked_split(cohort.Split(*train_test_split(X, y, test_size=test_size, random_state=seed)))


def test_a_coarse_table_does_not_hide_members_nor_another_hospital_look_like_them(tumours) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 6, (200, 4)).astype(float), rng.integers(0, 2, 200)
    with pytest.raises(TrainingDataError, match="very features"):
        cohort.checked_split(cohort.Split(X, X[::-1], y, y[::-1]))
    split = _parts(*tumours)
    for part, never in ((split.X_train, slice(2)), (split.X_test, slice(100))):  # measured at one hospital, not there
        part.iloc[never] = 0.0
    cohort.checked_split(split)


def test_features_that_nobody_scaled_and_patients_of_several_rows_are_said_to_be_so(tumours) -> None:
    X, y = load_breast_cancer(as_frame=True, return_X_y=True)
    with pytest.warns(UserWarning, match=r"'worst area' was not scaled: its values are 8\d\d.* from 0 on average"):
        cohort.checked_split(_parts(X, y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split = cohort.checked_split(_parts(*tumours))
    again = [*split.y_train.index, *split.y_train.index[:1].repeat(14)]
    with pytest.warns(UserWarning, match=r"One patient has 15 rows in X_train"):
        cohort.checked_split(split._replace(X_train=split.X_train.loc[again], y_train=split.y_train.loc[again]))


def test_what_is_predicted_is_said_in_the_words_of_the_table(patients, tumours) -> None:
    X, y = cohort.features(patients, "age")
    own = cohort.Schema({"age": cohort.SUPPORT2.columns["age"]}, "death", "death within six years", tight=True)
    assert cohort.outcome_words(cohort.split(X, y, 0)) == "death in hospital"
    assert cohort.outcome_words(cohort.checked_split(_parts(X, y))) == "death in hospital"
    assert cohort.outcome_words(cohort.checked_split(cohort.split(X, y.rename(None), 0))) == "death in hospital"
    assert cohort.outcome_words(cohort.split(*cohort.features(patients, schema=own), 0)) == "death within six years"
    assert cohort.outcome_words(_parts(*tumours)) == "target"
    assert cohort.outcome_words(_parts(*(part.to_numpy() for part in tumours))) == "the label 1"


# -------------------------------------------------------------------------------------------------- hospitals


def _distance(patients: pd.DataFrame, dealt: dict[str, pd.DataFrame]) -> float:
    """Mean total variation distance between a hospital's mix of diagnoses and everybody's."""
    everybody = patients["dzgroup"].value_counts(normalize=True)
    mixes = [table["dzgroup"].value_counts(normalize=True) for table in dealt.values()]
    return float(np.mean([mix.sub(everybody, fill_value=0).abs().sum() / 2 for mix in mixes]))


@pytest.mark.parametrize(("n", "skew"), [(2, 0), (8, 0.5), (30, 1)])
def test_every_patient_is_in_exactly_one_hospital(patients, n, skew) -> None:
    dealt = cohort.hospitals(patients, n, 0, skew)
    pd.testing.assert_frame_equal(pd.concat(dealt.values()).sort_index(), patients)
    assert len(dealt) == n
    for name, table in dealt.items():
        assert len(table)
        assert name.endswith("(simulated)")
        assert "simulated" in table.attrs["simulated"]
        assert table.index.is_monotonic_increasing
        table["age"] = 0  # may be changed without harm
    assert patients["age"].min() >= 18


def test_hospital_names_go_beyond_z(patients) -> None:
    names = list(cohort.hospitals(patients.assign(dzgroup=[[1]] * len(patients)), 28, 0, 0))  # lists have names too
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


@pytest.mark.parametrize("skew", [0.2, 0.8])
def test_skew_is_the_share_that_goes_home(patients, skew) -> None:
    for table in cohort.hospitals(patients, 5, 3, 1).values():  # at skew 1 everybody is at home
        home = set(table["dzgroup"])
        dealt = cohort.hospitals(patients, 5, 3, skew).values()
        at_home = max(part["dzgroup"].isin(home).sum() for part in dealt)
        assert at_home / len(table) == pytest.approx(skew + (1 - skew) / 5, abs=0.02)


def test_the_seed_decides_who_goes_where_and_which_hospital_is_home(patients) -> None:
    first, same, other = (cohort.hospitals(patients, 4, seed, 0.3) for seed in (1, 1, 2))
    for name in first:
        assert first[name].index.equals(same[name].index)
    assert not first["Hospital A (simulated)"].index.equals(other["Hospital A (simulated)"].index)
    dealt = [cohort.hospitals(patients, 5, seed, 1)["Hospital A (simulated)"] for seed in range(6)]
    assert len({tuple(sorted(table["dzgroup"].unique())) for table in dealt}) > 1


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
    ("n", "seed", "skew", "by", "words"),
    [
        (1, 0, 0, "dzgroup", "n = 1 must be a whole number of at least 2"),
        (3, 0, 1.1, "dzgroup", "skew = 1.1.*1 a home a diagnosis"),
        (3, 0, 0, "ward", "lacks the column 'ward'"),
        (3, 0, 0, "race", "race = nan"),
        (456, 0, 0, "dzgroup", "at most 455 hospitals"),
    ],
)
def test_hospitals_refuse_what_makes_no_sense(patients, n, seed, skew, by, words) -> None:
    with pytest.raises(DataError, match=words):
        cohort.hospitals(patients, n, seed, skew, by)
