"""Exercises of chapter 02, minimise and pseudonymise; those of 02b stand in `erasure_exercises`."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong
from ppml_helpers.pseudonymise import erasure_exercises, minimise
from ppml_helpers.words import percent

TITLE = {"02": "Minimise and pseudonymise", "02b": erasure_exercises.TITLE}

QUASI_IDENTIFIERS = ("age", "sex", "race", "edu", "income")
"""The columns of the task that other lists hold too."""

SALT = "qa-1993:"
RECORD_NUMBERS = ("92-04711", "93-00815", "93-31337")
"""The answer to 02.4: invented record numbers of an invented clinic."""

_MOST_COLUMNS, _MOST_COST = 5, 0.009  # what 02.3 allows
_SPACE, _RATE = 26**2 * 10**6, 2e6  # of 02.1


# 02.1 ---------------------------------------------------------------------------------------------------------------


def _judge_1(answer: object) -> Reply:
    value = as_number(answer)
    if close(value, _SPACE / _RATE, 0.5):
        return right(
            "676 million record numbers, 338 seconds: under six minutes on one ordinary core. "
            "Letters in front make an identifier look long, not hard to guess."
        )
    if close(value, _SPACE / _RATE / 60, 0.1):
        return wrong("The idea is right; give it in seconds.")
    if close(value, _SPACE, 1):
        return wrong("That is how many record numbers there are. How long does the attacker need for them?")
    if close(value, 52 * 10**6 / _RATE, 0.5):
        return wrong("The two letters are chosen independently: their numbers multiply, they do not add.")
    if close(value, 26 * 10**6 / _RATE, 0.5):
        return wrong("That is one letter and six digits; there are two letters.")
    if close(value, 10**6 / _RATE, 0.01):
        return wrong("That is the six digits alone. How many pairs of letters stand in front of each?")
    if close(value, 26 * 25 * 10**6 / _RATE, 0.5):
        return wrong("A letter may stand there twice: AA is a pair like any other.")
    if close(value, _SPACE / 2, 1):
        return wrong("That is for two hashes a second; it is two million.")
    if close(value, 36**8 / _RATE, 1e5):
        return wrong("That allows a letter or a digit in each place. The attacker knows the format, so fewer remain.")
    if close(value, _SPACE / _RATE / 2, 1):
        return wrong(
            "That is the time until half are tried, which one patient takes on average. Every one is asked for."
        )
    return wrong("Count the record numbers: a choice for each of eight places. Then divide by the tries per second.")


# 02.2 ---------------------------------------------------------------------------------------------------------------

_KEY, _OTHER_KEY = (hashlib.sha256(seed).digest() for seed in (b"one key", b"another key"))  # fixed: tests of functions
_SEPARATORS = ("", "|", ":", "/", "-", "_", ".", ",", ";", "#", "+", "=", " ", "\n", "\t", "\x00", "\x1f", "||", "::")


def _messages(domain: str, identifier: str) -> Iterator[bytes]:
    """Give the messages that people make of a domain and an identifier."""
    for first, second in ((domain, identifier), (identifier, domain)):
        for separator in _SEPARATORS:
            yield f"{first}{separator}{second}".encode()
        for pair in ([first, second], (first, second)):
            yield from (repr(pair).encode(), json.dumps(pair).encode())
        for length in (len(first), len(first.encode())):
            yield from (f"{length}{mark}{first}{end}{second}".encode() for mark in ":| " for end in ("", ":", "|"))
            yield from (length.to_bytes(n, "big") + f"{first}{second}".encode() for n in (1, 2, 4, 8))
    yield identifier.encode()


def _glued(key: bytes, domain: str, identifier: str) -> Iterator[bytes]:
    """Give what people hash when they glue the key to the message in place of an HMAC."""
    for form in (key, key.hex().encode(), str(key).encode()):
        for message in _messages(domain, identifier):
            for mark in (b"", b"|", b":"):
                yield from (form + mark + message, message + mark + form, form + mark + message + mark + form)
        yield domain.encode() + form + identifier.encode()
        yield identifier.encode() + form + domain.encode()


def _is_hash_of(pseudonym: str, messages: Iterator[bytes]) -> bool:
    hashers = (hashlib.sha256, hashlib.sha512, hashlib.sha1, hashlib.md5)
    return any(hasher(message).hexdigest().startswith(pseudonym.lower()) for message in messages for hasher in hashers)


def _called(pseudonym: Callable[..., object]) -> Callable[[bytes, str, str], str]:
    """Wrap the learner's function: text comes out, or a sentence about what did not."""

    def call(key: bytes, domain: str, identifier: str) -> str:
        try:
            value = pseudonym(key, domain, identifier)
        except Exception as error:
            raise NotAnAnswer(
                f"called with a key of 32 bytes, domain {domain!r} and identifier {identifier!r}, "
                f"yours stopped with {type(error).__name__} ({str(error)[:80]})"
            ) from None
        if not isinstance(value, str):
            raise NotAnAnswer(f"yours returned a value of type {type(value).__name__}, not a text such as hexdigest()")
        return value

    return call


def _judge_2(answer: object) -> Reply:
    if not callable(answer) or isinstance(answer, type):
        raise NotAnAnswer(f"this is of type {type(answer).__name__}: give the function itself, without calling it")
    give = _called(answer)
    mistake = _mistake(give)
    if mistake:
        return wrong(mistake)
    return right(
        "The same person gets the same pseudonym, another key or another domain gives another one, and no two pairs of "
        "domain and identifier share one. Whoever has no key has no dictionary."
    )


def _mistake(give: Callable[[bytes, str, str], str]) -> str:
    """Return the first thing that is wrong with a pseudonym function, or nothing."""
    domain, identifier = "registry", "9990000018"
    first = give(_KEY, domain, identifier)
    if first != give(_KEY, domain, identifier):
        return "Twice the same person, two pseudonyms: a fresh salt or key is drawn inside, so no record can be joined."
    if identifier in first:
        return "The identifier can be read in the pseudonym."
    if first == give(_OTHER_KEY, domain, identifier):
        return "Another key gives the same pseudonym: this is a plain hash, and a dictionary opens it."
    if first == give(_KEY, "billing", identifier):
        return (
            "The domain is not in it: registry and billing get the same pseudonym for a person, and whoever sees both "
            "tables can join them."
        )
    if _overlap(first, give(_KEY, "billing", identifier)):
        return (
            "A long piece of it is the same in registry and billing, and tables can be joined by that piece: let "
            "domain and identifier go into one message."
        )
    if len(first) < 22:
        return f"{len(first)} characters are too few: with many patients two of them would share one. Keep all 64."
    return _about_key(give, first, domain, identifier) or _about_message(give)


def _about_key(give: Callable[[bytes, str, str], str], first: str, domain: str, identifier: str) -> str:
    """Return what is wrong with how the key goes in, or nothing."""
    if _is_hash_of(first, _glued(_KEY, domain, identifier)):
        return (
            "The key is glued to the message and hashed. SHA-256 was not made for that: whoever sees the hash of key + "
            "message can extend the message without the key. Use hmac.new."
        )
    if _is_swapped(give, first, domain, identifier):
        return (
            "Key and message have changed places, at least in part: HMAC's key must be the secret key alone, and "
            "domain and identifier its message. HMAC promises nothing of a secret message: hmac.new(key, ...)."
        )
    ignored = [at for at in range(len(_KEY)) if _merges(give(key, domain, identifier) for key in _with_other(at))]
    if ignored:
        return (
            f"{len(ignored)} of the key's 32 bytes may change and the pseudonym stays (the first of them: byte "
            f"{ignored[0]}). The fewer count, the sooner all keys are tried: use the whole key, as it is."
        )
    if give(_KEY[::-1], domain, identifier) == first or give(bytes(sorted(_KEY)), domain, identifier) == first:
        return "The same bytes in another order are another key, and give the same pseudonym: use the key as it is."
    return ""


def _with_other(at: int) -> Iterator[bytes]:
    """Give the key with other bytes in one place: each bit changed, and what functions for texts drop or change."""
    for byte in sorted({_KEY[at], *(_KEY[at] ^ (1 << bit) for bit in range(8)), *b"\0\t\n\r aA\xff"}):
        yield _KEY[:at] + bytes([byte]) + _KEY[at + 1 :]


def _merges(pseudonyms: Iterator[str]) -> bool:
    """Tell whether two of them are the same."""
    made = list(pseudonyms)
    return len(set(made)) < len(made)


def _is_swapped(give: Callable[[bytes, str, str], str], first: str, domain: str, identifier: str) -> bool:
    """Tell whether HMAC gets something else than the secret as its key.

    Two signs: the same keys reach HMAC whatever the secret is; or texts that differ in a zero byte at the end meet, as
    keys do, which HMAC fills up with zero bytes (RFC 2104).
    """
    heard = []
    for key in (_KEY, _OTHER_KEY):
        with _overheard() as keys:
            give(key, domain, identifier)
        heard.append(keys)
    forms = (_KEY, _KEY.hex().encode(), str(_KEY).encode())
    made = (hmac.digest(m, form, "sha256").hex() for m in _messages(domain, identifier) for form in forms)
    if (heard[0] and heard[0] == heard[1]) or first.lower() in made:
        return True
    return give(_KEY, "a", "b") == give(_KEY, "a", "b\0") and not _is_key_of_hmac(give)


def _is_key_of_hmac(give: Callable[[bytes, str, str], str]) -> bool:
    """Tell whether a zero byte behind the key makes no difference, as it must if that is HMAC's key."""
    try:
        return give(_KEY + b"\0", "a", "b") == give(_KEY, "a", "b")
    except NotAnAnswer:  # a key of 33 bytes may be refused
        return False


@contextmanager
def _overheard() -> Iterator[list[bytes]]:
    """Note the key of each HMAC that Python's `hmac` makes meanwhile."""
    heard: list[bytes] = []
    real = {name: getattr(hmac, name) for name in ("new", "digest", "HMAC")}

    def listening(make: Callable[..., object]) -> Callable[..., object]:
        def call(key: bytes, *rest: object, **named: object) -> object:
            heard.append(bytes(key))
            return make(key, *rest, **named)

        return call

    try:
        for name, make in real.items():
            setattr(hmac, name, listening(make))
        yield heard
    finally:
        for name, make in real.items():
            setattr(hmac, name, make)


def _about_message(give: Callable[[bytes, str, str], str]) -> str:
    """Return what is wrong with the message, or nothing."""
    if any(give(_KEY, *one) == give(_KEY, *two) for one, two in _look_alikes()):
        return (
            "Domain and identifier run into each other: ('ab', 'c') and ('a', 'bc'), or the same with your separator "
            "inside, give one message and so one pseudonym. Put the length of the domain in front, and a "
            "mark behind the length."
        )
    if give(_KEY, "a", "9990000018") == give(_KEY, "a\0", "9990000018"):
        return (
            "The domain is part of HMAC's key: 'a' and 'a' with a zero byte behind it give one pseudonym, since HMAC "
            "fills a short key up with zero bytes. Put the domain into the message, its length in front."
        )
    for one, two, lost in _MERGED:
        if give(_KEY, "a", one) == give(_KEY, "a", two) or give(_KEY, one, "a") == give(_KEY, two, "a"):
            return f"{one!r} and {two!r} get one pseudonym: {lost}. Take the texts as they are."
    return ""


_LONG = "9" * 300
_MERGED = (
    ("\u00c4-1", "\u00d6-1", "characters are dropped; encode the text as UTF-8"),
    ("\U0001f600", "\U0001f601", "characters are dropped; encode the text as UTF-8"),
    *(("7", text, "blanks around are dropped") for text in (" 7", "7 ", "7\n", "\t7", "7\u00a0", "7\ufeff")),
    ("1 2", "12", "blanks are dropped"),
    ("A", "a", "capitals are lost"),
    ("\u00df", "ss", "capitals are lost"),
    ("\u00e9", "e\u0301", "two writings of one character are made one (Unicode NFC or NFD)"),
    ("\ufb01", "fi", "characters that look alike are made one (Unicode NFKC)"),
    ("\u2460", "1", "characters that look alike are made one (Unicode NFKC)"),
    ("\u00e9", "e", "accents are dropped"),
    ("07", "7", "leading zeros are dropped"),
    ("7-1", "71", "punctuation is dropped"),
    ("7\0", "7", "zero bytes at the end are dropped"),
    ("\0" + "7", "7", "zero bytes in front are dropped"),
    (_LONG + "1", _LONG + "2", "the end of a long text is dropped"),
    ("1" + _LONG, "2" + _LONG, "the beginning of a long text is dropped"),
)
"""Pairs of texts that careless handling makes one, and what is lost."""


def _overlap(one: str, other: str, length: int = 12) -> bool:
    """Tell whether two texts share a piece that is too long for chance (12 characters: 48 bits or more)."""
    return any(one[at : at + length] in other for at in range(len(one) - length + 1))


def _look_alikes() -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Give pairs of different (domain, identifier) that a careless encoding makes equal."""
    for mark in _SEPARATORS:
        yield ("a" + mark + "b", "c"), ("a", "b" + mark + "c")
        yield ("c", "a" + mark + "b"), ("b" + mark + "c", "a")
        # The length behind the domain marks no border: nobody knows where to look for it.
        after, between = f"a{mark}1", f"a1{mark}b"
        yield ("a", f"{len(after)}{mark}x"), (after, "x")
        yield ("a", f"b{len(between)}{mark}x"), (between, "x")
    yield ("ab", "c"), ("a", "bc")
    yield ("1", "12"), ("11", "2")
    # Lengths of 1 and 11 with nothing behind them: the second digit is taken for the text, or the text for a digit.
    eleven = "bcdefghijkl"
    yield ("1", eleven + "z"), (eleven, "z")  # length of the domain first
    yield ("b", "cdefghijklz1"), (eleven, "z")  # and last
    yield ("1d" + eleven[:-1], "l"), ("d", eleven)  # length of the identifier first
    yield ("d" + eleven, "1"), ("d", eleven)  # and last
    yield ("b", "cdefghijklmn"), (eleven, "mn")  # both lengths first: 1, 12 and 11, 2
    yield ("a", "b"), ("b", "a")


# 02.3 ---------------------------------------------------------------------------------------------------------------


def _as_texts(answer: object) -> list[str]:
    """Read an answer as a list of texts; whatever cannot be listed is answered by the frame."""
    if isinstance(answer, str | bytes | dict):
        raise NotAnAnswer(f"this is of type {type(answer).__name__}: give a list, even for one")
    for text in (given := list(answer)):  # type: ignore[call-overload]
        if not isinstance(text, str):
            raise NotAnAnswer(f"it holds {str(text)[:40]!r}, of type {type(text).__name__}: write it as text")
    if len(given) > len(set(given)):
        twice = next(text for text in given if given.count(text) > 1)
        raise NotAnAnswer(f"it holds {twice[:40]!r} more than once")
    return given


def _as_columns(answer: object) -> list[str]:
    """Read an answer as names of columns."""
    from ppml_helpers import cohort

    names = _as_texts(answer)
    for name in names:
        if name == cohort.SUPPORT2.label:
            raise NotAnAnswer(f"{name!r} is what is to be predicted")
        if name not in cohort.SUPPORT2.columns:
            raise NotAnAnswer(f"{name[:40]!r} is none of the 26 columns: see cohort.SUPPORT2.columns")
    return names


def _judge_3(answer: object) -> Reply:
    names = _as_columns(answer)
    if not names:
        return wrong("Without any column nothing can be predicted.")
    named = [name for name in names if name in QUASI_IDENTIFIERS]
    if named:
        return wrong(f"{named[0]!r} is a quasi-identifier: other lists hold it too, and records can be linked by it.")
    if len(set(names)) > _MOST_COLUMNS:
        return wrong(f"These are {len(set(names))} columns, and the board allows {_MOST_COLUMNS}.")
    chosen = tuple(sorted(set(names)))
    cost = minimise.cost_of(chosen, "design")
    if cost > _MOST_COST:
        return wrong(
            f"On `design` that costs {cost:.4f} of AUC, and at most {_MOST_COST} is allowed: exchange or add a column."
        )
    return right(
        f"{len(chosen)} of 26 columns, no quasi-identifier, and {cost:.3f} of AUC lost on `design`, where you chose. "
        f"Measured once on `study`, which the choice has not seen: {minimise.cost_of(chosen, 'study'):.3f}. Report "
        "that one."
    )


# 02.4 ---------------------------------------------------------------------------------------------------------------


def leaked() -> list[str]:
    """Return the pseudonyms that 02.4 hands to the learner."""
    return [hashlib.sha256(f"{SALT}{number}".encode()).hexdigest() for number in RECORD_NUMBERS]


def _judge_4(answer: object) -> Reply:
    if isinstance(answer, dict):
        answer = list(answer) if set(answer) & set(RECORD_NUMBERS) else list(answer.values())
    given = _as_texts(answer)
    if not given:
        return wrong("Nobody was found. Was the salt in front, and are there five digits with leading zeros?")
    if set(given) & set(leaked()):
        return wrong("Those are the pseudonyms. Which record numbers are behind them?")
    if any(number.startswith(SALT) for number in given):
        return wrong("You found them, with the salt still in front: give the record numbers alone.")
    found = set(given) & set(RECORD_NUMBERS)
    if len(found) < len(RECORD_NUMBERS):
        missed = len(RECORD_NUMBERS) - len(found)
        return wrong(
            f"{missed} of {len(RECORD_NUMBERS)} are still missing: does your dictionary hold all years and numbers?"
        )
    if len(set(given)) > len(RECORD_NUMBERS):
        return wrong("The right ones are among them, and others that are in no pseudonym: compare the hashes.")
    return right(
        "All three, from a million candidates. A known salt stops a dictionary that was made beforehand; it does not "
        "stop one that is made for it."
    )


# 02.5 ---------------------------------------------------------------------------------------------------------------

_ON = ("age", "sex", "postcode")


@cache
def _named() -> dict[str, float]:
    """Return the share of patients whom the register names rightly without each column, and with all ("none")."""
    from ppml_helpers import cohort
    from ppml_helpers.people import identities, linkage

    people = identities.identities(cohort.load_patients(), seed=0)
    extract = identities.deidentified(cohort.load_patients(), people)
    register, truth = identities.register(people, size=100_000, seed=0)
    kept = {left_out: [column for column in _ON if column != left_out] for left_out in (*_ON, "none")}
    return {left_out: linkage.link(extract, register, on=on).score(truth).right for left_out, on in kept.items()}


def _judge_5(answer: object) -> Reply:
    if not isinstance(answer, Mapping) or set(answer) != set(_ON):
        raise NotAnAnswer(f"its keys are {', '.join(map(repr, _ON))}")
    given = {name: as_number(getattr(answer[name], "right", answer[name])) for name in _ON}
    truth = _named()
    off = [name for name in _ON if not close(given[name], truth[name], 0.0011)]
    if not off:
        said = ", ".join(f"{percent(truth[name], 1)} without {name}" for name in _ON)
        return right(
            f"{said}, and {percent(truth['none'], 1)} with all three, under a pseudonym that nobody opens. Age "
            "and postcode name people together: leave out the one that serves the task least."
        )
    if max(given.values()) > 1:
        return wrong("Give shares from 0 to 1, as the score's `right` is: no counts, and nothing in percent.")
    first = off[0]
    if all(close(given[name], truth["none"], 0.0011) for name in off):
        return wrong(f"That is the linkage by all three columns. Leave {first} out of `on`, and keep the other two.")
    if close(given[first], 1 - truth[first], 0.0011):
        return wrong("Those are the patients who are not named rightly. Give the share who are.")
    if given[first] < 0.0011:
        return wrong(f"Somebody is named without {first}: link by the two other columns, both of them.")
    if any(close(given[first], truth[name], 0.0011) for name in _ON if name != first):
        return wrong(f"Under {first!r} stands what is named without another column. The key is what is left out.")
    return wrong(f"Without {first} it is another share: linkage.link(extract, register, on=...).score(truth).right.")


EXERCISES = (
    Exercise(
        name="02.1",
        expects="a number of seconds above 0",
        hints=(
            "How many choices has each of the eight places?",
            "26 for each letter, 10 for each digit; choices multiply.",
            "Divide by the tries per second.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="02.2",
        expects="a function of (key, domain, identifier) that returns a text",
        hints=(
            "hmac.new(key, message, hashlib.sha256).hexdigest() is the heart of it. What is the message?",
            "('ab', 'c') and ('a', 'bc') must give different messages, whatever characters the names hold.",
            'message = f"{len(domain)}:{domain}{identifier}".encode() puts the length in front.',
        ),
        judge=_judge_2,
        listens=True,
    ),
    Exercise(
        name="02.3",
        expects="a list of column names, such as ['scoma', 'hday']",
        hints=(
            "The picture of this chapter drops the columns in the order of their cost. What is left at its right end?",
            "Begin with the last five, and exchange one of them for another.",
            'fold_aucs(design, ["scoma", "hday"]).mean() measures a choice; `study` is for the report alone.',
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="02.4",
        expects="a list of record numbers, such as ['92-00001']",
        hints=(
            'Make every candidate: f"{year}-{number:05d}" for years 90 to 99 and numbers 0 to 99999.',
            "Hash salt + candidate, and look whether the result is in `leaked`.",
            "dictionary_attack does it, with a hasher of your own that puts the salt in front.",
        ),
        judge=_judge_4,
    ),
    Exercise(
        name="02.5",
        expects="a dict of three shares, by the column that is left out",
        hints=(
            "The chapter links by age, sex and postcode. Give `on` two of them.",
            "linkage.link(extract, register, on=['age', 'sex']).score(truth).right is the share without the postcode.",
        ),
        judge=_judge_5,
    ),
    *erasure_exercises.EXERCISES,
)
