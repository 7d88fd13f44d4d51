"""What one honest move of an explorer's knob costs, in units of drawing the same picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from _frame import Benchmark, Comparison

from ppml_helpers import cohort
from ppml_helpers.anonymise.explorer import KS, AnonymityExplorer
from ppml_helpers.attack_and_audit.comparison import STOPS
from ppml_helpers.attack_and_audit.explorer import AuditExplorer, ExposureExplorer
from ppml_helpers.choose.chooser import WEIGHTS
from ppml_helpers.choose.explorer import ChooseExplorer
from ppml_helpers.explorer import Explorer
from ppml_helpers.federated_learning.explorer import LOCAL_EPOCHS, FederationExplorer
from ppml_helpers.homomorphic_encryption.explorer import EncryptionExplorer
from ppml_helpers.owner_in_control.explorer import ReleaseGateExplorer
from ppml_helpers.people import identities
from ppml_helpers.private_statistics.explorer import LEAST, MOST, BudgetExplorer
from ppml_helpers.private_training import explorer as epsilon_widget
from ppml_helpers.private_training.curve import CURVE, SEEDS
from ppml_helpers.pseudonymise.erasure import NIGHTS
from ppml_helpers.pseudonymise.explorer import ErasureExplorer, PseudonymExplorer
from ppml_helpers.secure_computation.explorer import SharesExplorer
from ppml_helpers.start_here.explorer import PromiseExplorer
from ppml_helpers.synthetic_tables.explorer import SyntheticExplorer
from ppml_helpers.what_leaks.explorer import AttackExplorer


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
        if not benchmark.quick:
            extract = identities.deidentified(patients, identities.identities(patients, seed=0))
            many = identities.scaled_up(extract, 100_000, seed=0).drop(columns=["postcode", "admission"])
            move_k(benchmark, many, 200_000, "100,000 synthetic rows", at_most=10)
        move_the_quick(benchmark, patients)
        move_the_slow(benchmark, patients)


def against_drawing(
    benchmark: Benchmark,
    name: str,
    explorer: Explorer,
    move: Callable[[], object],
    note: str,
    at_most: float | None,
    unit: str = "slider move",
    repeats: int = 20,
) -> Comparison:
    """Time a move against the floor: drawing the picture that is there once more."""
    return benchmark.floor(
        name,
        ours=move,
        peer=explorer.redraw,
        repeats=1 if benchmark.quick else repeats,
        unit=unit,
        note=note + "; the floor only draws",
        at_most=at_most,
    )


def anew(
    benchmark: Benchmark,
    name: str,
    explorer: Explorer,
    stops: Sequence[dict[str, Any]],
    note: str,
    at_most: float | None,
    repeats: int = 20,
) -> None:
    """Time moves that go round the stops, with nothing kept of what was computed before."""
    turned, said = cycle(stops), []

    def move() -> None:
        explorer.forget()
        explorer.set(**next(turned))
        said.append(explorer.sentence)

    for stop in stops[-2:] if repeats > 5 else stops[-1:]:  # what is imported late is not a move's work
        explorer.set(**stop)
    unit = "move" if "attack" in stops[0] else "slider move"
    against_drawing(benchmark, name, explorer, move, f"{note}; nothing is kept", at_most, unit, repeats)
    assert len(set(said)) == min(len(stops), len(said)), "a move whose sentence stays has computed nothing"


def move_the_quick(benchmark: Benchmark, patients: pd.DataFrame) -> None:
    """Move the explorers that compute limits, rules and sharings, and train nothing."""
    epsilons = [{"epsilon": 0.1}, {"epsilon": 1.0}]
    anew(benchmark, "promise explorer: epsilon", PromiseExplorer(), epsilons, "limits and drawing", at_most=3)
    people = identities.identities(patients, seed=0)
    anew(
        benchmark,
        "pseudonym explorer: the method, birth dates",
        PseudonymExplorer(people),
        [{"method": "plain SHA-256"}, {"method": "one salt, known"}],
        f"every possible birth date hashed, {len(people):,} pseudonyms opened, and drawing",
        at_most=3,
    )
    today = pd.Timestamp("1998-07-01")
    ends = people["admission_date"] + pd.DateOffset(years=5)
    nights = [{"keys_kept": kept} for kept in NIGHTS[-4:]]
    anew(
        benchmark,
        "erasure explorer: backups of keys",
        ErasureExplorer(ends[ends <= today], today),
        [{"erase": "delete the key", **kept} for kept in nights],
        "who comes back from which night's backup, and drawing",
        at_most=3,
    )
    members = [{"members": 2}, {"members": 3}]
    anew(
        benchmark,
        "shares explorer: who colludes",
        SharesExplorer(),
        members,
        "2,000 sharings of two secrets, the lines' seconds, and drawing",
        at_most=3,
    )
    weights = [{"weight": weight} for weight in WEIGHTS]
    anew(benchmark, "chooser: what counts", ChooseExplorer(), weights, "all rules asked, and drawing", at_most=3)


def move_the_slow(benchmark: Benchmark, patients: pd.DataFrame) -> None:
    """Move the explorers that train a forest, tables or networks; and let the gate be attacked."""
    parts = cohort.split(*cohort.features(patients), seed=0)
    anew(
        benchmark,
        "attack explorer: patients a leaf, all patients",
        AttackExplorer(parts),
        [{"leaf": 1}, {"leaf": 2}],
        f"a forest of 100 trees on {len(parts.X_train):,} patients, two attacks on it, and drawing",
        at_most=12,
        repeats=5,
    )
    inside, outside = (patients.loc[side.index] for side in (parts.X_train, parts.X_test))
    anew(
        benchmark,
        "synthetic explorer: epsilon, 12 columns, 7,000 rows",
        SyntheticExplorer(inside, outside),
        [{"epsilon": 1.0}, {"epsilon": 0.5}],
        "measured, drawn, two models trained, an attack by the nearest row, and drawing",
        at_most=10,
        repeats=5,
    )
    anew(
        benchmark,
        "exposure explorer: the kind of model",
        ExposureExplorer(),
        [{"kind": "logistic regression"}, {"kind": "network, epsilon 1"}],
        "32 models trained on halves of 2,000 patients, attacked, and drawing",
        at_most=15,
        repeats=5,
    )
    if benchmark.quick:
        benchmark.note("A quick run leaves out the table of 100,000 rows, and the gate's six attacks by real jobs.")
        return
    anew(
        benchmark,
        "release gate explorer: six attacks",
        ReleaseGateExplorer(),
        [{"logs": True, "attack": True}, {"logs": False, "attack": True}],
        "six real jobs of PySyft in processes of their own, the owner's day, a search, and drawing",
        at_most=None,
        repeats=2,
    )


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

    against_drawing(
        benchmark,
        "epsilon explorer: logistic regression, all patients",
        explorer,
        move,
        f"{len(split.X_train)} patients, 5 models trained anew, 100 games (a training each), accounting, "
        "bootstrap and drawing",
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

    against_drawing(
        benchmark,
        "audit explorer: coins tossed anew, 1,000 canaries",
        explorer,
        move,
        f"{2 * len(STOPS)} models trained on {explorer.result.patients:,} patients and the canaries, scored and "
        "bounded, and drawing; nothing is kept (epsilon and the switch alone only draw)",
        at_most=12,
        unit="move",
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

    against_drawing(
        benchmark,
        "federation explorer: local epochs, 4 hospitals",
        explorer,
        move,
        "10 rounds of 1 or 2 epochs through the Flower app, the server's reading, drawing; the deal and the "
        "models trained alone are kept",
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

    against_drawing(
        benchmark,
        "encryption explorer: depth, ring 8,192",
        explorer,
        move,
        "3 or 2 multiplications at scale 2^36: new keys, two columns of 4,096 patients and one patient, drawing; "
        "nothing is kept",
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

    against_drawing(
        benchmark,
        "budget explorer: a share, 9,105 patients",
        explorer,
        move,
        "rescaling, bands, flips and drawing at epsilon 0.1; nothing is kept",
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

    against_drawing(
        benchmark,
        f"anonymity explorer: k, {what}",
        explorer,
        move,
        f"solve, release, risk, linkage to {registered:,} people, disclosure, drawing; models and curves are kept "
        "from the first picture",
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
