"""`identities` and `country`: consistent, seeded, nobody's; the register around them, and the extract."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppml_helpers import cohort
from ppml_helpers.errors import IdentityError
from ppml_helpers.people import identities as room
from ppml_helpers.people.country import REGIONS, region_weights
from ppml_helpers.people.fictional import FICTIONAL
from ppml_helpers.people.national_id import valid_national_id

COLUMNS = ["name", "sex", "birth_date", "admission_date", "mrn", "national_id", "postcode", "phone", "email", "note"]


@pytest.fixture(scope="module")
def few(patients) -> pd.DataFrame:
    return patients.head(300)


def _age(birth: pd.Series, day: pd.Series) -> pd.Series:
    """Age by the calendar: years passed, less one if this year's birthday is still to come."""
    to_come = (day.dt.month < birth.dt.month) | ((day.dt.month == birth.dt.month) & (day.dt.day < birth.dt.day))
    return day.dt.year - birth.dt.year - to_come


def test_every_patient_has_an_identity_of_their_age_and_sex(patients, people) -> None:
    assert list(people.columns) == COLUMNS
    assert people.index.equals(patients.index)
    assert not people.isna().any().any()
    assert (people.drop(columns=["birth_date", "admission_date"]).dtypes == "str").all()
    assert (people["admission_date"].dt.year == 1993).all()
    assert people["admission_date"].nunique() == 365
    assert (people["sex"] == patients["sex"]).all()
    assert (_age(people["birth_date"], people["admission_date"]) == np.floor(patients["age"])).all()
    decimal = (people["admission_date"] - people["birth_date"]).dt.days / 365.25
    assert (decimal - patients["age"]).abs().max() < 0.01


@given(st.floats(0, 130, exclude_max=True, allow_nan=False), st.integers(0, 364))
def test_a_birth_is_exactly_the_whole_years_back(age: float, day: int) -> None:
    admission = np.array(["1993-01-01"], dtype="datetime64[D]") + day
    birth = pd.Series(room._births(admission, np.array([age])))
    assert _age(birth, pd.Series(admission.astype("datetime64[us]"))).iloc[0] == int(age)


@pytest.mark.parametrize(
    ("locale", "phone"),
    [
        ("en_US", r"\(\d{3}\) 555-01\d\d"),
        ("en_GB", r"07700 900\d{3}|020 7946 0\d{3}|01(13|61|17) 496 0\d{3}"),
        ("de_DE", r"(030 23125|069 90009|040 66969|0221 4710|089 99998) \d{3}"),
    ],
)
def test_names_and_identifiers_are_well_formed_and_unique(few, locale: str, phone: str) -> None:
    people = room.identities(few, seed=3, locale=locale)
    assert people["phone"].str.fullmatch(phone).all()
    assert people["mrn"].str.fullmatch(r"H[1-9]\d{6}").all()
    assert people["national_id"].map(valid_national_id).all()
    assert people["national_id"].str.fullmatch(r"999\d{7}").all()
    assert people["postcode"].isin(REGIONS).all()
    assert people["email"].str.fullmatch(r"[a-z-]+\.[a-z-]+\d*@example\.org").all()
    for column in ("mrn", "national_id", "email"):
        assert people[column].is_unique, column
    pool = room.name_pool(locale)
    first, last = (people["name"].str.split(" ").str[place] for place in (0, 1))
    assert last.isin(pool["last"]).all()
    for sex in ("male", "female"):
        assert first[people["sex"] == sex].isin(pool[sex]).all()
    for kind, least in (("male", 150), ("female", 150), ("last", 350)):
        assert len(set(pool[kind])) == len(pool[kind]) >= least
        assert all(re.fullmatch(r"[^\W\d_]+(['-][^\W\d_]+)*", name) for name in pool[kind])
    assert not {"Graves", "Butcher", "Killer"} & set(pool["last"])
    assert people["name"].str.contains("[äöüß]").any() == (locale == "de_DE")
    namesakes = np.array(["Anna", "Anna", "Änna", "Anna"], object), np.array(["Groß"] * 4, object)
    own = [f"{who}@example.org" for who in ("anna.gross", "anna.gross2", "aenna.gross", "anna.gross3")]
    assert list(room._emails(*namesakes)) == own


def test_the_seed_decides_and_nothing_of_the_patients_but_age_sex_and_labels(few, people, listed) -> None:
    once, other = room.identities(few, 1), room.identities(few, 2)
    bare = few[["age", "sex"]].copy()
    pd.testing.assert_frame_equal(room.identities(bare, np.int64(1)), once)
    for held in (bare.convert_dtypes(dtype_backend="pyarrow"), bare.astype({"sex": "category", "age": object})):
        pd.testing.assert_frame_equal(room.identities(held, 1), once)
    pd.testing.assert_frame_equal(few, cohort.load_patients().head(300))  # and nothing was changed
    for column in set(COLUMNS) - {"sex"}:
        assert (once[column] != other[column]).mean() > 0.5, column
    again, another = room.register(people), room.register(people, seed=1)
    pd.testing.assert_frame_equal(again.table, listed.table)
    pd.testing.assert_series_equal(again.truth, listed.truth)
    assert (another.table["name"] != listed.table["name"]).mean() > 0.9


def test_any_unique_index(few) -> None:
    labels = [f"patient-{i}" for i in range(300)]
    people = room.identities(few.set_axis(labels))
    assert list(people.index) == labels
    for share in (0, 0.9, 1):
        truth = room.register(people, size=50_000, listed=share).truth.dropna()
        assert set(truth) <= set(labels)
        assert len(truth) == share * 300


@pytest.mark.parametrize(
    "labels",
    [
        2**60 + np.arange(300),
        pd.array(2**60 + np.arange(300), "Int64"),
        pd.MultiIndex.from_arrays([np.arange(300) // 5, np.arange(300)], names=["ward", "bed"]),
        pd.CategoricalIndex([f"p{i}" for i in range(300)]),
        pd.date_range("1993-01-01", periods=300),
    ],
)
def test_labels_that_no_float_holds_come_out_of_the_register_as_they_are(few, labels) -> None:
    people = room.identities(few.set_axis(labels))
    table, truth = room.register(people, size=50_000, listed=1)
    known = truth.dropna()
    assert set(known) == set(people.index)
    assert (table.loc[known.index, "name"].to_numpy() == people["name"].loc[list(known)].to_numpy()).all()
    assert room.deidentified(few.set_axis(labels), people).index.equals(people.index)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Arrow"])
def test_dates_with_a_zone_and_other_types_are_the_same_people(few, zone) -> None:
    people, dates = room.identities(few), ["birth_date", "admission_date"]
    other = people.convert_dtypes(dtype_backend="pyarrow") if zone == "Arrow" else people.copy()
    if zone != "Arrow":
        other[dates] = other[dates].apply(lambda day: day.dt.tz_localize(zone))
    pd.testing.assert_frame_equal(room.register(other, 50_000).table, room.register(people, 50_000).table)
    pd.testing.assert_frame_equal(room.deidentified(few, other), room.deidentified(few, people), check_dtype=False)


# --------------------------------------------------------------------------------------------------- the country


def test_the_country_is_uneven_and_patients_and_decoys_share_it(people, listed) -> None:
    assert len(REGIONS) == len(set(REGIONS)) == 600
    assert all(re.fullmatch(r"Q[A-E]([1-9]|1[0-2]) \d", code) for code in REGIONS)
    weights = region_weights()
    assert weights.sum() == pytest.approx(1)
    assert weights.max() > 10 * weights.min() > 0
    others = listed.table[listed.truth.isna()]
    for table in (people, others):
        share = table["postcode"].value_counts(normalize=True).reindex(REGIONS, fill_value=0).to_numpy()
        spread = np.sqrt(weights * (1 - weights) / len(table))
        assert (np.abs(share - weights) < 5 * spread).all()
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = 1


# -------------------------------------------------------------------------------------------------- the register


def test_the_register_lists_nine_patients_in_ten_as_they_are_in_no_order(people, listed) -> None:
    table, truth = listed
    assert list(table.columns) == ["name", "age", "sex", "postcode", "birth_date"]
    assert isinstance(table.index, pd.RangeIndex)
    assert truth.index.equals(table.index)
    assert len(table) == 100_000
    assert not table.isna().any().any()
    assert (table["age"] == 1993 - table["birth_date"].dt.year).all()
    assert truth.attrs["fictional"] == FICTIONAL
    assert (truth[truth.isna()] == 0).mean() == 0  # a decoy taken for a patient counts as wrong: NaN equals nothing
    known = truth.dropna().astype(int)
    assert len(known) == round(0.9 * len(people))
    assert known.is_unique
    own = people.loc[known.to_numpy()]
    for column in ("name", "sex", "postcode", "birth_date"):
        assert (table.loc[known.index, column].to_numpy() == own[column].to_numpy()).all(), column
    assert known.index.to_numpy().mean() == pytest.approx(50_000, rel=0.02)
    assert abs(np.corrcoef(known.index, known)[0, 1]) < 0.04


def test_decoys_are_a_population(listed) -> None:
    others = listed.table[listed.truth.isna()]
    assert others["age"].between(18, 100).all()
    assert others["age"].min() == 18
    assert others["age"].max() > 95
    bands = pd.cut(others["age"], [17, 30, 45, 60, 75, 90, 100]).value_counts(normalize=True, sort=False)
    assert bands.iloc[1:].is_monotonic_decreasing
    assert bands.iloc[-1] < 0.01
    women = (others["sex"] == "female").groupby(others["age"] // 20).mean()
    assert 0.49 < women[1] < 0.53
    assert women[4] > 0.6
    assert others["birth_date"].dt.day_of_year.nunique() == 366


# --------------------------------------------------------------------------------------------------- the extract


def test_the_extract_is_what_was_agreed(patients, people, extract) -> None:
    first = ["age", "sex", "race", "edu", "income", "postcode", "admission"]
    rest = [column for column in patients.columns if column not in (*first, "sno")]
    assert list(extract.columns) == first + rest
    assert extract.index.equals(patients.index)
    published = first[1:5] + rest
    pd.testing.assert_frame_equal(pd.DataFrame(extract[published]), patients[published], check_flags=False)
    assert (extract["age"] == 1993 - people["birth_date"].dt.year).all()
    assert (extract["age"] - np.floor(patients["age"])).isin([0, 1]).all()
    assert (extract["postcode"] == people["postcode"]).all()
    assert (extract["admission"] == people["admission_date"]).all()
    assert "postcode and admission are made up" in extract.attrs["fictional"]
    assert "sno" in patients.columns  # the published table was not changed
    some = [5, 3, 900]  # it follows the patients, not the people
    part = room.deidentified(patients.iloc[some], people.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(part, extract.iloc[some])


def test_the_extract_lists_nobody_who_was_left_out(patients, people) -> None:
    words = patients.astype({"race": "category", "ca": pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))})
    some = words[(words["race"] == "white") & (words["ca"] == "no")].head(20)
    some.attrs = {"left out": words.index.difference(some.index).tolist()}
    part = room.deidentified(some, people.astype({"postcode": "category"}))
    assert list(part["race"].cat.categories) == ["white"]
    assert set(part["postcode"].cat.categories) == set(people.loc[some.index, "postcode"])
    assert not pa.types.is_dictionary(part["ca"].dtype.pyarrow_dtype)
    for labels in (pd.CategoricalIndex(patients.index), pd.MultiIndex.from_arrays([patients.index, patients.index])):
        labelled = room.deidentified(patients.set_axis(labels).loc[some.index.tolist()], people.set_axis(labels))
        known = labelled.index.levels[0] if labels.nlevels > 1 else labelled.index.categories
        assert list(known) == some.index.tolist()
    assert part.attrs == {"fictional": room.PARTLY_FICTIONAL}


def test_scaled_up(extract) -> None:
    big = room.scaled_up(extract, 20_000, seed=1)
    assert big.shape == (20_000, extract.shape[1])
    assert isinstance(big.index, pd.RangeIndex)
    assert (big.dtypes == extract.dtypes).all()
    assert (big["admission"].dt.year == 1993).all()
    assert big["postcode"].isin(REGIONS).all()
    assert "Synthetic" in big.attrs["synthetic"]
    assert "Synthetic" in repr(big)
    assert big["dzgroup"].value_counts(normalize=True).iloc[0] == pytest.approx(0.386, abs=0.02)
    pd.testing.assert_frame_equal(room.scaled_up(extract, 50, 1), room.scaled_up(extract, 50, 1))
    assert not room.scaled_up(extract, 50, 1).equals(room.scaled_up(extract, 50, 2))
    assert extract.attrs["fictional"] == room.PARTLY_FICTIONAL
    one = pd.DataFrame({"age": [50, 60], "postcode": "QA1 1", "admission": pd.Timestamp("1993-05-05"), "who": [50, 60]})
    moved = room.scaled_up(one, 2_000)
    for kind in ("Int64", "int64[pyarrow]", "float64"):
        assert (room.scaled_up(one.astype({"age": kind}), 2_000)["age"] == moved["age"]).all()
    assert set(moved["age"] - moved["who"]) == {-2, -1, 0, 1, 2}
    assert moved["age"].between(50, 60).all()


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda few, _: room.identities(few, locale="fr_FR"), "locale = 'fr_FR' is not on offer"),
        (lambda few, _: room.identities(few.drop(columns="sex")), "lacks the column 'sex'"),
        (lambda few, _: room.identities(pd.concat([few, few.head(1)])), "label 0 stands twice"),
        (lambda few, _: room.identities(few.assign(age=np.nan)), "age = nan in row 1 must be a number of years"),
        (lambda few, _: room.identities(few.assign(age="fifty")), "age = fifty in row 1"),
        (lambda few, _: room.identities(few.assign(sex="m")), "sex = m in row 1 must be one of"),
        (lambda _, people: room.register(people, size=49_999), "size = 49999 .* at least 50,000"),
        (lambda _, people: room.register(people, listed=1.1), "listed = 1.1 .*: use 0.9 for 90 %"),
        (lambda few, _: room.register(few), "lacks the column 'name'"),
        (
            lambda _, people: room.register(pd.concat([people] * 7, ignore_index=True), size=50_000),
            "size = 50000 must be a whole number of at least 57,362",
        ),
        (
            lambda _, people: room.register(people.assign(birth_date=people["birth_date"].astype("str"))),
            r"birth_date in people must hold a date \(datetime64\) in every row",
        ),
        (
            lambda _, people: room.register(people.assign(birth_date=people["birth_date"].where(people.index > 3))),
            r"birth_date in people must hold a date \(datetime64\) in every row",
        ),
        (
            lambda few, people: room.deidentified(few, people.iloc[3:]),
            r"patient 0 has no identity in people \(3 have none\)",
        ),
        (lambda few, people: room.deidentified(pd.concat([few, few]), people), "twice in the index of patients"),
        (
            lambda few, people: room.deidentified(few.sample(frac=1, random_state=0).reset_index(drop=True), people),
            r"patient \d+ has another age or sex than the patient .* the labels belong to other rows",
        ),
        (lambda few, people: room.deidentified(few.assign(postcode="QA1 1"), people), "a column 'postcode' already"),
        (lambda few, _: room.identities(few.set_axis([None, *range(299)])), "has no label in the index"),
        (lambda few, people: room.scaled_up(room.deidentified(few, people).assign(age=np.nan), 5), "age .* is missing"),
        (lambda few, people: room.scaled_up(room.deidentified(few, people).assign(age="60-64"), 10), "age in the ext"),
    ],
)
def test_what_nobody_can_be_invented_for_is_refused(few, people, call, said) -> None:
    with pytest.raises(IdentityError, match=said):
        call(few, people)
