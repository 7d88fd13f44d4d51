"""The explorer of chapter 02, without a browser."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest

from ppml_helpers import cohort, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import ProgressBar, Stopped
from ppml_helpers.people import identities
from ppml_helpers.pseudonymise import explorer as module
from ppml_helpers.pseudonymise.explorer import IDENTIFIERS, METHODS, PseudonymExplorer, birth_dates, measured_speed

YEAR = 365.25 * 86400


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    return identities.identities(cohort.load_patients(), seed=0)


@pytest.fixture(scope="module")
def explorer(people) -> PseudonymExplorer:
    return PseudonymExplorer(people)


@pytest.fixture
def slow(people) -> PseudonymExplorer:
    """An explorer on a machine of known speed."""
    explorer = PseudonymExplorer(people)
    explorer._speed = {"SHA-256": 2.5e6, "salted SHA-256": 2e6, "scrypt": 20.0}
    return explorer


# The attack is real -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "method"),
    [
        ("birth date", "plain SHA-256"),
        ("birth date", "one salt, known"),
        ("national id, test range", "plain SHA-256"),
    ],
)
def test_a_hash_without_a_key_is_opened_completely(explorer, people, identifier, method):
    attack = explorer.set(identifier=identifier, method=method).result.attack
    assert attack.recovered == 1.0
    truth = set(IDENTIFIERS[identifier].of(people))
    assert set(attack.found.values()) == truth
    assert 0 < attack.tried <= IDENTIFIERS[identifier].size
    assert f"100 % of {len(people):,} pseudonyms were opened" in explorer.sentence
    assert f"{attack.tried:,} of {IDENTIFIERS[identifier].size:,} {IDENTIFIERS[identifier].name}" in explorer.sentence


def test_an_hmac_is_not_opened_and_no_time_is_made_up(explorer):
    result = explorer.set(identifier="birth date", method="HMAC, secret key", cores=10_000).result
    assert result.attack.recovered == 0.0
    assert result.attack.tried == IDENTIFIERS["birth date"].size
    assert result.seconds["HMAC, secret key"] is None
    assert explorer.sentence.startswith("All 36,524 birth dates were hashed just now")
    assert "0 % of 9,105 pseudonyms were opened" in explorer.sentence
    assert "2^256 keys" in explorer.sentence
    assert "whoever holds the key can still go back" in explorer.sentence


def test_the_key_is_really_used(people, monkeypatch):
    """The attack on the HMAC would find everybody if pseudonyms and guesses were made with one key."""
    explorer = PseudonymExplorer(people.iloc[:50])
    monkeypatch.setattr(module.pseudonyms, "new_key", lambda: explorer._secret)
    attack = explorer._attack(lambda *_: None, IDENTIFIERS["birth date"], METHODS["HMAC, secret key"])
    assert attack.recovered == 1.0


def test_record_numbers_hold_every_patient_and_are_listed_lazily(people):
    numbers = IDENTIFIERS["record number"].candidates()
    assert len(numbers) == IDENTIFIERS["record number"].size == 9_000_000
    first, second, *_ = (number for number, _ in zip(numbers, range(3), strict=False))
    assert (first, second) == ("H1000000", "H1000001")
    assert people["mrn"].str.fullmatch(r"H[1-9]\d{6}").all()


def test_what_is_quick_is_run_and_the_rest_is_not():
    quick = {
        (identifier, method)
        for identifier, what in IDENTIFIERS.items()
        for method, way in METHODS.items()
        if module._quick(what, way)
    }
    listed = {"birth date", "record number", "national id, test range"}
    run = {(name, method) for name in listed for method in ("plain SHA-256", "one salt, known", "HMAC, secret key")}
    assert quick == run - {("record number", "HMAC, secret key")}  # nine million HMACs take too long to wait for


# The spaces ---------------------------------------------------------------------------------------------------------


def test_the_spaces_are_counted_and_not_guessed():
    days = birth_dates()
    assert (days[0], days[-1], len(days)) == ("1890-01-01", "1989-12-31", 100 * 365 + 24)
    assert IDENTIFIERS["birth date, sex, postcode"].size == len(days) * 2 * 600
    assert IDENTIFIERS["national id, test range"].size == len(identities.national_ids())
    assert IDENTIFIERS["random 128-bit number"].size == 2**128


def test_the_count_of_all_national_ids_agrees_with_the_rule_on_a_sample():
    """One sequence in eleven has no check digit; the test range of the same rule has the same share."""
    size = IDENTIFIERS["national id, all"].size
    assert size == 909_090_910
    assert size / 1e9 == pytest.approx(len(identities.national_ids()) / 1e6, rel=1e-5)
    assert sum(identities.check_digit(f"{n:09d}") is not None for n in range(11_000)) == pytest.approx(10_000, abs=20)


# Time: measured, and extrapolated by arithmetic ---------------------------------------------------------------------


def test_the_time_is_tries_over_speed_and_cores(slow):
    result = slow.set(identifier="national id, all", method="plain SHA-256", cores=10).result
    tries = IDENTIFIERS["national id, all"].size
    low, high = result.seconds["plain SHA-256"]
    assert high == pytest.approx(tries / 1e6 / 10)
    assert low == pytest.approx(high / 10)
    exact = tries / 2.5e6 / 10
    assert low < exact < high
    assert result.seconds["a salt per record, known"][1] == pytest.approx(high * 9105)
    assert result.seconds["slow hash (scrypt)"][1] == pytest.approx(tries / 10 / 10)


def test_more_cores_help_in_proportion_but_never_against_a_key(slow):
    one = slow.set(identifier="national id, all", method="one salt, known", cores=1).result.seconds
    many = slow.set(cores=10_000).result.seconds
    for name, span in one.items():
        if span is None:
            assert many[name] is None
        else:
            assert many[name] == pytest.approx(tuple(end / 10_000 for end in span))


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"identifier": "national id, all", "method": "plain SHA-256"}, "1 core 1.5 to 15 minutes (plain SHA-256)"),
        (
            {"identifier": "national id, all", "method": "a salt per record, known"},
            "9,105 salts takes 1 core 9.6 to",
        ),
        ({"identifier": "birth date", "method": "slow hash (scrypt)"}, "6.1 minutes to 1 hour"),
        ({"identifier": "birth date, sex, postcode", "method": "plain SHA-256"}, "all 43,828,800 birth dates with sex"),
        (
            {"identifier": "random 128-bit number", "method": "plain SHA-256"},
            "2^128 random 128-bit numbers takes",
        ),
    ],
)
def test_the_sentence_says_the_time_and_that_it_is_extrapolated(slow, knobs, words):
    sentence = slow.set(cores=1, **knobs).sentence
    assert words in sentence
    assert sentence.endswith("extrapolated from the speed measured on one core here.")
    assert sentence[0].isupper()


def test_a_sentence_of_a_quick_setting_does_not_depend_on_the_machine(people):
    said = set()
    for speed in (1.1e6, 2.5e6, 9e6):
        explorer = PseudonymExplorer(people)
        explorer._speed = {"SHA-256": speed, "salted SHA-256": speed, "scrypt": 20.0}
        said.add(explorer.set(identifier="birth date", method="plain SHA-256", cores=1).sentence)
    assert len(said) == 1


def test_speed_is_measured_once_and_anew_after_forgetting(people, monkeypatch):
    calls = []
    monkeypatch.setattr(module, "measured_speed", lambda hasher, _: calls.append(hasher) or 1e6)
    explorer = PseudonymExplorer(people)
    explorer.set(method="slow hash (scrypt)").set(cores=10).set(identifier="national id, all")
    assert sorted(calls) == ["SHA-256", "salted SHA-256", "scrypt"]
    explorer.forget()
    explorer.set(cores=100)
    assert len(calls) == 6


def test_the_measured_speeds_are_real_and_in_order():
    fast, slow_hash = measured_speed("SHA-256", b"salt"), measured_speed("scrypt", b"salt")
    assert 3e4 < fast < 1e9
    assert 0.5 < slow_hash < 1e4
    assert fast > 500 * slow_hash


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.01, "less than a second"),
        (0.5, 5, "at most 5 seconds"),
        (6, 60, "6 seconds to 1 minute"),
        (90, 900, "1.5 to 15 minutes"),
        (3600, 36000, "1 to 10 hours"),
        (8.3e5, 8.3e6, "9.6 to 96 days"),
        (YEAR, 10 * YEAR, "1 to 10 years"),
        (3e12 * YEAR, 3e13 * YEAR, "10^12 to 10^13 years"),
    ],
)
def test_spans_of_time_in_words(low, high, words):
    assert module._between(low, high) == words


# Picture, text, stopping --------------------------------------------------------------------------------------------


def test_every_setting_can_be_drawn_without_a_warning(slow, monkeypatch):
    monkeypatch.setattr(module, "_quick", lambda *_: False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for identifier in IDENTIFIERS:
            for cores in (1, 10_000) if identifier == "birth date" else (100,):
                slow.set(identifier=identifier, method="HMAC, secret key", cores=cores)
                assert slow._png.startswith(b"\x89PNG")


def words_on(explorer: PseudonymExplorer) -> list[str]:
    figure, axes = figures.new_figure()
    figure.delaxes(axes[0])
    explorer.draw(figure, explorer.result)
    (axis,) = figure.axes
    return [*(text.get_text() for text in axis.texts), axis.get_title(loc="right")]


def test_the_picture_says_what_was_run_and_what_is_extrapolated(slow):
    ran = words_on(slow.set(identifier="birth date", method="plain SHA-256"))
    assert any("run just now, 100 % opened" in text for text in ran)
    assert any("extrapolated" in text for text in words_on(slow.set(method="slow hash (scrypt)")))
    assert sum("no dictionary without the key" in text for text in ran) == 1
    far = words_on(slow.set(identifier="random 128-bit number", method="HMAC, secret key"))
    assert any("nothing to try" in text for text in far)
    assert sum("too many to list" in text for text in far) == 4


def test_the_sentence_is_the_alternative_text(explorer):
    bundle, metadata = explorer.set(identifier="birth date", method="plain SHA-256")._repr_mimebundle_()
    assert bundle["text/plain"] == explorer.sentence == metadata["image/png"]["alt"]
    assert explorer.redraw() == explorer.redraw()


def test_a_long_attack_can_be_stopped_and_shows_that_it_moves(slow):
    seen = []

    def impatient(fraction: float, what: str = "") -> None:
        seen.append((fraction, what))
        if len(seen) == 4:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        slow.compute(impatient, identifier="record number", method="plain SHA-256", cores=1)
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] < 0.5
    assert "tried" in seen[-1][1]


# Bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"identifier": "name"}, "'name' is not on offer"),
        ({"method": "MD5"}, "'MD5' is not on offer"),
        ({"cores": 3}, "cores = 3 is not on offer"),
        ({"cores": "10"}, "not on offer"),
        ({"salt": 1}, "no knob 'salt'"),
    ],
)
def test_a_knob_or_value_that_is_not_there_is_refused(explorer, knobs, words):
    with pytest.raises(ExplorerError, match=words):
        explorer.set(**knobs)


@pytest.mark.parametrize("given", ["patients", "empty", "half", None, 3, "text"])
def test_what_is_no_table_of_people_is_refused_in_one_sentence(people, given):
    bad = {
        "patients": pd.DataFrame({"age": [1]}),
        "empty": people.iloc[:0],
        "half": people.drop(columns="mrn"),
    }.get(given, given)
    with pytest.raises(ExplorerError, match=r"give it what identities\.identities\(patients\) returns") as no:
        PseudonymExplorer(bad)
    assert "\n" not in str(no.value)


# The bar of the notebook --------------------------------------------------------------------------------------------


def test_the_progress_bar_moves_and_leaves_one_stable_line():
    bar = ProgressBar("Hashing")
    before = bar._repr_mimebundle_()["text/plain"]
    bar(0.25, "5 tried")
    assert (bar._bar.value, bar._text.value) == (0.25, "Hashing: 5 tried")
    bar(1.0)
    assert bar._text.value == "Hashing"
    data = bar._repr_mimebundle_()
    assert data["text/plain"] == before == "Hashing (a progress bar while it runs)"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == bar._box.model_id


def test_a_scale_that_people_know_is_in_order():
    places = [place for place, _ in module._MARKS]
    assert places == sorted(places)
    scale = {label: place for place, label in module._MARKS}
    assert (scale["1 min"], scale["1 h"], scale["1 day"], scale["1 year"]) == (60, 3600, 86400, YEAR)
