"""Fictional free-text notes whose identifiers are known to the letter, and a masker that is measured against them.

A note gives people away in ways that no column does: a misspelt surname, a niece's first name, "three days before
Christmas". `write_notes` writes such notes and keeps the exact place of everything that identifies (`Span`). `find` and
`mask` do what is often thought to be enough: regular expressions, and the check digit for the national id. They have no
list of names. `recall` says how much they really cover; how little of the names is the point of the exercise.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from ppml_helpers.errors import IdentityError
from ppml_helpers.people.country import AREAS, DISTRICTS, REGIONS
from ppml_helpers.people.fictional import FICTIONAL, check_table, generator, plain_dates
from ppml_helpers.people.national_id import valid_national_id

#: What identifies somebody in a note.
KINDS = ("name", "relative", "physician", "date", "national id", "mrn", "phone", "e-mail", "postcode", "place")


class Span(NamedTuple):
    """A piece of a text that identifies: `text[start:end]`, of one of `KINDS`."""

    start: int
    end: int
    kind: str


class Notes(NamedTuple):
    """Fictional notes with the place of every identifier in them.

    Attributes
    ----------
    text : Series of str
        One note a person, index of the people.
    spans : Series of tuple of Span
        Same index; in the order of the text, not overlapping.
    """

    text: pd.Series
    spans: pd.Series


# Writing notes ------------------------------------------------------------------------------------------------------

#: Styles of notes. A field in braces is made by the function that `_FIELDS` gives for it. They speak of papers, calls
#: and visits only: how a patient is doing is in the published table, and no note may contradict or embroider it.
STYLES: tuple[str, ...] = (
    "Admission note. {full}, born {born}, national id {id}, came to the ward {on_admitted}. Home address in {place}, "
    "postcode {postcode}. Next of kin: {relation} {relative}, reachable on {phone}. Earlier records were requested "
    "under hospital number {mrn}. Consultant in charge is Dr {physician}.",
    "Nursing note, {later}. The observations of {title} {surname} are on the chart ({mrn}). The {relation}, "
    "{relative}, rang from {place} and asked to be called on {phone} after the ward round. Infusion pump {device} was "
    "checked by {physician} and returned to the store.",
    "Telephone call {on_later}: {relative}, {relation} of {full}, asked when visiting is possible. {He} was admitted "
    "{on_admitted}. I read back the number {phone} and the postcode {postcode}, and confirmed the identity by date of "
    "birth, {born}. Told Dr {physician} about the call.",
    "Dear Dr {physician}, thank you for sending {title} {surname} ({born}, national id {id}) to us {on_admitted}. "
    "Please let us have the films and letters from {place}. Copies may go to {email}. {short}'s family has agreed "
    "that we inform the {relation}, {relative}. With kind regards",
    "Transfer form. Patient {full}, hospital number {mrn}, national id {id}, moved from the emergency department in "
    "{place} to this ward {on_later}. Property list signed by the {relation} {relative}. Monitor {device} belongs to "
    "the department and goes back. Accepted by {physician}, copy to the file.",
    "Records office: {short} {surname} has two folders. The one under {mrn} has the right date of birth, {born}; the "
    "other shows a wrong national id. Correct is {id}. I wrote to {email} and asked Dr {physician} to sign the merged "
    "folder {on_later}.",
    "Social work. Spoke with {relative} ({relation}) about letters and forms at home in {place}, {postcode}. {title} "
    "{surname}, aged {age}, is registered there. Mail should go to {email}; by telephone the family prefers {phone}. "
    "Next talk planned for {later} together with Dr {physician}.",
    "Laboratory message for {full}: the sample taken {on_admitted} arrived without a label and was matched by {mrn}. "
    "Analyser run {device}. Result given to {physician} by telephone. If the family calls, {relation} {relative} is "
    "entered as contact, {phone}. Form signed {on_later}.",
    "Pt {short} {surname}, {age} y, adm {admitted}. NoK {relation} {relative}, tel {phone}. ID {id}, MRN {mrn}, PC "
    "{postcode}. Old notes are with Dr {physician} in {place}, asked for by fax {on_later}. Valuables are in the safe, "
    "receipt in the folder.",
    "The {relation} of {title} {surname}, {relative}, visited {on_later} and brought reading glasses. {He} has been "
    "with us since {admitted}. {relative} lives in {place} as well and can be reached under {phone} or {email}. Dr "
    "{physician} will speak with the family this week.",
    "To the insurance office: {full}, {born}, living at {postcode} {place}, was admitted {on_admitted} as an "
    "emergency. The national id on the card reads {id}. Questions please to {email}. Form prepared from the folder "
    "{mrn} and signed by {physician} {on_later}.",
)

# Kin that somebody of 18 and somebody of 100 may have.
_RELATIONS = MappingProxyType({"male": ("brother", "cousin", "nephew"), "female": ("sister", "cousin", "niece")})
_MONTHS = tuple(dt.date(1993, month, 1).strftime("%B") for month in range(1, 13))
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    *("twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"),
    *("twentieth", "twenty-first", "twenty-second", "twenty-third", "twenty-fourth", "twenty-fifth"),
    *("twenty-sixth", "twenty-seventh", "twenty-eighth", "twenty-ninth", "thirtieth", "thirty-first"),
)
_COUNTS = ("", "the day", "two days", "three days", "four days", "five days", "six days")
_FEASTS = (
    (dt.date(1993, 1, 1), "New Year's Day"),
    (dt.date(1993, 4, 11), "Easter Sunday"),
    (dt.date(1993, 12, 25), "Christmas"),
    (dt.date(1994, 1, 1), "New Year's Day"),
)
_DRAWS = 64  # random numbers set aside for each note; the longest style uses about half of them

_NEEDED = (
    *("name", "sex", "birth_date", "admission_date", "mrn", "national_id"),
    *("postcode", "phone", "email"),
)


@dataclass(slots=True)
class _Case:
    """One patient with the people around them, and the random numbers of this note."""

    first: str
    last: str
    sex: str
    born: dt.date
    admitted: dt.date
    mrn: str
    national_id: str
    postcode: str
    phone: str
    email: str
    relation: str
    relative: str
    physician: str
    later: dt.date
    dice: Iterator[int]

    def draw(self, sides: int) -> int:
        return next(self.dice) % sides

    def pick(self, options: Sequence[str]) -> str:
        return options[next(self.dice) % len(options)]


def write_notes(people: pd.DataFrame, seed: int = 0) -> Notes:
    """Write a fictional note about each person and keep the place of every identifier.

    The same people in the same order with the same seed give the same notes: `write_notes(people, seed)` returns the
    text that `identities(patients, seed)` put in the column `note`, now with its spans.

    Parameters
    ----------
    people : DataFrame
        What `identities` returned (a column `note` is not used). Relatives and physicians get names that occur in the
        table.
    seed : int
        Chooses styles, spellings and slips of the pen.

    Returns
    -------
    text, spans : Notes
        Texts of 30 to 60 English words, and their spans.
    """
    people = _checked_people(people)
    dice = generator(seed, stream=4).integers(0, 2**31, (len(people), _DRAWS)).tolist()
    texts, spans = [], []
    for case in _cases(people, dice):
        text, found = _written(case)
        texts.append(text)
        spans.append(found)
    notes = Notes(
        pd.Series(texts, index=people.index, name="note", dtype="str"),
        pd.Series(spans, index=people.index, name="spans", dtype="object"),
    )
    notes.text.attrs["fictional"] = FICTIONAL
    notes.spans.attrs["fictional"] = FICTIONAL
    return notes


def _checked_people(people: pd.DataFrame) -> pd.DataFrame:
    """Return what a note needs of the people, as plain texts and dates whatever pandas type held them."""
    check_table(people, _NEEDED, "people", "what identities returned")
    dates = {column: plain_dates(people[column]) for column in ("birth_date", "admission_date")}
    plain = pd.DataFrame({column: people[column].astype(object) for column in _NEEDED} | dates)
    rules: dict[str, Callable[[str], bool]] = {
        **dict.fromkeys(("mrn", "phone"), lambda text: re.search("[0-9]", text) is not None),
        **{"sex": _RELATIONS.__contains__, "name": lambda text: " " in text, "postcode": REGIONS.__contains__},
        **{"national_id": lambda text: re.fullmatch("[0-9]{10}", text) is not None, "email": bool},
    }
    for column, rule in rules.items():
        for value in plain[column]:
            if not (isinstance(value, str) and rule(value)):
                raise IdentityError(
                    f"{column} = {value!r} is nobody's in the invented country: pass what identities returned, and "
                    f"read numbers from a file as text."
                )
    return plain


def _cases(people: pd.DataFrame, dice: list[list[int]]) -> Iterator[_Case]:
    names = people["name"].str.rsplit(" ", n=1, expand=True).set_axis(["first", "last"], axis=1)
    surnames = sorted(names["last"].unique())
    first_names = {sex: sorted(names["first"][people["sex"] == sex].unique()) for sex in _RELATIONS}
    births, admissions = people["birth_date"].dt.date, people["admission_date"].dt.date
    rest = [people[column] for column in ("mrn", "national_id", "postcode", "phone", "email")]
    for first, last, sex, born, admitted, *others, row in zip(
        names["first"], names["last"], people["sex"], births, admissions, *rest, dice, strict=True
    ):
        numbers = iter(row)
        kin = next(s for s in (("male", "female")[next(numbers) % 2], "male", "female") if first_names[s])
        yield _Case(
            *(first, last, sex, born, admitted, *others),
            relation=_RELATIONS[kin][next(numbers) % 3],
            relative=first_names[kin][next(numbers) % len(first_names[kin])],
            physician=surnames[next(numbers) % len(surnames)],
            later=admitted + dt.timedelta(days=1 + next(numbers) % 5),
            dice=numbers,
        )


def _written(case: _Case) -> tuple[str, tuple[Span, ...]]:
    parts: list[str] = []
    spans: list[Span] = []
    at = 0
    for literal, field in _parsed(case.pick(STYLES)):
        parts.append(literal)
        at += len(literal)
        if field is None:
            continue
        make, kind = _FIELDS[field]
        text = make(case)
        lead = len("on ") if text.startswith("on ") else 0  # identifies nobody
        if kind:
            spans.append(Span(at + lead, at + len(text), kind))
        parts.append(text)
        at += len(text)
    return "".join(parts), tuple(spans)


@lru_cache(maxsize=len(STYLES))
def _parsed(style: str) -> tuple[tuple[str, str | None], ...]:
    return tuple((literal, field) for literal, field, _, _ in Formatter().parse(style))


def _full(case: _Case) -> str:
    first, last = case.first, case.last
    slip = _misspelt(last, case)
    return case.pick(
        (f"{first} {last}", f"{last}, {first}", f"{first[0]}. {last}", f"{last.upper()}, {first}", f"{first} {slip}")
    )


def _misspelt(name: str, case: _Case) -> str:
    """Swap two neighbouring letters, drop one or double one; where that changes nothing, double the last."""
    i = 1 + case.draw(max(len(name) - 2, 1))
    slips = (name[:i] + name[i : i + 2][::-1] + name[i + 2 :], name[:i] + name[i + 1 :], name[: i + 1] + name[i:])
    slip = case.pick(slips)
    return slip if slip != name else name + name[-1]


def _exact_date(day: dt.date, case: _Case) -> str:
    month = _MONTHS[day.month - 1]
    options = (
        day.isoformat(),
        f"{day.day}.{day.month}.{day.year}",
        f"{day.day:02}/{day.month:02}/{day.year % 100:02}",
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
    )
    return case.pick(options)


def _date(day: dt.date, case: _Case) -> str:
    """Three in five as figures, the others in words; around a feast often by the feast, and then without "on"."""
    near = [(feast - day, name) for feast, name in _FEASTS if abs((feast - day).days) < len(_COUNTS)]
    way = case.draw(5)
    if near and way < 3:
        gap, name = near[0]
        if gap.days == 0:
            return f"on {name}"
        return f"{_COUNTS[abs(gap.days)]} {'before' if gap.days > 0 else 'after'} {name}"
    if way < 3:
        return f"on {_exact_date(day, case)}"
    if way == 3:
        return f"on {day.day} {_MONTHS[day.month - 1]}"
    return f"on the {_ORDINALS[day.day - 1]} of {_MONTHS[day.month - 1]}"


def _age(case: _Case) -> str:
    birthday_to_come = (case.admitted.month, case.admitted.day) < (case.born.month, case.born.day)
    return str(case.admitted.year - case.born.year - birthday_to_come)


def _national_id(case: _Case) -> str:
    digits = case.national_id
    if case.draw(12) == 0:  # a slip of the keyboard: one other digit, so that the check digit fails
        i = case.draw(10)
        digits = digits[:i] + str((int(digits[i]) + 1 + case.draw(9)) % 10) + digits[i + 1 :]
    return case.pick((digits, f"{digits[:3]} {digits[3:6]} {digits[6:]}"))


def _mrn(case: _Case) -> str:
    digits = case.mrn[1:]
    return case.pick((case.mrn, case.mrn, f"H {digits}", f"h{digits}", digits))


def _phone(case: _Case) -> str:
    groups = re.findall(r"[0-9]+", case.phone)
    return case.pick((case.phone, case.phone, (".", "/")[groups[0][0] == "0"].join(groups)))


def _email(case: _Case) -> str:
    if case.draw(10) == 0:
        return case.email.replace("@", " at ")
    return case.pick((case.email, case.email.title().replace("@Example.Org", "@example.org")))


def _postcode(case: _Case) -> str:
    code = case.postcode
    return case.pick((code, code, code.lower(), code.replace(" ", ""), code.replace(" ", "").lower()))


#: What makes a field of a style, and what kind of identifier it is; None identifies nobody.
_FIELDS: Mapping[str, tuple[Callable[[_Case], str], str | None]] = MappingProxyType(
    {
        "full": (_full, "name"),
        "surname": (lambda case: _misspelt(case.last, case) if case.draw(6) == 0 else case.last, "name"),
        "short": (lambda case: case.pick((case.first, case.first, f"{case.first[0]}.")), "name"),
        "relative": (
            lambda case: case.pick((case.relative, case.relative, f"{case.relative} {case.last}")),
            "relative",
        ),
        "physician": (lambda case: case.physician, "physician"),
        "born": (lambda case: _exact_date(case.born, case), "date"),
        "admitted": (lambda case: _date(case.admitted, case).removeprefix("on "), "date"),
        "later": (lambda case: _date(case.later, case).removeprefix("on "), "date"),
        "on_admitted": (lambda case: _date(case.admitted, case), "date"),
        "on_later": (lambda case: _date(case.later, case), "date"),
        "id": (_national_id, "national id"),
        "mrn": (_mrn, "mrn"),
        "phone": (_phone, "phone"),
        "email": (_email, "e-mail"),
        "postcode": (_postcode, "postcode"),
        "place": (lambda case: AREAS[case.postcode[:2]], "place"),
        "title": (lambda case: "Mr" if case.sex == "male" else case.pick(("Mrs", "Ms")), None),
        "relation": (lambda case: case.relation, None),
        "He": (lambda case: "He" if case.sex == "male" else "She", None),
        "age": (_age, None),
        # Ten digits that identify nobody: what the check digit is there to tell from a national id.
        "device": (lambda case: f"{case.draw(10**9) + 10**9}", None),
    }
)


# Masking ------------------------------------------------------------------------------------------------------------

_MONTH = f"(?:{'|'.join(_MONTHS)})"
_LETTERS = r"[^\W\d_]"
_CAPITAL = r"[^\W\d_a-zß-öø-ÿ]"
_TITLE = r"(?<!\w)(?:Mr|Mrs|Ms|Miss|Dr)(?!\w)\.?"
_WORD = rf"(?!{_TITLE}){_CAPITAL}{_LETTERS}*(?:['’-]{_LETTERS}+)*"
_AREA = f"(?:{'|'.join(AREAS)})"
_DISTRICT = f"(?:{'|'.join(str(district) for district in range(DISTRICTS, 0, -1))})"
_B = r"[ \n]{1,3}"  # blanks, and the end of a line
_S = r"[ \n-]{0,3}"  # what may stand between the groups of a number


def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern in which a blank stands for up to three, and a tilde for what separates groups of digits."""
    return re.compile(text.replace(" ", _B).replace("~", _S), flags)


#: What `find` looks for, in this order; a match covers its group "it". The national id must also pass its check digit.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("e-mail", _pattern(r"(?<![\w.+-])(?P<it>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)")),
    ("national id", _pattern(r"(?<!\d)(?P<it>[0-9]{3}~[0-9]{3}~[0-9]{4})(?!\d)")),
    ("phone", _pattern(r"(?<![\w+])(?P<it>\([0-9]{3}\)~[0-9]{3}~[0-9]{4}|[0-9]{3}([.-])[0-9]{3}\2[0-9]{4})(?!\d)")),
    ("phone", _pattern(r"(?<![\w+])(?P<it>(?:\+[0-9]{1,2}~|0)[0-9]{2,4}(?:/|~)[0-9]{3,6}(?:/|~)[0-9]{3,4})(?!\d)")),
    (
        "date",
        _pattern(
            r"(?<!\d)(?P<it>[0-9]{4}(?: )?(?P<by>[./-])(?: )?[0-9]{1,2}(?: )?(?P=by)(?: )?[0-9]{1,2}"
            r"|[0-9]{1,2}(?: )?(?P<of>[./-])(?: )?[0-9]{1,2}(?: )?(?P=of)(?: )?(?:[0-9]{4}|[0-9]{2}))(?!\d)"
        ),
    ),
    ("date", _pattern(rf"(?<!\d)(?P<it>[0-9]{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? [0-9]{{4}})?)(?!\w)")),
    ("date", _pattern(rf"(?<!\w)(?P<it>{_MONTH} [0-9]{{1,2}}(?:, [0-9]{{4}})?)(?!\w)")),
    ("postcode", _pattern(rf"(?<!\w)(?P<it>{_AREA}{_DISTRICT}(?: )?[0-9])(?!\w)", re.IGNORECASE)),
    ("mrn", _pattern(r"(?<!\w)(?P<it>H~[0-9]{7})(?!\d)", re.IGNORECASE)),
    ("mrn", _pattern(r"(?<!\w)(?:MRN|hospital number)[\s:]*(?P<it>[0-9]{7})(?!\d)", re.IGNORECASE)),
    ("name", _pattern(rf"{_TITLE}(?: |(?<=\.))(?P<it>(?:{_CAPITAL}\.(?: )?)*{_WORD}(?:\x20{{1,3}}{_WORD}){{0,3}})")),
)


def find(text: str) -> list[Span]:
    """Find identifiers in a text by regular expressions and the check digit of the national id.

    How a blank, a hyphen or a letter is typed makes no difference: see `_plain`.

    Parameters
    ----------
    text : str
        A note.

    Returns
    -------
    list of Span
        In the order of the text, not overlapping. Names are found after a title (Mr, Mrs, Ms, Miss, Dr) only, dates in
        words and places not at all.
    """
    if not isinstance(text, str):
        raise IdentityError(
            f"A note is a {type(text).__name__}, it must be a text: give one at a time, and leave missing notes out."
        )
    text, places = _plain(text)
    found: list[Span] = []
    before = -1
    while len(found) > before:  # again, because blanking a piece can uncover another at its edge
        before = len(found)
        for kind, pattern in _PATTERNS:
            new = [
                Span(*match.span("it"), kind)
                for match in pattern.finditer(text)
                if kind != "national id" or valid_national_id(re.sub("[^0-9]", "", match["it"]))
            ]
            for span in new:
                text = text[: span.start] + "|" * (span.end - span.start) + text[span.end :]
            found += new
    return sorted(Span(places[start], places[end], kind) for start, end, kind in found)


_LONG_DASHES = "\u2014\u2015\u2e3a\u2e3b"  # hyphens only after a digit: elsewhere they part sentences
_LOOK_ALIKE = {"\u2212": "-", "\u2043": "-", "\u2044": "/", "\u2215": "/"}


def _as_typed(character: str, before: str) -> str:
    """Return the character of a plain keyboard that another looks like, after the one before it."""
    plain = unicodedata.normalize("NFKC", character)
    plain = plain if len(plain) == 1 else character
    if plain.isdecimal():
        return str(unicodedata.decimal(plain))
    if unicodedata.category(plain) == "Pd" and (plain not in _LONG_DASHES or before.isdecimal()):
        return "-"
    return " " if plain.isspace() and plain != "\n" else _LOOK_ALIKE.get(plain, plain)


def _plain(text: str) -> tuple[str, Sequence[int]]:
    """Return a text as it looks, one plain character for each that is seen, and where each begins in the text.

    Every blank but the end of a line is a space (also one that does not break), every short dash and each one after a
    digit a hyphen, every digit one of ours; a letter and its accent are one character, and what has no width belongs
    to the character before it. One more place, the length of the text, ends the list.
    """
    if text.isascii() and text.isprintable():
        return text, range(len(text) + 1)
    seen, places = [], []
    for place, character in enumerate(text):
        if seen and (unicodedata.combining(character) or unicodedata.category(character) == "Cf"):
            whole = unicodedata.normalize("NFC", seen[-1] + character)
            seen[-1] = whole if len(whole) == 1 else seen[-1]
            continue
        seen.append(_as_typed(character, "".join(seen[-1:])))
        places.append(place)
    return "".join(seen), [*places, len(text)]


def mask(text: str) -> str:
    """Replace what `find` finds by labels such as [NATIONAL ID].

    Masking twice changes nothing more.
    """
    for start, end, kind in reversed(find(text)):
        text = f"{text[:start]}[{kind.upper()}]{text[end:]}"
    return text


# Measuring ----------------------------------------------------------------------------------------------------------


def recall(spans: Iterable[Iterable[Span]], found: Iterable[Iterable[Span]]) -> pd.Series:
    """Return the share of the true spans that are covered to the last character, whatever label covers them.

    Parameters
    ----------
    spans : iterable of iterables of Span
        The truth, one entry a note (`Notes.spans`).
    found : iterable of iterables of Span
        What a masker found, same notes in the same order.

    Returns
    -------
    Series of float
        0 to 1, by kind in the order of `KINDS` (those that occur), "overall" last.
    """
    if isinstance(spans, pd.Series) and isinstance(found, pd.Series) and not spans.index.equals(found.index):
        raise IdentityError("spans and found have different indexes, they must be about the same notes: align them.")
    total: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    try:
        for truth, guesses in zip(spans, found, strict=True):
            covered = {position for start, end, _ in guesses for position in range(start, end)}
            for start, end, kind in truth:
                total[kind] += 1
                hit[kind] += covered.issuperset(range(start, end))
    except (TypeError, ValueError):  # of other lengths, or something else than spans
        raise IdentityError(
            "spans and found must hold, for the same notes, the spans (start, end, kind) of each: pass the spans of "
            "write_notes, and what find returned for each note."
        ) from None
    if not total:
        raise IdentityError("There is no true span, recall needs at least one: pass the spans of write_notes.")
    shares = {kind: hit[kind] / total[kind] for kind in KINDS if kind in total}
    return pd.Series(shares | {"overall": hit.total() / total.total()}, name="recall")
