"""Messages that arrive as they were sent, or not at all.

A CKKS ciphertext has no integrity: flip a bit and it decrypts to garbage without a word; add to it and the sum is
what comes out, because that is what it is for. So everything that client and server exchange is one message:

    magic | length of the header | header | parts, one after another | tag

The tag is HMAC-SHA-256 (RFC 2104) over all that stands before it, with a message key that both sides hold beside the
encryption keys. The header is in plain text and says what the message is, whose keys and which parameters it belongs
to, its number, how many patients it has and which columns in which order.

The message key proves that a message comes from the other side. It does not make that side honest: a server that holds
it can send any ciphertext it likes. Nor does a tag hide the header.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn

from ppml_helpers.errors import EncryptionError
from ppml_helpers.people.identifiers import check_key

MAGIC = b"PPML-HE1"
TAG = 32  # bytes
_LENGTH = 4  # bytes
_FIELDS = {"kind", "sender", "number", "key_id", "parameters", "rows", "columns", "lengths", "facts"}
_FRESH = "ask for a new one"


def new_message_key() -> bytes:
    """Return a new random message key of 32 bytes."""
    return secrets.token_bytes(32)


class Letter(NamedTuple):
    """A message whose tag was right and that was meant for its reader."""

    kind: str
    sender: str
    number: int
    rows: int
    columns: tuple[str, ...]
    facts: dict[str, Any]
    parts: list[bytes]


class Mailbox:
    """One side's end of an exchange: numbers, seals and opens messages."""

    __slots__ = ("_key", "_seen", "_sent", "key_id", "me", "parameters")

    def __init__(self, message_key: bytes, key_id: str, parameters: str, me: str) -> None:
        self._key = check_key(message_key, "message_key", EncryptionError)
        if not isinstance(me, str) or not me:
            raise EncryptionError(f"The name of a party is {me!r}: give a text that is not empty.")
        self.key_id, self.parameters, self.me = key_id, parameters, me
        self._sent = 0
        self._seen: dict[str, int] = {}

    @classmethod
    def answering(cls, message: bytes, message_key: bytes, me: str) -> Mailbox:
        """Make the other side's mailbox from the first message: it says which keys and parameters are in use."""
        header, _ = _verified(message, check_key(message_key, "message_key", EncryptionError), "")
        return cls(message_key, header["key_id"], header["parameters"], me)

    def __repr__(self) -> str:
        """Name everything but the message key."""
        return f"Mailbox(me={self.me!r}, key_id={self.key_id!r}, parameters={self.parameters!r}, message key hidden)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the message key would go with it, and two mailboxes would use the same numbers."""
        raise EncryptionError(f"{self!r} cannot be pickled or copied: make a new mailbox.")

    @property
    def sent(self) -> int:
        """Number of the last message sealed here, 0 before the first."""
        return self._sent

    def seal(self, kind: str, parts: Iterable[bytes], rows: int, columns: Sequence[str] = (), **facts: Any) -> bytes:
        """Make a message."""
        bodies = list(parts)
        header = {
            "kind": kind,
            "sender": self.me,
            "number": self._sent + 1,
            "key_id": self.key_id,
            "parameters": self.parameters,
            "rows": int(rows),
            "columns": list(columns),
            "lengths": [len(body) for body in bodies],
            "facts": facts,
        }
        text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        head = b"".join([MAGIC, len(text).to_bytes(_LENGTH, "big"), text])
        tag = hmac.new(self._key, head, "sha256")
        for body in bodies:
            tag.update(body)
        self._sent += 1
        return b"".join([head, *bodies, tag.digest()])

    def open(self, message: bytes, kind: str, sender: str | None = None) -> Letter:
        """Check a message and return what it carries."""
        header, body = _verified(message, self._key, self.key_id)
        self._check(header, kind, sender)
        self._seen[header["sender"]] = header["number"]
        fields = {name: header[name] for name in ("kind", "sender", "number", "rows", "facts")}
        lengths = header["lengths"]
        parts = [bytes(body[end - length : end]) for length, end in zip(lengths, accumulate(lengths), strict=True)]
        return Letter(columns=tuple(header["columns"]), parts=parts, **fields)

    def _check(self, header: dict[str, Any], kind: str, sender: str | None) -> None:
        if header["key_id"] != self.key_id:
            raise EncryptionError(
                f"The message belongs to key pair {header['key_id']}, not to {self.key_id}: values under "
                f"different keys cannot be mixed, {_FRESH} under this key pair."
            )
        if header["parameters"] != self.parameters:
            raise EncryptionError(
                f"The message has the parameters {header['parameters']}, not {self.parameters}: {_FRESH} with these."
            )
        if header["kind"] != kind:
            raise EncryptionError(f"The message is of the kind {header['kind']!r}, not {kind!r}: pass the right one.")
        if header["sender"] == self.me or sender not in (None, header["sender"]):
            raise EncryptionError(
                f"The message comes from {header['sender']!r}, not from {sender or 'the other side'!r}: {_FRESH} there."
            )
        last = self._seen.get(header["sender"], 0)
        if header["number"] <= last:
            raise EncryptionError(
                f"The message has number {header['number']}, but number {last} from {header['sender']!r} was opened "
                f"already: it is a repetition, {_FRESH}."
            )


def _verified(message: bytes, key: bytes, key_id: str) -> tuple[dict[str, Any], memoryview]:
    """Return header and body; nothing of them is trusted before the tag is found right."""
    if not isinstance(message, bytes):
        raise EncryptionError(f"The message is a {type(message).__name__}: pass the bytes as they arrived.")
    smallest = len(MAGIC) + _LENGTH + TAG
    if len(message) < smallest or not message.startswith(MAGIC):
        raise EncryptionError(
            f"These {len(message)} bytes are no message of this kit (at least {smallest} bytes that begin with "
            f"{MAGIC.decode()}): it was changed or cut short on its way, {_FRESH}."
        )
    signed, tag = memoryview(message)[:-TAG], message[-TAG:]
    if not hmac.compare_digest(hmac.digest(key, signed, "sha256"), tag):
        raise EncryptionError(
            "The tag of the message does not match: it was changed or cut short on its way, or sealed with another "
            f"message key{_claimed(signed, key_id)}; {_FRESH}."
        )
    header, body = _parsed(signed)
    return header, body


def _parsed(signed: memoryview) -> tuple[dict[str, Any], memoryview]:
    start = len(MAGIC) + _LENGTH
    end = start + int.from_bytes(signed[len(MAGIC) : start], "big")
    try:
        header = json.loads(bytes(signed[start:end]))
        fits = set(header) == _FIELDS and sum(header["lengths"]) == len(signed) - end
    except (ValueError, TypeError):  # no JSON, or JSON of another shape
        fits = False
    if not fits:
        raise EncryptionError("The message has a right tag but no readable header: seal it with a Mailbox.")
    return header, signed[end:]


def _claimed(signed: memoryview, key_id: str) -> str:
    """Say whose a message with a wrong tag claims to be, where that explains something."""
    try:
        claimed = _parsed(signed)[0]["key_id"]
    except EncryptionError:
        return ""
    return f" (it says that it belongs to key pair {claimed}, not to {key_id})" if key_id and claimed != key_id else ""
