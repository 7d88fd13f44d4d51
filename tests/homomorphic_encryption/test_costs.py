"""What parameters cost: the budget against the published limits, errors against plain numpy, sizes against bytes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import tenseal as ts

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import costs
from ppml_helpers.homomorphic_encryption.costs import bit_budget, deepest, measure, simulate, smallest_ring
from ppml_helpers.homomorphic_encryption.parameters import RINGS, SIGMOID, Parameters, standard_bits


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(5).uniform(-1, 1, (5_000, 7))


# ---------------------------------------------------------------------------------------------------- the budget


def test_the_bits_are_those_of_the_primes() -> None:
    chosen = bit_budget(8192, 36, 3)
    assert chosen.primes == (50, 36, 36, 36, 50) == SIGMOID.primes
    assert (chosen.used, chosen.excess, chosen.possible, chosen.slots) == (208, 0, True, 4096)
    assert dataclasses.replace(chosen.parameters(), name="sigmoid") == SIGMOID
    too_many = bit_budget(4096, 36, 3)
    assert (too_many.used, too_many.excess, too_many.possible) == (208, 102, False)


@pytest.mark.parametrize("ring", [2048, 4096, 8192])
@pytest.mark.parametrize("scale", [20, 36])
def test_possible_is_what_seal_makes_keys_for(ring: int, scale: int) -> None:
    most = deepest(ring, scale)
    if most:
        bit_budget(ring, scale, most).parameters().context()
    refused = bit_budget(ring, scale, most + 1)
    assert not refused.possible
    with pytest.raises(EncryptionError):
        refused.parameters().context()
    if refused.used <= standard_bits(ring) and refused.excess:
        return  # TenSEAL goes by the standard of 2018 alone
    with pytest.raises((ValueError, RuntimeError), match=r"parameters|primes"):  # TenSEAL itself agrees
        ts.context(ts.SCHEME_TYPE.CKKS, ring, -1, list(refused.primes))


def test_small_primes_run_out_before_the_bits_do() -> None:
    chosen = bit_budget(16384, 20, 5)
    assert (chosen.used, chosen.allowed, chosen.exists, chosen.possible) == (168, 430, False, False)
    assert bit_budget(16384, 24, 5).possible
    suitable = range(2**19 + 1, 2**20, 2 * 16384)  # 1 modulo twice the ring, as every prime must be
    primes = [number for number in suitable if all(number % divisor for divisor in range(2, 1024))]
    assert len(primes) == deepest(16384, 20) == 2


def test_the_smallest_ring_is_the_first_that_has_room() -> None:
    for scale, depth, ring in ((20, 1, 4096), (36, 3, 8192), (36, 4, 16384)):
        assert smallest_ring(scale, depth) == ring
        assert not any(bit_budget(smaller, scale, depth).possible for smaller in RINGS if smaller < ring)
    assert smallest_ring(46, 20) is None or bit_budget(32768, 46, 20).possible


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ((1000, 36, 3), "ring = 1000"),
        ((8192, 47, 3), "scale_bits = 47"),
        ((8192, 36, 0), "depth = 0"),
        ((4096, 36, 3), "128-bit security allows 106 bits here"),
    ],
)
def test_unfit_settings_are_refused_and_impossible_ones_not_measured(
    setting: tuple, words: str, features: np.ndarray
) -> None:
    with pytest.raises(EncryptionError, match=words):
        measure(bit_budget(*setting), features)


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("setting", [(4096, 24, 1), (8192, 20, 2), (8192, 36, 3), (8192, 45, 2)])
def test_the_measured_error_is_the_simulated_one_and_leaving_the_drift_in_makes_it_what_was_foretold(
    setting: tuple, features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = bit_budget(*setting)
    found, foretold = measure(chosen, features, column=2), simulate(chosen, features[: chosen.slots, 2])
    assert 0.75 < found.error / foretold.error < 1.35
    assert found.error < found.largest < 30 * found.error
    monkeypatch.setattr(costs, "drift", lambda context: [1.0] * setting[2])  # nothing mended
    left_in = measure(chosen, features, column=2).error
    assert left_in == pytest.approx(math.hypot(foretold.drift, found.error), rel=0.05)


def test_the_simulated_error_agrees_with_rounding_played_through() -> None:
    """Against random errors added wherever SEAL rounds, in plain numpy."""
    rng, unit = np.random.default_rng(3), 8192 / 6 / 2.0**36
    values = rng.uniform(-1, 1, 4096)
    for depth in (1, 3):
        squares = 0.0
        for _ in range(60):
            power = base = values + rng.normal(scale=unit, size=4096)
            for _ in range(depth):
                power = power * base + rng.normal(scale=unit, size=4096)
            squares += np.mean((power - values ** (depth + 1)) ** 2)
        assert simulate(bit_budget(8192, 36, depth), values).error == pytest.approx(np.sqrt(squares / 60), rel=0.01)


# ---------------------------------------------------------------------------------------------------- time and bytes


@pytest.mark.parametrize("setting", [(8192, 20, 2), (8192, 36, 3)])
def test_bytes_are_those_of_real_ciphertexts(setting: tuple, features: np.ndarray) -> None:
    chosen = bit_budget(*setting)
    found = measure(chosen, features)
    context = Parameters("mine", chosen.ring, chosen.primes, chosen.scale_bits).context()
    request = power = ts.ckks_vector(context, features[: chosen.slots, 0])
    sent = len(request.serialize())
    for _ in range(chosen.depth):
        power = power * ts.ckks_vector(context, features[: chosen.slots, 0])
    both = sent + len(power.serialize())
    columns, one = found.columns, found.one_patient
    assert (columns.patients, columns.ciphertexts, one.patients, one.ciphertexts) == (chosen.slots, 7, 1, 1)
    assert one.bytes_per_patient == one.bytes_to_answer == pytest.approx(both, rel=0.01)
    assert columns.bytes_per_patient == pytest.approx(7 * both / chosen.slots, rel=0.01)
    assert columns.seconds_per_patient == columns.seconds_to_answer / chosen.slots
    information = 2 * chosen.ring * (sum(chosen.primes[:-1]) + chosen.primes[0]) / 8
    assert information < both < 2 * chosen.ring * 8 * len(chosen.primes)


def test_a_clock_too_coarse_for_a_ciphertext_still_gives_a_time_to_draw(
    features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs.time, "thread_time", lambda: 1.0)
    found = measure(bit_budget(4096, 20, 1), features[:5])
    assert found.one_patient.seconds_to_answer > 0
    assert found.columns.patients == 5  # fewer than the slots


def test_progress_is_told_before_every_step_and_can_end_the_work(features: np.ndarray) -> None:
    told: list[tuple[float, str]] = []
    measure(bit_budget(8192, 20, 2), features, progress=lambda *step: told.append(step))
    fractions, steps = zip(*told, strict=True)
    assert list(fractions) == sorted(fractions)
    assert told[0] == (0, "making keys")
    assert 0.9 < fractions[-1] <= 1
    assert steps.count("multiplication 2 of 2") == 3

    def stop(fraction: float, what: str) -> None:
        if what == "multiplication 1 of 2":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        measure(bit_budget(8192, 20, 2), features, progress=stop)
