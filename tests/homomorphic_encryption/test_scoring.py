"""Encrypted scores equal the plain twin's; a server cannot read; what cannot be right is refused in one sentence."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tenseal as ts
import tenseal.sealapi as seal
from sklearn.linear_model import LogisticRegression

from ppml_helpers import cohort
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import columns as columns_module
from ppml_helpers.homomorphic_encryption import keys, parameters, scoring
from ppml_helpers.homomorphic_encryption.columns import encrypted_columns
from ppml_helpers.homomorphic_encryption.messages import Mailbox, new_message_key
from ppml_helpers.homomorphic_encryption.models import Linear, Sigmoid, SquareNetwork, sigmoid_polynomial
from ppml_helpers.homomorphic_encryption.parameters import DEEP, LINEAR, SIGMOID, Parameters
from ppml_helpers.homomorphic_encryption.scoring import Client, Server

COLUMNS = ("a", "b", "c")
WEIGHTS, BIAS = (1.5, -2.0, 0.25), 0.7
NETWORK = SquareNetwork(COLUMNS, [[1.0, -0.5], [0.3, 0.2], [0.0, 2.0]], [0.5, -0.4], [0.8, -1.1], 0.3)
MODELS = (Linear(COLUMNS, WEIGHTS, BIAS), Sigmoid(COLUMNS, WEIGHTS, BIAS), NETWORK)


@pytest.fixture(scope="module")
def client() -> Client:
    return Client("sigmoid")


@pytest.fixture(scope="module")
def server(client: Client) -> Server:
    return Server(client.public_bytes(), client.message_key)


def table(rows: int = 20, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).uniform(-1, 1, (rows, 3)), columns=list(COLUMNS))


def scores(client: Client, server: Server, X: Any, model: Any, **more: Any) -> np.ndarray:
    return client.decrypt(server.score(client.encrypt(X, **more), model))


# --------------------------------------------------------------------------------------------------------------
# Right
# --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patients() -> cohort.Split:
    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


@pytest.fixture(scope="module")
def trained(patients: cohort.Split) -> LogisticRegression:
    return LogisticRegression(max_iter=1000).fit(patients.X_train, patients.y_train)


@pytest.mark.parametrize(
    ("name", "kind", "threshold", "bound"), [("linear", Linear, 0.0, 1e-6), ("sigmoid", Sigmoid, 0.5, 1e-5)]
)
def test_all_test_patients_are_scored_as_in_plain_text(
    patients: cohort.Split, trained: LogisticRegression, name: str, kind: type, threshold: float, bound: float
) -> None:
    X = patients.X_test
    assert len(X) == 2276
    client = Client(name)
    server = Server(client.public_bytes(), client.message_key)
    model = kind(X.columns, trained.coef_[0], trained.intercept_[0])
    got, want = scores(client, server, X, model), model.plain(X)
    assert np.abs(got - want).max() <= bound
    assert ((got > threshold) == (want > threshold)).all()
    assert parameters.most_bits(8192) >= client.parameters.bits


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("which", [SIGMOID, DEEP], ids=lambda which: which.name)
def test_every_model_equals_its_plain_twin(model: Any, which: Parameters) -> None:
    client = Client(which)
    server = Server(client.public_bytes(), client.message_key)
    X = table(50)
    np.testing.assert_allclose(scores(client, server, X, model), model.plain(X), atol=1e-6)


def test_the_twins_are_the_formulas_written_out() -> None:
    X = table(4)
    z = 1.5 * X.a - 2 * X.b + 0.25 * X.c + 0.7
    c0, c1, c3 = sigmoid_polynomial()
    np.testing.assert_allclose(MODELS[0].plain(X), z)
    np.testing.assert_allclose(MODELS[1].plain(X), c0 + c1 * z + c3 * z**3)
    first, second = X.a + 0.3 * X.b + 0.5, -0.5 * X.a + 0.2 * X.b + 2 * X.c - 0.4
    np.testing.assert_allclose(NETWORK.plain(X), 0.8 * first**2 - 1.1 * second**2 + 0.3)


@pytest.mark.parametrize("bound", [3, 5, 8])
def test_the_polynomial_is_the_best_cubic_inside_its_bound(bound: float) -> None:
    c0, c1, c3 = sigmoid_polynomial(bound)
    z = np.linspace(-bound, bound, 2001)
    sigmoid = 1 / (1 + np.exp(-z))
    best = np.polynomial.Polynomial.fit(z, sigmoid, 3)
    np.testing.assert_allclose(c0 + c1 * z + c3 * z**3, best(z), atol=1e-9)


def test_a_long_cohort_goes_in_chunks_and_says_how_far_it_is(client: Client, server: Server) -> None:
    X, told = table(SIGMOID.slots + 5), []
    message = client.encrypt(X, progress=lambda fraction, what: told.append((fraction, what)))
    assert [what for _, what in told] == [f"column {i} of 6 encrypted" for i in range(1, 7)]
    assert [fraction for fraction, _ in told] == pytest.approx([i / 6 for i in range(1, 7)])
    told.clear()
    answer = server.score(message, MODELS[1], progress=lambda fraction, what: told.append((fraction, what)))
    assert told == [(0.5, "chunk 1 of 2 scored"), (1.0, "chunk 2 of 2 scored")]
    np.testing.assert_allclose(client.decrypt(answer), MODELS[1].plain(X), atol=1e-6)


def test_one_patient_a_mapping_and_one_feature_will_do(client: Client, server: Server) -> None:
    assert scores(client, server, {"a": [0.25]}, Linear("a", [2.0], 1.0)) == pytest.approx([1.5], abs=1e-6)


def test_one_cohort_can_be_received_once_and_scored_often(client: Client, server: Server) -> None:
    X = table()
    received = server.receive(client.encrypt(X))
    for model in MODELS:
        np.testing.assert_allclose(client.decrypt(server.score(received, model)), model.plain(X), atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        Linear(COLUMNS, [0.0, 1.0, 0.0], 0.0),
        Linear(COLUMNS, [0.0, 1e-14, 2.0], -0.1),
        Sigmoid(COLUMNS, [0.0, -1.0, 0.0], 0.0),
        SquareNetwork(COLUMNS, [[0.0, 1.0, 1.0]] * 3, [2.0, 0.5, 0.0], [3.0, 0.0, -0.5], 0.0),
    ],
)
def test_weights_of_zero_are_no_stumbling_block(client: Client, server: Server, model: Any) -> None:
    X = table()
    np.testing.assert_allclose(scores(client, server, X, model), model.plain(X), atol=1e-6)


def test_values_up_to_a_larger_limit_are_scored(client: Client, server: Server) -> None:
    X = 100 * table()
    np.testing.assert_allclose(scores(client, server, X, MODELS[0], limit=100), MODELS[0].plain(X), atol=1e-4)


@pytest.mark.parametrize("model", MODELS[1:], ids=lambda model: type(model).__name__)
def test_without_the_folded_drift_the_scores_would_be_wrong(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(Parameters("drifting", 8192, (45, 28, 28, 28, 45), 28))
    server = Server(client.public_bytes(), client.message_key)
    X = table(200)

    def error() -> float:
        return float(np.abs(scores(client, server, X, model) - model.plain(X)).max())

    corrected = error()
    monkeypatch.setattr(scoring, "drift", lambda _: [1.0, 1.0, 1.0])
    assert error() > 5 * corrected


@pytest.mark.parametrize("size", [1, 127, 128, 2276, 4096])
def test_columns_are_wrapped_as_tenseal_wraps_its_own(size: int) -> None:
    context = LINEAR.context()
    column = np.random.default_rng(size).uniform(-1, 1, size)
    (ours,) = encrypted_columns(context, [column])
    theirs = ts.ckks_vector(context, column).serialize()
    # Both begin with the number of values and end with the scale; between them is randomised.
    assert ours[:4] == theirs[:4]
    assert ours[-9:] == theirs[-9:]
    vector = ts.ckks_vector_from(context, ours)
    assert vector.size() == size
    np.testing.assert_allclose(vector.decrypt(), column, atol=1e-7)


def test_a_seed_takes_the_place_of_half_the_bytes() -> None:
    context, column = LINEAR.context(), np.linspace(-1, 1, 4096)
    (ours,) = encrypted_columns(context, [column])
    assert len(ours) < 0.55 * len(ts.ckks_vector(context, column).serialize())


def test_without_a_folder_in_memory_the_disk_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "MEMORY", "/there/is/no/such/folder")
    context = LINEAR.context()
    (part,) = encrypted_columns(context, [np.array([0.5, -0.25])])
    np.testing.assert_allclose(ts.ckks_vector_from(context, part).decrypt(), [0.5, -0.25], atol=1e-7)


def test_the_same_column_never_encrypts_to_the_same_bytes() -> None:
    first, second = encrypted_columns(LINEAR.context(), [np.ones(5), np.ones(5)])
    assert first != second


def test_drift_is_read_from_the_primes_in_the_order_of_use() -> None:
    context = SIGMOID.context()
    primes = [p.value() for p in context.seal_context().data.key_context_data().parms().coeff_modulus()]
    assert parameters.drift(context) == [primes[i] / 2**36 for i in (3, 2, 1)]


# --------------------------------------------------------------------------------------------------------------
# A server cannot read
# --------------------------------------------------------------------------------------------------------------


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
        elif isinstance(item, ts.CKKSVector):
            waiting.append(item.context())
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set):
            waiting.extend(item)
        elif type(item).__module__.startswith("ppml_helpers"):
            waiting.extend(getattr(item, name) for name in dir(item) if not name.startswith("__"))
    return found


ACCESSORS = ("secret_key", "decryptor", "galois_keys", "generate_galois_keys")


def test_no_accessor_of_a_server_leads_to_a_key(client: Client, server: Server) -> None:
    contexts = contexts_in((server, server.receive(client.encrypt(table()))))
    assert contexts, "the search must find the context, or it proves nothing"
    for context in contexts:
        assert not context.has_secret_key()
        assert not context.is_private()
        for holder, accessor in [(holder, name) for holder in (context, context.data) for name in ACCESSORS]:
            if hasattr(holder, accessor):
                with pytest.raises(ValueError, match=r"context|secret_key"):
                    getattr(holder, accessor)()
        clean = context.serialize(False, False, False, False)
        assert _refused_or_clean(context, clean), "asked for the secret key, it must have none to write"


def _refused_or_clean(context: ts.Context, clean: bytes) -> bool:
    try:
        return context.serialize(False, True, False, False) == clean
    except ValueError:
        return True


def test_the_search_would_find_a_key(client: Client) -> None:
    (context,) = contexts_in(client)
    assert context.has_secret_key()
    assert not _refused_or_clean(context, context.serialize(False, False, False, False))
    context.decryptor()


def test_a_server_cannot_decrypt_what_it_received_or_computed(client: Client, server: Server) -> None:
    received = server.receive(client.encrypt(table()))
    for vector in received.chunks[0]:
        with pytest.raises(ValueError, match="secret_key"):
            vector.decrypt()


@pytest.mark.parametrize("name", ["linear", "sigmoid"])
def test_the_public_bytes_hold_no_piece_of_the_secret_key(name: str) -> None:
    client = Client(name)
    context = client._context
    secret = context.serialize(
        save_public_key=False, save_secret_key=True, save_galois_keys=False, save_relin_keys=False
    )
    pieces = [secret[start : start + 16] for start in range(len(secret) // 4, len(secret) - 16, 997)]
    assert len(pieces) > 50
    assert all(piece in client._context.serialize(save_secret_key=True) for piece in pieces), "the scan must work"
    public = client.public_bytes()
    assert not any(piece in public for piece in pieces)
    assert client.message_key not in public
    read = ts.context_from(Mailbox.answering(public, client.message_key, "x").open(public, "keys").parts[0])
    assert not read.has_galois_keys()
    assert not read.has_public_key()
    assert read.has_relin_keys() == (client.parameters.depth > 1), "no key that is not needed"


def test_a_context_with_a_secret_key_is_refused() -> None:
    client = Client("linear")
    leaked = client._context.serialize(save_secret_key=True)
    message = client._mailbox.seal("keys", [leaked], rows=0)
    with pytest.raises(EncryptionError, match="holds a secret key"):
        Server(message, client.message_key)


def test_a_context_with_a_live_decryptor_is_refused() -> None:
    context = LINEAR.context()
    vector = ts.ckks_vector(context, [61.0])
    context.make_context_public()
    plain = seal.Plaintext()
    context.decryptor().data.decrypt(vector.ciphertext()[0], plain)
    read = seal.CKKSEncoder(context.seal_context().data).decode_double(plain)[0]
    assert read == pytest.approx(61), "the leak is real"
    with pytest.raises(EncryptionError, match="decryptor still lives"):
        keys.check_public(context)
    keys.load_public(keys.public_part(context))  # the bytes are clean


@pytest.mark.parametrize("data", [b"", b"abc", "text", None, bytes(1000), zlib.compress(bytes(1000))])
def test_what_is_no_context_is_refused(data: object) -> None:
    with pytest.raises(EncryptionError, match="public context"):
        keys.load_public(data)  # type: ignore[arg-type]


def test_clients_and_servers_cannot_be_pickled_and_show_no_key(client: Client, server: Server) -> None:
    for side in (client, server):
        assert client.message_key.hex() not in repr(side)
        with pytest.raises(EncryptionError, match="cannot be pickled"):
            pickle.dumps(side)


# --------------------------------------------------------------------------------------------------------------
# Changed, mixed and repeated messages
# --------------------------------------------------------------------------------------------------------------


def damaged(message: bytes, rng: np.random.Generator, number: int) -> bytes:
    if number % 5 == 0:
        return message[: rng.integers(len(message))]
    changed = bytearray(message)
    changed[rng.integers(len(message))] ^= 1 << rng.integers(8)
    return bytes(changed)


def test_500_random_flips_and_truncations_of_each_message_are_refused() -> None:
    client = Client("linear")
    public = client.public_bytes()
    server = Server(public, client.message_key)
    encrypted = client.encrypt({"a": [0.5, -0.5]})
    answer = Server(public, client.message_key).score(encrypted, Linear("a", [2.0]))
    readers: list[tuple[bytes, Callable[[bytes], object]]] = [
        (public, lambda message: Server(message, client.message_key)),
        (encrypted, server.receive),
        (answer, client.decrypt),
    ]
    rng = np.random.default_rng(0)
    for message, read in readers:
        for number in range(500):
            with pytest.raises(EncryptionError):
                read(damaged(message, rng, number))
        read(message)  # what is whole is still read


def test_another_clients_cohort_and_scores_are_refused(client: Client, server: Server) -> None:
    stranger = Client("sigmoid", message_key=client.message_key)
    with pytest.raises(EncryptionError, match="belongs to key pair"):
        server.score(stranger.encrypt(table()), MODELS[0])
    theirs = Server(stranger.public_bytes(), client.message_key).score(stranger.encrypt(table()), MODELS[0])
    with pytest.raises(EncryptionError, match="belongs to key pair"):
        client.decrypt(theirs)


def test_another_message_key_is_refused(client: Client) -> None:
    with pytest.raises(EncryptionError, match="another message key"):
        Server(client.public_bytes(), new_message_key())


def test_other_parameters_are_refused(client: Client, server: Server) -> None:
    other = Mailbox(client.message_key, client.key_id, LINEAR.fingerprint, "client")
    with pytest.raises(EncryptionError, match="parameters CKKS 8192 60-40-60"):
        server.receive(other.seal("cohort", [], 1, COLUMNS, limit=1.0))


def test_keys_that_are_not_those_the_header_states_are_refused() -> None:
    key = new_message_key()
    box = Mailbox(key, "pair", SIGMOID.fingerprint, "client")
    with pytest.raises(EncryptionError, match="their message states CKKS 8192 50-36"):
        Server(box.seal("keys", [keys.public_part(LINEAR.context())], 0), key)


def test_ciphertexts_of_other_parameters_behind_a_right_header_are_refused(client: Client, server: Server) -> None:
    box = Mailbox(client.message_key, client.key_id, SIGMOID.fingerprint, "helper")
    part = ts.ckks_vector(LINEAR.context(), [0.5]).serialize()
    assert len(part) > 0
    with pytest.raises(EncryptionError, match="comes from 'helper'"):
        server.receive(box.seal("cohort", [part], 1, ("a",), limit=1.0))
    with pytest.raises(EncryptionError, match="cannot be read"):
        server.receive(client._mailbox.seal("cohort", [part], 1, ("a",), limit=1.0))


def test_ciphertexts_that_do_not_fit_their_header_are_refused(client: Client, server: Server) -> None:
    part = ts.ckks_vector(client._context, [0.5, 0.25]).serialize()
    with pytest.raises(EncryptionError, match="holds 2 patients, not 3"):
        server.receive(client._mailbox.seal("cohort", [part], 3, ("a",), limit=1.0))
    with pytest.raises(EncryptionError, match="has 1 ciphertexts"):
        server.receive(client._mailbox.seal("cohort", [part], 2, ("a", "b"), limit=1.0))
    with pytest.raises(EncryptionError, match="holds 0 patients"):  # TenSEAL reads no bytes as an empty vector
        server.receive(client._mailbox.seal("cohort", [b""], 2, ("a",), limit=1.0))


def test_a_repeated_cohort_or_answer_is_refused(client: Client, server: Server) -> None:
    message = client.encrypt(table())
    answer = server.score(message, MODELS[0])
    with pytest.raises(EncryptionError, match="repetition"):
        server.score(message, MODELS[0])
    client.decrypt(answer)
    with pytest.raises(EncryptionError, match="repetition"):
        client.decrypt(answer)


def test_columns_in_another_order_are_refused_and_an_old_order_cannot_come_back(client: Client, server: Server) -> None:
    X = table()
    old = client.encrypt(X[["b", "a", "c"]])
    with pytest.raises(EncryptionError, match="Column 1 of the cohort is 'b', and the model expects 'a'"):
        server.score(old, MODELS[0])
    server.score(client.encrypt(X), MODELS[0])
    with pytest.raises(EncryptionError, match="repetition"):
        server.score(old, Linear(("b", "a", "c"), WEIGHTS))


def test_scores_that_answer_nothing_are_refused() -> None:
    client = Client("linear")
    box = Mailbox(client.message_key, client.key_id, LINEAR.fingerprint, "server")
    client.encrypt({"a": [0.5, 0.25]})
    for rows, number in ((2, 9), (3, 1)):
        with pytest.raises(EncryptionError, match="did not send"):
            client.decrypt(box.seal("scores", [], rows, ("logit",), answers=number))


def test_scores_under_other_keys_behind_a_right_tag_are_refused_where_they_show() -> None:
    client = Client("linear")
    client.encrypt({"a": [0.5]})
    stranger = ts.ckks_vector(LINEAR.context(), [0.5])
    box = Mailbox(client.message_key, client.key_id, LINEAR.fingerprint, "server")
    with pytest.raises(EncryptionError, match="the largest number that these parameters hold"):
        client.decrypt(box.seal("scores", [stranger.serialize()], 1, ("logit",), answers=1))


# --------------------------------------------------------------------------------------------------------------
# Bad input
# --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"a": [0.1, 0.2], "b": [0.1]}, r"Column 'b' has the shape \(1,\) and column 'a' \(2,\)"),
        ({"a": [0.1, np.nan]}, "column 'a' in row 1 must be finite"),
        ({"a": [np.inf]}, "must be finite"),
        ({"a": [0.1, -1.01]}, "column 'a' in row 1 is beyond the limit 1"),
        ({"a": []}, "cohort is empty"),
        (pd.DataFrame({"a": np.empty(0)}), "cohort is empty"),
        ({}, "give each a name"),
        ({1: [0.1]}, "give each a name"),
        (pd.DataFrame([[0.1, 0.2]], columns=["a", "a"]), "give each a name"),
        ({"a": ["x"]}, "holds a value that is no number"),
        ({"a": 0.5}, "one value a patient"),
        (np.zeros((2, 2)), "The cohort is a ndarray"),
    ],
)
def test_a_cohort_that_cannot_be_encrypted_is_refused(client: Client, bad: Any, words: str) -> None:
    with pytest.raises(EncryptionError, match=words):
        client.encrypt(bad)


def test_an_error_does_not_show_a_patients_value(client: Client) -> None:
    with pytest.raises(EncryptionError) as caught:
        client.encrypt({"a": [77.125]})
    assert "77.1" not in str(caught.value)


@pytest.mark.parametrize("limit", [0, -1, np.nan, np.inf, 1e5, "1", True])
def test_a_limit_beyond_the_parameters_is_refused(client: Client, limit: Any) -> None:
    with pytest.raises(EncryptionError, match="must be a number above 0 and at most 8192"):
        client.encrypt(table(), limit=limit)


@pytest.mark.parametrize(
    "model",
    [
        Linear(COLUMNS, [9000, 1, 1]),
        Sigmoid(COLUMNS, [200, 200, 200]),
        SquareNetwork(COLUMNS, [[100.0]] * 3, [0], [1.0]),
    ],
)
def test_a_model_that_could_overflow_is_refused(client: Client, server: Server, model: Any) -> None:
    with pytest.raises(EncryptionError, match="would overflow silently"):
        server.score(client.encrypt(table()), model)


def test_more_features_than_weights_are_refused(client: Client, server: Server) -> None:
    with pytest.raises(EncryptionError, match="The cohort has 3 features and the model 2 weights"):
        server.score(client.encrypt(table()), Linear(("a", "b"), [1, 1]))


def test_a_model_that_needs_more_levels_is_refused_before_anything_is_opened() -> None:
    client = Client("linear")
    server = Server(client.public_bytes(), client.message_key)
    message = client.encrypt(table())
    for model in MODELS[1:]:
        with pytest.raises(EncryptionError, match="these parameters allow 1"):
            server.score(message, model)
    assert len(client.decrypt(server.score(message, MODELS[0]))) == 20


def test_what_is_no_model_is_refused(client: Client, server: Server) -> None:
    with pytest.raises(EncryptionError, match="The model is a dict"):
        server.score(client.encrypt(table()), {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Linear(COLUMNS, [1, 2]), r"weights has the shape \(2,\), not \(3,\)"),
        (lambda: Linear(COLUMNS, [1, np.nan, 2]), "not finite"),
        (lambda: Linear(COLUMNS, [0, 0, 0]), "All weights are 0"),
        (lambda: Linear(("a", "a"), [1, 2]), "named twice"),
        (lambda: Linear((), []), "name every feature"),
        (lambda: Linear(COLUMNS, "abc"), "cannot be read as numbers"),
        (lambda: Sigmoid(COLUMNS, WEIGHTS, 0, bound=0), "bound = 0 must be a number from 1 to 30"),
        (lambda: SquareNetwork(COLUMNS, np.ones((3, 2)), [0, 0], [1, 1, 1]), "must belong together"),
        (lambda: SquareNetwork(COLUMNS, np.zeros((3, 2)), [1, 1], [1, 1]), "No hidden unit"),
        (lambda: Client("fast"), "no parameters 'fast': choose linear, sigmoid, deep"),
        (lambda: Parameters("x", 1000, (60, 40, 60), 40), "Ring size 1000 is unknown"),
        (lambda: Parameters("x", True, (60, 40, 60), 40), "Ring size True is unknown"),
        (lambda: Parameters("x", 4096, (60, 40, 60), 40), "128-bit security allows 109 bits here"),
        (lambda: Parameters("x", 8192, (50, 36, 36, 36, 61), 36), "61 bits is not possible"),
        (lambda: Parameters("x", 8192, (60, 60), 40), "allow no multiplication"),
        (lambda: Parameters("x", 8192, (40, 40, 40), 40), "too large for the first prime .*allows 218 bits here"),
        (lambda: Parameters("x", 8192, (60, 36, 60), 40), "every inner prime must have 40 bits"),
        (lambda: Parameters("x", 8192, (60, 40, 50), 40), "last prime has 50 bits"),
        (lambda: Parameters("x", 8192, (60, 40.0, 60), 40), "whole numbers of bits"),
        (lambda: Parameters("x", 32768, (30, *[20] * 12, 30), 20).context(), "finds no primes"),
    ],
)
def test_models_and_parameters_that_cannot_be_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(EncryptionError, match=words):
        make()


@pytest.mark.parametrize(
    ("ring", "bits"), [(1024, 27), (2048, 54), (4096, 109), (8192, 218), (16384, 438), (32768, 881)]
)
def test_the_limits_are_those_of_the_standard(ring: int, bits: int) -> None:
    assert parameters.most_bits(ring) == bits
    parameters.check_bits(ring, bits)
    with pytest.raises(EncryptionError, match=f"128-bit security allows {bits} bits here"):
        parameters.check_bits(ring, bits + 1)
