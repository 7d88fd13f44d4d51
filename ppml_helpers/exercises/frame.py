"""What an exercise is: hints, and a judge that turns an answer into a reply."""

from __future__ import annotations

import html
import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["right", "wrong", "open", "hint"]

# Symbol, word and border colour of each kind of reply: never the colour alone.
_LOOK: dict[Kind, tuple[str, str, str]] = {
    "right": ("✔", "Right", "#009E73"),
    "wrong": ("✘", "Not yet", "#CC79A7"),
    "open": ("○", "Open", "#999999"),
    "hint": ("➜", "Hint", "#56B4E9"),
}


class NotAnAnswer(Exception):
    """An answer of a kind that cannot be judged; its text is a sentence for the learner."""


@dataclass(frozen=True)
class Reply:
    """What the kit says to a learner: shown in a notebook as one bordered line, elsewhere as text.

    Parameters
    ----------
    kind : {"right", "wrong", "open", "hint"}
        What kind of reply it is; chooses symbol, word and border.
    text : str
        One to three plain sentences.
    remark : str
        A sentence about the progress file, empty when there is nothing to say.
    """

    kind: Kind
    text: str
    remark: str = ""

    @property
    def right(self) -> bool:
        """Whether this reply says that the answer is right."""
        return self.kind == "right"

    def __str__(self) -> str:
        symbol, word, _ = _LOOK[self.kind]
        return f"{symbol} {word}: {self.text}" + (f"\n{self.remark}" if self.remark else "")

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        symbol, word, colour = _LOOK[self.kind]
        remark = f"<br><small>{html.escape(self.remark)}</small>" if self.remark else ""
        box = (
            f'<div role="status" style="border-left: 5px solid {colour}; padding: 0.4em 0.8em">'
            f"{symbol} <strong>{word}.</strong> {html.escape(self.text)}{remark}</div>"
        )
        return {"text/plain": str(self), "text/html": box}


def right(text: str) -> Reply:
    """Say that the answer is right, and what it means."""
    return Reply("right", text)


def wrong(text: str) -> Reply:
    """Say what is wrong with the answer, without giving the right one away."""
    return Reply("wrong", text)


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Parameters
    ----------
    name : str
        Chapter and number, for example ``"01.2"``.
    expects : str
        The kind of answer, for example ``"a number between 0 and 1"``; completes "The answer is ...".
    hints : tuple of str
        Given one at a time, the gentlest first.
    judge : callable
        Takes the answer, gives ``right(...)`` or ``wrong(...)``. It may raise anything: an answer
        that it cannot read is answered with `expects`.
    takes : tuple of str
        Classes of the kit that the answer may hold objects of, by their whole names. `collect` judges answers of
        another process, from which nothing but data and these is taken.
    listens : bool
        Whether the judge has to hear what a function calls while it runs, and so must run in the same process.
    """

    name: str
    expects: str
    hints: tuple[str, ...]
    judge: Callable[[object], Reply]
    takes: tuple[str, ...] = ()
    listens: bool = False

    def reply(self, answer: object) -> Reply:
        """Judge an answer; never raises on an odd one."""
        if answer is Ellipsis:
            return Reply("open", f"{self.name} has nothing to check yet. Put your answer in place of the dots.")
        expected = f"The answer to {self.name} is {self.expects}"
        if answer is None:
            return wrong(f"{expected}; this is None. Does your function return something?")
        try:
            return self.judge(answer)
        except NotAnAnswer as reason:
            return wrong(f"{expected}; {reason}.")
        except Exception as error:  # a learner's own function or object may fail in any way
            return wrong(
                f"{expected}; checking this one, of type {type(answer).__name__}, stopped with {type(error).__name__}."
            )


def as_number(answer: object) -> float:
    """Read an answer as one finite number.

    Accepts Python and NumPy numbers and arrays, tensors or series that hold exactly one number.

    Raises
    ------
    NotAnAnswer
        For text, truth values, collections, NaN and infinity.
    """
    if isinstance(answer, str):
        raise NotAnAnswer(f"this is the text {answer[:40]!r}, not a number")
    if answer is np.ma.masked:
        raise NotAnAnswer("this value is masked: it is missing")
    if isinstance(answer, bool | np.bool_):
        raise NotAnAnswer(f"this is {answer}, not a number")
    if callable(answer) and not hasattr(answer, "item"):
        raise NotAnAnswer("this is a function: call it and give what it returns")
    if not isinstance(answer, numbers.Real):
        try:
            array = np.asarray(answer, dtype=float)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            raise NotAnAnswer(f"this is of type {type(answer).__name__}, not a number") from None
        if array.size != 1:
            raise NotAnAnswer(f"this holds {array.size} values, and one is wanted")
        answer = array.reshape(-1)[0]
    try:
        value = float(answer)
    except OverflowError:
        raise NotAnAnswer("this number is too large to be meant") from None
    if not math.isfinite(value):
        raise NotAnAnswer(f"this is {value}: something went missing on the way")
    return value


def as_choice(answer: object, choices: tuple[str, ...]) -> str:
    """Read an answer as one of a few words, whatever its case and surrounding spaces.

    Raises
    ------
    NotAnAnswer
        For anything that is not one of the words.
    """
    word = str(answer).strip().lower() if isinstance(answer, str) else None
    if word not in choices:
        wanted = ", ".join(repr(choice) for choice in choices)
        raise NotAnAnswer(f"this is {str(answer)[:40]!r}, and the choices are {wanted}")
    return word


def close(value: float, target: float, tolerance: float) -> bool:
    """Whether a number is within `tolerance` (absolute) of the target."""
    return abs(value - target) <= tolerance
