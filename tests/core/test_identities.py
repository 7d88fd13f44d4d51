"""Fictional identities, the register around them, the extract: consistent, seeded, labelled, and nobody's."""

from __future__ import annotations

import copy
import pickle
import re
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ppml_helpers import cohort
from ppml_helpers.errors import IdentityError
from ppml_helpers.people import free_text
from ppml_helpers.people import identities as room
from ppml_helpers.people.identities import FICTIONAL, Fictional

LOCALES = ("en_US", "en_GB", "de_DE")
COLUMNS = ["name", "sex", "birth_date", "admission_date", "mrn", "national_id", "postcode", "phone", "email", "note"]


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


@pytest.fixture(scope="module")
def people(patients) -> Fictional:
    return room.identities(patients)


@pytest.fixture(scope="module")
def listed(people) -> room.Register:
    return room.register(people)


@pytest.fixture(scope="module")
def extract(patients, people) -> Fictional:
    return room.deidentified(patients, people)


@pytest.fixture(scope="module")
def few(patients) -> pd.DataFrame:
    return patients.head(300)


def _age(birth: pd.Series, day: pd.Series) -> pd.Series:
    """Age by the calendar: years passed, less one if this year's birthday is still to come."""
    to_come = (day.dt.month < birth.dt.month) | ((day.dt.month == birth.dt.month) & (day.dt.day < birth.dt.day))
    return day.dt.year - birth.dt.year - to_come


# ------------------------------------------------------------------------------------------------- check digits


@pytest.mark.parametrize(("nine", "digit"), [("943476591", 9), ("401023213", 7), ("987654321", 0), ("999000001", 8)])
def test_known_check_digits(nine: str, digit: int) -> None:
    by_hand = 11 - sum(int(c) * w for c, w in zip(nine, range(10, 1, -1), strict=True)) % 11
    assert room.check_digit(nine) == digit == by_hand % 11


def test_nine_digits_without_a_check_digit() -> None:
    nine = next(f"{n:09}" for n in range(999_000_000, 999_001_000) if room.check_digit(f"{n:09}") is None)
    assert not any(room.valid_national_id(f"{nine}{digit}") for digit in range(10))


ids = st.integers(0, 909_090).map(lambda position: str(room.national_ids(position, 1)[0]))


@given(ids, st.integers(0, 9), st.integers(1, 9))
def test_any_single_wrong_digit_is_detected(number: str, place: int, shift: int) -> None:
    assert room.valid_national_id(number)
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    assert not room.valid_national_id(wrong)


@given(ids, st.integers(0, 8))
def test_any_swap_of_neighbours_is_detected(number: str, place: int) -> None:
    assume(number[place] != number[place + 1])
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert not room.valid_national_id(swapped)


def test_the_whole_range_of_national_ids() -> None:
    every = room.national_ids()
    assert every.shape == (909_091,) == np.unique(every).shape
    assert all(number.startswith("999") and len(number) == 10 for number in every[::1000])
    assert all(room.valid_national_id(str(number)) for number in every[::1000])
    assert list(room.national_ids(5, 3)) == list(every[5:8])
    assert len(room.national_ids(909_091)) == len(room.national_ids(7, 0)) == 0
    assert (np.sort(every) == every).all()


def test_written_forms_of_a_national_id() -> None:
    assert room.valid_national_id("943 476 5919")
    assert room.valid_national_id("943-476-5919")
    for text in ("943 476 5918", "9434 76 5919", "943476591", "94347659190", " 9434765919", "", "٩434765919"):
        assert not room.valid_national_id(text), text


@pytest.mark.parametrize("text", ["12345678", "1234567890", "12345678x", "123 456 789", 123456789, None, "١٢٣٤٥٦٧٨٩"])
def test_malformed_nine_digits(text) -> None:
    with pytest.raises(IdentityError, match=r"exactly nine digits: leave out") as caught:
        room.check_digit(text)
    assert repr(text) in str(caught.value)


def test_national_ids_refused() -> None:
    with pytest.raises(IdentityError, match="must be a text: put it in quotes"):
        room.valid_national_id(9434765919)
    with pytest.raises(IdentityError, match="909,091 valid national ids"):
        room.national_ids(909_090, 2)
    with pytest.raises(IdentityError, match="first=-1 is not possible"):
        room.national_ids(-1)
    with pytest.raises(IdentityError, match=r"count=2\.5 is not possible"):
        room.national_ids(0, 2.5)


# --------------------------------------------------------------------------------------------------- identities


def test_every_patient_has_an_identity(patients, people) -> None:
    assert list(people.columns) == COLUMNS
    assert people.index.equals(patients.index)
    assert not people.isna().any().any()
    assert str(people["birth_date"].dtype).startswith("datetime64")
    assert str(people["admission_date"].dtype).startswith("datetime64")
    assert (people.drop(columns=["birth_date", "admission_date"]).dtypes == "str").all()
    assert (people["admission_date"].dt.year == 1993).all()
    assert people["admission_date"].nunique() == 365


def test_age_and_sex_are_the_patients(patients, people) -> None:
    assert (people["sex"] == patients["sex"]).all()
    assert (_age(people["birth_date"], people["admission_date"]) == np.floor(patients["age"])).all()
    decimal = (people["admission_date"] - people["birth_date"]).dt.days / 365.25
    assert (decimal - patients["age"]).abs().max() < 0.01


@given(st.floats(0, 130, exclude_max=True, allow_nan=False), st.integers(0, 364))
def test_a_birth_is_exactly_the_whole_years_back(age: float, day: int) -> None:
    admission = np.array(["1993-01-01"], dtype="datetime64[D]") + day
    birth = pd.Series(room._births(admission, np.array([age])))
    assert _age(birth, pd.Series(admission.astype("datetime64[us]"))).iloc[0] == int(age)


@pytest.mark.parametrize("locale", LOCALES)
def test_identifiers_are_well_formed_and_unique(few, locale: str) -> None:
    people = room.identities(few, seed=3, locale=locale)
    phones = {
        "en_US": r"\(\d{3}\) 555-01\d\d",
        "en_GB": r"07700 900\d{3}|020 7946 0\d{3}|01(13|61|17) 496 0\d{3}",
        "de_DE": r"(030 23125|069 90009|040 66969|0221 4710|089 99998) \d{3}",
    }
    assert people["phone"].str.fullmatch(phones[locale]).all()
    assert people["mrn"].str.fullmatch(r"H[1-9]\d{6}").all()
    assert people["national_id"].map(room.valid_national_id).all()
    assert people["national_id"].str.fullmatch(r"999\d{7}").all()
    assert people["postcode"].isin(room.REGIONS).all()
    assert people["email"].str.fullmatch(r"[a-z-]+\.[a-z-]+\d*@example\.org").all()
    assert people["name"].str.contains(" ").all()
    for column in ("mrn", "national_id", "email"):
        assert people[column].is_unique, column


def test_namesakes_have_their_own_address() -> None:
    first, last = np.array(["Anna", "Anna", "Änna", "Anna"], object), np.array(["Groß"] * 4, object)
    expected = [
        "anna.gross@example.org",
        "anna.gross2@example.org",
        "aenna.gross@example.org",
        "anna.gross3@example.org",
    ]
    assert list(room._emails(first, last)) == expected


def test_identifiers_are_unique_among_all_patients(people) -> None:
    for column in ("mrn", "national_id", "email"):
        assert people[column].is_unique, column
    assert people["name"].nunique() > 0.98 * len(people)


def test_german_names_keep_their_letters(few) -> None:
    people = room.identities(few, locale="de_DE")
    assert people["name"].str.contains("[äöüß]").any()
    assert people["email"].str.isascii().all()
    assert not room.identities(few, locale="en_US")["name"].str.contains("[äöüß]").any()


def test_first_names_follow_the_sex(people) -> None:
    pool = room.name_pool("en_US")
    first = people["name"].str.split(" ").str[0]
    for sex in ("male", "female"):
        assert first[people["sex"] == sex].isin(pool[sex]).all()


@pytest.mark.parametrize("locale", LOCALES)
def test_the_names_to_draw_from(locale) -> None:
    pool = room.name_pool(locale)
    for kind, least in (("male", 150), ("female", 150), ("last", 350)):
        assert len(pool[kind]) == len(set(pool[kind])) >= least
        assert list(pool[kind]) == sorted(pool[kind])
        assert all(re.fullmatch(r"[^\W\d_]+(['-][^\W\d_]+)*", name) for name in pool[kind])
    assert not {"Graves", "Butcher", "Killer"} & set(pool["last"])
    room.name_pool.cache_clear()
    assert room.name_pool(locale) == pool


def test_the_seed_decides(few) -> None:
    once, again, other = room.identities(few, 1), room.identities(few, 1), room.identities(few, 2)
    pd.testing.assert_frame_equal(once, again)
    for column in set(COLUMNS) - {"sex"}:
        assert (once[column] != other[column]).mean() > 0.5, column
    pd.testing.assert_frame_equal(room.identities(few, np.int64(1)), once)


def test_nothing_but_age_sex_and_labels_is_used(few) -> None:
    bare = few[["age", "sex"]]
    pd.testing.assert_frame_equal(room.identities(bare), room.identities(few))
    pd.testing.assert_frame_equal(few, cohort.load_patients().head(300))  # and nothing was changed


@pytest.mark.parametrize("labels", [[f"patient-{i}" for i in range(300)], np.arange(300)[::-1] * 7])
def test_any_unique_index(few, labels) -> None:
    odd = few.set_axis(labels)
    people = room.identities(odd)
    assert list(people.index) == list(labels)
    assert (_age(people["birth_date"], people["admission_date"]) == np.floor(odd["age"])).all()
    truth = room.register(people, size=50_000).truth.dropna()
    assert set(truth) <= set(labels)
    assert len(truth) == 270


def test_one_patient_is_enough(few) -> None:
    assert room.identities(few.head(1)).shape == (1, 10)


def test_quick_enough(patients) -> None:
    room.name_pool("en_US")
    start = time.process_time()
    room.register(room.identities(patients, 11), seed=11)
    assert time.process_time() - start < 6  # about 0.7 s on an idle core


# --------------------------------------------------------------------------------------------------- the country


def test_the_country_is_uneven_and_patients_and_decoys_share_it(people, listed) -> None:
    assert len(room.REGIONS) == len(set(room.REGIONS)) == 600
    assert all(re.fullmatch(r"Q[A-E]([1-9]|1[0-2]) \d", code) for code in room.REGIONS)
    weights = room.region_weights()
    assert weights.sum() == pytest.approx(1)
    assert weights.max() > 10 * weights.min() > 0
    others = listed.table[listed.truth.isna()]
    for table in (people, others):
        share = table["postcode"].value_counts(normalize=True).reindex(room.REGIONS, fill_value=0).to_numpy()
        spread = np.sqrt(weights * (1 - weights) / len(table))
        assert (np.abs(share - weights) < 5 * spread).all()
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = 1


# -------------------------------------------------------------------------------------------------- the register


def test_the_registers_shape(listed) -> None:
    table, truth = listed
    assert list(table.columns) == ["name", "age", "sex", "postcode", "birth_date"]
    assert isinstance(table.index, pd.RangeIndex)
    assert table.index.name == "person"
    assert truth.index.equals(table.index)
    assert len(table) == 100_000
    assert not table.isna().any().any()
    assert (table["age"] == 1993 - table["birth_date"].dt.year).all()


def test_the_register_lists_nine_patients_in_ten_as_they_are(people, listed) -> None:
    table, truth = listed
    known = truth.dropna()
    assert len(known) == round(0.9 * len(people))
    assert known.is_unique
    own = people.loc[known.astype(int).to_numpy()]
    for column in ("name", "sex", "postcode", "birth_date"):
        assert (table.loc[known.index, column].to_numpy() == own[column].to_numpy()).all(), column


def test_a_decoy_taken_for_a_patient_counts_as_wrong(listed) -> None:
    decoys = listed.truth[listed.truth.isna()]
    assert len(decoys) > 0
    assert (decoys == 0).mean() == 0
    assert not (decoys.to_numpy() == decoys.to_numpy()).any()


def test_the_order_of_the_register_tells_nothing(listed) -> None:
    known = listed.truth.dropna()
    assert known.index.to_numpy().mean() == pytest.approx(50_000, rel=0.02)
    assert abs(np.corrcoef(known.index, known.astype(int))[0, 1]) < 0.04


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


def test_some_decoys_look_like_patients_and_some_patients_stand_alone(extract, listed) -> None:
    on = ["age", "sex", "postcode"]
    count = listed.table.groupby(on).size().rename("candidates").reset_index()
    candidates = extract.merge(count, on=on, how="left")["candidates"].fillna(0)
    assert 0.2 < (candidates == 1).mean() < 0.5
    assert (candidates > 1).mean() > 0.3


@pytest.mark.parametrize(("share", "known"), [(0, 0), (1, 300), (0.5, 150)])
def test_any_share_of_the_patients_is_listed(few, share, known) -> None:
    people = room.identities(few)
    assert room.register(people, size=50_000, listed=share).truth.notna().sum() == known


def test_the_registers_seed_decides(people, listed) -> None:
    again, other = room.register(people), room.register(people, seed=1)
    pd.testing.assert_frame_equal(again.table, listed.table)
    pd.testing.assert_series_equal(again.truth, listed.truth)
    assert (other.table["name"] != listed.table["name"]).mean() > 0.9


def test_a_german_register(few) -> None:
    table = room.register(room.identities(few, locale="de_DE"), size=50_000, locale="de_DE").table
    assert table["name"].str.contains("[äöüß]").mean() > 0.05


# --------------------------------------------------------------------------------------------------- the extract


def test_the_extract_is_what_was_agreed(patients, people, extract) -> None:
    first = ["age", "sex", "race", "edu", "income", "postcode", "admission"]
    rest = [column for column in patients.columns if column not in (*first, "sno")]
    assert list(extract.columns) == first + rest
    assert extract.index.equals(patients.index)
    published = first[1:5] + rest
    pd.testing.assert_frame_equal(pd.DataFrame(extract[published]), patients[published], check_flags=False)
    assert extract["age"].dtype == "int64"
    assert (extract["age"] == 1993 - people["birth_date"].dt.year).all()
    assert (extract["age"] - np.floor(patients["age"])).isin([0, 1]).all()
    assert (extract["postcode"] == people["postcode"]).all()
    assert (extract["admission"] == people["admission_date"]).all()
    assert "sno" in patients.columns  # the published table was not changed


def test_the_extract_follows_the_patients_not_the_people(patients, people) -> None:
    shuffled = people.sample(frac=1, random_state=0)
    part = patients.iloc[[5, 3, 900]]
    extract = room.deidentified(part, shuffled)
    assert list(extract.index) == list(part.index)
    assert (extract["postcode"] == people.loc[part.index, "postcode"]).all()


def test_the_extract_says_which_columns_are_fictional(extract) -> None:
    assert "postcode and admission are made up" in extract.attrs["fictional"]
    assert "SUPPORT2 as published" in repr(extract.head(2))


def test_scaled_up(extract) -> None:
    big = room.scaled_up(extract, 20_000, seed=1)
    assert big.shape == (20_000, extract.shape[1])
    assert isinstance(big.index, pd.RangeIndex)
    assert (big.dtypes == extract.dtypes).all()
    assert big["age"].between(extract["age"].min(), extract["age"].max()).all()
    assert (big["admission"].dt.year == 1993).all()
    assert big["postcode"].isin(room.REGIONS).all()
    assert "Synthetic" in big.attrs["synthetic"]
    assert "Synthetic" in repr(big)
    assert big["dzgroup"].value_counts(normalize=True).iloc[0] == pytest.approx(0.386, abs=0.02)
    pd.testing.assert_frame_equal(room.scaled_up(extract, 50, 1), room.scaled_up(extract, 50, 1))
    assert not room.scaled_up(extract, 50, 1).equals(room.scaled_up(extract, 50, 2))
    assert extract.attrs["fictional"] == room.PARTLY_FICTIONAL


def test_scaled_up_moves_the_age_by_two_years_at_most() -> None:
    one = pd.DataFrame({"age": [50, 60], "postcode": "QA1 1", "admission": pd.Timestamp("1993-05-05"), "who": [50, 60]})
    big = room.scaled_up(one, 2_000)
    assert set(big["age"] - big["who"]) == {-2, -1, 0, 1, 2}
    assert big["age"].between(50, 60).all()


# ------------------------------------------------------------------------------------------------------ the label


def _derived(people: Fictional) -> dict[str, pd.DataFrame]:
    other = pd.DataFrame({"x": range(len(people))}, index=people.index)
    return {
        "columns": people[["name", "sex"]],
        "rows": people.iloc[2:4],
        "mask": people[people["sex"] == "male"],
        "loc": people.loc[people.index[:2], ["name"]],
        "head": people.head(2),
        "copy": people.copy(),
        "deepcopy": copy.deepcopy(people),
        "drop": people.drop(columns="note"),
        "sort": people.sort_values("name"),
        "assign": people.assign(x=1),
        "reset": people.reset_index(),
        "sample": people.sample(3, random_state=0),
        "merge": people.merge(other, left_index=True, right_index=True),
        "join": people.join(other),
        "aggregate": people.groupby("sex").agg("max"),
        "first": people.groupby("sex").first(),
        "concat": pd.concat([people, people]),
        "aside": pd.concat([people, other], axis=1),
        "pickle": pickle.loads(pickle.dumps(people)),
    }


def test_the_label_stays_with_what_is_derived(few) -> None:
    for how, table in _derived(room.identities(few)).items():
        assert isinstance(table, Fictional), how
        assert table.attrs["fictional"] == FICTIONAL, how
        assert repr(table).endswith(FICTIONAL), how
        assert f"<caption>{FICTIONAL}</caption>" in table._repr_html_(), how


def test_a_special_label_stays_too(extract, listed) -> None:
    for table in (extract.head(), extract[["age"]], extract.copy(), pd.concat([extract.head(), extract.tail()])):
        assert table.attrs["fictional"] == room.PARTLY_FICTIONAL
    plain = pd.DataFrame({"x": 1}, index=extract.index)
    plain.attrs["source"] = "elsewhere"
    assert extract.join(plain).attrs["fictional"] == room.PARTLY_FICTIONAL
    assert extract.merge(plain, left_index=True, right_index=True).attrs["fictional"] == room.PARTLY_FICTIONAL
    assert extract["postcode"].attrs["fictional"] == room.PARTLY_FICTIONAL
    assert listed.truth.attrs["fictional"] == FICTIONAL


def test_a_table_from_two_sources_has_both_labels_once(extract, people) -> None:
    both = people[["name"]].join(extract[["age"]])
    assert both.attrs["fictional"] == f"{FICTIONAL} {room.PARTLY_FICTIONAL}"
    assert both.join(people[["phone"]]).attrs["fictional"] == both.attrs["fictional"]


def test_the_label_says_what_is_made_up() -> None:
    for word in ("names", "numbers", "dates", "places", "made up", "no real person"):
        assert word in FICTIONAL


def test_the_caption_is_escaped_and_stands_inside_the_table() -> None:
    table = Fictional({"a": ["<b>bold</b>"]})
    table.attrs["fictional"] = r"<script>alert(1)</script> & \1 \g<0>"
    shown = table._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert r"<caption>&lt;script&gt;alert(1)&lt;/script&gt; &amp; \1 \g&lt;0&gt;</caption>" in shown
    assert shown.index("<table") < shown.index("<caption>") < shown.index("<thead>")


def test_the_label_is_shown_however_pandas_shows_a_table(few) -> None:
    people = room.identities(few)
    with pd.option_context("display.large_repr", "info", "display.max_rows", 5):
        assert people._repr_html_().startswith(f"<p>{FICTIONAL}</p>")
        assert repr(people).endswith(FICTIONAL)
    with pd.option_context("display.notebook_repr_html", False):
        assert people._repr_html_() is None
    assert repr(people.iloc[:0]).endswith(FICTIONAL)


def test_two_tables_do_not_share_a_label() -> None:
    one, two = Fictional({"a": [1]}), Fictional({"a": [1]})
    one.attrs["fictional"] = "other"
    assert two.attrs["fictional"] == FICTIONAL


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("locale", ["fr_FR", "en_us", "", None, 3, ["en_US"]])
def test_unknown_locale(few, locale) -> None:
    with pytest.raises(IdentityError, match=r"unknown, it must be one of en_US, en_GB, de_DE: choose") as caught:
        room.identities(few, locale=locale)
    assert repr(locale) in str(caught.value)
    with pytest.raises(IdentityError, match="is unknown"):
        room.register(room.identities(few.head(2)), locale=locale)


@pytest.mark.parametrize("seed", [-1, 1.5, 1.0, "1", None, True])
def test_impossible_seed(few, seed) -> None:
    with pytest.raises(IdentityError, match=r"seed=.* whole number of at least 0") as caught:
        room.identities(few, seed)
    assert repr(seed) in str(caught.value)
    people = room.identities(few.head(5))
    for call in (
        lambda: room.register(people, seed=seed),
        lambda: room.scaled_up(room.deidentified(few.head(5), people), 10, seed),
        lambda: free_text.write_notes(people, seed),
    ):
        with pytest.raises(IdentityError, match="seed="):
            call()


@pytest.mark.parametrize("size", [49_999, 0, -100_000, 60_000.5, 60_000.0, "60000", None, True])
def test_impossible_size(few, size) -> None:
    with pytest.raises(IdentityError, match=r"size=.* whole number of at least 50,000"):
        room.register(room.identities(few.head(2)), size=size)


def test_a_register_too_small_for_the_patients(people) -> None:
    crowd = pd.concat([people] * 7, ignore_index=True)
    with pytest.raises(IdentityError, match="size=50,000 cannot hold the 57,362 listed patients"):
        room.register(crowd, size=50_000)


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan, np.inf, "0.9", None, True])
def test_impossible_share(few, share) -> None:
    with pytest.raises(IdentityError, match=r"listed=.* number from 0 to 1"):
        room.register(room.identities(few.head(2)), listed=share)


def _patients(**changes) -> pd.DataFrame:
    return pd.DataFrame({"age": [50.5, 60.5], "sex": ["male", "female"]}).assign(**changes)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (_patients().iloc[:0], "is empty, it must hold at least one patient"),
        (pd.DataFrame(), "is empty"),
        (_patients().drop(columns="age"), "has no columns named 'age'"),
        (_patients().drop(columns="sex"), "has no columns named 'sex'"),
        (pd.concat([_patients(), _patients()[["age"]]], axis=1), "has 2 columns named 'age'"),
        (_patients().set_axis([7, 7]), "label 7 stands twice"),
        (_patients(age=[50, np.nan]), "age = nan in row 2 must be a number of years from 0 to 130"),
        (_patients(age=[50, np.inf]), "age = inf in row 2"),
        (_patients(age=[-1, 50]), "age = -1 in row 1"),
        (_patients(age=[50, 131]), "age = 131 in row 2"),
        (_patients(age=["fifty", "60"]), "age = fifty in row 1"),
        (_patients(sex=["male", "m"]), "sex = m in row 2 must be one of"),
        (_patients(sex=["male", None]), "sex = nan in row 2|sex = None in row 2"),
        ([1, 2], "patients is a list, it must be a DataFrame"),
        (None, "patients is a NoneType"),
    ],
)
def test_impossible_patients(table, said) -> None:
    with pytest.raises(IdentityError, match=said) as caught:
        room.identities(table)
    assert str(caught.value).endswith(".")
    assert ": " in str(caught.value)


def test_impossible_people(few) -> None:
    people = room.identities(few)
    as_text = people.assign(birth_date=people["birth_date"].astype("str"))
    with pytest.raises(IdentityError, match="birth_date in people is of type str, it must hold dates"):
        room.register(as_text)
    with pytest.raises(IdentityError, match="birth_date is missing for somebody in people"):
        room.deidentified(few, people.assign(birth_date=people["birth_date"].where(people.index > 3)))
    with pytest.raises(IdentityError, match="has no columns named 'name'"):
        room.register(people.drop(columns="name"))
    with pytest.raises(IdentityError, match="people is a Register"):
        room.register(room.register(people))


def test_impossible_extracts(few) -> None:
    people = room.identities(few)
    with pytest.raises(IdentityError, match=r"patient 0 has no identity in people \(3 have none\)"):
        room.deidentified(few, people.iloc[3:])
    with pytest.raises(IdentityError, match="has no columns named 'race'"):
        room.deidentified(few.drop(columns="race"), people)
    with pytest.raises(IdentityError, match="stands twice in the index of patients"):
        room.deidentified(pd.concat([few, few]), people)
    extract = room.deidentified(few, people)
    for rows in (0, -5, 2.5, "10", None):
        with pytest.raises(IdentityError, match=r"rows=.* at least 1"):
            room.scaled_up(extract, rows)
    with pytest.raises(IdentityError, match="has no columns named 'postcode'"):
        room.scaled_up(few, 10)
    with pytest.raises(IdentityError, match="age in the extract"):
        room.scaled_up(extract.assign(age="60-64"), 10)
