"""Messages arrive as they were sent, or are refused in one sentence."""

from __future__ import annotations

import copy
import hmac
import json
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption.messages import MAGIC, TAG, Letter, Mailbox, id_of, key_of, new_message_key

KEY = bytes(range(32))


def mailbox(me: str = "key holder", key: bytes = KEY, key_id: str = "pair-1", parameters: str = "CKKS a") -> Mailbox:
    return Mailbox(key, key_id, parameters, me)


def sealed(box: Mailbox | None = None) -> bytes:
    return (box or mailbox()).seal("cohort", [b"first part", b"second"], 3, ("age", "sex"), limit=1.0)


def resealed(text: bytes, body: bytes = b"") -> bytes:
    """Put a right tag on any header."""
    signed = MAGIC + len(text).to_bytes(4, "big") + text + body
    return signed + hmac.digest(KEY, signed, "sha256")


def taken_apart(message: bytes) -> tuple[dict, bytes]:
    end = 12 + int.from_bytes(message[8:12], "big")
    return json.loads(message[12:end]), message[end:-TAG]


def test_a_message_arrives_as_it_was_sent() -> None:
    """The other side learns keys and parameters from it, and the tag is HMAC-SHA-256 over all before it."""
    message = sealed()
    reader, letter = Mailbox.answering(message, KEY, "server", "cohort")
    assert (reader.key_id, reader.parameters, reader.me) == ("pair-1", "CKKS a", "server")
    assert letter == Letter(
        "cohort", "key holder", id_of(message), 3, ("age", "sex"), {"limit": 1.0}, [b"first part", b"second"]
    )
    assert message[-TAG:] == hmac.new(KEY, message[:-TAG], "sha256").digest()
    with pytest.raises(EncryptionError, match="tag"):
        Mailbox.answering(message, new_message_key(), "server", "cohort")


def test_every_single_bit_flip_of_a_message_is_refused() -> None:
    message, reader = sealed(), mailbox("server")
    for bit in range(8 * len(message)):
        changed = bytearray(message)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EncryptionError, match="changed or cut short"):
            reader.open(bytes(changed), "cohort")
    assert reader.open(message, "cohort").rows == 3, "what was refused must not count as received"


def test_every_truncation_any_addition_parts_in_other_places_and_random_bytes_are_refused() -> None:
    message, reader, rng = sealed(), mailbox("server"), np.random.default_rng(0)
    for length in range(len(message)):
        with pytest.raises(EncryptionError, match="cut short"):
            reader.open(message[:length], "cohort")
    swapped = message.replace(b"first partsecond", b"secondfirst part")
    assert swapped != message
    for other in (message + b"\0", b"\0" + message, message + message, swapped):
        with pytest.raises(EncryptionError, match="changed"):
            reader.open(other, "cohort")
    for length in (0, 1, 8, 43, 44, 45, 500):
        with pytest.raises(EncryptionError):
            reader.open(MAGIC + rng.bytes(length), "cohort")


@pytest.mark.parametrize(
    ("reader", "kind", "sender", "words"),
    [
        (mailbox("server", new_message_key(), "pair-2"), "cohort", None, "another message key.*pair-1, not to pair-2"),
        (mailbox("server", key_id="pair-2"), "cohort", None, "belongs to key pair pair-1, not to pair-2"),
        (mailbox("server", parameters="CKKS b"), "cohort", None, "has the parameters CKKS a, not CKKS b"),
        (mailbox("server"), "scores", None, "of the kind 'cohort', not 'scores'"),
        (mailbox(), "cohort", None, "comes from 'key holder', not from 'the other side'"),
        (mailbox("server"), "cohort", "hospital A", "comes from 'key holder', not from 'hospital A'"),
    ],
)
def test_what_was_meant_for_another_is_refused(reader: Mailbox, kind: str, sender: str | None, words: str) -> None:
    with pytest.raises(EncryptionError, match=words):
        reader.open(sealed(), kind, sender)


def test_a_message_is_opened_once_in_one_session_and_in_the_name_of_who_has_the_key() -> None:
    writer, reader, hospital = mailbox(), mailbox("server"), mailbox("North", key_of("North", KEY))
    first, second = sealed(writer), sealed(writer)
    opened = [reader.open(message, "cohort").id for message in (second, first)]  # in any order
    assert opened == [id_of(second), id_of(first)]
    for old in (second, first):
        with pytest.raises(EncryptionError, match="it is a repetition"):
            reader.open(old, "cohort")
    assert reader.open(sealed(hospital), "cohort", sender="North").rows == 3
    for claimed in ("South", "server", "key holder"):
        with pytest.raises(EncryptionError, match="sealed with another message key"):
            mailbox("reader").open(sealed(mailbox(claimed, key_of("North", KEY))), "cohort")
    with pytest.raises(EncryptionError, match="sealed with another message key"):
        reader.open(sealed(mailbox("\ud800", key_of("North", KEY))), "cohort")
    reader.new_session()
    for recorded in (first, sealed(writer), sealed(hospital)):
        with pytest.raises(EncryptionError, match="made for another session of the server, or for none"):
            reader.open(recorded, "cohort")
    writer.session = reader.session
    assert reader.open(sealed(writer), "cohort").rows == 3


@pytest.mark.parametrize(
    "change", [{"lengths": [1]}, {"lengths": None}, {"more": 1}, {"sender": 1}, b"[]", b"[" * 10**5, b"\xff", b""]
)
def test_a_right_tag_on_a_wrong_header_or_none_is_refused(change: dict | bytes) -> None:
    header, body = taken_apart(sealed())
    text = change if isinstance(change, bytes) else json.dumps(header | change, separators=(",", ":")).encode()
    with pytest.raises(EncryptionError, match="no readable header"):
        mailbox("server").open(resealed(text, body), "cohort")


def test_what_is_no_key_name_or_message_is_refused() -> None:
    with pytest.raises(EncryptionError, match="message_key has 5 bytes"):
        mailbox(key=b"short")
    with pytest.raises(EncryptionError, match="The name of a party is ''"):
        mailbox("")
    with pytest.raises(EncryptionError, match="pass the bytes as they arrived"):
        mailbox("server").open("text", "cohort")  # type: ignore[arg-type]


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_mailbox_neither_shows_nor_gives_away_its_key(copied: Callable) -> None:
    assert KEY.hex() not in repr(mailbox())
    assert repr(KEY)[2:-1] not in repr(mailbox())
    with pytest.raises(EncryptionError, match="cannot be pickled"):
        copied(mailbox())
