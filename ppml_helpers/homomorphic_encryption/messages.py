"""Messages that arrive as they were sent, or not at all.

A CKKS ciphertext has no integrity: flip a bit and it decrypts to garbage without a word; add to it and the sum is
what comes out, because that is what it is for. So everything that client and server exchange is one message:

    magic | length of the header | header | parts, one after another | tag

The tag is HMAC-SHA-256 (RFC 2104) over all that stands before it, with a message key that both sides hold beside the
encryption keys. The header is in plain text and says what the message is, whose keys and which parameters it belongs
to, its id, how many patients it has and which columns in which order.

Nothing is opened twice: an id shows a repetition to whoever remembers it. A server that was started anew remembers
nothing; so a server draws a random session, everyone who sends to it names that session in every message, and what was
recorded in another one is refused.

Key holder and server share one key. Every other party has a key of its own, derived from theirs with its name
(`key_of`), so North cannot send as South. A key proves where a message comes from. It does not make that side honest:
a server can send any ciphertext it likes, and in any party's name. Nor does a tag hide the header.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

from ppml_helpers.errors import EncryptionError
from ppml_helpers.people.identifiers import check_key

MAGIC = b"PPML-HE1"
TAG = 32  # bytes
_LENGTH = 4  # bytes
_MOST_HEADER = 2**20  # bytes: read before the tag is checked, for the sender's name
ONE_KEY = ("key holder", "server")  # these two share a key
_FIELDS = {"kind", "sender", "session", "id", "key_id", "parameters", "rows", "columns", "lengths", "facts"}
_FRESH = "ask for a new one"


def new_message_key() -> bytes:
    """Return a new random message key of 32 bytes."""
    return secrets.token_bytes(32)


def key_of(name: str, message_key: bytes) -> bytes:
    """Return the tag key of a party; key holder and server use the message key itself."""
    own = b"party " + name.encode(errors="surrogatepass")
    return message_key if name in ONE_KEY else hmac.digest(message_key, own, "sha256")


class Letter(NamedTuple):
    """A message whose tag was right and that was meant for its reader."""

    kind: str
    sender: str
    id: str
    rows: int
    columns: tuple[str, ...]
    facts: dict[str, Any]
    parts: list[bytes]


class Mailbox:
    """One side's end of an exchange: seals and opens messages."""

    __slots__ = ("_key", "_seen", "key_id", "me", "parameters", "session")

    def __init__(self, message_key: bytes, key_id: str, parameters: str, me: str) -> None:
        self._key = check_key(message_key, "message_key", EncryptionError)
        if not isinstance(me, str) or not me:
            raise EncryptionError(f"The name of a party is {me!r}: give a text that is not empty.")
        self.key_id, self.parameters, self.me = key_id, parameters, me
        self.session = ""
        self._seen: dict[tuple[str, str], object] = {}

    @classmethod
    def answering(cls, message: bytes, message_key: bytes, me: str, kind: str) -> tuple[Mailbox, Letter]:
        """Open the key holder's first message, which says which keys and parameters are in use."""
        check_key(message_key, "message_key", EncryptionError)
        if me in ONE_KEY:
            header, body = _verified(message, message_key, "")
        else:  # a key of this party alone, and behind it the digest of the message
            if not isinstance(message, bytes) or message_key[TAG:] != hashlib.sha256(message).digest():
                raise EncryptionError(
                    f"The key of {me!r} was not made for this public message, or it was changed on its way: pass what "
                    f"the key holder's key_for({me!r}) returned, and its public_bytes()."
                )
            header, body = _parsed(memoryview(message)[:-TAG])
        mailbox = cls(message_key[:TAG], header["key_id"], header["parameters"], me)
        return mailbox, mailbox._read(header, body, kind, "key holder")

    def __repr__(self) -> str:
        """Name everything but the message key."""
        return f"Mailbox(me={self.me!r}, key_id={self.key_id!r}, parameters={self.parameters!r}, message key hidden)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the message key would go with it."""
        raise EncryptionError(f"{self!r} cannot be pickled or copied: make a new mailbox.")

    def new_session(self) -> None:
        """Refuse from now on whatever was made before."""
        self.session = secrets.token_hex(16)

    def seal(self, kind: str, parts: Iterable[bytes], rows: int, columns: Sequence[str] = (), **facts: Any) -> bytes:
        """Make a message."""
        bodies = list(parts)
        header = {
            "kind": kind,
            "sender": self.me,
            "session": self.session,
            "id": secrets.token_hex(8),  # no number: after a fork two would count alike
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
        return b"".join([head, *bodies, tag.digest()])

    def open(self, message: bytes, kind: str, sender: str | None = None) -> Letter:
        """Check a message and return what it carries."""
        return self._read(*_verified(message, self._key, self.key_id), kind, sender)

    def _read(self, header: dict[str, Any], body: memoryview, kind: str, sender: str | None) -> Letter:
        self._check(header, kind, sender)
        fields = {name: header[name] for name in ("kind", "sender", "id", "rows", "facts")}
        lengths = header["lengths"]
        ends = itertools.accumulate(lengths)
        parts = [bytes(body[end - length : end]) for length, end in zip(lengths, ends, strict=True)]
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
        if header["session"] != self.session:
            raise EncryptionError(
                "The message was made for another session of the server, or for none: it may be a recorded one. Let "
                "its sender call meet(server.session), and ask anew."
            )
        first, entry = object(), (header["sender"], header["id"])
        if self._seen.setdefault(entry, first) is not first:  # one step, so that of two threads one is refused
            raise EncryptionError(
                f"The message {header['id']} from {header['sender']!r} was opened already: it is a "
                f"repetition, {_FRESH}."
            )


def id_of(message: bytes) -> str:
    """Return the id of a message that was sealed here: an answer names it."""
    return _parsed(memoryview(message)[:-TAG])[0]["id"]


def _verified(message: bytes, key: bytes, key_id: str) -> tuple[dict[str, Any], memoryview]:
    """Return header and body; the sender's name only chooses the key before the tag is found right."""
    if not isinstance(message, bytes):
        raise EncryptionError(f"The message is a {type(message).__name__}: pass the bytes as they arrived.")
    smallest = len(MAGIC) + _LENGTH + TAG
    if len(message) < smallest or not message.startswith(MAGIC):
        raise EncryptionError(
            f"These {len(message)} bytes are no message of this kit (at least {smallest} bytes that begin with "
            f"{MAGIC.decode()}): it was changed or cut short on its way, {_FRESH}."
        )
    signed, tag = memoryview(message)[:-TAG], message[-TAG:]
    header, body = _parsed(signed)
    if not hmac.compare_digest(hmac.digest(key_of(header["sender"], key), signed, "sha256"), tag):
        claimed = header["key_id"]
        whose = f" (it says that it belongs to key pair {claimed}, not to {key_id})" if key_id != claimed else ""
        raise EncryptionError(
            "The tag of the message does not match: it was changed or cut short on its way, or sealed with another "
            f"message key{whose if key_id else ''}; {_FRESH}."
        )
    return header, body


def _parsed(signed: memoryview) -> tuple[dict[str, Any], memoryview]:
    """Return header and body of a message without its tag."""
    start = len(MAGIC) + _LENGTH
    end = start + min(int.from_bytes(signed[len(MAGIC) : start], "big"), _MOST_HEADER)
    try:
        header = json.loads(bytes(signed[start:end]))
        fits = set(header) == _FIELDS and sum(header["lengths"]) == len(signed) - end
        fits = fits and isinstance(header["sender"], str)
    except (ValueError, TypeError, RecursionError):  # no JSON, or JSON of another shape
        fits = False
    if not fits:
        raise EncryptionError(f"The message has no readable header: it was changed or cut short on its way, {_FRESH}.")
    return header, signed[end:]
