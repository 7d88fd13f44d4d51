"""Secure aggregation (`masking`, `masked_sums`, and in the app `secure_aggregation`).

Sums are exact, views are uniform, drop-outs are recovered, and nothing else can be read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp
from scipy.stats import kstest

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import (  # before Flower: it switches things off
    hospitals,
    in_process,
    masked_sums,
    pooled,
    results,
    run_config,
    simulated,
)
from ppml_helpers.federated_learning.app.federated_hospitals import client_app, masking, server_app, task
from ppml_helpers.federated_learning.app.federated_hospitals.masking import MaskingError

FEWEST = 1e-6  # p-value below which uniform bytes are not believed: wrong once in a million tests


def vectors(hospitals=4, length=400, seed=0):
    return list(np.random.default_rng(seed).normal(scale=50, size=(hospitals, length)))


def plain_sum(rows, hospitals):
    total = np.zeros(len(rows[0]), dtype=np.uint64)
    for row in rows:
        total += masking.encode(row, hospitals)
    return masking.decode(total)


def after_shares(hospitals=4):
    """Return hospitals that have exchanged their shares, their public keys and their letters."""
    parties = [masking.MaskingHospital(i, hospitals) for i in range(hospitals)]
    public = {party.number: party.public_keys for party in parties}
    return parties, public, {party.number: party.share(public) for party in parties}


def post(letters, to):
    return {sender: sent[to] for sender, sent in letters.items() if sender != to}


# Fixed point, keystream, key agreement ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: masking.encode([0.0, np.nan]), "must be finite and below"),
        (lambda: masking.encode([-(2.0**31)]), "must be finite and below"),
        (lambda: masking.encode(np.zeros((2, 2))), "has shape"),
        (lambda: masking.agree(b"\1" * 32, bytes(32), "masks"), "not a usable X25519 key"),
        (lambda: masking.split(b"short", range(3), 2), "bytes cannot be split"),
        (lambda: masking.split(bytes(32), range(3), 4), "threshold is 4"),
        (lambda: masking.combine({}), "0 shares"),
        (lambda: masked_sums.secure_sum([np.zeros(2), np.zeros(3)]), r"lengths \[2, 3\]"),
        (lambda: masked_sums.secure_sum(vectors(1)), "Only 1 of 1"),
        (lambda: masked_sums.secure_sum(vectors(3), {0: "lunch"}), "'lunch' is not on offer"),
        (lambda: masked_sums.secure_sum(vectors(3), {7: "keys"}), "7 is not on offer"),
        (lambda: masked_sums.uniformity(np.zeros(400)), "needs 5 or more"),
    ],
)
def test_what_cannot_be_masked_split_or_summed_is_refused(call, words):
    with pytest.raises((MaskingError, FederationError), match=words):
        call()


def test_numbers_survive_encoding_to_the_last_place_and_the_largest_do_not_wrap_around():
    values = np.array([0.0, -1.0, 3.25, -(2.0**-32), 2.0**30, -(2.0**30)])
    assert (masking.decode(masking.encode(values)) == values).all()
    largest = np.nextafter(2.0**31 / 4, 0)
    assert masked_sums.secure_sum([[-largest]] * 4).total == pytest.approx([-4 * largest], abs=1e-6)
    with pytest.raises(MaskingError, match="sum of 4 hospitals"):
        masking.encode([2.0**31 / 4], hospitals=4)


def test_the_keystream_is_aes_in_counter_mode():
    # AES-256 of the zero block under the zero key: known answer of NIST SP 800-38A's cipher (GCM's H for that key).
    first = masking.keystream(bytes(32), 2)
    assert first.astype("<u8").tobytes().hex() == "dc95c078a2408989ad48a21492842087"
    assert (masking.keystream(bytes(32), 1000)[:2] == first).all()


def test_two_hospitals_agree_on_one_key_and_a_third_on_another():
    one, two, three = (bytes([i]) * 32 for i in (1, 2, 3))
    shared = masking.agree(one, masking.public_key(two), "masks")
    assert shared == masking.agree(two, masking.public_key(one), "masks")
    assert shared != masking.agree(three, masking.public_key(one), "masks")
    assert shared != masking.agree(one, masking.public_key(two), "letters")


# Shamir -----------------------------------------------------------------------------------------------------------


def test_any_three_of_five_shares_restore_the_secret_and_no_two_do():
    secret = bytes(range(32))
    shares = masking.split(secret, range(5), 3)
    for chosen in itertools.combinations(range(5), 3):
        assert masking.combine({i: shares[i] for i in chosen}) == secret
    for chosen in itertools.combinations(range(5), 2):
        with pytest.raises(MaskingError, match="do not fit together"):
            masking.combine({i: shares[i] for i in chosen})


def test_two_shares_fit_every_secret():
    """With two of three needed shares, each secret is as possible as any other: there is a third share for it."""
    shares = masking.split(bytes(32), range(3), 3)
    prime, (one, two) = masking.PRIME, (int.from_bytes(shares[i], "big") for i in range(2))
    for other in (1, 2**255):
        # value at 0 of the parabola through the shares at 1, 2 and 3: 3 f(1) - 3 f(2) + f(3)
        secret = other.to_bytes(32, "big")
        at_0 = int.from_bytes(secret + hashlib.sha256(secret).digest(), "big")
        third = (at_0 - 3 * one + 3 * two) % prime
        assert masking.combine(shares | {2: third.to_bytes(66, "big")}) == secret


@pytest.mark.parametrize("bit", [0, 256, 520])
def test_a_wrong_share_shows(bit):
    """Lagrange's factors are small numbers here: a share a little wrong gives a value that is a little wrong."""
    shares = masking.split(bytes(range(32)), range(4), 3)
    shares[1] = (int.from_bytes(shares[1], "big") ^ 1 << bit).to_bytes(66, "big")
    with pytest.raises(MaskingError, match="one is wrong"):
        masking.combine(shares)


# Sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hospitals", "threshold"), [(2, 2), (3, 2), (4, 3), (8, 5)])
def test_the_masked_sum_is_the_plain_sum_exactly_and_more_than_half_are_needed(hospitals, threshold):
    assert masking.least_threshold(hospitals) == threshold
    rows = vectors(hospitals)
    found = masked_sums.secure_sum(rows)
    assert found.arrived == tuple(range(hospitals))
    assert (found.total == plain_sum(rows, hospitals)).all()
    assert np.abs(found.total - np.sum(rows, axis=0)).max() <= hospitals * 2.0**-33


@pytest.mark.parametrize("step", masked_sums.STEPS)
@pytest.mark.parametrize("who", [0, 3])
def test_a_drop_out_at_any_step_leaves_the_exact_sum_of_the_others(step, who):
    rows = vectors(4)
    found = masked_sums.secure_sum(rows, lost={who: step})
    there = [i for i in range(4) if i != who or step == "unmask"]
    assert found.arrived == tuple(there)
    assert (found.total == plain_sum([rows[i] for i in there], 4)).all()
    assert found.recovered == ((who,) if step == "vector" else ())


def test_drop_outs_at_different_steps_of_one_sum():
    rows = vectors(8)
    found = masked_sums.secure_sum(rows, lost={1: "vector", 6: "shares", 3: "unmask"})
    assert (found.arrived, found.recovered) == ((0, 2, 3, 4, 5, 7), (1,))
    assert (found.total == plain_sum([rows[i] for i in found.arrived], 8)).all()


@pytest.mark.parametrize("step", masked_sums.STEPS)
def test_too_few_hospitals_are_refused_in_a_sentence(step):
    with pytest.raises(MaskingError, match=r"Only 2 of 4 hospitals .*3 are needed"):
        masked_sums.secure_sum(vectors(4), lost={0: step, 2: step})


# What the server sees ---------------------------------------------------------------------------------------------


def test_every_masked_vector_passes_a_chi_square_test_and_the_plain_one_does_not():
    rows = vectors(4, length=2000)
    views = masked_sums.secure_sum(rows).masked
    assert min(masked_sums.uniformity(view) for view in views.values()) > FEWEST
    assert masked_sums.uniformity(masking.encode(rows[0], 4)) < 1e-100
    few = np.append(np.linspace(-1, 1, 40) * 1500, 1500.0)  # by half bytes
    assert masked_sums.uniformity(masking.encode(few, 4)) < 1e-12
    assert masked_sums.uniformity(masked_sums.secure_sum([few] * 4).masked[0]) > FEWEST


def test_p_values_of_the_chi_square_test_are_themselves_spread_evenly():
    rows = vectors(4, length=300)
    found = [masked_sums.uniformity(view) for _ in range(15) for view in masked_sums.secure_sum(rows).masked.values()]
    assert kstest(found, "uniform").pvalue > FEWEST


def test_a_vector_that_was_only_late_stays_masked():
    """The server counts hospital 3 as lost and gets the key of its pairwise masks; then its vector arrives."""
    row = np.zeros(2000)
    parties, public, letters = after_shares()
    masked = {p.number: p.mask(masking.encode(row, 4), post(letters, p.number)) for p in parties}
    late = masked.pop(3)
    answers = {i: parties[i].unmask(masked) for i in masked}
    assert (masking.unmasked_sum(masked, public, answers, 4) == 0).all()
    mask_key = masking.combine({i: answers[i][3] for i in answers})
    for other in masked:
        stream = masking.keystream(masking.agree(mask_key, public[other].mask, "masks"), 2000)
        late = late + stream if other < 3 else late - stream
    assert masked_sums.uniformity(late) > FEWEST  # the vector itself is all zeros: only its own mask is left
    own_seed = parties[3]._own_seed
    assert (late == masking.keystream(own_seed, 2000)).all()  # and nothing but that, so the control is right
    for shares in answers.values():
        assert masking.combine({i: answers[i][3] for i in answers}) != own_seed
        assert len(shares) == 4  # one share about each hospital, never two


def test_a_hospital_answers_once_masks_once_and_gives_nothing_to_a_server_that_names_too_few():
    parties, public, letters = after_shares()
    vector = masking.encode(np.ones(5), 4)
    for party in parties:
        party.mask(vector, post(letters, party.number))
    for arrived in ([], [1], [1, 2], [1, 2, 9]):
        with pytest.raises(MaskingError, match="sent their vectors"):
            parties[0].unmask(arrived)
    parties[0].unmask([0, 1, 2])
    with pytest.raises(MaskingError, match="answers once"):
        parties[0].unmask([1, 2, 3])
    for party in (parties[0], masking.MaskingHospital(0, 4)):  # too late, too early
        with pytest.raises(MaskingError, match="masks one vector"):
            party.mask(vector, post(letters, 0))
    with pytest.raises(MaskingError, match="make new keys"):
        parties[0].share(public)


def test_a_choice_of_hospitals_one_that_does_not_exist_or_a_swapped_key_is_noticed():
    parties = [masking.MaskingHospital(i, 5) for i in range(5)]
    public = {party.number: party.public_keys for party in parties}
    with pytest.raises(MaskingError, match="Only 2 of 5 hospitals sent keys"):  # a few of the server's choice
        parties[0].share({0: public[0], 1: public[1]})
    with pytest.raises(MaskingError, match="no hospital 5 among 5"):
        parties[0].share(public | {5: public[1]})
    with pytest.raises(MaskingError, match="not its own"):
        parties[0].share(public | {0: public[1]})


@pytest.mark.parametrize("change", ["flip", "cut", "redirect", "unknown"])
def test_a_letter_that_was_changed_or_misdirected_is_refused_and_the_server_opens_none(change):
    parties, public, letters = after_shares()
    mine = post(letters, 0)
    flipped = mine[1][:40] + bytes([mine[1][40] ^ 1]) + mine[1][41:]
    mine |= {"flip": {1: flipped}, "cut": {1: mine[1][:5]}, "redirect": {1: letters[1][2]}, "unknown": {9: mine[1]}}[
        change
    ]
    with pytest.raises(MaskingError, match=r"was changed on its way|sent a letter but no key"):
        parties[0].mask(masking.encode(np.ones(5), 4), mine)
    server = masking.MaskingHospital(0, 4)  # letters pass through it; it has every public key and no private one
    server._public = public
    with pytest.raises(MaskingError, match="was changed on its way"):
        server._open(1, letters[1][0])


def test_wrong_answers_do_not_become_a_wrong_sum():
    parties, public, letters = after_shares()
    masked = {p.number: p.mask(masking.encode(np.ones(5), 4), post(letters, p.number)) for p in parties}
    del masked[3]
    answers = {i: dict(parties[i].unmask(masked)) for i in masked}
    foreign = masking.split(b"\7" * 32, range(4), 3)  # a key, but not the one of hospital 3
    for changed, words in (
        (answers | {0: answers[0] | {3: answers[1][3]}}, "do not fit together"),
        ({i: answers[i] | {3: foreign[i]} for i in answers}, "not its own"),
        ({i: {about: share for about, share in answers[i].items() if about != 1} for i in answers}, "do not fit"),
        ({i: answers[i] | {7: foreign[i]} for i in answers}, "not its own"),  # about a hospital that is none
    ):
        with pytest.raises(MaskingError, match=words):
            masking.unmasked_sum(masked, public, changed, 4)
    with pytest.raises(MaskingError, match=r"lengths \[4, 5\]"):
        masking.unmasked_sum(masked | {0: masked[0][:4]}, public, answers, 4)


def test_a_hospital_goes_on_after_its_process_ended():
    rows = vectors(4, length=10)
    parties = [masking.MaskingHospital(i, 4) for i in range(4)]

    def restart():
        return [masking.MaskingHospital.load(party.dump()) for party in parties]

    public = {party.number: party.public_keys for party in parties}
    parties = restart()
    letters = {party.number: party.share(public) for party in parties}
    parties = restart()
    masked = {p.number: p.mask(masking.encode(rows[p.number], 4), post(letters, p.number)) for p in parties}
    parties = restart()
    del masked[2]
    answers = {i: parties[i].unmask(masked) for i in masked}
    total = masking.unmasked_sum(masked, public, answers, 4)
    assert (masking.decode(total) == plain_sum([rows[i] for i in masked], 4)).all()
    parties = restart()
    with pytest.raises(MaskingError, match="answers once"):
        parties[0].unmask(masked)


# In the app -------------------------------------------------------------------------------------------------------


KINDS = ["query.keys", "query.shares", "train.masked", "query.unmask"]


@pytest.fixture(scope="module")
def dealt():
    return simulated(n=4, seed=0)


@pytest.fixture
def four(dealt):
    """Hospitals whose books of sums are empty."""
    return forgetful(dealt)


def forgetful(given):
    return [dataclasses.replace(hospital) for hospital in given]


def run(four, on_message=None, **config):
    settings = {"num-server-rounds": 2, "local-epochs": 1, "protection": "masks"}
    return in_process.run(four, settings | {key.replace("_", "-"): v for key, v in config.items()}, on_message)


def lose(kind, *who, server_round=2):
    def hook(crossing):
        lost = crossing.kind == kind and crossing.round == server_round and crossing.hospital in who
        return in_process.LOST if lost else None

    return hook


def test_the_apps_masked_round_is_the_exact_sum_of_what_the_hospitals_trained(four):
    trained = {}

    def keep(crossing):
        if crossing.kind == "train":
            trained[crossing.hospital] = crossing.reply.content["arrays"]["weights"].numpy()

    run(four, keep, num_server_rounds=1, protection="none")
    rows = [np.append(four[i].patients * trained[i], four[i].patients) for i in range(4)]
    *summed, patients = plain_sum(rows, 4)
    assert patients == sum(hospital.patients for hospital in four)
    assert (run(four, num_server_rounds=1).weights == np.array(summed) / patients).all()


def test_masks_are_random_the_model_is_not_and_no_message_holds_one_or_a_number_of_patients(four):
    kinds, views = [], []

    def look(crossing):
        kinds.append(crossing.kind)
        content = crossing.reply.content
        assert not {key for record in content.values() for key in record} & {"weights", "num-examples", "auc"}
        if crossing.kind == "train.masked":
            views.append(content["masked"]["masked"].numpy())

    first, second = (run(four, look, strategy="fedadam") for _ in range(2))
    plain = run(four, strategy="fedadam", protection="none")
    assert first.sha256 == second.sha256
    assert 0 < np.abs(plain.weights - first.weights).max() < 1e-9  # rounding only
    assert first.patients == (sum(hospital.patients for hospital in four),)
    asked = KINDS + [kind.replace("train", "evaluate") for kind in KINDS]
    assert kinds[: 4 * len(asked)] == [kind for kind in asked for _ in range(4)]
    assert len(views) == 2 * 2 * 4
    assert masked_sums.uniformity(np.concatenate(views)) > FEWEST
    assert len(np.unique(np.concatenate(views))) == 16 * 41


@pytest.mark.parametrize("kind", KINDS)
def test_the_app_recovers_one_drop_out_and_stops_at_two(four, kind):
    whole, found = run(four), run(forgetful(four), lose(kind, 2))
    assert [entry.hospitals for entry in found.rounds] == [4, 4 if kind == "query.unmask" else 3]
    assert (found.sha256 == whole.sha256) == (kind == "query.unmask")
    assert np.abs(found.weights - whole.weights).max() < 0.1
    with pytest.raises(results.RunStopped, match=r"Only 2 of 4 hospitals .*3 are needed") as stopped:
        run(forgetful(four), lose(kind, 0, 3))
    assert stopped.value.kept.sha256 == run(four, num_server_rounds=1).sha256


def test_a_hospitals_own_reason_reaches_the_server(four):
    reason = r"Only 0 of 4 .* given: Hospital 0: A value to mask is too large \(it is not told.* and below 5\.3"
    with pytest.raises(results.RunStopped, match=reason):
        run(four, learning_rate=1e8)


def offline(hospital):
    return lose("query.keys", hospital, server_round=1)


def test_the_difference_of_two_sums_from_one_model_is_an_update_and_the_books_refuse_the_second(four):
    first, second = run(four, num_server_rounds=1), run(forgetful(four), offline(3), num_server_rounds=1)
    size = first.patients[0] - second.patients[0]
    assert size == four[3].patients
    read = (first.patients[0] * first.weights - second.patients[0] * second.weights) / size
    true = task.train(np.zeros(40), four[3].X_train, four[3].y_train, 1, 64, 0.5, task.rng_for(0, 1, 3))
    assert np.abs(read - true).max() < 1e-8
    for given, hook, config in (
        (four, offline(3), {}),
        (four, lose("train.masked", 3, server_round=1), {}),  # D's line fails after the keys
        (four, offline(3), {"seed": 9, "learning_rate": 0.499, "strategy": "fedprox"}),  # nearly the same update
        (four[:3], None, {}),  # a federation of three
    ):
        with pytest.raises(results.RunStopped, match="has helped to unmask a sum of hospitals 0 1 2 3 from this very"):
            run(given, hook, num_server_rounds=1, **config)
    assert run(four, num_server_rounds=1).sha256 == first.sha256  # with the same hospitals nothing new is told


def test_a_model_that_differs_by_little_is_another_model_to_the_books(four, monkeypatch):
    """What the lesson says stays open: the difference is then the update to many digits, and noise is the limit."""
    first = run(four, num_server_rounds=1)
    monkeypatch.setattr(server_app, "Array", lambda values: Array(values + 1e-6 * (np.arange(40) == 0)))
    second = run(four, offline(3), num_server_rounds=1)
    size = first.patients[0] - second.patients[0]
    read = (first.patients[0] * first.weights - second.patients[0] * second.weights) / size
    true = task.train(np.zeros(40), four[3].X_train, four[3].y_train, 1, 64, 0.5, task.rng_for(0, 1, 3))
    assert 1e-9 < np.abs(read - true).max() < 1e-4


def test_one_of_two_measurements_of_one_model_is_refused_if_others_take_part(four):
    run(four, num_server_rounds=1)
    with pytest.raises(results.RunStopped, match="has helped to unmask a sum"):
        run(four, lose("evaluate.masked", 3, server_round=1), num_server_rounds=1)


def test_a_hospital_that_cannot_write_its_book_unmasks_nothing(four, monkeypatch):
    monkeypatch.setattr(task, "book", lambda table: hospitals.Path("/dev/null/book"))
    with pytest.raises(results.RunStopped, match=r"cannot keep its book of sums \(Not a directory\)"):
        run(four, num_server_rounds=1)


def puppets():
    """Return a hook by which the server answers hospital 0 with keys of three hospitals that do not exist."""
    made = {i: masking.MaskingHospital(i, 4) for i in (1, 2, 3)}

    def hook(crossing):
        if crossing.kind == "query.keys" and crossing.hospital in made:
            named = {"hospital": crossing.hospital, **made[crossing.hospital].public_keys._asdict()}
            crossing.reply.content["keys"] = ConfigRecord(named)

    return hook


def read_by_puppets(first, others, vector):
    """Play the server, whose puppets the other hospitals are: return what it reads of the first one's vector."""
    everyone = (first, *others)
    public = {h.number: h.public_keys for h in everyone}
    letters = {h.number: h.share(public) for h in everyone}
    vectors = {h.number: vector if h is first else np.zeros_like(vector) for h in everyone}
    masked = {h.number: h.mask(vectors[h.number], post(letters, h.number)) for h in everyone}
    return masking.unmasked_sum(masked, public, {h.number: h.unmask(masked) for h in everyone}, 4)


def test_three_puppets_read_the_fourth_hospital_unless_it_knows_whom_it_trusts(four):
    vector = masking.encode(np.random.default_rng(0).normal(size=41), 4)
    others = [masking.MaskingHospital(i, 4) for i in (1, 2, 3)]
    assert (read_by_puppets(masking.MaskingHospital(0, 4), others, vector) == vector).all()
    identities = [Ed25519PrivateKey.generate() for _ in range(4)]
    known = [key.public_key().public_bytes_raw() for key in identities]
    private = [key.private_bytes_raw() for key in identities]

    def knowing(number, identity):
        return masking.MaskingHospital(number, 4, private[identity], known)

    honest = [knowing(i, i) for i in range(4)]
    assert (read_by_puppets(honest[0], honest[1:], vector) == vector).all()  # zeros of the others: the sum is it
    for liars in (others, [knowing(i, 0) for i in (1, 2, 3)]):  # unsigned, and signed by another
        with pytest.raises(MaskingError, match="hospital 1's are not signed by it"):
            read_by_puppets(knowing(0, 0), liars, vector)
    with pytest.raises(results.RunStopped, match="Hospital 0: The keys named as hospital 1's are not signed by it"):
        run(four, puppets())


def asked(four, kind, run_protection, own=None):
    """Play a server that asks each hospital for an answer of its own; return what it is told."""
    told, app = [], ServerApp()

    @app.main()
    def main(grid, context):
        model = {"weights": Array(np.zeros(40))}
        content = RecordDict({"arrays": ArrayRecord(model), "config": ConfigRecord({"server-round": 1})})
        told.extend(grid.send_and_receive([Message(content, node, kind) for node in grid.get_node_ids()]))

    def demanding(tables):
        return [about | ({"protection": own} if own else {}) for about in run_config.node_configs(tables)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_process, "node_configs", demanding)
        in_process.serve(app, client_app.app, four, run_config.complete(four, {"protection": run_protection}))
    return [answer.error.reason if answer.has_error() else None for answer in told]


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_server_that_asks_for_a_single_answer_gets_none_under_masks(four, kind):
    for protection in ("masks", "masks+dp"):
        assert all("it takes part in sums alone" in reason for reason in asked(four, kind, protection))
    assert asked(four, kind, "none") == [None] * 4, "the question is a good one"
    for run_protection, own in (("none", "masks"), ("dp", "masks+dp"), ("masks", "masks+dp")):
        for reason in asked(four, kind, run_protection, own):
            assert f"it answers under protection {own!r} alone, and the run has {run_protection!r}" in reason
    assert asked(four, kind, "dp", "dp") == [None] * 4


# Masks and noise together ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [None, 3])
def test_the_sum_carries_the_stated_noise_whoever_drops_out(four, lost):
    """Shares of noise are such that the three that are needed have all of it; four have a little more."""
    hook, there = (None, four) if lost is None else (offline(lost), four[:lost])
    config = {"protection": "masks+dp", "sample_rate": 1.0, "learning_rate": 1.0, "num_server_rounds": 1}
    noise = []
    for seed in range(6):
        quiet, loud = (
            run(forgetful(four), hook, seed=seed, noise_multiplier=sigma, **config).weights for sigma in (1e-9, 5.0)
        )
        noise.append((loud - quiet) * sum(task.rounded_size(h.patients) for h in there))
    assert np.std(noise) == pytest.approx(5.0 * np.sqrt(len(there) / 3), rel=0.15)


def test_masks_and_noise_take_one_step_of_all_hospitals_together(four):
    """Without noise a round is one step on the mean of all clipped gradients; the ledger counts one step a round."""
    config = {"protection": "masks+dp", "sample_rate": 1.0, "learning_rate": 1.0, "noise_multiplier": 0.0}
    found = run(four, num_server_rounds=2, **config)
    everybody = pooled(four)
    size = sum(task.rounded_size(h.patients) for h in four)
    how = (2, 1.0, 1.0, 0.0, 1.0, np.random.default_rng(0))
    expected = task.train_privately(np.zeros(40), everybody.X_train, everybody.y_train, *how, size=size)
    assert np.abs(found.weights - expected).max() < 1e-9
    assert found.ledgers == ((0.0, 1.0, 2),)


def test_a_node_that_takes_anothers_number_stops_the_app(four):
    def pretend(crossing):
        if crossing.kind == "query.keys" and crossing.hospital == 1:
            crossing.reply.content["keys"]["hospital"] = 0

    with pytest.raises(results.RunStopped, match="Two nodes are hospital 0"):
        run(four, pretend)


def test_hospitals_keep_no_key_after_the_sum(four, monkeypatch):
    nodes = {}
    made = in_process._nodes
    monkeypatch.setattr(in_process, "_nodes", lambda *args: nodes.update(made(*args)) or nodes)
    run(four)
    assert len(nodes) == 4
    assert not any("masking" in node.state for node in nodes.values())
