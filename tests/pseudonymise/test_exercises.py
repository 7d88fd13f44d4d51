"""The exercises of chapter 02 and what they measure (`minimise`): right answers in several forms, and wrong ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
import secrets
import sys
import unicodedata
import uuid
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from answers import cells, reply
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import hmac as cryptography_hmac

from ppml_helpers import cohort
from ppml_helpers.exercises import check
from ppml_helpers.people import identities
from ppml_helpers.pseudonymise import exercises as chapter_02
from ppml_helpers.pseudonymise import guessing_attack, minimise
from ppml_helpers.pseudonymise.pseudonyms import Pseudonymiser


def mac(key: bytes, message: bytes | str) -> str:
    return hmac.digest(key, message.encode() if isinstance(message, str) else message, "sha256").hex()


def sha(message: bytes | str) -> str:
    return hashlib.sha256(message.encode() if isinstance(message, str) else message).hexdigest()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer 02.3 from remembered figures (the measurement itself is tested below)."""

    def cost(columns: tuple[str, ...], part: str) -> float:
        return {"design": 0.005, "study": 0.012}[part] if "dzgroup" in columns else 0.11

    monkeypatch.setattr(minimise, "cost_of", cost)


# Right answers --------------------------------------------------------------------------------------------------------


def length_first(key: bytes, domain: str, identifier: str) -> str:
    return mac(key, f"{len(domain)}:{domain}{identifier}")


def as_json(key: bytes, domain: str, identifier: str) -> str:
    return mac(key, json.dumps([domain, identifier]))


def other_library(key: bytes, message: bytes) -> str:
    state = cryptography_hmac.HMAC(key, hashes.SHA256())
    state.update(message)
    return state.finalize().hex()


def only_32_bytes(key: bytes, domain: str, identifier: str) -> str:
    if len(key) != 32:
        raise ValueError("a key has 32 bytes")
    return as_json(key, domain, identifier)


RIGHT = [
    *(("02.1", answer) for answer in (338, 26 * 26 * 10**6 / 2e6, np.float64(337.9), [338])),
    ("02.2", length_first),
    ("02.2", as_json),
    ("02.2", lambda k, d, i: mac(k, len(d.encode()).to_bytes(4, "big") + d.encode() + i.encode())),
    ("02.2", lambda k, d, i: mac(hmac.digest(k, d.encode(), "sha256"), i)),  # a key a domain
    ("02.2", lambda k, d, i: mac(k, sha(d) + sha(i))),
    ("02.2", lambda k, d, i: length_first(k, d, i)[:32]),
    ("02.2", lambda k, d, i: base64.urlsafe_b64encode(bytes.fromhex(as_json(k, d, i))).decode()),
    ("02.2", lambda k, d, i: "p-" + as_json(k, d, i)),
    ("02.2", lambda k, d, i: mac(k.hex().encode(), json.dumps([d, i]))),
    ("02.2", lambda k, d, i: mac(k, quote(d, safe="") + "/" + quote(i, safe=""))),
    ("02.2", lambda k, d, i: mac(k, mac(k, d) + mac(k, i))),
    ("02.2", lambda k, d, i: hmac.new(k, pickle.dumps((d, i)), "sha512").hexdigest()),
    ("02.2", lambda k, d, i: str(uuid.UUID(as_json(k, d, i)[:32]))),
    ("02.2", lambda k, d, i: str(int(as_json(k, d, i), 16))),
    ("02.2", lambda k, d, i: other_library(k, json.dumps([d, i]).encode())),
    ("02.2", only_32_bytes),
    ("02.3", ("hday", "num.co", "dzgroup", "scoma", "meanbp")),
    ("02.3", {"dzgroup", "hrt"}),
    ("02.3", np.array(["dzgroup", "scoma"])),
    *(("02.4", form(list(chapter_02.RECORD_NUMBERS))) for form in (list, set, pd.Series)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_many_forms(measured: None, name: str, answer: object) -> None:
    assert reply(name, answer) == ""


def test_02_4_right_as_what_the_attack_found() -> None:
    numbers = [f"{year}-{n:05d}" for year in (92, 93) for n in (4711, 815, 31337)]
    found = guessing_attack.dictionary_attack(chapter_02.leaked(), numbers, lambda text: sha("qa-1993:" + text)).found
    assert reply("02.4", found) == ""
    assert reply("02.4", {number: name for name, number in found.items()}) == ""
    assert reply("02.4", found.values()) == ""


# Wrong answers --------------------------------------------------------------------------------------------------------

PLAIN = lambda key, domain, identifier: sha(domain + identifier)  # noqa: E731
FIXED = secrets.token_bytes(32)


# A length in the wrong place is no border.
BORDERLESS = [
    lambda d, i: f"{len(d)}{d}{i}",
    lambda d, i: f"{d}{len(d)}{i}",
    lambda d, i: f"{d}{len(d)}:{i}",
    lambda d, i: f"{d}|{len(d)}|{i}",
    lambda d, i: f"{d}{i}{len(d)}",
    lambda d, i: f"{len(i)}{d}{i}",
    lambda d, i: f"{d}{i}{len(i)}",
    lambda d, i: f"{len(d)}{len(i)}{d}{i}",
]
GLUED = [
    lambda k, d, i: sha(k + json.dumps([d, i]).encode()),
    lambda k, d, i: sha(json.dumps([d, i]).encode() + k),
    lambda k, d, i: sha(f"{k.hex()}{d}|{i}"),
    lambda k, d, i: sha(f"{k}{d}{i}"),
    lambda k, d, i: sha(d.encode() + k + i.encode()),
    lambda k, d, i: sha(k + f"{d}:{i}".encode() + k),
    lambda k, d, i: hashlib.sha512(k + f"{d}:{i}".encode()).hexdigest(),
    lambda k, d, i: sha(k + f"{d}:{i}".encode())[:32],
    lambda k, d, i: sha(k + f"{d}:{i}".encode()).upper(),
]
# What was accepted once: keys of which a part counts, key and message swapped, identifiers that are changed before.
PARTS_OF_THE_KEY = [
    lambda k: k[:2],
    lambda k: k[:1],
    lambda k: k[:31],
    lambda k: k[1:],
    lambda k: k[:16] + k[17:],
    lambda k: bytes(byte & 0x7F for byte in k),
    lambda k: k.strip(),
    lambda k: k.decode("ascii", "ignore").encode(),
    lambda k: k.lower(),
]
SWAPPED = [
    lambda k, d, i: mac(f"{len(d)}:{d}{i}".encode(), k),
    lambda k, d, i: mac(json.dumps([d, i]).encode(), k),
    lambda k, d, i: mac(json.dumps([d, i]).encode(), k.hex()),
    lambda k, d, i: mac(len(d.encode()).to_bytes(4, "big") + d.encode() + i.encode(), k),
    lambda k, d, i: hmac.new(repr((d, i)).encode(), k, hashlib.sha256).hexdigest(),
    lambda k, d, i: mac(f"{d!r} and {i}".encode(), k),  # a message of their own
    lambda k, d, i: mac(f"{len(d)}:{d}{i}".encode(), k)[:32],
    lambda k, d, i: mac(f"<{d!r} and {i!r}>".encode(), k),  # and one that ends in no text of theirs
    lambda k, d, i: hmac.new(key=i.encode(), msg=k + d.encode(), digestmod="sha256").hexdigest(),
    lambda k, d, i: hmac.HMAC(json.dumps([i, d]).encode(), k, "sha256").hexdigest(),
    lambda k, d, i: mac(d.encode(), k + i.encode()),
    lambda k, d, i: mac(k + i.encode(), d),
    lambda k, d, i: other_library(f"{len(d)}|{d}{i}".encode(), k),
]
NOT_AS_IT_IS = [
    (str.strip, "blanks around are dropped"),
    (str.rstrip, "blanks around are dropped"),
    (lambda text: text.replace(" ", ""), "blanks"),
    (lambda text: unicodedata.normalize("NFKC", text), "get one pseudonym"),
    (lambda text: unicodedata.normalize("NFC", text), "(Unicode NFC or NFD)"),
    (lambda text: unicodedata.normalize("NFD", text), "(Unicode NFC or NFD)"),
    (str.lower, "capitals are lost"),
    (str.casefold, "capitals are lost"),
    (lambda text: text.encode("ascii", "ignore").decode(), "characters are dropped"),
    (lambda text: text.encode("latin-1", "replace").decode("latin-1"), "characters are dropped"),
    (lambda text: text.lstrip("0"), "leading zeros are dropped"),
    (lambda text: text.rstrip("\0"), "zero bytes"),
    (lambda text: text.replace("-", ""), "get one pseudonym"),
    (lambda text: text[:200], "the end of a long text"),
    (lambda text: text[-200:], "the beginning of a long text"),
]
WRONG = [
    ("02.1", 338 / 60, "give it in seconds"),
    ("02.1", 26**2 * 10**6, "How long does the attacker need"),
    ("02.1", 26, "multiply, they do not add"),
    ("02.1", 13, "there are two letters"),
    ("02.1", 36**8 / 2e6, "The attacker knows the format"),
    ("02.1", 169, "Every one is asked for"),
    ("02.1", 0.5, "the six digits alone"),
    ("02.1", 325, "AA is a pair"),
    ("02.1", 338e6, "it is two million"),
    ("02.1", 5000, "a choice for each of eight places"),
    ("02.1", 339, "a choice for each of eight places"),
    ("02.2", PLAIN, "this is a plain hash"),
    ("02.2", lambda k, d, i: mac(FIXED, d + i), "Another key gives the same pseudonym"),
    ("02.2", lambda k, d, i: mac(k, i), "The domain is not in it"),
    ("02.2", lambda k, d, i: mac(k, d + i), "run into each other"),
    *(("02.2", lambda k, d, i, how=how: mac(k, how(d, i)), "run into each other") for how in BORDERLESS),
    *(("02.2", answer, "glued to the message") for answer in GLUED),
    ("02.2", lambda k, d, i: mac(k, d + i + secrets.token_hex(4)), "Twice the same person"),
    ("02.2", lambda k, d, i: as_json(k, d, i)[:8], "too few"),
    ("02.2", lambda k, d, i: f"{i}-{mac(k, d)}", "can be read"),
    ("02.2", lambda k, d, i: mac(k.encode(), d + i), "stopped with AttributeError"),
    ("02.2", lambda k, d, i: hmac.digest(k, (d + i).encode(), "sha256"), "type bytes, not a text"),
    ("02.2", lambda k, d: mac(k, d), "stopped with TypeError"),
    ("02.2", lambda k, d, i: mac(k, d) + mac(k, i), "A long piece of it is the same"),
    ("02.2", lambda k, d, i: mac(k + d.encode(), i), "part of HMAC's key"),
    *(("02.2", lambda k, d, i, of=of: length_first(of(k), d, i), "of the key's 32 bytes") for of in PARTS_OF_THE_KEY),
    *(("02.2", answer, "have changed places") for answer in SWAPPED),
    *(("02.2", lambda k, d, i, of=of: length_first(k, d, of(i)), words) for of, words in NOT_AS_IT_IS),
    *(("02.2", lambda k, d, i, of=of: length_first(k, of(d), i), words) for of, words in NOT_AS_IT_IS),
    ("02.2", lambda k, d, i: Pseudonymiser(k, d).of([i])[0], "blanks around are dropped"),  # the kit's own, on purpose
    ("02.2", lambda k, d, i: length_first(bytes(sorted(k)), d, i), "in another order"),
    ("02.2", str, "give the function itself"),
    ("02.2", lambda k, d, i: None, "NoneType, not a text"),
    ("02.3", ["dzgroup", "age"], "'age' is a quasi-identifier"),
    ("02.3", ["dzgroup", "scoma", "hday", "num.co", "meanbp", "hrt"], "the board allows 5"),
    ("02.3", ["scoma", "hday"], "On `design` that costs 0.1100 of AUC"),
    ("02.3", [], "nothing can be predicted"),
    ("02.3", "dzgroup", "give a list"),
    ("02.3", ["hospdead"], "what is to be predicted"),
    ("02.3", ["dzgroup: Coma"], "none of the 26 columns"),
    ("02.3", [3], "write it as text"),
    ("02.3", ["dzgroup", "scoma", "dzgroup"], "'dzgroup' more than once"),
    ("02.4", [], "Nobody was found"),
    ("02.4", chapter_02.leaked(), "Those are the pseudonyms"),
    ("02.4", ["qa-1993:" + number for number in chapter_02.RECORD_NUMBERS], "the salt still in front"),
    ("02.4", list(chapter_02.RECORD_NUMBERS[:2]), "1 of 3 are still missing"),
    ("02.4", [*chapter_02.RECORD_NUMBERS, "90-00000"], "others that are in no pseudonym"),
    ("02.4", [9204711, 9300815], "write it as text"),
    ("02.4", 2 * list(chapter_02.RECORD_NUMBERS), "'92-04711' more than once"),
    ("02.4", "92-04711", "give a list"),
]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_sentence(measured: None, name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


@pytest.mark.parametrize("mark", ["|", ":", "-", "/", " ", "\n", "\x00", "\x1f", "::"])
def test_a_separator_is_no_safe_border(mark: str) -> None:
    assert "run into each other" in reply("02.2", lambda k, d, i: mac(k, d + mark + i))
    assert "run into each other" in reply("02.2", lambda k, d, i: mac(k, i + mark + d))


# What the replies rest on ---------------------------------------------------------------------------------------------


def test_02_3_is_not_a_close_call_and_reports_what_no_choice_has_seen() -> None:
    allowed = chapter_02._MOST_COST
    five, last = ("crea", "dzgroup", "hday", "meanbp", "scoma"), ("dzgroup", "hday", "hrt", "num.co", "scoma")
    assert minimise.cost_of(five, "design") < allowed - 0.001
    assert minimise.cost_of(last, "design") > allowed + 0.001  # the right end of the picture is not yet the answer
    verdict = check("02.3", list(five), record=False)
    assert f"not seen: {minimise.cost_of(five, 'study'):.3f}" in verdict.text
    assert minimise.cost_of(five, "study") > minimise.cost_of(five, "design")  # a choice flatters itself
    assert set(minimise.IN_WORDS) == set(cohort.SUPPORT2.columns)


@pytest.mark.parametrize(
    ("key", "data", "expected"),  # RFC 4231, test cases 1 and 2
    [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
    ],
)
def test_what_is_called_hmac_here_is_hmac_and_not_its_mirror_image(key: bytes, data: bytes, expected: str) -> None:
    assert mac(key, data) == other_library(key, data) == expected != mac(data, key)


def test_02_4_hands_out_what_the_judge_expects() -> None:
    source = "\n".join(cell.source for cell in cells("02_minimise_and_pseudonymise").values())
    assert all(f'"{pseudonym}"' in source for pseudonym in chapter_02.leaked())
    assert chapter_02.SALT in source
    assert not any(number in source for number in chapter_02.RECORD_NUMBERS)


def test_the_last_hint_of_02_2_is_the_message_that_is_right() -> None:
    (source,) = (text for text in chapter_02.EXERCISES[1].hints if text.startswith("message = "))
    message = eval(source.removeprefix("message = ").split(" puts ")[0], {"domain": "a", "identifier": "b"})
    assert mac(FIXED, message) == length_first(FIXED, "a", "b")


@pytest.mark.parametrize("installed", [True, False])
def test_the_section_on_both_hospitals_finds_them_and_without_its_package_says_so_and_goes_on(
    installed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The section's stored outputs are not compared by nbval, for its package is optional: so they are held here."""
    stored = cells("02_minimise_and_pseudonymise")
    linking = [stored[name] for name in ("both-lists", "both-run", "both-typo")]
    found = "".join(output["text"] for cell in linking for output in cell.outputs)
    typed = "of 600 identifiers typed, 60 fail the check digit"
    exact = "200 found, 0 of them wrongly; 0 missed"
    assert found.splitlines() == [exact, "number only: 200", "found now: 180", typed]
    if installed:
        pytest.importorskip("private_set_intersection")
    else:
        monkeypatch.setitem(sys.modules, "private_set_intersection", None)
        monkeypatch.setitem(sys.modules, "private_set_intersection.python", None)
        missing = "The optional package openmined-psi is not installed here: this section stays empty."
        found = f"{missing}\n{typed}\n"
    scope = {"people": identities.identities(cohort.load_patients(), seed=0), "identities": identities}
    for cell in linking:
        exec(cell.source, scope)
    assert capsys.readouterr().out == found


def test_02_5_wants_what_is_named_without_each_column() -> None:
    truth = chapter_02._named()
    right = {name: truth[name] for name in ("age", "sex", "postcode")}
    assert max(truth["age"], truth["postcode"]) < 0.001 < 0.1 < truth["sex"] < truth["none"] - 0.1
    assert reply("02.5", right) == reply("02.5", {name: round(share, 3) for name, share in right.items()}) == ""
    for answer, words in (
        (0.31, "its keys are 'age', 'sex', 'postcode'"),
        ({name: 100 * share for name, share in right.items()}, "nothing in percent"),
        (dict.fromkeys(right, truth["none"]), "by all three columns"),
        ({name: 1 - share for name, share in right.items()}, "not named rightly"),
        (right | {"age": truth["sex"], "sex": truth["age"]}, "is what is left out"),
        (dict.fromkeys(right, 0), "Somebody is named without sex"),
        (right | {"sex": 0.5}, "Without sex it is another share"),
    ):
        assert words in reply("02.5", answer)
