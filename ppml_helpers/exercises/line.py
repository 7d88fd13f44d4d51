"""A line between the process that judges and the process with a learner's code, on which nothing but data travels.

Numbers, text, arrays, tables and collections of them are written as JSON and built anew on the other side, and so are
objects of the kit's own classes, where they are expected. A function stays where it is: the other side gets one that
asks for it by its number. So a judge can call a learner's function, and the function can call back, while neither
process holds an object of the other; nothing is ever unpickled.
"""

from __future__ import annotations

import base64
import builtins
import datetime
import inspect
import json
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

MOST = 16 * 2**20  # bytes of one message
_DEPTH = 40
_PLAIN_ARRAYS = "biufcmMSU"  # NumPy's kinds of arrays that hold no objects
_TABLE_TYPES = ("object", "str", "string", "boolean", "category", "Int64", "Float64")


class NotPlain(BaseException):
    """Something cannot cross the line; no judge that catches exceptions of an answer may catch this one."""


class Gone(BaseException):
    """The other side has ended, or talks nonsense."""


class Line:
    """One end of the line.

    Parameters
    ----------
    reading, writing : binary streams
        From and to the other side.
    others : mapping, optional
        What this side does when asked, by name, beside calling the functions that it lent.
    trusting : bool
        Whether the other side may send objects of any of the kit's classes, and not only of those in `takes`.

    Attributes
    ----------
    takes : collection of str
        The kit's classes of which the other side may send objects, such as ``"ppml_helpers.columns.Column"``.
    """

    def __init__(
        self,
        reading: BinaryIO,
        writing: BinaryIO,
        others: Mapping[str, Callable[..., Any]] | None = None,
        trusting: bool = False,
    ) -> None:
        self._reading, self._writing, self._others, self._trusting = reading, writing, others or {}, trusting
        self._lent: list[Callable[..., Any]] = []
        self._raised: dict[tuple[str, str], Exception] = {}  # by what this side's functions told the other
        self.takes: Collection[str] = ()

    def ask(self, what: str | int, *arguments: Any, **named: Any) -> Any:
        """Have the other side do something by name, or call the function of a number; answer its calls meanwhile."""
        self._send({"do": what, "with": self.pack([list(arguments), named])})
        while "do" in (message := self._receive()):
            self._do(message)
        if "not plain" in message:
            raise NotPlain(str(message["not plain"])[:200])
        if "raised" in message:
            raised = str(message["raised"]), str(message.get("text"))
            raise self._raised.get(raised) or _as_error(*raised)
        return self.unpack(message.get("value"))

    def serve(self) -> None:
        """Do what the other side asks until it hangs up."""
        while True:
            self._do(self._receive())

    @property
    def has_lent(self) -> bool:
        """Whether this side has lent a function since it last forgot."""
        return bool(self._lent)

    def forget(self) -> None:
        """Take back all functions that were lent."""
        self._lent.clear()
        self._raised.clear()

    def _do(self, message: dict[str, Any]) -> None:
        try:
            arguments, named = self.unpack(message.get("with"))
            what = message["do"]
            done = self._lent[what] if isinstance(what, int) else self._others[what]
            reply = {"value": self.pack(done(*arguments, **named))}
        except NotPlain as error:
            reply = {"not plain": str(error)}
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
            reply = {"raised": kinds[0], "text": str(error)[:500]}
            self._raised[kinds[0], reply["text"]] = error  # which may come back through the other side's function
        try:
            self._send(reply)
        except NotPlain as error:
            self._send({"not plain": str(error)})

    def _send(self, message: dict[str, Any]) -> None:
        text = json.dumps(message).encode() + b"\n"
        if len(text) > MOST:
            raise NotPlain("more than 16 MB")
        try:
            self._writing.write(text)
            self._writing.flush()
        except OSError:
            raise Gone from None

    def _receive(self) -> dict[str, Any]:
        text = self._reading.readline(MOST)
        try:
            message = json.loads(text) if text.endswith(b"\n") else None
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Gone
        return message

    # What goes out

    def pack(self, value: Any, depth: int = 0) -> Any:
        """Write a value as what JSON knows; `NotPlain` names what cannot be handed over."""
        if depth > _DEPTH:
            raise NotPlain("a collection in a collection, many times")
        if value is None or type(value) in (bool, int, float, str):
            return value
        kind, parts = self._parts(value)
        return {"kind": kind, "of": parts if isinstance(parts, str) else [self.pack(one, depth + 1) for one in parts]}

    def _parts(self, value: Any) -> tuple[str, list[Any] | str]:
        """Name the kind of a value, and take it apart."""
        if type(value).__module__.startswith("ppml_helpers."):
            if not callable(value):
                return "kit", _of_the_kit(value)
        elif type(value).__module__.startswith("torch") and hasattr(value, "detach"):
            return "tensor", [value.detach().numpy()]
        if isinstance(value, Mapping):
            return "dict", [part for pair in value.items() for part in pair]
        for kind in (list, tuple, frozenset, set):
            if isinstance(value, kind):
                return kind.__name__, list(value)
        if isinstance(value, np.ndarray | np.generic):
            return _of_array(value)
        if isinstance(value, pd.Series | pd.Index | pd.DataFrame):
            return _of_table(value)
        if isinstance(value, range):
            return "list", list(value)
        if value is Ellipsis:
            return "dots", []
        if isinstance(value, bytes | bytearray):
            return "bytes", base64.b64encode(value).decode()
        if isinstance(value, datetime.date):  # times and pandas' own among them
            return "date", [type(value).__name__, value.isoformat()]
        if inspect.isroutine(value) or (callable(value) and not isinstance(value, type)):
            return "function", self._lend(value)
        raise NotPlain(f"an object of type {type(value).__name__}")

    def _lend(self, function: Callable[..., Any]) -> list[Any]:
        self._lent.append(function)
        try:
            names = [[str(one.name), int(one.kind)] for one in inspect.signature(function).parameters.values()]
        except (TypeError, ValueError):
            names = []
        return [len(self._lent) - 1, getattr(function, "__name__", type(function).__name__), names]

    # What comes in

    def unpack(self, packed: Any) -> Any:
        """Build a value from what `pack` wrote; whatever else was written is `Gone`."""
        if packed is None or isinstance(packed, bool | int | float | str):
            return packed
        try:
            kind, of = packed["kind"], packed["of"]
            return base64.b64decode(of) if kind == "bytes" else self._built(kind, [self.unpack(part) for part in of])
        except Exception:  # whatever the classes say to parts that do not fit
            raise Gone from None

    def _built(self, kind: str, parts: list[Any]) -> Any:
        build = {
            "array": _array,
            "objects": _array_of_objects,
            "date": lambda name, text: _DATES[name].fromisoformat(text),
            "dict": lambda *parts: dict(zip(parts[::2], parts[1::2], strict=True)),
            "dots": lambda: Ellipsis,
            "frame": _frame,
            "function": self._borrowed,
            "index": _index,
            "kit": self._object,
            "series": lambda values, dtype, name, index: pd.Series(values, index, _type(dtype), name),
            "tensor": _tensor,
        }
        return build[kind](*parts) if kind in build else _COLLECTIONS[kind](parts)

    def _borrowed(self, number: int, name: str, parameters: list[Any]) -> Callable[..., Any]:
        """Make a function that has the other side call its own."""
        number = int(number)

        def call(*arguments: Any, **named: Any) -> Any:
            return self.ask(number, *arguments, **named)

        call.__name__ = str(name)[:80]
        if parameters:
            kinds = [inspect.Parameter(one, inspect._ParameterKind(kind)) for one, kind in parameters]
            call.__signature__ = inspect.Signature(kinds)
        return call

    def _object(self, name: str, made_with: dict[str, Any] | None, state: dict[str, Any]) -> Any:
        """Build an object of one of the kit's classes, if such a one is expected."""
        module, _, kind = str(name).rpartition(".")
        if not self._trusting and name not in self.takes:
            raise NotPlain(f"an object of type {kind[:80]}")
        found = getattr(import_module(module), kind)
        if made_with is not None:
            return found(**made_with)
        made = object.__new__(found)
        made.__dict__.update(state)
        return made


def _of_the_kit(value: Any) -> list[Any]:
    """Take an object apart: into what it is made with, if it still has that, so that its class looks at it again."""
    kind = type(value)
    names = list(inspect.signature(kind).parameters)
    if names and all(hasattr(value, name) for name in names):
        made_with, state = {name: getattr(value, name) for name in names}, None
    else:
        made_with, state = None, vars(value)
    return [f"{kind.__module__}.{kind.__qualname__}", made_with, state]


def _of_array(value: np.ndarray | np.generic) -> tuple[str, list[Any]]:
    if value.dtype.kind == "O":
        return "objects", [list(value.shape), value.ravel().tolist()]
    if value.dtype.kind not in _PLAIN_ARRAYS or isinstance(value, np.ma.MaskedArray):
        raise NotPlain(f"a {type(value).__name__} of {value.dtype}")
    array = np.ascontiguousarray(value)
    return "array", [array.dtype.str, list(value.shape), array.tobytes(), isinstance(value, np.generic)]


def _array(dtype: str, shape: list[int], body: bytes, alone: bool) -> Any:
    if np.dtype(dtype).kind not in _PLAIN_ARRAYS:
        raise Gone
    array = np.frombuffer(body, dtype).reshape(shape).copy()
    return array[()] if alone else array


def _array_of_objects(shape: list[int], values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _tensor(array: np.ndarray) -> Any:
    import torch

    return torch.as_tensor(array)


def _of_table(table: pd.Series | pd.Index | pd.DataFrame) -> tuple[str, list[Any]]:
    if isinstance(table, pd.DataFrame):
        return "frame", [table.index, table.columns, [table.iloc[:, at] for at in range(table.shape[1])]]
    if isinstance(table, pd.MultiIndex):
        return "index", [list(table), "", list(table.names)]
    plain = isinstance(table.dtype, np.dtype) and table.dtype.kind in _PLAIN_ARRAYS
    values = table.to_numpy() if plain else [None if pd.isna(one) else one for one in table]
    if isinstance(table, pd.Series):
        return "series", [values, str(table.dtype), table.name, table.index]
    return "index", [values, str(table.dtype), table.name]


def _type(name: str) -> str | None:
    return name if name in _TABLE_TYPES else None


def _index(values: Any, dtype: str, name: Any) -> pd.Index:
    if isinstance(name, list):
        return pd.MultiIndex.from_tuples(values, names=name)
    return pd.Index(values, dtype=_type(dtype), name=name)


def _frame(index: pd.Index, names: pd.Index, columns: list[pd.Series]) -> pd.DataFrame:
    return pd.DataFrame(dict(enumerate(columns)), index=index).set_axis(names, axis=1)


def _as_error(name: str, text: str) -> Exception:
    """Build an exception of Python's own of a name, or one that says as much."""
    kind = getattr(builtins, name, None)
    try:
        return kind(text) if issubclass(kind, Exception) else RuntimeError(text)
    except TypeError:  # no class, or one that wants more than a text
        return RuntimeError(text)


_DATES = {"date": datetime.date, "datetime": datetime.datetime, "Timestamp": pd.Timestamp}
_COLLECTIONS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
