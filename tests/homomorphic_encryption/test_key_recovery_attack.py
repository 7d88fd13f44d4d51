"""The key out of two answers: it falls from all digits of the kit's own client, and not from what `decrypt` returns.

That is against a server that computes. What nothing here stops is shown too: one that lies, and is told the scores.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tenseal as ts

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import columns
from ppml_helpers.homomorphic_encryption.key_recovery_attack import StolenKey, Told, _smallest_root, recover_key
from ppml_helpers.homomorphic_encryption.messages import Mailbox
from ppml_helpers.homomorphic_encryption.models import Sigmoid
from ppml_helpers.homomorphic_encryption.parameters import LINEAR
from ppml_helpers.homomorphic_encryption.scoring import Client, Server

MODEL = Sigmoid(("a", "b"), [1.5, -2.0], 0.7)


class Curious(Server):
    """A server that keeps to the protocol, and keeps the ciphertext of each of its answers."""

    def answer(self, question: bytes) -> tuple[bytes, ts.CKKSVector]:
        sealed = self.score(question, MODEL)
        box = Mailbox(self._mailbox._key, self.key_id, self._mailbox.parameters, "reader")
        box.session = self.session
        return sealed, ts.ckks_vector_from(self._context, box.open(sealed, "scores").parts[0])


@pytest.fixture(scope="module")
def client() -> Client:
    return Client("sigmoid")


@pytest.fixture(scope="module")
def server(client: Client) -> Curious:
    found = Curious(client.public_bytes(), client.message_key)
    client.meet(found.session)
    return found


def told(client: Client, server: Curious, decimals: int | None, seeds: tuple[int, int] = (0, 1)) -> list[Told]:
    found = []
    for seed in seeds:
        patients = np.random.default_rng(seed).uniform(-1, 1, (client.parameters.slots, 2))
        question = client.encrypt(pd.DataFrame(patients, columns=["a", "b"]))
        sealed, answer = server.answer(question)
        found.append(Told(answer, client.decrypt(sealed, question, decimals=decimals)))
    return found


def test_two_answers_with_all_digits_give_the_key_and_with_it_every_patient(client: Client, server: Curious) -> None:
    full = told(client, server, decimals=None)
    key = recover_key(*full)
    true = client._context.secret_key().data.data()
    assert key._transformed == [true.data(i) for i in range(client.parameters.ring)]
    secret = np.random.default_rng(9).uniform(-1, 1, 300)
    fresh = server.receive(client.encrypt(pd.DataFrame({"a": secret, "b": 0.0}))).chunks[0][0]
    assert np.abs(key.read(fresh) - secret).max() < 1e-5
    recover_key(*(Told(answer, numbers.round(10)) for answer, numbers in full))  # cutting a few digits is no help
    stranger = ts.ckks_vector(LINEAR.context(), [0.5])
    with pytest.raises(EncryptionError, match="another first prime"):
        key.read(stranger)


def test_what_decrypt_returns_gives_no_key(client: Client, server: Curious) -> None:
    with pytest.raises(EncryptionError, match="they were rounded"):
        recover_key(*told(client, server, decimals=4))
    one, _ = told(client, server, decimals=None)
    with pytest.raises(EncryptionError, match="the same equation"):
        recover_key(one, one)


class Liar(Server):
    """A server that answers with ciphertexts of its own making, as it may: it has the key of the tags."""

    def lie(self, question: bytes, second: list[int], folder: Path) -> bytes:
        """Answer with a ciphertext (1/2, second) modulo the first prime, written as SEAL and TenSEAL write one."""
        cohort, scale = self.receive(question), 2.0**self.parameters.scale_bits
        cohort.chunks[0][0].ciphertext()[0].save(str(folder / "seal"))
        version = (folder / "seal").read_bytes()[:5]

        def framed(content: bytes) -> bytes:
            return version + bytes(3) + struct.pack("<Q", 16 + len(content)) + content  # not compressed

        ring, first = self.parameters.ring, [round(scale / 2)] * self.parameters.ring
        numbers = framed(struct.pack(f"<{1 + 2 * ring}Q", 2 * ring, *first, *second))
        level = self._context.seal_context().data.last_context_data().parms_id()
        body = framed(struct.pack("<4Q?3QdQ", *level, True, 2, ring, 1, scale, 1) + numbers)
        part = columns._wrapped(body, cohort.rows, scale)
        return self._mailbox.seal("scores", [part], cohort.rows, ("probability",), answers=cohort.id)


def coefficients(real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    """Interpolate a real polynomial through its values in the slots."""
    ring = 2 * len(real)
    powers = np.array([pow(3, slot, 2 * ring) for slot in range(len(real))])
    values = np.empty(ring, dtype=complex)
    values[(powers - 1) // 2] = real + 1j * imaginary
    values[(2 * ring - powers - 1) // 2] = real - 1j * imaginary
    return (np.fft.fft(values) / ring * np.exp(-1j * np.pi / ring * np.arange(ring))).real


@pytest.mark.parametrize("decimals", [4, 2])
def test_a_server_that_lies_and_is_told_rounded_scores_has_the_key(tmp_path: Path, decimals: int) -> None:
    """Which nothing here stops: two answers that look like risks, one with the key in it, one with i times the key."""
    client = Client("sigmoid")
    liar, ring = Liar(client.public_bytes(), client.message_key), client.parameters.ring
    client.meet(liar.session)
    prime = liar._context.seal_context().data.last_context_data().parms().coeff_modulus()[0].value()
    small, i = round(2.0**client.parameters.scale_bits / 1000), pow(_smallest_root(ring, prime), ring // 2, prime)
    told = []
    for second in ([small] * ring, [small * i % prime] * (ring // 2) + [-small * i % prime] * (ring // 2)):
        question = client.encrypt(pd.DataFrame({"a": np.linspace(-1, 1, client.parameters.slots)}))
        scores = client.decrypt(liar.lie(question, second, tmp_path), question, decimals=decimals)
        assert 0.1 < scores.min() < scores.max() < 0.9, "nobody is surprised by these"
        told.append((scores - 0.5) * 1000)
    signs = np.array([1 if pow(3, slot, 4) == 1 else -1 for slot in range(client.parameters.slots)])
    stolen = np.rint(coefficients(told[0], -signs * told[1]))
    raw = client._context.secret_key().data.data()
    first = client._context.seal_context().data.key_context_data().parms().coeff_modulus()[0].value()
    true = StolenKey(first, [raw.data(place) for place in range(ring)]).coefficients
    assert (stolen == true).all()


def test_a_server_that_lies_may_hand_a_column_back_as_scores(client: Client, server: Curious) -> None:
    """A tag says who answers, and an id which question: neither says what was computed."""
    patients = pd.DataFrame({"a": np.linspace(-1, 1, 9)})
    question = client.encrypt(patients, model=MODEL.fingerprint)
    cohort = server.receive(question)
    part = [cohort.chunks[0][0].serialize()]
    forged = server._mailbox.seal("scores", part, cohort.rows, ("probability",), answers=cohort.id)
    np.testing.assert_allclose(client.decrypt(forged, question), patients["a"], atol=1e-4)
