"""The key out of two answers: it falls from all digits of the kit's own client, and not from what `decrypt` returns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tenseal as ts

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption.key_recovery_attack import Told, recover_key
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
