"""`free_text`: notes whose identifiers are known to the letter, and a masker that is measured against them."""

from __future__ import annotations

import itertools
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_helpers import cohort
from ppml_helpers.errors import IdentityError
from ppml_helpers.people import free_text
from ppml_helpers.people.country import AREAS
from ppml_helpers.people.fictional import FICTIONAL
from ppml_helpers.people.free_text import KINDS, STYLES, Span, find, mask, recall, write_notes
from ppml_helpers.people.identities import identities
from ppml_helpers.people.national_id import valid_national_id


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    return identities(cohort.load_patients().head(2500))


@pytest.fixture(scope="module")
def notes(people) -> free_text.Notes:
    return write_notes(people, 0)


def _pieces(notes: free_text.Notes, people: pd.DataFrame, kind: str) -> pd.DataFrame:
    """One row a span of a kind: what stands there, and the person it is about."""
    rows = [
        (label, text[start:end])
        for label, text, spans in zip(notes.text.index, notes.text, notes.spans, strict=True)
        for start, end, found in spans
        if found == kind
    ]
    pieces = pd.DataFrame(rows, columns=["label", "piece"])
    return pieces.join(people, on="label")


# ------------------------------------------------------------------------------------------------------ the notes


def test_notes_are_short_of_many_styles_and_name_their_person(people, notes) -> None:
    assert (people["note"] == notes.text).all()
    assert notes.text.index.equals(people.index)
    assert notes.spans.index.equals(people.index)
    assert notes.text.attrs["fictional"] == notes.spans.attrs["fictional"] == FICTIONAL
    assert notes.text.is_unique
    assert notes.text.str.split().str.len().between(30, 60).all()
    openings = notes.text.str.split().str[0].value_counts()
    assert openings.min() > len(notes.text) / len(STYLES) / 2
    kinds = notes.spans.map(lambda spans: {span.kind for span in spans})
    assert set().union(*kinds) == set(KINDS)
    assert kinds.map(lambda found: "name" in found and len(found) >= 6).all()
    for text, spans in zip(notes.text, notes.spans, strict=True):  # in order, and none is empty
        places = [0, *(place for span in spans for place in (span.start, span.end)), len(text)]
        assert places == sorted(places)
        assert all(span.start < span.end for span in spans)


def test_a_style_filled_in_is_the_text(people) -> None:
    """What stands between the spans is the style's own text: nothing that was inserted is left out of the spans."""
    notes = write_notes(people.head(400), 0)
    words = set(re.findall(r"[A-Za-z]+", " ".join(STYLES))) | {"on", "Mr", "Mrs", "Ms", "She"}
    words |= {relation for relations in free_text._RELATIONS.values() for relation in relations}
    for text, spans in zip(notes.text, notes.spans, strict=True):
        for start, end, _ in reversed(spans):
            text = text[:start] + text[end:]
        assert set(re.findall(r"[^\W\d]+", text)) <= words
        assert {len(number) for number in re.findall(r"\d+", text)} <= {2, 3, 10}  # an age or a device, which stay


def test_national_ids_are_the_persons_and_a_few_are_mistyped(people, notes) -> None:
    pieces = _pieces(notes, people, "national id")
    digits = pieces["piece"].str.replace(" ", "")
    wrong = digits != pieces["national_id"]
    assert 0.04 < wrong.mean() < 0.13
    assert (digits.map(valid_national_id) == ~wrong).all()
    pairs = zip(digits, pieces["national_id"], strict=True)
    assert {sum(a != b for a, b in zip(*pair, strict=True)) for pair in pairs} == {0, 1}
    assert 0.4 < pieces["piece"].str.contains(" ").mean() < 0.6


def test_numbers_postcodes_places_and_addresses_are_the_persons(people, notes) -> None:
    for kind in ("mrn", "phone"):
        pieces = _pieces(notes, people, kind)
        written = pieces["piece"].str.replace(r"\D", "", regex=True)
        assert (written == pieces[kind].str.replace(r"\D", "", regex=True)).all()
        assert pieces["piece"].str.replace(r"[0-9]+", "0", regex=True).nunique() >= 2
    codes = _pieces(notes, people, "postcode")
    assert (codes["piece"].str.upper().str.replace(" ", "") == codes["postcode"].str.replace(" ", "")).all()
    assert codes["piece"].str.islower().any()
    assert (~codes["piece"].str.contains(" ")).any()
    places = _pieces(notes, people, "place")
    assert (places["piece"] == places["postcode"].str[:2].map(AREAS)).all()
    mails = _pieces(notes, people, "e-mail")
    assert (mails["piece"].str.lower().str.replace(" at ", "@") == mails["email"]).all()
    assert mails["piece"].str.contains(" at ").any()


def test_names_come_in_several_forms(people, notes) -> None:
    pieces = _pieces(notes, people, "name")
    first, last = pieces["name"].str.split(" ").str[0], pieces["name"].str.split(" ").str[1]
    forms = {
        "full": first + " " + last,
        "reversed": last + ", " + first,
        "initial": first.str[0] + ". " + last,
        "capitals": last.str.upper() + ", " + first,
        "surname": last,
        "first name": first,
        "letter": first.str[0] + ".",
    }
    seen = pd.DataFrame({form: pieces["piece"] == text for form, text in forms.items()})
    assert (seen.mean() > 0.02).all()
    misspelt = ~seen.any(axis=1)
    assert 0.05 < misspelt.mean() < 0.3


@given(st.text("abc", min_size=1, max_size=8), st.lists(st.integers(0, 2**31), min_size=4, max_size=4))
def test_a_misspelt_name_is_never_right_and_keeps_its_initial(name: str, draws: list[int]) -> None:
    case = free_text._Case(*[None] * 14, dice=iter(draws))
    slip = free_text._misspelt(name, case)
    assert slip != name
    assert slip[0] == name[0]


def test_dates_come_in_figures_in_words_and_by_feasts(people, notes) -> None:
    pieces = _pieces(notes, people, "date")["piece"]
    forms = {
        r"\d{4}-\d\d-\d\d": 0.1,
        r"\d\d/\d\d/\d\d": 0.1,
        r"\d{1,2}\.\d{1,2}\.\d{4}": 0.1,
        r"\d{1,2} [A-Z][a-z]+ \d{4}": 0.1,
        r"[A-Z][a-z]+ \d{1,2}, \d{4}": 0.1,
        r"\d{1,2} [A-Z][a-z]+": 0.05,
        r"the [a-z-]+ of [A-Z][a-z]+": 0.05,
        r"(.* (before|after) )?(Christmas|Easter Sunday|New Year's Day)": 0.01,
    }
    shares = {form: pieces.str.fullmatch(form).mean() for form in forms}
    assert sum(shares.values()) == pytest.approx(1)
    for form, least in forms.items():
        assert shares[form] > least, form


@pytest.mark.parametrize(
    ("day", "dice", "text"),
    [
        ("1993-12-22", 0, "three days before Christmas"),
        ("1993-12-25", 0, "Christmas"),
        ("1993-12-30", 0, "five days after Christmas"),
        ("1993-01-02", 0, "the day after New Year's Day"),
        ("1993-07-12", 0, "1993-07-12"),
        ("1993-07-12", 4, "the twelfth of July"),
        ("1993-07-31", 4, "the thirty-first of July"),
        ("1993-07-12", 3, "12 July"),
    ],
)
def test_dates_in_words_are_right(day: str, dice: int, text: str) -> None:
    case = free_text._Case(*[None] * 14, dice=itertools.repeat(dice))
    assert free_text._date(pd.Timestamp(day).date(), case).removeprefix("on ") == text


def test_what_a_note_says_of_age_and_sex_is_true(people, notes) -> None:
    for text, born, day, sex in zip(
        notes.text, people["birth_date"], people["admission_date"], people["sex"], strict=True
    ):
        told = re.search(r"aged (\d+)|, (\d+) y,", text)
        if told:
            passed = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
            assert int(told[1] or told[2]) == passed
        assert not re.search(r"\bShe\b|\bMrs\b|\bMs\b" if sex == "male" else r"\bHe\b|\bMr\b", text)


def test_the_seed_decides(people) -> None:
    some = people.head(200)
    once, again, other = write_notes(some, 5), write_notes(some, 5), write_notes(some, 6)
    pd.testing.assert_series_equal(once.text, again.text)
    assert list(once.spans) == list(again.spans)
    assert (once.text != other.text).mean() > 0.95
    assert (write_notes(some.drop(columns="note"), 5).text == once.text).all()
    for held in (some.convert_dtypes(dtype_backend="pyarrow"), some.astype({"sex": "category", "name": "category"})):
        assert (write_notes(held, 5).text == once.text).all()


@pytest.mark.parametrize("locale", ["en_GB", "de_DE"])
def test_other_locales_are_written_and_spans_stay_exact(locale) -> None:
    people = identities(cohort.load_patients().head(400), seed=2, locale=locale)
    notes = write_notes(people, 2)
    names = _pieces(notes, people, "name")["piece"]
    assert names.str.contains("[ÄÖÜäöüß]").any() == (locale == "de_DE")
    exact = _pieces(notes, people, "physician")["piece"]
    assert exact.isin(people["name"].str.split(" ").str[1]).all()
    share = recall(notes.spans, notes.text.map(find))
    assert share["phone"] > 0.95
    assert share["postcode"] > 0.95
    assert share["name"] < 0.5


# ---------------------------------------------------------------------------------------------------- the masker


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("id 943 476 5919.", "id [NATIONAL ID]."),
        ("id 9434765919, id 943-476-5919", "id [NATIONAL ID], id [NATIONAL ID]"),
        ("id 943 476 5918", "id 943 476 5918"),
        ("pump 12345678901", "pump 12345678901"),
        ("on 1993-04-12 and 12/04/93 and 12.4.1993", "on [DATE] and [DATE] and [DATE]"),
        ("12 April 1993, April 12, 1993, the 12th of April", "[DATE], [DATE], the [DATE]"),
        ("the twelfth of April, three days before Christmas", "the twelfth of April, three days before Christmas"),
        ("mail Jörg.Groß@example.org.", "mail [E-MAIL]."),
        ("mail anna at example.org", "mail anna at example.org"),
        ("QA7 3, qa73, QE12 0 and qe120", "[POSTCODE], [POSTCODE], [POSTCODE] and [POSTCODE]"),
        ("QA0 3, QF7 3, AQA7 3, QA7 33, QA1300", "QA0 3, QF7 3, AQA7 3, QA7 33, QA1300"),
        ("MRN 1234567, H1234567, h 1234567", "MRN [MRN], [MRN], [MRN]"),
        ("folder 1234567", "folder 1234567"),
        ("call (212) 555-0147 or 212.555.0147", "call [PHONE] or [PHONE]"),
        ("call 07700 900123, 020 7946 0123, +44 7700 900123", "call [PHONE], [PHONE], [PHONE]"),
        ("call 030 23125 123, 0221/4710/123, +49 30 23125 123", "call [PHONE], [PHONE], [PHONE]"),
        ("Dr. Müller and Mrs O'Brien-Groß saw him", "Dr. [NAME] and Mrs [NAME] saw him"),
        ("Mr A. Öztürk Şahin came", "Mr [NAME] came"),
        ("Anna Berg; Dry Skin; Mr berg", "Anna Berg; Dry Skin; Mr berg"),
        (
            "pH 7.41, Na 140 mmol/l, 38.5 degrees, 120/80 mmHg, T3 N1",
            "pH 7.41, Na 140 mmol/l, 38.5 degrees, 120/80 mmHg, T3 N1",
        ),
        # what stands next to a masked piece
        ("by Dr Abel Mrs Berg.", "by Dr [NAME] Mrs [NAME]."),
        ("Mr Abel Ms Berg Miss Cole", "Mr [NAME] Ms [NAME] Miss [NAME]"),
        ("Dr. A. Abel Dr. B. Berg, Dr A.B. Cole", "Dr. [NAME] Dr. [NAME], Dr [NAME]"),
        ("Mrs Dr. Berg, Dr.Abel, Mr Anna Maria Abel Berg", "Mrs Dr. [NAME], Dr.[NAME], Mr [NAME]"),
        ("9990000018 999 000 0026\nH1234567 H1234568", "[NATIONAL ID] [NATIONAL ID]\n[MRN] [MRN]"),
        ("12 April 1993 13 April 1993", "[DATE] [DATE]"),
        # however a blank, a hyphen, a digit or a letter is typed
        ("Dr\u00a0Abel, Dr  Abel, Dr\tAbel, Dr\nAbel", "Dr\u00a0[NAME], Dr  [NAME], Dr\t[NAME], Dr\n[NAME]"),
        ("Dr Mu\u0308ller, Dr Ab\u00adel\u2011Berg", "Dr [NAME], Dr [NAME]"),
        (
            "999\u00a0000\u00a00018, 999\u2011000\u20130018, 999\u200b0000018",
            "[NATIONAL ID], [NATIONAL ID], [NATIONAL ID]",
        ),
        ("020\u202f7946\u00a00123 (212)\u00a0555\u20110147", "[PHONE] [PHONE]"),
        ("QA7\u00a03, H\u00a01234567, ９９９００００018", "[POSTCODE], [MRN], [NATIONAL ID]"),
        ("12\u00a0April\u2007 1993, April\n12, 1993, 1993\u201104\u201112", "[DATE], [DATE], [DATE]"),
        (
            "1993\u20114\u20117, 7\u2013\u20094\u2013\u200993, 1993\u22124\u221207, 7\u2044 4\u20441993",
            "[DATE], [DATE], [DATE], [DATE]",
        ),
        ("1993\u20144\u201407, ７．４．１９９３, 1993 - 4 - 7, ٧/٤/١٩٩٣", "[DATE], [DATE], [DATE], [DATE]"),
        ("12\u2014or 13\u2014days", "12\u2014or 13\u2014days"),
        ("a\u00a0b  c\u200bd", "a\u00a0b  c\u200bd"),
        ("", ""),
    ],
)
def test_what_is_masked_and_what_is_not(text: str, masked: str) -> None:
    assert mask(text) == masked


PIECES = (
    *("9434765919", "943 476 5919", "943 476 5918", "1993-04-12", "12/04/93", "12 April", "April 12, 1993", "QA7 3"),
    *("qa73", "H1234567", "MRN 1234567", "(212) 555-0147", "07700 900123", "+49 30 23125 123", "a.b@example.org"),
    *("Dr Müller", "Mr. A. Berg", "Mrs O'Brien", "[NAME]", "[DATE]", *"|[] .-/05xH\n\u00a0\u0308\u200b\u2011"),
)


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)))
def test_what_is_found_is_replaced_and_masking_twice_changes_nothing_more(text: str) -> None:
    spans = find(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    once, at = "", 0
    for start, end, kind in spans:
        once += text[at:start] + f"[{kind.upper()}]"
        at = end
    once += text[at:]
    assert mask(text) == mask(once) == once
    assert find(once) == []


def test_a_long_note_is_masked_before_the_time_out() -> None:
    """A pattern that tries every beginning with every end would need hours here."""
    text = "a" * 50_000 + " 1" * 20_000 + "Dr x " * 5_000 + "a.b-" * 10_000
    assert mask(text) == text


# ---------------------------------------------------------------------------------------------------- the measure


def test_recall_is_honest(notes) -> None:
    found = notes.text.map(find)
    share = recall(notes.spans, found)
    assert list(share.index) == [*KINDS, "overall"]
    for kind in ("phone", "postcode"):
        assert share[kind] > 0.98, kind
    for kind in ("national id", "e-mail"):
        assert 0.85 < share[kind] < 0.97, kind
    assert 0.8 < share["mrn"] < 0.95
    assert 0.7 < share["date"] < 0.9
    assert share["name"] < 0.4
    assert share["physician"] < 0.8
    assert share["relative"] < 0.01
    assert share["place"] == 0


def test_recall_by_hand() -> None:
    truth = [[Span(0, 4, "name"), Span(10, 14, "date")], [Span(2, 5, "name")], []]
    found = [[(0, 2, "name"), (2, 4, "phone"), (10, 13, "date")], [(0, 6, "mrn")], [(0, 1, "mrn")]]
    share = recall(truth, found)
    assert share.to_dict() == {"name": 1.0, "date": 0.0, "overall": pytest.approx(2 / 3)}
    assert recall(truth, truth).eq(1).all()
    assert recall(truth, [[], [], []]).eq(0).all()


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"postcode": "LS6 2"}, "postcode = 'LS6 2' is nobody's in the invented country"),
        ({"name": "Anna"}, "name = 'Anna' is nobody's"),
        ({"phone": None}, "phone = None is nobody's"),
        ({"birth_date": "1930-01-01"}, "birth_date in people must hold a date"),
        ({"national_id": 9990000018}, "national_id = 9990000018 is nobody's .* read numbers from a file as text"),
        ({"mrn": float("nan")}, "mrn = nan is nobody's"),
    ],
)
def test_people_that_no_note_can_be_written_about_are_refused(people, change, words) -> None:
    with pytest.raises(IdentityError, match=words):
        write_notes(people.assign(**change))


def test_what_is_no_note_and_what_cannot_be_measured_is_refused(notes) -> None:
    for call in (mask, find):
        with pytest.raises(IdentityError, match=r"it must be a text: .* leave missing notes out"):
            call(None)
        with pytest.raises(IdentityError, match=r"^A note is a Series, it must be a text: give one at a time"):
            call(notes.text)
    with pytest.raises(IdentityError, match="different indexes"):
        recall(notes.spans.head(3), notes.spans.head(3).set_axis([3, 4, 5]))
    with pytest.raises(IdentityError, match="no true span"):
        recall([[]], [[]])
    for wrong in (["text"], 3, [[(1, 2)]], None, [[], []]):
        with pytest.raises(IdentityError, match="must hold, for the same notes, the spans"):
            recall([[Span(0, 1, "name")]], wrong)
