"""`statistics` and `aggregation`: equal to the clear, and refused before anything goes wrong silently."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tenseal as ts
import tenseal.sealapi as seal

from ppml_helpers import cohort
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import aggregation as agg
from ppml_helpers.homomorphic_encryption import statistics as st
from ppml_helpers.homomorphic_encryption.parameters import drift

RANGES = {"age": (18.0, 120.0), "meanbp": (0.0, 300.0)}


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    table = cohort.load_patients()
    return table[table["meanbp"].notna()].reset_index(drop=True)


@pytest.fixture(scope="module")
def holder() -> st.MomentsHolder:
    return st.MomentsHolder(RANGES)


@pytest.fixture(scope="module")
def server(holder) -> st.MomentsServer:
    return st.MomentsServer(holder.public_bytes(), holder.message_key)


@pytest.fixture(scope="module")
def senders(holder) -> list[st.MomentsHospital]:
    return [st.MomentsHospital(holder.public_bytes(), holder.key_for(f"H{n}"), f"H{n}") for n in range(3)]


@pytest.fixture
def hospitals(holder, server, senders) -> list[st.MomentsHospital]:
    """Three hospitals that take part in the round of this test."""
    return meet(server, holder, *senders)[1:]


def meet(server, *sides):
    return [side.meet(server.session) for side in sides]


# Mean and variance ------------------------------------------------------------------------------------------------


def test_pooled_moments_are_those_of_all_patients_together(patients, holder, server, hospitals):
    parts = [patients[:4096], patients[4096:4100], patients[4100:]]  # one, one and two ciphertexts a column
    messages = [sender.encrypt(part) for sender, part in zip(hospitals, parts, strict=True)]
    result = holder.decrypt(server.pool(messages))
    wanted = patients[list(RANGES)]
    assert (result["patients"] == len(patients)).all()
    assert np.abs(result["mean"] - wanted.mean()).max() < 1e-6
    assert np.abs(result["variance"] / wanted.var() - 1).max() < 1e-6


def test_the_variance_is_free_of_the_drift_of_the_scale(holder, server, hospitals):
    extremes = pd.DataFrame({name: np.tile(pair, 2000) for name, pair in RANGES.items()})
    result = holder.decrypt(server.pool([hospitals[0].encrypt(extremes)]), rounded=False)
    assert abs(drift(holder._context)[0] - 1) > 5e-8  # left in, it would show
    assert np.abs(result["variance"] / extremes.var() - 1).max() < 1e-8


def test_the_key_holder_sees_the_total_in_every_slot_and_nothing_else(patients, holder, server, hospitals):
    answer = server.pool([hospitals[0].encrypt(patients[:10])])
    letter = holder._mailbox.open(answer, "moments")
    vector = ts.ckks_vector_from(holder._context, letter.parts[0])
    plain = seal.Plaintext()
    holder._context.decryptor().data.decrypt(vector.ciphertext()[0], plain)
    slots = np.real(seal.CKKSEncoder(holder._context.seal_context().data).decode_double(plain))
    assert len(slots) == 4096
    assert np.ptp(slots) < 1e-5


@pytest.mark.parametrize("high", [1e4, 1e6, 1e12])
def test_moments_are_right_within_any_range_or_the_range_is_refused(high):
    """A generous range costs digits, in silence: (0, 1e6) gave a variance of 28 for 223, and negative ones gave 0."""
    ages = [np.random.default_rng(n).normal(63, 15, n).clip(18, 101) for n in (9000, 40)]
    holder, server, hospitals = parties(st.MomentsHolder({"age": (0, high)}), st.MomentsServer, st.MomentsHospital)
    letters = [one.encrypt(pd.DataFrame({"age": age})) for one, age in zip(hospitals, ages, strict=False)]
    pooled = server.pool(letters)
    if high > 1e5:
        with pytest.raises(EncryptionError, match=r"variance of 'age' is only known to \+-.* with the range"):
            holder.decrypt(pooled)
        return
    row, wanted = holder.decrypt(pooled).loc["age"], np.concatenate(ages)
    assert row["variance"] == pytest.approx(wanted.var(ddof=1), rel=0.01)
    assert row["mean"] == pytest.approx(wanted.mean(), abs=0.01)
    assert row["variance"] % 1 == 0, "no digit is left that tells of the key"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="age"), "lacks the column 'age'"),
        (lambda t: t.assign(age=121.0), r"column 'age' in row 0 is no number from 18 to 120"),
    ],
)
def test_a_table_that_cannot_be_pooled_is_refused(patients, hospitals, change, words):
    with pytest.raises(EncryptionError, match=words):
        hospitals[0].encrypt(change(patients[list(RANGES)][:20]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: st.MomentsHolder({}), "range"),
        (lambda: st.MomentsHolder({"age": (5, 5)}), "range"),
        (lambda: st.MomentsHolder({"age": 3}), "range"),
        (lambda: st.CountsHolder([]), "0 levels"),
        (lambda: st.CountsHolder(["a", "a"]), "2 levels"),
        (lambda: st.CountsHolder(range(4097)), "4097 levels"),
        (lambda: agg.UpdatesHolder(3, bound=0), "bound = 0"),
    ],
)
def test_ranges_levels_and_bounds_that_cannot_be_are_refused(make, words):
    with pytest.raises(EncryptionError, match=words):
        make()


def test_too_few_too_many_and_repeated_messages_are_refused(patients, server, hospitals):
    sender, *_ = hospitals
    one, two, single = (sender.encrypt(patients[rows]) for rows in (slice(5), slice(5, 9), slice(1)))
    many = sender._mailbox.seal("columns", [b""] * 256, 2**19, list(RANGES))
    for messages, words in (
        ([one, two], "'H0' sent two messages"),
        ([one], "repetition"),
        ([], "No message"),
        ([single], "variance needs 2"),
        ([many], "524,288 patients together cannot be pooled"),  # before it overflows
    ):
        with pytest.raises(EncryptionError, match=words):
            server.pool(messages)


# Counts -----------------------------------------------------------------------------------------------------------


def parties(holder, server, hospital):
    """The key holder, a server and three hospitals."""
    public = holder.public_bytes()
    adds = server(public, holder.message_key)
    hospitals = [hospital(public, holder.key_for(name), name) for name in ("H0", "H1", "H2")]
    meet(adds, holder, *hospitals)
    return holder, adds, hospitals


def counting(levels=("dead", "alive")):
    return parties(st.CountsHolder(levels), st.CountsServer, st.CountsHospital)


def test_counts_of_all_hospitals_are_exact():
    dealt = cohort.hospitals(cohort.load_patients(), n=3, seed=0, skew=0.8)
    holder, server, hospitals = counting(cohort.DIAGNOSES)
    messages = [
        sender.encrypt(st.tally(table["dzgroup"], cohort.DIAGNOSES), len(table))
        for sender, table in zip(hospitals, dealt.values(), strict=True)
    ]
    wanted = cohort.load_patients()["dzgroup"].value_counts()
    assert holder.decrypt(server.add(messages)).to_dict() == wanted.to_dict()


def test_sums_are_exact_up_to_the_limit_and_refused_beyond_it():
    holder, server, (one, two, _) = counting()
    half = st.COUNT_MODULUS // 2
    assert list(holder.decrypt(server.add([one.encrypt([half - 7, 0], half - 7), two.encrypt([7, 0], 7)]))) == [half, 0]
    meet(server, one, two)
    messages = [one.encrypt([300_000, 0], 300_000), two.encrypt([300_000, 0], 300_000)]
    with pytest.raises(EncryptionError, match=r"600,000 patients together: a count above 516,096 would wrap"):
        server.add(messages)


@pytest.mark.parametrize(
    ("counts", "patients", "words"),
    [
        ([1.7, 2], 10, r"a count = 1.7 must be a whole number from 0 to 10: count again \(BFV would cut a fraction"),
        ([11, 2], 10, "a count = 11 must"),
        (np.ma.array([1, 2], mask=[0, 1]), 10, "a count = masked must"),
        ([1, 2, 3], 10, "3 counts were given for 2 levels"),
        ([1, 2], 600_000, "patients = 600000"),
    ],
)
def test_counts_that_would_be_changed_silently_are_refused(counts, patients, words):
    _, _, (sender, *_) = counting()
    with pytest.raises(EncryptionError, match=words):
        sender.encrypt(counts, patients)


def test_counts_beyond_the_stated_patients_or_in_another_order_are_noticed():
    holder, server, (liar, other, _) = counting()

    def forged(counts, levels):
        return liar._mailbox.seal("counts", [ts.bfv_vector(liar._context, counts).serialize()], 3, levels)

    with pytest.raises(EncryptionError, match="do not fit 2 levels and 5 patients"):
        holder.decrypt(server.add([forged([500, 0], ["dead", "alive"]), other.encrypt([1, 1], 2)]))
    meet(server, liar)
    with pytest.raises(EncryptionError, match="another order"):
        server.add([forged([1, 2], ["alive", "dead"])])


def test_tally_names_a_value_that_is_not_to_be_counted():
    assert st.tally(["CHF", "Coma", "CHF"], ["CHF", "Coma"]) == [2, 1]
    with pytest.raises(EncryptionError, match="'flu'"):
        st.tally(["CHF", "flu"], ["CHF"])


# Updates ----------------------------------------------------------------------------------------------------------


def aggregating(length=3, bound=1.0):
    return parties(agg.UpdatesHolder(length, bound), agg.UpdatesServer, agg.UpdatesHospital)


@pytest.mark.parametrize("length", [1, 2047, 2048, 5000])
def test_the_weighted_mean_of_updates_is_that_of_the_clear(length):
    holder, server, hospitals = aggregating(length, 0.1)
    sizes = [4000, 900, 20]
    updates = np.random.default_rng(0).uniform(-0.1, 0.1, (3, length))
    messages = [one.encrypt(row, size) for one, row, size in zip(hospitals, updates, sizes, strict=True)]
    result = holder.decrypt(server.add(messages))
    assert (result.patients, result.hospitals) == (4920, 3)
    assert np.abs(result.update - np.average(updates, axis=0, weights=sizes)).max() < 1e-7
    assert b"4000" not in messages[0][:1000]  # the header does not tell the size


@pytest.mark.parametrize(
    ("update", "patients", "words"),
    [
        ([0.1, 0.2], 10, r"shape \(2,\)"),
        ("mean", 10, "The update holds something that is no number: flatten it"),
        (np.ma.array([0.1, 0.2, 0.3], mask=[0, 1, 0]), 10, "holds nan"),  # and not what the mask hides
        ([0.1, 0.2, np.nan], 10, "holds nan"),
        ([0.1, -1.5, 0.2], 10, "at most 1 in size"),
        ([0.1, 0.2, 0.3], 10_001, "patients = 10001"),
    ],
)
def test_an_update_that_cannot_be_summed_is_refused(update, patients, words):
    _, _, (sender, *_) = aggregating()
    with pytest.raises(EncryptionError, match=words):
        sender.encrypt(update, patients)


def test_a_mean_update_that_its_bound_leaves_unknown_is_refused_and_the_known_one_is_rounded():
    update = np.array([0.1, -0.3, 0.2])
    holder, server, hospitals = aggregating(3, 1e3)
    with pytest.raises(EncryptionError, match=r"only known to \+-0.0.* with the bound 1000"):
        holder.decrypt(server.add([one.encrypt(update, n) for one, n in zip(hospitals, (3, 5), strict=False)]))
    meet(server, holder, *hospitals)
    letters = [one.encrypt(update, 9000) for one in hospitals]
    assert list(holder.decrypt(server.add(letters)).update) == pytest.approx(update, abs=0.01)


def test_one_hospital_alone_and_a_replayed_round_are_refused():
    _, server, (one, two, _) = aggregating()
    messages = [one.encrypt([0.1, 0.2, 0.3], 10), two.encrypt([0.1, 0.2, 0.3], 10)]
    server.add(messages)
    with pytest.raises(EncryptionError, match="another session"):
        server.add(messages)
    meet(server, one)
    with pytest.raises(EncryptionError, match="at least 2 are needed"):
        server.add([one.encrypt([0.1, 0.2, 0.3], 10)])
