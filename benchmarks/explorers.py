"""What one honest move of an explorer's knob costs, in units of drawing the same picture."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from _frame import Benchmark

from ppml_helpers import cohort
from ppml_helpers.anonymise.explorer import KS, AnonymityExplorer
from ppml_helpers.attack_and_audit.comparison import STOPS
from ppml_helpers.attack_and_audit.explorer import AuditExplorer
from ppml_helpers.explorer import Explorer
from ppml_helpers.federated_learning.explorer import LOCAL_EPOCHS, FederationExplorer
from ppml_helpers.homomorphic_encryption.explorer import EncryptionExplorer
from ppml_helpers.people import identities
from ppml_helpers.private_statistics.explorer import LEAST, MOST, BudgetExplorer
from ppml_helpers.private_training import explorer as epsilon_widget
from ppml_helpers.private_training.curve import CURVE, SEEDS


def main() -> None:
    """Move a slider to a stop where it never was, against drawing that picture once more."""
    about = "One move of a slider, with all the work behind it, against drawing the picture alone."
    with Benchmark("explorers", about) as benchmark:
        move_epsilon(benchmark)
        toss_anew(benchmark)
        federate(benchmark)
        encrypt(benchmark)
        patients = cohort.load_patients()
        move_share(benchmark, patients)
        move_k(benchmark, patients, 100_000, "9,105 patients", at_most=3)
        extract = identities.deidentified(patients, identities.identities(patients, seed=0))
        many = identities.scaled_up(extract, 100_000, seed=0).drop(columns=["postcode", "admission"])
        move_k(benchmark, many, 200_000, "100,000 synthetic rows", at_most=10)


def move_epsilon(benchmark: Benchmark) -> None:
    """Train anew and play the membership game at each move of epsilon."""
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    explorer = epsilon_widget.EpsilonExplorer(split)
    explorer.set(epsilon=1.0, model="logistic regression")
    unvisited = [stop for stop in epsilon_widget.SLIDER if stop not in CURVE]
    trained: list[tuple[int, int]] = []

    def move() -> None:
        explorer.set(epsilon=unvisited.pop())
        trained.append((explorer.result.trainings, explorer.result.played.games))

    benchmark.compare(
        "epsilon explorer: logistic regression, all patients",
        ours=move,
        peer=explorer.redraw,
        repeats=5 if benchmark.quick else 20,
        unit="slider move",
        note=f"{len(split.X_train)} patients, 5 models trained anew, 100 games (a training each), accounting, "
        "bootstrap and drawing; the peer only draws",
        ratio="ours/peer",
        at_most=5,
    )
    assert set(trained) == {(len(SEEDS), 100)}


def toss_anew(benchmark: Benchmark) -> None:
    """Toss the coins of 1,000 canaries and train the sound and the wrong program at every epsilon of the slider."""
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    explorer = AuditExplorer(split)
    explorer.set(canaries=1_000, runs=1)
    audited: list[int] = []

    def move() -> None:
        explorer.forget()
        explorer.set(bug=not explorer.values["bug"])
        audited.append(2 * len(explorer.result.curve))

    benchmark.compare(
        "audit explorer: coins tossed anew, 1,000 canaries",
        ours=move,
        peer=explorer.redraw,
        repeats=5 if benchmark.quick else 20,
        unit="move",
        note=f"{2 * len(STOPS)} models trained on {explorer.result.patients:,} patients and the canaries, scored and "
        "bounded, and drawing; nothing is kept (epsilon and the switch alone only draw); the peer only draws",
        ratio="ours/peer",
        at_most=12,
    )
    assert set(audited) == {2 * len(STOPS)}


def federate(benchmark: Benchmark) -> None:
    """Let four hospitals train together for ten rounds, and read one patient out of an update."""
    explorer = FederationExplorer()
    explorer.set()
    rounds: list[int] = []

    def move() -> None:
        Explorer.forget(explorer)  # what was shown, not how the patients were dealt
        now = LOCAL_EPOCHS.index(explorer.values["local_epochs"])
        explorer.set(local_epochs=LOCAL_EPOCHS[1 - now])
        rounds.append(len(explorer.result.run.rounds))
        assert explorer.result.is_read

    benchmark.compare(
        "federation explorer: local epochs, 4 hospitals",
        ours=move,
        peer=explorer.redraw,
        repeats=5 if benchmark.quick else 20,
        unit="slider move",
        note="10 rounds of 1 or 2 epochs through the Flower app, the server's reading, drawing; the deal and the "
        "models trained alone are kept; the peer only draws",
        ratio="ours/peer",
        at_most=6,
    )
    assert set(rounds) == {10}


def encrypt(benchmark: Benchmark) -> None:
    """Make keys, and encrypt, multiply and decrypt patients at the largest setting that follows every move."""
    explorer = EncryptionExplorer()
    explorer.set(ring=8192, scale=36, depth=3, run="execute")
    multiplied: list[int] = []

    def move() -> None:
        explorer.forget()
        explorer.set(depth=5 - explorer.values["depth"])
        assert explorer.result.costs is not None
        multiplied.append(explorer.result.budget.depth)

    benchmark.compare(
        "encryption explorer: depth, ring 8,192",
        ours=move,
        peer=explorer.redraw,
        repeats=5 if benchmark.quick else 20,
        unit="slider move",
        note="3 or 2 multiplications at scale 2^36: new keys, two columns of 4,096 patients and one patient, drawing; "
        "nothing is kept; the peer only draws",
        ratio="ours/peer",
        at_most=3,
    )
    assert set(multiplied) == {2, 3}


def move_share(benchmark: Benchmark, patients: pd.DataFrame) -> None:
    """Rescale the other shares, compute every band and the flips, and draw at each move of one share."""
    explorer = BudgetExplorer(patients)
    explorer.set(patients=len(patients), epsilon=0.1)  # much noise to lay out, on every patient
    unvisited = list(range(LEAST, MOST + 1))
    added_up: list[int] = []

    def move() -> None:
        explorer.set(count=unvisited.pop() / 100)
        added_up.append(sum(explorer.result.shares.values()))

    benchmark.compare(
        "budget explorer: a share, 9,105 patients",
        ours=move,
        peer=explorer.redraw,
        repeats=5 if benchmark.quick else 20,
        unit="slider move",
        note="rescaling, bands, flips and drawing at epsilon 0.1; nothing is kept; the peer only draws",
        ratio="ours/peer",
        at_most=3,
    )
    assert set(added_up) == {100}


def move_k(benchmark: Benchmark, patients: pd.DataFrame, registered: int, what: str, at_most: float) -> None:
    """Solve, release, measure risk, link to the register and draw at each move of k.

    Three quarters of the rows are released, the others test the models. Rows that were made up get identities and a
    register of their own, so that there is somebody to be found.
    """
    people = identities.identities(patients, seed=0)
    extract = identities.deidentified(patients, people)
    explorer = AnonymityExplorer(extract, identities.register(people, size=registered, seed=0))
    explorer.set()
    stops = _stops(explorer)
    released: list[float] = []

    def move() -> None:
        explorer.set(k=next(stops))
        released.append(1 - explorer.result.suppressed / explorer.result.patients)

    benchmark.compare(
        f"anonymity explorer: k, {what}",
        ours=move,
        peer=explorer.redraw,
        repeats=5 if benchmark.quick else 20,
        unit="slider move",
        note=f"solve, release, risk, linkage to {registered:,} people, disclosure, drawing; models and curves are kept "
        "from the first picture; the peer only draws",
        ratio="ours/peer",
        at_most=at_most,
    )
    assert min(released) > 0.9


def _stops(explorer: AnonymityExplorer) -> Iterator[int]:
    """Walk along the slider of k; each time round what was shown is forgotten, but not the curves."""
    while True:
        Explorer.forget(explorer)  # what was shown, not the curves
        yield from KS


if __name__ == "__main__":
    main()
