"""The explorers of chapters 02 and 02b, without a browser, and the picture of both (`drawing`)."""

from __future__ import annotations

import io
import warnings

import pandas as pd
import pytest
from readable import assert_readable

from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import ProgressBar, Stopped
from ppml_helpers.pseudonymise import cracking_time, erasure
from ppml_helpers.pseudonymise.cracking_time import CARD
from ppml_helpers.pseudonymise.drawing import draw_shares
from ppml_helpers.pseudonymise.explorer import ErasureExplorer, PseudonymExplorer


@pytest.fixture(scope="module")
def explorer(people: pd.DataFrame) -> PseudonymExplorer:
    """An explorer for a core of the ordinary speed."""
    return PseudonymExplorer(people)


SALTED, SLOW = "a salt per record, known", "slow hash (scrypt)"


@pytest.mark.parametrize(
    ("identifier", "method", "attacker", "said", "drawn"),
    [
        ("birth date", "plain SHA-256", "1 core", " 100 % of 9,105 pseudonyms were opened", "now, 100 % opened"),
        ("birth date", "HMAC, secret key", CARD, "whoever holds the key can still go back", "now, 0 % opened"),
        (
            "national id, all",
            SALTED,
            "1 core",
            "9,105 salts takes 1 core 48 days",
            "2,000,000 SHA-256 a second and core",
        ),
        ("national id, all", SALTED, "10,000 cores", "10,000 cores 6.9 minutes", "2,000,000 SHA-256 a second and core"),
        ("national id, all", SALTED, CARD, "1 graphics card 22 minutes", "6.3 billion SHA-256 a second, as published"),
        ("birth date", SLOW, "1 core", "20 minutes", "at 30 scrypt a second and core"),
        ("birth date", SLOW, CARD, "with these settings is not published (slow", "no speed is published for this"),
        ("random 128-bit number", "plain SHA-256", "1 core", "2^128 random 128-bit numbers takes", "too many to list"),
        ("random 128-bit number", "HMAC, secret key", CARD, "2^256 keys", "nothing to try"),
    ],
)
def test_sentence_and_picture_say_what_was_run_and_from_which_speed_the_rest_comes(
    explorer: PseudonymExplorer, identifier: str, method: str, attacker: str, said: str, drawn: str
) -> None:
    sentence = explorer.set(identifier=identifier, method=method, attacker=attacker).sentence
    assert said in sentence
    assert ("were hashed just now" in sentence) == (explorer.result.attack is not None)
    (axis,) = explorer._figure.axes
    words = [*(text.get_text() for text in axis.texts), axis.get_title(loc="right"), axis.get_xlabel()]
    assert drawn in "\n".join(words)
    assert sum("no dictionary without the key" in text for text in words) == 1


def test_people_from_a_file_and_without_a_number_are_attacked_all_the_same(people: pd.DataFrame) -> None:
    plain = pd.DataFrame(people[:60]).assign(mrn=lambda table: table["mrn"].mask(table.index == 3))
    from_file = pd.read_csv(io.StringIO(plain.to_csv(index=False)))
    gaps = from_file.assign(national_id=from_file["national_id"].mask(from_file.index == 5))  # now decimals
    zoned = plain.assign(birth_date=plain["birth_date"].dt.tz_localize("Asia/Tokyo"))
    arrow = plain.convert_dtypes(dtype_backend="pyarrow")
    cases = [(from_file, "birth date", 60), (from_file, "national id, test range", 60), (plain, "record number", 59)]
    cases += [(gaps, "national id, test range", 59), (zoned, "birth date", 60), (arrow, "birth date", 60)]
    for table, identifier, records in cases:
        result = PseudonymExplorer(table).set(identifier=identifier, method="plain SHA-256").result
        assert (result.attack.recovered, result.records) == (1.0, records), identifier
    for column, value, words in (("birth_date", None, "no birth_date at all"), ("birth_date", "x", "is no date")):
        with pytest.raises(ExplorerError, match=words):
            PseudonymExplorer(plain.assign(**{column: value})).set(identifier="birth date")


def test_nothing_that_it_says_or_draws_comes_from_a_clock(people: pd.DataFrame, monkeypatch) -> None:
    monkeypatch.setattr(cracking_time, "time", None)  # whoever looks at a clock there stops
    explorer = PseudonymExplorer(people[:10])
    for method in cracking_time.METHODS:
        assert explorer.set(identifier="birth date", method=method).sentence
    with pytest.raises(AttributeError):
        cracking_time.measured_speed()


def test_every_setting_can_be_drawn_without_a_warning(people: pd.DataFrame, monkeypatch) -> None:
    monkeypatch.setattr(cracking_time, "is_quick", lambda *_: False)
    explorer = PseudonymExplorer(people)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for identifier, attacker in (("birth date", "1 core"), ("birth date", CARD), ("random 128-bit number", CARD)):
            explorer.set(identifier=identifier, method="HMAC, secret key", attacker=attacker)
            assert_readable(explorer)


def test_an_attack_can_be_stopped(explorer: PseudonymExplorer) -> None:
    def impatient(fraction: float, what: str = "") -> None:
        raise Stopped(what)

    with pytest.raises(Stopped, match="tried"):
        explorer.compute(impatient, identifier="birth date", method="plain SHA-256", attacker="1 core")


def test_what_is_no_table_of_people_or_no_speed_is_refused(people: pd.DataFrame) -> None:
    for given, words in (
        ((people.iloc[:0],), "no rows"),
        ((people.drop(columns="mrn"),), "lacks the column 'mrn'"),
        ((None,), r"give what identities\.identities\(patients\) returns"),
        ((people, {"SHA-256": 0, "scrypt": 1}), r"core\['SHA-256'\] = 0 must be a finite number above 0"),
        ((people, {"SHA-256": 1e6}), r"measured_speed\(\) gives it"),
    ):
        with pytest.raises(ExplorerError, match=words):
            PseudonymExplorer(*given)


def test_the_progress_bar_of_the_notebook_moves_and_leaves_one_stable_line() -> None:
    bar = ProgressBar("Hashing")
    bar(0.25, "5 tried")
    assert (bar._bar.value, bar._text.value) == (0.25, "Hashing: 5 tried")
    data = bar._repr_mimebundle_()
    assert data["text/plain"] == "Hashing (a progress bar while it runs)"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == bar._box.model_id


def test_the_erasure_explorer_says_and_draws_who_comes_back(people: pd.DataFrame) -> None:
    ends, today = people["admission_date"] + pd.DateOffset(years=5), pd.Timestamp("1998-07-01")
    explorer = ErasureExplorer(ends[ends <= today], today)
    expected = {
        (erasure.DELETE, 365, 0): (ends <= today).sum(),
        (erasure.SHRED, 365, 90): ((ends <= today) & (ends > today - pd.Timedelta(90, "D"))).sum(),
        (erasure.SHRED, 365, 0): 0,
        (erasure.MASTER, 365, 365): 0,
    }
    for (erase, data_kept, keys_kept), back in expected.items():
        explorer.set(erase=erase, data_kept=data_kept, keys_kept=keys_kept)
        assert f"reads {back:,} of {(ends <= today).sum():,} erased patients again" in explorer.sentence
        assert explorer._figure.axes[0].get_title(loc="right").startswith(f"filled: can be read again, {back:,} of")
        assert_readable(explorer)


def test_the_picture_of_two_shares_says_them_all() -> None:
    picture = draw_shares({"plain": (1.0, 0.31), "HMAC": (0.0, 0.31)}, ("dictionary", "register"), "patients named")
    assert picture.alt == "Patients named: dictionary, and register. plain: 100 % and 31 %; HMAC: 0 % and 31 %."
    drawn = [text.get_text() for text in picture.figure.axes[0].texts]
    assert drawn == ["100 %", "0 %", "31 %", "31 %"]
