"""`parties` and `keys`: whoever computes cannot read; what was changed, mixed up or repeated is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import tenseal as ts

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import aggregation as agg
from ppml_helpers.homomorphic_encryption import keys, training
from ppml_helpers.homomorphic_encryption import statistics as st
from ppml_helpers.homomorphic_encryption.messages import Mailbox, new_message_key
from ppml_helpers.homomorphic_encryption.models import Linear
from ppml_helpers.homomorphic_encryption.parameters import LINEAR, SIGMOID
from ppml_helpers.homomorphic_encryption.parties import KeyHolder, Party, chunks, ciphertext
from ppml_helpers.homomorphic_encryption.scoring import Client, Server

COLUMNS = ("a", "b", "c")


@pytest.fixture(scope="module")
def client() -> Client:
    return Client("sigmoid")


@pytest.fixture(scope="module")
def server(client: Client) -> Server:
    found = Server(client.public_bytes(), client.message_key)
    client.meet(found.session)
    return found


def table(rows: int = 20, columns: tuple[str, ...] = COLUMNS) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).uniform(-1, 1, (rows, len(columns))), columns=list(columns))


# Who computes cannot read ------------------------------------------------------------------------------------------


class Sides(NamedTuple):
    """Who can decrypt, who cannot, and ciphertexts as the latter have them."""

    holder: KeyHolder
    parties: list[Party]
    received: list


def alone(holder: KeyHolder, server: type, *cohort: object) -> Sides:
    """Let the holder send its own patients to a server that computes on them."""
    computes = server(holder.public_bytes(), holder.message_key)
    received = computes.receive(holder.meet(computes.session).encrypt(*cohort))
    return Sides(holder, [computes], list(received.chunks[0]) if received else computes._features[0])


def sums(holder: KeyHolder, hospital: type, server: type, kind: str, *figures: object) -> Sides:
    """Let a hospital send its figures to a server that adds them up."""
    adds = server(holder.public_bytes(), holder.message_key)
    one = hospital(holder.public_bytes(), holder.key_for("North"), "North").meet(adds.session)
    read = ts.bfv_vector_from if kind == "counts" else ts.ckks_vector_from
    parts = adds._mailbox.open(one.encrypt(*figures), kind).parts
    return Sides(holder, [one, adds], [ciphertext(adds._context, part, read=read) for part in parts])


SIDES = {
    "scores": lambda: alone(Client("sigmoid"), Server, table()),
    "training": lambda: alone(training.TrainingClient(), training.TrainingServer, table(), [0, 1] * 10),
    "moments": lambda: sums(st.MomentsHolder({"a": (-1, 1)}), st.MomentsHospital, st.MomentsServer, "columns", table()),
    "counts": lambda: sums(st.CountsHolder(["dead", "alive"]), st.CountsHospital, st.CountsServer, "counts", [3, 4], 7),
    "updates": lambda: sums(agg.UpdatesHolder(2), agg.UpdatesHospital, agg.UpdatesServer, "update", [0.1, 0.2], 10),
}


@pytest.fixture(scope="module", params=SIDES)
def sides(request: pytest.FixtureRequest) -> Sides:
    return SIDES[request.param]()


def contexts_in(root: object) -> list[ts.Context]:
    """Return every TenSEAL context that an object leads to by its attributes and what they contain."""
    found, seen, waiting = [], [], [root]
    while waiting:
        item = waiting.pop()
        if any(item is other for other in seen):
            continue
        seen.append(item)
        if isinstance(item, ts.Context):
            found.append(item)
        elif isinstance(item, ts.CKKSVector | ts.BFVVector):
            waiting.append(item.context())
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set):
            waiting.extend(item)
        elif type(item).__module__.startswith("ppml_helpers"):
            waiting.extend(getattr(item, name) for name in dir(item) if not name.startswith("__"))
    return found


def refused_or_clean(context: ts.Context, clean: bytes) -> bool:
    try:
        return context.serialize(False, True, False, False) == clean
    except ValueError:
        return True


def test_no_accessor_of_a_party_leads_to_a_key(sides: Sides) -> None:
    contexts = contexts_in((sides.parties, sides.received))
    assert len(contexts) >= len(sides.parties), "the search must find the contexts, or it proves nothing"
    rotations = isinstance(sides.holder, st.MomentsHolder)  # to add up slots
    for context in contexts:
        assert not context.has_secret_key()
        assert not context.is_private()
        assert context.has_galois_keys() == rotations, "no key that is not needed"
        refused = ["secret_key", "decryptor", "generate_galois_keys", *([] if rotations else ["galois_keys"])]
        for holder, accessor in [(holder, name) for holder in (context, context.data) for name in refused]:
            if hasattr(holder, accessor):
                with pytest.raises(ValueError, match=r"context|secret_key"):
                    getattr(holder, accessor)()
        clean = context.serialize(False, False, False, False)
        assert refused_or_clean(context, clean), "asked for the secret key, it must have none to write"
    for vector in sides.received:
        with pytest.raises(ValueError, match=r"(?i)secret|decrypt"):
            vector.decrypt()


def test_the_search_would_find_a_key(client: Client) -> None:
    (context,) = contexts_in(client)
    assert context.has_secret_key()
    assert not refused_or_clean(context, context.serialize(False, False, False, False))
    context.decryptor()


def test_no_side_can_be_pickled_or_shows_a_key(sides: Sides) -> None:
    for side in (sides.holder, *sides.parties):
        assert sides.holder.message_key.hex() not in repr(side)
        with pytest.raises(EncryptionError, match="cannot be pickled"):
            pickle.dumps(side)


@pytest.mark.parametrize("name", ["linear", "sigmoid"])
def test_the_public_bytes_hold_no_piece_of_the_secret_key(name: str) -> None:
    client = Client(name)
    context = client._context
    secret = context.serialize(False, True, False, False)
    pieces = [secret[start : start + 16] for start in range(len(secret) // 4, len(secret) - 16, 997)]
    assert len(pieces) > 50
    everything = context.serialize(save_secret_key=True)
    assert all(piece in everything for piece in pieces), "the scan must work"
    public = client.public_bytes()
    assert not any(piece in public for piece in pieces)
    assert client.message_key not in public
    read = Server(public, client.message_key)._context
    assert not read.has_public_key()
    assert read.has_relin_keys() == (client.parameters.depth > 1), "no key that is not needed"


def test_a_context_with_a_secret_key_is_refused() -> None:
    client = Client("linear")
    leaked = client._context.serialize(save_secret_key=True)
    message = client._mailbox.seal(client._kind(), [leaked], rows=0)
    with pytest.raises(EncryptionError, match="holds a secret key"):
        Server(message, client.message_key)


def test_a_context_with_a_live_decryptor_is_refused() -> None:
    """One that says that it is public: an answer to exercise 08.4 reads an age with such a one."""
    context = LINEAR.context()
    context.make_context_public()
    with pytest.raises(EncryptionError, match="decryptor still lives"):
        keys.check_public(context)
    keys.load_public(keys.public_part(context))  # the bytes are clean


@pytest.mark.parametrize("data", [b"", None, bytes(1000)])
def test_what_is_no_context_is_refused(data: object) -> None:
    with pytest.raises(EncryptionError, match="public context"):
        keys.load_public(data)  # type: ignore[arg-type]


# Changed, mixed and repeated messages ------------------------------------------------------------------------------


def test_random_flips_and_truncations_of_each_message_are_refused() -> None:
    """Of every bit of a small message `test_messages` knows; here that each reader asks for the tag at all."""
    client, rng = Client("linear"), np.random.default_rng(0)
    public = client.public_bytes()
    server, other = (Server(public, client.message_key) for _ in range(2))
    encrypted = client.meet(server.session).encrypt(table(2, ("a",)))
    asked = client.meet(other.session).encrypt(table(2, ("a",)))
    answer = other.score(asked, Linear("a", [2.0]))
    readers: list[tuple[bytes, Callable[[bytes], object]]] = [
        (public, lambda message: Server(message, client.message_key)),
        (encrypted, server.receive),
        (answer, lambda changed: client.decrypt(changed, asked)),
    ]
    for message, read in readers:
        for place in rng.integers(len(message), size=100):
            flipped = bytes([message[place] ^ 1 << int(rng.integers(8))])
            for changed in (message[:place], message[:place] + flipped + message[place + 1 :]):
                with pytest.raises(EncryptionError):
                    read(changed)
        read(message)  # what is whole is still read


def test_other_keys_another_purpose_or_other_parameters_are_refused(client: Client, server: Server) -> None:
    with pytest.raises(EncryptionError, match="another message key"):
        Server(client.public_bytes(), new_message_key())
    with pytest.raises(EncryptionError, match="'public keys for scores', not 'public keys for counts'"):
        st.CountsServer(client.public_bytes(), client.message_key)
    for key_id, stated, words in (
        ("another", SIGMOID, "belongs to key pair another"),
        (client.key_id, LINEAR, "parameters CKKS 8192 60-40-60"),
    ):
        stranger = Mailbox(client.message_key, key_id, stated.fingerprint, "key holder")
        stranger.session = server.session
        with pytest.raises(EncryptionError, match=words):
            server.receive(stranger.seal("cohort", [], 1, COLUMNS, limit=1.0))
    box = Mailbox(client.message_key, "pair", SIGMOID.fingerprint, "key holder")
    with pytest.raises(EncryptionError, match="their message states CKKS 8192 50-36"):
        Server(box.seal(Server._kind(), [keys.public_part(LINEAR.context())], 0), client.message_key)


def test_parts_that_do_not_fit_their_header_are_refused(client: Client, server: Server) -> None:
    def receive(parts: list[bytes], rows: int, columns: tuple[str, ...] = ("a",)) -> None:
        server.receive(client._mailbox.seal("cohort", parts, rows, columns, limit=1.0))

    part = ts.ckks_vector(client._context, [0.5, 0.25]).serialize()
    with pytest.raises(EncryptionError, match="holds 2 values, not 3"):
        receive([part], 3)
    with pytest.raises(EncryptionError, match="has 1 ciphertexts"):
        receive([part], 2, ("a", "b"))
    with pytest.raises(EncryptionError, match="holds 0 values"):  # TenSEAL reads no bytes as an empty vector
        receive([b""], 2)
    for odd in (ts.ckks_vector(LINEAR.context(), [0.5]).serialize(), b"rubbish"):
        with pytest.raises(EncryptionError, match="no ciphertext of these parameters"):
            receive([odd], 1)
    helper = Mailbox(client.key_for("helper")[:32], client.key_id, SIGMOID.fingerprint, "helper")
    with pytest.raises(EncryptionError, match="comes from 'helper'"):
        server.receive(helper.seal("cohort", [part], 2, ("a",), limit=1.0))


# Attacks that need no broken encryption -----------------------------------------------------------------------------


def test_what_was_recorded_is_no_use_against_a_server_that_was_started_anew(client: Client) -> None:
    model = Linear(COLUMNS, [1.0, 2.0, 3.0])
    first, again = (Server(client.public_bytes(), client.message_key) for _ in range(2))
    question = client.meet(first.session).encrypt(table())
    answer = first.score(question, model)
    with pytest.raises(EncryptionError, match="made for another session of the server"):
        again.score(question, model)
    fresh = client.meet(again.session).encrypt(table())
    with pytest.raises(EncryptionError, match="made for another session of the server"):
        client.decrypt(answer, fresh)
    assert len(client.decrypt(again.score(fresh, model), fresh)) == 20
    with pytest.raises(EncryptionError, match=r"The session is None: pass server\.session"):
        client.meet(None)  # type: ignore[arg-type]


def test_a_hospital_cannot_speak_for_another_nor_for_the_server_and_rounds_do_not_mix() -> None:
    holder = st.CountsHolder(["dead", "alive"])
    public = holder.public_bytes()
    server = st.CountsServer(public, holder.message_key)
    north, south = (st.CountsHospital(public, holder.key_for(n), n).meet(server.session) for n in ("North", "South"))
    posing = st.CountsHospital(public, holder.key_for("North"), "South").meet(server.session)
    with pytest.raises(EncryptionError, match="sealed with another message key"):
        server.add([north.encrypt([1, 2], 3), posing.encrypt([1000, 0], 1000)])
    posing._mailbox.me = "server"
    with pytest.raises(EncryptionError, match="sealed with another message key"):
        holder.meet(server.session).decrypt(posing._mailbox.seal("pooled counts", [], 3, ["dead", "alive"]))
    late = [north.encrypt([1, 2], 3), south.encrypt([4, 5], 9)]
    pooled = server.add([north.encrypt([1, 2], 3), south.encrypt([4, 5], 9)])
    with pytest.raises(EncryptionError, match="another session"):
        server.add(late)
    with pytest.raises(EncryptionError, match="another session"):
        holder.meet(server.session).decrypt(pooled)  # delayed into the next round
    for wrong, words in ((holder.message_key, "key of 'East' was not made"), (holder.key_for("East")[:40], "key_for")):
        with pytest.raises(EncryptionError, match=words):
            st.CountsHospital(public, wrong, "East")
    with pytest.raises(EncryptionError, match="key of 'North' was not made for this public message"):
        st.CountsHospital(st.CountsHolder(["dead"]).public_bytes(), holder.key_for("North"), "North")
    with pytest.raises(EncryptionError, match="'server' is taken"):
        holder.key_for("server")


def test_chunks_are_full_and_padded_with_zeros() -> None:
    pieces = chunks(np.arange(1.0, 6.0), 4)
    assert [list(piece) for piece in pieces] == [[1, 2, 3, 4], [5, 0, 0, 0]]
