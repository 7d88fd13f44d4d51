"""Exercises of chapter 08: homomorphic encryption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ppml_helpers.errors import EncryptionError
from ppml_helpers.exercises.frame import (
    Exercise,
    NotAnAnswer,
    Reply,
    as_choice,
    as_number,
    close,
    right,
    wrong,
)

if TYPE_CHECKING:
    from ppml_helpers.homomorphic_encryption.key_recovery_attack import Told
    from ppml_helpers.homomorphic_encryption.parameters import Parameters

TITLE = "Homomorphic encryption"


class View(NamedTuple):
    """What a service has after two answers whose numbers it was told."""

    told: list[Told]  # ciphertext and numbers of each answer
    ages: Any  # an encrypted column of other patients


def service_view(ages: Any, seed: int = 0) -> View:
    """Let a client that does not round tell two answers with all their digits, and encrypt the ages of its patients."""
    import tenseal as ts

    from ppml_helpers.homomorphic_encryption.key_recovery_attack import Told
    from ppml_helpers.homomorphic_encryption.parameters import SIGMOID

    client, rng, told = SIGMOID.context(), np.random.default_rng(seed), []
    public = ts.context_from(client.serialize(), n_threads=1)
    for _ in range(2):
        column = ts.ckks_vector_from(public, ts.ckks_vector(client, rng.uniform(-1, 1, SIGMOID.slots)).serialize())
        answer = column * 0.9 * 0.8 * 0.7
        told.append(Told(answer, np.array(ts.ckks_vector_from(client, answer.serialize()).decrypt())))
    return View(told, ts.ckks_vector_from(public, ts.ckks_vector(client, list(ages)).serialize()))


_SHAPES, _PRECISE = ((3, 50), (6, 20)), 1e-4  # of 08.1: features and patients of the made-up cohorts

DEPTH, REACH, LARGEST, ERROR = 4, 2.5, 100.0, 3.5e-4
"""What 08.4 asks for: multiplications one after another of numbers up to REACH, largest number that must fit, error."""

CHAIN, SCALE_BITS = (40, 21, 21, 21, 40), 21
"""The parameters of the colleague of 08.5, in the ring of 8192."""

CAUSES = ("too little scale", "drift", "overflow", "too few levels")
"""What 08.5 offers."""


class _Cohort(NamedTuple):
    """Made-up patients, as the client and as the server have them."""

    X: np.ndarray
    weights: list[float]
    bias: float
    columns: list[Any]
    client: Any


def _encrypted_cohort(features: int, patients: int, seed: int) -> _Cohort:
    """Make up a cohort and encrypt it by columns; its server has neither the secret key nor Galois keys."""
    import tenseal as ts

    rng = np.random.default_rng(seed)
    client = ts.context(ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 60], n_threads=1)
    client.global_scale = 2.0**40
    server = ts.context_from(client.serialize(save_galois_keys=False, save_relin_keys=False), n_threads=1)
    X, weights = rng.uniform(-1, 1, (patients, features)), rng.uniform(-2, 2, features).tolist()
    columns = [ts.ckks_vector_from(server, ts.ckks_vector(client, column).serialize()) for column in X.T]
    return _Cohort(X, weights, float(rng.uniform(1, 2)), columns, client)


def _judge_1(answer: object) -> Reply:
    if not callable(answer):
        raise NotAnAnswer("give the function itself, without calling it")
    for seed, (features, patients) in enumerate(_SHAPES):
        cohort = _encrypted_cohort(features, patients, seed)
        try:
            scored = answer(list(cohort.columns), list(cohort.weights), cohort.bias)
        except ValueError as error:
            return _of_refusal(error)
        reply = _of_scores(scored, cohort)
        if reply is not None:
            return reply
    return right(
        "Every patient has a score, and nothing was added up inside a ciphertext: no rotation, no Galois keys, and as "
        "much work for 4,096 patients as for one."
    )


_REFUSALS = {
    "different sizes": "It multiplies one ciphertext by all weights. The slots of a column are patients: the whole "
    "column has one weight. Go through columns and weights side by side.",
    "Galois": "dot and sum add up the slots of one ciphertext, and need Galois keys for it, which this server has not "
    "got. Here the slots of a column are patients: what is to be added stands in the same slot of different columns.",
    "secret_key": "It tries to decrypt, and the server has no secret key. Return the ciphertext; the client opens it.",
    "Relin": "It multiplies two ciphertexts. The weights are the server's own: multiply by them in plain text.",
    "scale out of bounds": "It multiplies twice, one after the other, and these parameters allow one multiplication. "
    "Multiply each column once, then add.",
}


def _of_refusal(error: ValueError) -> Reply:
    for sign, sentence in _REFUSALS.items():
        if sign in str(error):
            return wrong(sentence)
    raise error


def _of_scores(scored: object, cohort: _Cohort) -> Reply | None:
    import tenseal as ts

    if isinstance(scored, list | tuple):
        return wrong(f"It returns {len(scored)} things. Add the products up: the scores are one ciphertext.")
    if not isinstance(scored, ts.CKKSVector):
        return wrong(f"It returns a {type(scored).__name__}. The server computes on ciphertexts and returns one.")
    scores = np.array(ts.ckks_vector_from(cohort.client, scored.serialize()).decrypt())
    if scores.shape != (len(cohort.X),):
        return wrong(f"The ciphertext has {len(scores)} slots, and there are {len(cohort.X)} patients: one slot each.")
    X, weights, bias = cohort.X, np.array(cohort.weights), cohort.bias
    if _near(scores, X @ weights + bias):
        return None
    for sentence, mistaken in (
        ("The bias is missing.", X @ weights),
        ("The bias is in it once for each column. Add it once, at the end.", X @ weights + len(weights) * bias),
        ("The bias was added before the last column was weighted.", X @ weights + weights[-1] * bias),
        ("Weights and columns are not in the same order.", X @ weights[::-1] + bias),
        ("That is the sum of the columns. Multiply each by its weight.", X.sum(axis=1) + bias),
        ("That is the first column alone. Go through all of them.", X[:, 0] * weights[0] + bias),
        ("The last column is missing.", X[:, :-1] @ weights[:-1] + bias),
        (
            "The first column is in it twice: start with it, then go on with the second.",
            X @ weights + X[:, 0] * weights[0] + bias,
        ),
        ("That is the mean of the products; the score is their sum.", X @ weights / len(weights) + bias),
    ):
        if _near(scores, mistaken):
            return wrong(sentence)
    return wrong("The scores are wrong. The score of a patient is bias + weight times feature, summed over features.")


def _near(scores: np.ndarray, others: np.ndarray) -> bool:
    return bool(np.abs(scores - others).max() < _PRECISE)


class Handed(NamedTuple):
    """A context as somebody hands it to a server, and whether its holder can read the patients with it."""

    how: str
    context: Any
    leaks: bool


def handed_over() -> list[Handed]:
    """Make the contexts on which 08.2 is judged, with new keys each time."""
    import tenseal as ts

    def new() -> Any:
        context = ts.context(ts.SCHEME_TYPE.CKKS, 4096, coeff_mod_bit_sizes=[36, 36, 37], n_threads=1)
        context.global_scale = 2.0**30
        return context

    rich = new()
    rich.generate_galois_keys()
    emptied = new()
    emptied.make_context_public()
    with_secret = ts.context_from(new().serialize(save_secret_key=True), n_threads=1)
    clean = ts.context_from(new().serialize(save_public_key=False, save_relin_keys=False), n_threads=1)
    all_others = ts.context_from(rich.serialize(save_galois_keys=True, save_relin_keys=True), n_threads=1)
    return [
        Handed("the client's own context", rich, True),
        Handed("one after make_context_public()", emptied, True),
        Handed("one read from bytes with save_secret_key=True", with_secret, True),
        Handed("one read from bytes without any key", clean, False),
        Handed("one read from bytes with all keys but the secret one", all_others, False),
    ]


def _judge_2(answer: object) -> Reply:
    if not callable(answer):
        raise NotAnAnswer("give the function itself, without calling it")
    missed, feared = [], []
    for how, context, leaks in handed_over():
        try:
            said = answer(context)
        except ValueError as error:
            return wrong(
                f"For {how} it stops with ValueError ({error}). That is SEAL's refusal to decrypt: catch it, it is an "
                "answer."
            )
        if not isinstance(said, bool | np.bool_):
            raise NotAnAnswer(f"for {how} it returned {type(said).__name__}, and True or False is wanted")
        if said != leaks:
            (missed if leaks else feared).append(how)
    return _of_guesses(missed, feared)


def _of_guesses(missed: list[str], feared: list[str]) -> Reply:
    if not missed and not feared:
        return right(
            "All five told apart. Asking a context what it says of itself is not enough: ask it for the decryptor. And "
            "give a server nothing but bytes that were written without the secret key."
        )
    if len(missed) == 3 and not feared:
        return wrong("It says False to every context. Three of them decrypt.")
    if len(feared) == 2 and not missed:
        return wrong("It says True to every context, and then no server could ever compute. Two cannot decrypt.")
    if missed == ["one after make_context_public()"] and not feared:
        return wrong(
            f"It misses {missed[0]}. That one says of itself that it is public, and has no secret key; and the object "
            "that decrypts still lives in it."
        )
    if feared and not missed:
        return wrong(f"It also fears {feared[0]}. Other keys let a server compute; they do not let it read.")
    return wrong(f"It misses {missed[0]}{f', and fears {feared[0]}' if feared else ''}.")


def _judge_3(answer: object) -> Reply:
    if not callable(answer):
        raise NotAnAnswer("give the function itself, without calling it")
    ages = np.random.default_rng(3).uniform(-1, 1, 300)
    view = service_view(ages, seed=4)
    try:
        read = np.asarray(answer(view), dtype=float)
    except EncryptionError as error:
        return wrong(f"{error} The numbers in view.told have all their digits: pass both as they are.")
    except ValueError as error:
        if "decrypt" in str(error) or "secret" in str(error):
            return wrong("decrypt() asks for the secret key, which the service has not got. Compute it from view.told.")
        raise
    if read.shape != ages.shape:
        return wrong(f"It returns numbers of the shape {read.shape}. {len(ages)} patients are in view.ages: one each.")
    if np.abs(read - ages).max() < _PRECISE:
        return right(
            "Every age is read, under keys that were made a moment ago. What was told were the answers to other "
            "questions: with the key falls everything that was ever encrypted under it. Numbers rounded to 10 "
            "decimals give it away as well; rounded to 4 they do not."
        )
    if np.abs(read - (58 + 40 * ages)).max() < 0.1:
        return wrong("These are years. Return what is in the ciphertext: the feature, from -1 to 1.")
    if np.ptp(read) < 1e-9:
        return wrong("The same number for everybody is a guess. Read the ciphertext view.ages.")
    return wrong("These are not the numbers in view.ages. First the key, from both parts of view.told, then read.")


def measured_error(parameters: Parameters, tries: int = 9) -> float:
    """Encrypt numbers up to `REACH`, multiply them `DEPTH` times by themselves, and say how far off the result is."""
    import tenseal as ts

    from ppml_helpers.homomorphic_encryption.parameters import drift

    errors = []
    for seed in range(tries):
        context, rng = parameters.context(), np.random.default_rng(seed)
        numbers = rng.uniform(-REACH, REACH, parameters.slots)
        once = power = ts.ckks_vector(context, numbers)
        for _ in range(DEPTH):
            power = power * once
        read = np.array(power.decrypt()) * np.prod(drift(context)[:DEPTH])
        errors.append(float(np.abs(read - numbers ** (DEPTH + 1)).max()))
    return float(np.median(errors))


def _judge_4(answer: object) -> Reply:
    try:
        chosen = _as_parameters(answer)
    except EncryptionError as error:
        return wrong(str(error))
    if chosen.depth < DEPTH:
        return wrong(
            f"{chosen.depth} inner primes allow {chosen.depth} multiplications one after another, and {DEPTH} are "
            "wanted. The first and the last prime do not count."
        )
    if chosen.ring > 8192:
        return wrong(
            f"Ring {chosen.ring:,} does it, with ciphertexts that are more than twice as large. There are parameters "
            "in ring 8,192 that do it too."
        )
    if chosen.largest < LARGEST:
        return wrong(
            f"Numbers up to {chosen.largest:g} fit between scale and first prime, and {LARGEST:g} is wanted: beyond it "
            "they overflow, and nobody notices."
        )
    error = measured_error(chosen)
    if error > ERROR:
        return wrong(
            f"The error is {error / ERROR:.1f} times what is allowed. More scale gives more digits; the bits for it "
            "can come from the first and the last prime."
        )
    return right(
        f"{chosen.bits} of 214 bits, and measured on numbers up to {REACH} the error stays below {ERROR:.5f}. In "
        "ring 8,192 there is not much to choose: 31 bits of scale are too few, and 34 leave too little for the numbers."
    )


def _as_parameters(answer: object) -> Parameters:
    from ppml_helpers.homomorphic_encryption.parameters import Parameters

    if isinstance(answer, Parameters):
        return answer
    if not isinstance(answer, Sequence) or isinstance(answer, str) or len(answer) != 3:
        raise NotAnAnswer("give three things, (ring, primes, scale_bits)")
    ring, primes, scale_bits = answer
    if not isinstance(primes, Sequence) or isinstance(primes, str):
        raise NotAnAnswer("its second part is the bits of all primes, such as (60, 40, 60)")
    if not isinstance(scale_bits, int) or scale_bits > 1000:
        raise NotAnAnswer("its third part is the number of bits of the scale: 40, not 2**40")
    return Parameters("chosen", ring, tuple(primes), scale_bits)


_CAUSES = {
    "too little scale": "Noise from too small a scale is different for each number, and goes up as often as down. "
    "Divide what was read by what was encrypted: is the ratio different for each number?",
    "overflow": "Numbers that overflow jump anywhere within the range. These lie in [-1, 1], and 2^18 would fit. Draw "
    "what was read against what was encrypted.",
    "too few levels": "When no level is left TenSEAL refuses, with 'scale out of bounds'. Here it computed.",
}


def _judge_5(answer: object) -> Reply:
    from ppml_helpers.homomorphic_encryption.parameters import Parameters, drift

    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotAnAnswer("give two things, (cause, factor)")
    cause, factor = as_choice(answer[0], CAUSES), as_number(answer[1])
    if cause != "drift":
        return wrong(_CAUSES[cause])
    levels = drift(Parameters("colleague", 8192, CHAIN, SCALE_BITS).context())  # q / 2^s, as they are used up
    truth = float(np.prod(levels))
    if close(factor, truth, 0.01):
        return right(
            f"Drift, and {truth:.3f} mends it: each product divides by a prime of 21 bits that is 15 to 18 % below "
            "2^21, and TenSEAL writes the scale down as if it were 2^21. What is left is the noise of the small scale."
        )
    if close(factor, 1 / truth, 0.02):
        return wrong("That is by how much the numbers are too large. By what must they be multiplied to mend that?")
    if any(close(factor, level, 0.005) for level in levels):
        return wrong("That mends one level. The numbers went through three.")
    if close(factor, 1.0, 0.01):
        return wrong("A factor of 1 changes nothing, and the numbers are far off.")
    return wrong(
        "The cause is right, the factor is not. Which one number, multiplied with what was read, comes closest to what "
        "was encrypted?"
    )


EXERCISES = (
    Exercise(
        name="08.1",
        expects="a function of columns, weights and bias that returns one ciphertext",
        hints=(
            "zip(columns, weights): each column is a ciphertext, each weight a number.",
            "Start with the first product, add the others to it, add the bias last.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="08.2",
        expects="a function of a context that returns True if its holder can read the patients",
        hints=(
            "You have seen a context that said it was public, and read an age with it. What did it still have?",
            "context.decryptor() returns something, or raises ValueError.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="08.3",
        expects="a function of the service's view that returns the ages in view.ages",
        hints=(
            "recover_key takes two things that were told: recover_key(*view.told).",
            "What it returns has a method read, for any ciphertext under that key.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="08.4",
        expects="(ring, primes, scale_bits), such as (8192, (60, 40, 60), 40)",
        hints=(
            "Four inner primes, each with as many bits as the scale. In ring 8,192 all six have at most 214 together.",
            "Numbers up to 100 need 7 bits, and one for the sign: the first prime has 8 bits more than the scale.",
            "Make the scale as large as this allows, and the last prime as large as the first.",
        ),
        judge=_judge_4,
    ),
    Exercise(
        name="08.5",
        expects=f"(cause, factor); the cause is one of {', '.join(map(repr, CAUSES))}",
        hints=(
            "read / numbers: are the ratios different, or always the same?",
            "There is one such factor a level. Measure them all at once: what was encrypted, divided by what is read.",
        ),
        judge=_judge_5,
    ),
)
