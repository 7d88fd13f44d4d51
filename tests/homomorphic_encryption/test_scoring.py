"""`scoring`, `columns`, `models` and `parameters`: encrypted scores equal the plain twin's, or are refused."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tenseal as ts
from sklearn.linear_model import LogisticRegression

from ppml_helpers import cohort
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import columns as columns_module
from ppml_helpers.homomorphic_encryption import parameters
from ppml_helpers.homomorphic_encryption.aggregation import UpdatesHolder
from ppml_helpers.homomorphic_encryption.columns import encrypted_columns
from ppml_helpers.homomorphic_encryption.messages import Mailbox, id_of
from ppml_helpers.homomorphic_encryption.models import Linear, Sigmoid, sigmoid_polynomial
from ppml_helpers.homomorphic_encryption.parameters import LINEAR, SIGMOID, Parameters
from ppml_helpers.homomorphic_encryption.scoring import Client, Server
from ppml_helpers.homomorphic_encryption.statistics import CountsHolder, MomentsHolder
from ppml_helpers.homomorphic_encryption.training import TrainingClient

COLUMNS = ("a", "b", "c")
WEIGHTS, BIAS = (1.5, -2.0, 0.25), 0.7
MODELS = (Linear(COLUMNS, WEIGHTS, BIAS), Sigmoid(COLUMNS, WEIGHTS, BIAS))


@pytest.fixture(scope="module")
def client() -> Client:
    return Client("sigmoid")


@pytest.fixture(scope="module")
def server(client: Client) -> Server:
    return serving(client)


def serving(client: Client) -> Server:
    found = Server(client.public_bytes(), client.message_key)
    client.meet(found.session)
    return found


def table(rows: int = 20, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).uniform(-1, 1, (rows, 3)), columns=list(COLUMNS))


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def scores(client: Client, server: Server, X: Any, model: Any, **more: Any) -> np.ndarray:
    question = client.encrypt(X, **more)
    return client.decrypt(server.score(question, model), question, decimals=None)


# Right -------------------------------------------------------------------------------------------------------------


def test_all_test_patients_are_scored_as_in_plain_text() -> None:
    patients = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    trained = LogisticRegression(max_iter=1000).fit(patients.X_train, patients.y_train)
    X = patients.X_test
    for name, kind, threshold, bound in (("linear", Linear, 0.0, 1e-6), ("sigmoid", Sigmoid, 0.5, 1e-5)):
        client = Client(name)
        server = serving(client)
        model = kind(X.columns, trained.coef_[0], trained.intercept_[0])
        got, want = scores(client, server, X, model), model.plain(X)
        assert got.shape == (2276,)
        assert np.abs(got - want).max() <= bound
        assert ((got > threshold) == (want > threshold)).all()


def test_scores_are_rounded_unless_all_digits_are_wanted_and_nobody_changes_sides(
    client: Client, server: Server
) -> None:
    X, model = table(4096), MODELS[1]
    full = scores(client, server, X, model)
    question = client.encrypt(X)
    rounded = client.decrypt(server.score(question, model), question)
    assert (rounded == rounded.round(4)).all()
    assert np.abs(rounded - full).max() <= 0.5e-4 + 1e-6
    assert ((rounded > 0.5) == (model.plain(X) > 0.5)).all()
    with pytest.raises(EncryptionError, match=r"decimals = 9 must be .*: None keeps all digits"):
        client.decrypt(b"", question, decimals=9)


@pytest.fixture
def hasty() -> Iterator[None]:
    """Let threads take turns after every step."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty")
def test_a_server_answers_several_threads(client: Client, server: Server) -> None:
    """A context says for all its threads whether products are rescaled: most scores ended in "scale mismatch"."""
    X, model = table(), MODELS[1]
    questions = [client.encrypt(X) for _ in range(8)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda question: server.score(question, model), questions))
    for question, answer in zip(questions, answers, strict=True):
        np.testing.assert_allclose(client.decrypt(answer, question), model.plain(X), atol=1e-4)


def test_a_forked_child_scores_too_and_its_answer_is_not_taken_for_another(client: Client, server: Server) -> None:
    X, (one, other) = table(), (client.encrypt(table()) for _ in range(2))
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=lambda: sender.send_bytes(server.score(one, MODELS[1])), daemon=True
    )
    child.start()
    answers = [server.score(other, MODELS[1])]
    assert receiver.poll(30), "the child hangs"
    answers.append(receiver.recv_bytes())
    child.join()
    for question, answer in zip((other, one), answers, strict=True):
        np.testing.assert_allclose(client.decrypt(answer, question), MODELS[1].plain(X), atol=1e-4)


def test_the_twins_are_the_formulas_written_out() -> None:
    X = table(4)
    z = 1.5 * X.a - 2 * X.b + 0.25 * X.c + 0.7
    c0, c1, c3 = sigmoid_polynomial()
    np.testing.assert_allclose(MODELS[0].plain(X), z)
    np.testing.assert_allclose(MODELS[1].plain(X), c0 + c1 * z + c3 * z**3)


@pytest.mark.parametrize("bound", [3, 8])
def test_the_polynomial_is_the_best_cubic_inside_its_bound(bound: float) -> None:
    c0, c1, c3 = sigmoid_polynomial(bound)
    z = np.linspace(-bound, bound, 2001)
    best = np.polynomial.Polynomial.fit(z, 1 / (1 + np.exp(-z)), 3)
    np.testing.assert_allclose(c0 + c1 * z + c3 * z**3, best(z), atol=1e-9)


@pytest.mark.parametrize(
    ("X", "model", "limit"),
    [
        (table(SIGMOID.slots + 5), MODELS[1], 1),  # goes in chunks
        (frame(a=[0.25]), Linear("a", [2.0], 1.0), 1),
        (100 * table(), MODELS[0], 100),
        (table(), Linear(COLUMNS, [0.0, 1.0, 0.0], 0.0), 1),  # SEAL multiplies by no zero
        (table(), Linear(COLUMNS, [0.0, 1e-14, 2.0], -0.1), 1),
        (table(), Sigmoid(COLUMNS, [0.0, -1.0, 0.0], 0.0), 1),
    ],
)
def test_a_cohort_of_any_size_and_weights_of_zero_are_no_stumbling_block(
    client: Client, server: Server, X: Any, model: Any, limit: float
) -> None:
    np.testing.assert_allclose(scores(client, server, X, model, limit=limit), model.plain(X), atol=1e-6 * limit)


@pytest.mark.parametrize(("size", "memory"), [(1, ""), (127, ""), (128, ""), (4096, "/there/is/no/such/folder")])
def test_columns_are_wrapped_as_tenseal_wraps_its_own(size: int, memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed takes the place of half the bytes, no two are alike, and where no folder lies in memory the disk does."""
    monkeypatch.setattr(columns_module, "MEMORY", memory or columns_module.MEMORY)
    context, column = LINEAR.context(), np.random.default_rng(size).uniform(-1, 1, size)
    ours, again = encrypted_columns(context, [column, column])
    theirs = ts.ckks_vector(context, column).serialize()
    # Both begin with the number of values and end with the scale; between them is randomised.
    assert ours[:4] == theirs[:4]
    assert ours[-9:] == theirs[-9:]
    assert ours != again
    assert len(ours) < 0.55 * len(theirs)
    vector = ts.ckks_vector_from(context, ours)
    assert vector.size() == size
    np.testing.assert_allclose(vector.decrypt(), column, atol=1e-7)


def test_a_folder_in_memory_that_is_too_small_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in some containers: SEAL would end in an error of the operating system."""
    monkeypatch.setattr(columns_module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=64 * 1024))
    assert columns_module._in_memory() is None


# Refused -----------------------------------------------------------------------------------------------------------


def test_columns_in_another_order_and_an_old_cohort_are_refused(client: Client, server: Server) -> None:
    X = table()
    old = client.encrypt(X[["b", "a", "c"]])
    with pytest.raises(EncryptionError, match="Column 1 of the cohort is 'b', and the model expects 'a'"):
        server.score(old, MODELS[0])
    server.score(client.encrypt(X), MODELS[0])
    with pytest.raises(EncryptionError, match="repetition"):
        server.score(old, Linear(("b", "a", "c"), WEIGHTS))


def test_an_answer_belongs_to_one_question_and_a_question_has_one_answer(client: Client, server: Server) -> None:
    """A stranger on the way holds answers back, swaps and repeats them: every one was sealed by the server."""
    north, south = (client.encrypt(table(seed=seed)) for seed in (1, 2))
    answers = [server.score(question, MODELS[0]) for question in (north, south)]
    with pytest.raises(EncryptionError, match="they belong to other patients"):  # delayed, for the next question
        client.decrypt(answers[0], south)
    client.decrypt(answers[1], south)
    for answer in answers:  # doubled, or late
        with pytest.raises(EncryptionError, match="none that this client sent and still waits for"):
            client.decrypt(answer, south)
    with pytest.raises(EncryptionError, match="repetition"):
        client.decrypt(answers[0], north)
    again = client.encrypt(table())
    received = server.receive(again)
    first, second = (server.score(received, model) for model in MODELS)
    client.decrypt(first, again)
    with pytest.raises(EncryptionError, match="still waits for"):
        client.decrypt(second, again)


def test_a_question_is_answered_by_the_model_that_it_names(client: Client, server: Server) -> None:
    """A stranger on the way cannot read or change it, but sends it on to another model of the same service."""
    asked, other = MODELS[1], Sigmoid(COLUMNS, WEIGHTS, BIAS + 1e-9)
    near = (Linear(COLUMNS, WEIGHTS, BIAS), Sigmoid(("a", "c", "b"), WEIGHTS, BIAS), Sigmoid(COLUMNS, WEIGHTS, BIAS, 6))
    question = client.encrypt(table(), model=asked.fingerprint)
    received = server.receive(question)
    for model in (other, *near):
        with pytest.raises(EncryptionError, match=f"The question is for the model {asked.fingerprint}, and this one"):
            server.score(received, model)
    assert len(client.decrypt(server.score(received, Sigmoid(COLUMNS, WEIGHTS, BIAS)), question)) == 20
    open_to_all = client.encrypt(table())
    client.decrypt(server.score(open_to_all, other), open_to_all)


def test_scores_that_answer_nothing_or_come_under_other_keys_behind_a_right_tag_are_refused() -> None:
    client = Client("linear")
    box = Mailbox(client.message_key, client.key_id, LINEAR.fingerprint, "server")
    question = client.encrypt(frame(a=[0.5, 0.25]))
    for rows, answers in ((2, id_of(client.public_bytes())), (3, id_of(question))):
        with pytest.raises(EncryptionError, match="belong to other patients"):
            client.decrypt(box.seal("scores", [], rows, ("logit",), answers=answers), question)
    stranger = ts.ckks_vector(LINEAR.context(), [0.5, 0.25]).serialize()
    with pytest.raises(EncryptionError, match="the largest number that these parameters hold"):
        client.decrypt(box.seal("scores", [stranger], 2, ("logit",), answers=id_of(question)), question)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (frame(a=[0.1, np.nan]), "column 'a' in row 1 is no number from -1 to 1"),
        (frame(a=[0.1, 77.125]), "column 'a' in row 1"),
        (frame(a=["x"]), "column 'a' in row 0"),
        (frame(a=[]), "no rows"),
        (pd.DataFrame({1: [0.1]}), "give each a name, a text"),
        (pd.DataFrame([[0.1, 0.2]], columns=["a", "a"]), "two columns named 'a'"),
        (np.zeros((2, 2)), "the cohort is of type ndarray"),
    ],
)
def test_a_cohort_that_cannot_be_encrypted_is_refused_without_a_value(client: Client, bad: Any, words: str) -> None:
    with pytest.raises(EncryptionError, match=words) as caught:
        client.encrypt(bad)
    assert "77.1" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Linear(COLUMNS, [9000, 1, 1]), "would overflow silently"),
        (Sigmoid(COLUMNS, [200, 200, 200]), "would overflow silently"),
        (Linear(("a", "b"), [1, 1]), "The cohort has 3 features and the model 2 weights"),
        ({}, "The model is a dict"),
    ],
)
def test_a_model_that_could_overflow_does_not_fit_or_is_none_is_refused(
    client: Client, server: Server, model: Any, words: str
) -> None:
    with pytest.raises(EncryptionError, match=words):
        server.score(client.encrypt(table()), model)


def test_a_model_that_needs_more_levels_is_refused_before_anything_is_opened() -> None:
    client = Client("linear")
    server = serving(client)
    message = client.encrypt(table())
    for model in MODELS[1:]:
        with pytest.raises(EncryptionError, match="these parameters allow 1"):
            server.score(message, model)
    assert len(client.decrypt(server.score(message, MODELS[0]), message)) == 20


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Linear(COLUMNS, [1, 2]), r"weights has the shape \(2,\), not \(3,\)"),
        (lambda: Linear(COLUMNS, [1, np.nan, 2]), "not finite"),
        (lambda: Linear(COLUMNS, np.ma.array([1, 2, 3], mask=[0, 1, 0])), "not finite"),
        (lambda: Linear(COLUMNS, [0, 0, 0]), "All weights are 0"),
        (lambda: Linear(("a", "a"), [1, 2]), "named twice"),
        (lambda: Sigmoid(COLUMNS, WEIGHTS, 0, bound=0), "bound = 0 must be a finite number from 1 to 30: 5 covers"),
        (lambda: Client("fast"), "parameters = 'fast' is not on offer: choose one of 'linear'"),
        (lambda: Client("linear").encrypt(table(), limit=1e7), "limit = 10000000.0 must be .* at most 524,?288"),
        (lambda: Parameters("x", 4096, (60, 40, 60), 40), "128-bit security allows 106 bits here"),
        (lambda: Parameters("x", 8192, (50, 36, 36, 36, 61), 36), "bits = 61 must be a whole number from 20 to 60"),
        (lambda: Parameters("x", 8192, (60, 60), 40), "allow no multiplication"),
        (lambda: Parameters("x", 8192, (40, 40, 40), 40), "too large for the first prime .*allows 214 bits here"),
        (lambda: Parameters("x", 8192, (60, 36, 60), 40), "every inner prime must have 40 bits"),
        (lambda: Parameters("x", 8192, (60, 40, 50), 40), "last prime has 50 bits"),
        (lambda: Parameters("x", 32768, (30, *[20] * 12, 30), 20).context(), "finds no primes"),
    ],
)
def test_models_and_parameters_that_cannot_be_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(EncryptionError, match=words):
        make()


def test_the_limits_are_those_of_2018_and_of_2024_and_every_set_of_the_kit_keeps_both() -> None:
    published = {1024: (27, 26), 2048: (54, 53), 4096: (109, 106), 8192: (218, 214), 16384: (438, 430)}
    for ring, (old, new) in published.items():
        assert (parameters.standard_bits(ring), parameters.most_bits(ring)) == (old, new)
        parameters.check_bits(ring, new)
        with pytest.raises(EncryptionError, match=f"128-bit security allows {new} bits here .ring {ring}; {old} by"):
            parameters.check_bits(ring, new + 1)
    summing = (MomentsHolder({"age": (18, 120)}), CountsHolder(["CHF"]), UpdatesHolder(40))
    for holder in (Client("linear"), Client("sigmoid"), TrainingClient(), *summing):
        keys = holder._context.seal_context().data.key_context_data()
        assert keys.total_coeff_modulus_bit_count() <= published[keys.parms().poly_modulus_degree()][1], type(holder)
