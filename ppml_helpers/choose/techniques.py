"""Every technique of the course, and combinations of them, as one row of the scoreboard each.

All are measured on the same split by the same attack (`ground.judged`), and each calls the rooms of its chapter. What
needs a package that is not there, or a table of another kind, gives a row that says so.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from ppml_helpers import accounting, checks, cohort
from ppml_helpers.accounting import DELTA
from ppml_helpers.choose.about import ABOUT
from ppml_helpers.choose.ground import Clock, Fields, Ground, ground, judged
from ppml_helpers.choose.scoreboard import Row
from ppml_helpers.cohort import Split
from ppml_helpers.errors import KitError, OutcomeError
from ppml_helpers.words import percent

K, L = 11, 2
SEVEN, THREE = 7, 3  # columns that minimisation keeps for a model, and for a table that is handed out
HOSPITALS = 4
A_YEAR = (1, 4, 12, 52)  # releases whose epsilons are added up, as the chooser offers them
_FOLDS = 3  # in which columns are chosen
_CLOSE = 0.05  # a feature is read if it is this near to the truth, of the 2 from -1 to 1


def measure(technique: str, split: Split, seed: int = 0) -> Row:
    """Measure one technique on one split.

    Parameters
    ----------
    technique : str
        One of `TECHNIQUES`.
    split : cohort.Split
        Features in [-1, 1], labels 0 and 1. For the course's own split (seed 0) the records behind the features and
        the fictional register are used too.
    seed : int
        Of what is drawn for display.

    Returns
    -------
    Row
        With `missing` set, and no figure, where the technique cannot be run here or on this table.

    Raises
    ------
    OutcomeError
        If there is no such technique, or the split is unusable.
    """
    name = checks.choice(technique, "technique", TECHNIQUES, error=OutcomeError)
    return measured_on(name, ground(split, seed))


def measured_on(technique: str, ground: Ground) -> Row:
    """Measure one technique on a ground that is ready: what `measure` does, for many techniques in turn."""
    about = ABOUT[technique]
    row = Row(
        technique,
        about.family,
        about.leaves,
        about.rows_or_columns,
        patients=len(ground.split.y_train),
        sees=about.sees,
        trusted=about.trusted,
        not_protected=about.not_protected,
    )
    try:
        return replace(row, **TECHNIQUES[technique](ground))
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        return replace(row, missing=f"The package {package} is not installed here: this row was left out.")
    except (KitError, OSError) as error:
        return replace(row, missing=f"Not measured here: {' '.join(str(error).split())}")


# One table -------------------------------------------------------------------------------------------------------


def _forest(ground: Ground) -> Fields:
    """Chapter 01's forest, whose leaves may hold one patient."""
    return _ordinary(ground, RandomForestClassifier(100, random_state=ground.seed))


def _logistic(ground: Ground) -> Fields:
    return _ordinary(ground, LogisticRegression(max_iter=1000))


def _ordinary(ground: Ground, model: Any, columns: list[str] | None = None) -> Fields:
    """Fit a model of scikit-learn's, on all features or on those of some columns."""
    clock = Clock()

    def view(X: pd.DataFrame) -> pd.DataFrame:
        return X if columns is None else ground.of(X, columns)

    with clock.running():
        model.fit(view(ground.split.X_train), ground.split.y_train)
    found = judged(ground, lambda X: model.predict_proba(view(X))[:, 1])
    return found | {"seconds": clock.seconds, "released": "the model", "reads": "there is no server and no peer"}


def _pseudonymised(ground: Ground) -> Fields:
    from ppml_helpers.people import identities
    from ppml_helpers.pseudonymise import Pseudonymiser, new_key

    clock, table = Clock(), ground.train
    if ground.hospital is not None:
        people = identities.identities(ground.records, seed=0)
        table = identities.deidentified(ground.records, people).loc[table.index]
        numbers = people["national_id"].loc[table.index]
    else:
        numbers = pd.Series(table.index.astype(str), index=table.index)
    with clock.running():
        sent = pd.DataFrame(table.assign(pseudonym=Pseudonymiser(new_key(), "research").of(numbers)))
    fitted = _logistic(ground) | {"bytes": len(sent.to_csv(index=False).encode()), "seconds": clock.seconds}
    named = _named(ground, sent)
    alone = (~table[list(ground.schema.columns)].round(1).duplicated(keep=False)).mean()
    reads = f"the researcher reads every value; rounded to one decimal, {percent(alone)} of the rows are the only one"
    return fitted | named | {"released": f"{len(sent):,} records", "read": 1.0, "reads": reads}


def _named(ground: Ground, released: pd.DataFrame) -> Fields:
    """Ask the register whose the released rows are; where there is none, nothing is measured."""
    from ppml_helpers.people import linkage
    from ppml_helpers.synthetic_tables.hospital import KNOWN

    if ground.hospital is None:
        return {}
    on = [name for name in KNOWN if name in released]
    if not on:
        return {"reidentified": 0.0}  # nothing to compare
    return {"reidentified": linkage.link(released, ground.hospital.register, on).score(ground.hospital.truth).right}


def _design(ground: Ground) -> Split:
    """Set a third of the training patients aside to choose columns by: chapter 03 releases the others."""
    rows = ground.records.loc[ground.split.X_train.index.sort_values()] if ground.hospital is None else ground.train
    return cohort.split(*cohort.features(rows, None, ground.schema), seed=0, test_share=1 / 3)


def _chosen(ground: Ground, count: int) -> list[str]:
    """Choose columns by the patients that were set aside."""
    from ppml_helpers.anonymise import useful_columns

    design, names = ground.records.loc[_design(ground).X_test.index], ground.candidates
    rarer = int(design[ground.schema.label].value_counts().min())
    if rarer < _FOLDS:
        raise OutcomeError(
            f"Of {len(design)} patients who choose the columns {rarer} have the rarer outcome, {_FOLDS} are needed: "
            "take more patients."
        )
    return useful_columns(design, min(count, len(names)), names, schema=ground.schema)


def _minimised(ground: Ground) -> Fields:
    """Logistic regression on a few columns, chosen on a third of the training patients."""
    columns = _chosen(ground, SEVEN)
    found = _ordinary(ground, LogisticRegression(max_iter=1000), columns)
    return found | {"released": f"the model, of {len(columns)} of {len(ground.schema.columns)} columns"}


def _anonymised(ground: Ground) -> Fields:
    """Mondrian on few columns, all declared: chapter 03's release."""
    from ppml_helpers.anonymise import Hierarchy, disclosure_attack, mondrian
    from ppml_helpers.anonymise.utility import model_risks

    clock, label, design = Clock(), ground.schema.label, _design(ground)
    columns = _chosen(ground, SEVEN)[:THREE]
    choosing, study = (ground.records.loc[part.index] for part in (design.X_test, design.X_train))
    order = {}
    if ground.hospital is not None and "dzgroup" in columns:
        ends = choosing.groupby("dzgroup")[label].mean().sort_values().index
        order = {"dzgroup": Hierarchy.suppression(ends)}
    handed = pd.DataFrame(study[[*columns, label]])
    with clock.running():
        release = mondrian(handed, columns, K, order, sensitive=label, l=L)

    def risk(X: pd.DataFrame) -> np.ndarray:
        return model_risks(release, study, ground.records.loc[X.index])

    listed = disclosure_attack.listed(release, ground.test).mean()
    size = release.table.groupby(columns)[label].transform("size").min()
    found = judged(ground, risk, study.index) | _named(ground, release.table)
    return found | {
        "patients": len(study),
        "seconds": clock.seconds,
        "bytes": len(release.table.to_csv(index=False).encode()),
        "released": f"{len(release.table):,} rows of {len(columns)} columns in boxes of at least {size}",
        "read": 1 - listed,
        "reads": f"{percent(1 - listed)} of other patients fit no box, so that the rest of the boxes tell who is in",
        "promise": f"k = {K}, l = {L} of {len(columns)} columns, this table alone",
    }


def _synthetic(ground: Ground, epsilon: float = 1.0) -> Fields:
    """Measure counts of some columns with noise, draw rows, and train on these."""
    from ppml_helpers.synthetic_tables import KEPT, ORDER, POSTCODE, epsilon_of, members_by_distance, public_domain
    from ppml_helpers.synthetic_tables import measure as measured

    clock, hospital = Clock(), ground.hospital
    columns = list(ORDER[:KEPT]) if hospital is not None else list(ground.schema.columns)[:KEPT]
    domain = public_domain(columns, also=[POSTCODE] if hospital is not None else [], schema=ground.schema)
    table = hospital.train if hospital is not None else ground.train
    with clock.running():
        made = measured(table, domain, epsilon, seed=ground.seed)
        rows = made.sample(seed=ground.seed)
    model = LogisticRegression(max_iter=1000).fit(*cohort.features(rows, columns, ground.schema))
    found = judged(ground, lambda X: model.predict_proba(ground.of(X, columns))[:, 1]) | _named(ground, rows)
    near = None if hospital is None else members_by_distance(rows, hospital.train, hospital.test).advantage
    reads = "no row is a patient's own"
    if near is not None:
        reads += f"; guessing members by the nearest row has an advantage of {max(0, near):.2f}"
    return (
        found
        | {
            "seconds": clock.seconds,
            "bytes": len(rows.to_csv(index=False).encode()),
            "released": f"{len(rows):,} made-up rows of {len(domain.axes) - 1} columns",
            "read": None if near is None else max(0.0, near),
            "reads": reads,
        }
        | _promised(lambda times: epsilon_of(made.ledger.spent * times, made.delta), made.delta)
    )


def _promised(accountant: Callable[[int], float], delta: float = DELTA) -> Fields:
    """Put a promise into words and numbers: of one release, and of several a year on the same patients."""
    epsilon = accountant(1)
    digits = 2 - math.floor(math.log10(epsilon))
    shown = f"{math.ceil(epsilon * 10**digits - 1e-6) / 10**digits:g}"  # rounded up: less was not promised
    words = f"epsilon {shown}, delta {delta:g}, for each patient" if delta else f"epsilon {shown} for each patient"
    composed = {str(times): accountant(times) for times in A_YEAR}
    return {"promise": words, "epsilon": epsilon, "delta": delta, "composed": composed}


def _gaussian(noise: float, rate: float, steps: int) -> Callable[[int], float]:
    """Return the accountant of a training that is repeated with noise of its own."""
    return lambda times: accounting.epsilon(noise, rate, steps * times)


def _statistics(ground: Ground) -> Fields:
    """OpenDP's noisy counts of either outcome, and the mean of one feature, from one budget."""
    import opendp.prelude as dp

    from ppml_helpers.private_statistics import Budget

    dp.enable_features("contrib")
    clock, budget = Clock(), Budget(1.0)
    X, outcomes = ground.split.X_train, ground.split.y_train.astype(str).tolist()
    values = (100 * X.iloc[:, 0]).round().astype(int).tolist()  # whole numbers add up without rounding
    of_text = dp.vector_domain(dp.atom_domain(T=str)), dp.symmetric_distance()
    of_numbers = dp.vector_domain(dp.atom_domain(T=int)), dp.symmetric_distance()
    by_outcome = dp.t.then_count_by_categories(categories=["0", "1"], null_category=False)
    counts = of_text >> by_outcome >> dp.m.then_laplace(scale=2.0)
    total = of_numbers >> dp.t.then_clamp((-100, 100)) >> dp.t.then_sum() >> dp.m.then_laplace(scale=200.0)
    with clock.running():
        for asked, what in ((counts, "patients by outcome"), (total, f"sum of {X.columns[0]}")):
            budget.spend(asked.map(1), what=what)
        released = [*counts(outcomes), total(values)]
    # The promise's attacker knows everybody else: is the last patient among those with the outcome 1, or not?
    one = of_text >> dp.t.then_count() >> dp.m.then_laplace(scale=2.0)
    others = outcomes[:-1]
    sides = [np.array(dp.c.make_composition([one] * 2000)(side)) for side in ([*others, "1"], others)]
    right = np.mean([(sides[0] > len(others)).mean(), (sides[1] <= len(others)).mean()])
    off = dp.discrete_laplacian_scale_to_accuracy(scale=2.0, alpha=0.05)
    mean = off / len(values) / 2  # of a range from -1 to 1
    return {
        "seconds": clock.seconds,
        "bytes": 8 * len(released),
        "released": f"two counts, 95 of 100 off by less than {off:.0f}, and a mean, off by less than "
        f"{percent(mean, 2)} of its range",
        "read": max(0.0, 2 * right - 1),
        "reads": f"who knows all others guesses one patient's outcome rightly {100 * right:.0f} times in 100; "
        "from plain counts always",
    } | _promised(lambda times: budget.spent.epsilon * times, 0.0)


def _private(ground: Ground, epsilon: float) -> Fields:
    """Chapter 05's logistic regression with clipped and noisy gradients."""
    from ppml_helpers.private_training import RECIPES, train

    clock, recipe, split = Clock(), RECIPES["logistic regression"], ground.split
    with clock.running():
        noise = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
        model = train(
            split.X_train, split.y_train, recipe, [noise], [ground.seed], divisor=_rounded(len(split.y_train))
        )
    found = judged(ground, lambda X: model.risks(X)[0])
    own = {"seconds": clock.seconds, "released": "the model", "reads": "there is no server and no peer"}
    return found | own | _promised(_gaussian(noise, recipe.sample_rate, recipe.steps))


def _rounded(patients: int) -> float:
    """Return a number of patients to two digits: what may be public, where the exact one may not."""
    return float(f"{patients:.1e}")


# Parts by rows ---------------------------------------------------------------------------------------------------


def _dealt(ground: Ground) -> list[Any]:
    """Deal the same patients to hospitals at random, either outcome to each."""
    from ppml_helpers.federated_learning import Hospital

    rng, split = np.random.default_rng(ground.seed), ground.split
    parts: list[dict[str, np.ndarray]] = [{} for _ in range(HOSPITALS)]
    for part in ("train", "test"):
        X, y = (getattr(split, f"{kind}_{part}").to_numpy(float) for kind in "Xy")
        deals = [np.array_split(rng.permutation(np.flatnonzero(y == label)), HOSPITALS) for label in (0, 1)]
        for hospital, rows in zip(parts, (np.concatenate(some) for some in zip(*deals, strict=True)), strict=True):
            hospital |= {f"X_{part}": X[rows], f"y_{part}": y[rows]}
    return [Hospital(f"Hospital {'ABCD'[number]} (simulated)", **own) for number, own in enumerate(parts)]


def _federated(ground: Ground, protection: str = "none", epsilon: float = 1.0) -> Fields:
    """Chapter 07's app in this process: four hospitals that hold rows of the table."""
    from ppml_helpers.federated_learning import in_process
    from ppml_helpers.federated_learning.app.federated_hospitals import task

    clock, hospitals, updates = Clock(), _dealt(ground), []

    def listen(crossing: Any) -> None:
        if (crossing.round, crossing.hospital) == (1, 0) and crossing.kind.startswith("train"):
            updates.append(crossing)

    with clock.running():
        run = in_process.run(hospitals, _config(protection, epsilon) | {"seed": ground.seed}, on_message=listen)
    found = judged(ground, lambda X: task.probabilities(run.weights, X.to_numpy(float)))
    found |= {"seconds": clock.seconds, "bytes": run.bytes_up, "released": "the model, and each round's to hospitals"}
    found |= _read_by_server(updates[0], hospitals[0], run)
    if "dp" not in protection:
        return found
    return found | _promised(_gaussian(*max(run.ledgers, key=lambda ledger: accounting.epsilon(*ledger))))


def _config(protection: str, epsilon: float) -> dict[str, Any]:
    """Return the settings of the chapter's runs for a protection."""
    config: dict[str, Any] = {"protection": protection}
    if protection == "dp":
        config["noise-multiplier"] = accounting.noise_multiplier(epsilon, 0.05, 400)
    if protection == "masks+dp":
        together = {"sample-rate": 1.0, "learning-rate": 2.0, "num-server-rounds": 30, "evaluate-every": 30}
        noise = accounting.noise_multiplier(epsilon, 1.0, 30)
        config |= together | {"local-epochs": 1, "noise-multiplier": noise}
    return config


def _read_by_server(update: Any, hospital: Any, run: Any) -> Fields:
    """Let the server, which knows all patients of a hospital but one, read that one from the first update."""
    from ppml_helpers.federated_learning import reading
    from ppml_helpers.federated_learning.informed_attack import unknown_patient

    truth, settings = hospital.X_train[-1], dict(run.settings)
    guess = np.clip(hospital.X_train[:-1].mean(axis=0), -1, 1)
    if "masked" in update.reply.content:
        settings["protection"] = "none"  # the masks are all that is in the way
    known = reading.knowledge(update, hospital, settings)
    seen = np.nan_to_num(np.clip(reading.seen(update), -1e6, 1e6))
    read = unknown_patient(seen, known, 12 if run.settings["protection"] == "none" else 3)
    share, blind = (float(np.mean(np.abs(found - truth) <= _CLOSE)) for found in (read, guess))
    words = f"the server reads {percent(share)} of one patient's features from an update"
    return {"read": share, "reads": f"{words}; who saw none guesses {percent(blind)}"}


# Encryption ------------------------------------------------------------------------------------------------------


def _encrypted_scoring(ground: Ground) -> Fields:
    """Let a server with an ordinary model score patients that it cannot read."""
    from ppml_helpers.homomorphic_encryption import Client, Server, Sigmoid

    clock, split = Clock(), ground.split
    model = LogisticRegression(max_iter=1000).fit(split.X_train, split.y_train)
    risk = Sigmoid(split.X_test.columns.astype(str), model.coef_[0], float(model.intercept_[0]))
    client = Client("sigmoid")
    server = Server(client.public_bytes(), client.message_key)
    client.meet(server.session)

    def scored(X: pd.DataFrame) -> np.ndarray:
        asked = client.encrypt(X.set_axis(X.columns.astype(str), axis=1))
        sent.append(len(asked))
        return client.decrypt(server.score(asked, risk), asked)

    sent: list[int] = []
    with clock.running():
        told = pd.Series(scored(split.X_test), index=split.X_test.index)
    own = pd.Series(scored(split.X_train), index=split.X_train.index)
    every = pd.concat([told, own])
    found = judged(ground, lambda X: every.loc[X.index].to_numpy()) | _read_without_key(split.X_test)
    return found | {
        "seconds": clock.seconds,
        "bytes": sent[0],
        "released": f"{len(told):,} risks, to the hospital that asked",
        "promise": "inputs: 128-bit security; model: none",
    }


def _encrypted_training(ground: Ground, epochs: int = 5) -> Fields:
    """Train on ciphertexts: chapter 08's five epochs."""
    from ppml_helpers.homomorphic_encryption import training

    clock, split = Clock(), ground.split
    names = split.X_train.columns.astype(str)
    with clock.running():
        trained = training.train(split.X_train.set_axis(names, axis=1), split.y_train, epochs=epochs)

    def risk(X: pd.DataFrame) -> np.ndarray:
        return 1 / (1 + np.exp(-trained.logits(X.set_axis(names, axis=1))))

    return (
        judged(ground, risk)
        | _read_without_key(split.X_train)
        | {
            "seconds": clock.seconds,
            "bytes": sum(trained.bytes_up),
            "released": "the model, to the hospital",
            "promise": "inputs: 128-bit security; model: none",
        }
    )


def _read_without_key(X: pd.DataFrame) -> Fields:
    """Decrypt the first column with a key of one's own: what a server with ciphertexts can do."""
    import tenseal as ts

    from ppml_helpers.homomorphic_encryption import LINEAR

    column = X.iloc[:4096, 0].to_numpy(float)
    letter = ts.ckks_vector(LINEAR.context(), column.tolist()).serialize()
    read = np.array(ts.ckks_vector_from(LINEAR.context(), letter).decrypt())
    share = float(np.mean(np.abs(read - column) <= _CLOSE))
    words = f"the server reads {percent(share)} of {len(column):,} values with a key of its own"
    return {"read": share, "reads": words}


# Parts by columns ------------------------------------------------------------------------------------------------


def _shared(ground: Ground, provider: str) -> Fields:
    """Two hospitals with other columns of the same patients train on shares: chapter 09."""
    import torch

    from ppml_helpers.secure_computation import load_crypten, run_parties, secret
    from ppml_helpers.secure_computation.costs import seconds_on_line

    load_crypten()
    north, south, _, south_test = _columns(ground)
    clock, n = Clock(), len(north)
    first, second = (torch.nn.functional.pad(secret(north, "north"), (1, 0), value=1.0), secret(south, "south"))
    died = secret(ground.split.y_train, "outcome")
    mine = [(first, torch.zeros_like(second), died), (torch.zeros_like(first), second, torch.zeros_like(died))]
    with clock.running():
        parties = run_parties(functools.partial(_train_on_shares, patients=n), mine, provider=provider)
    weights = parties[0].result
    order = [*north.columns, *south.columns]

    def risk(X: pd.DataFrame) -> np.ndarray:
        return 1 / (1 + np.exp(-(X[order].to_numpy(float) @ weights[1:].double().numpy() + float(weights[0]))))

    values = secret(south_test, "south")
    asked = [(torch.zeros_like(values), weights[1 + north.shape[1] :]), (values, torch.zeros(south.shape[1]))]
    read = run_parties(_listen, asked, provider=provider)[0].result
    share = float(np.mean(np.abs(read - values.numpy()) < 0.01))
    reads = f"the first hospital reads {percent(share)} of the other's {values.numel():,} values to 0.01"
    found = judged(ground, risk)
    found["methods"]["seconds"] = "measured, and the wait on a line of 20 ms by the counted rounds and bytes"
    return found | {
        "seconds": seconds_on_line(parties[0].rounds, parties[0].bytes, latency=20) + clock.seconds,
        "bytes": parties[0].bytes,
        "released": "the model, to both hospitals",
        "read": share,
        "reads": reads,
        "promise": "inputs: hidden if the rules are kept; model: none",
    }


def _columns(ground: Ground) -> tuple[pd.DataFrame, ...]:
    """Cut the table into the columns of two hospitals: chapter 09's, or the halves of any other table."""
    from ppml_helpers.secure_computation import two_hospitals

    split = ground.split
    if ground.hospital is not None:
        return tuple(two_hospitals(split)[:4])
    half = split.X_train.shape[1] // 2
    if not half:
        raise OutcomeError("The table has one column, two hospitals need one each: add a column.")
    parts = (
        table.iloc[:, part] for table in (split.X_train, split.X_test) for part in (slice(half), slice(half, None))
    )
    return tuple(parts)


def _train_on_shares(north: Any, south: Any, died: Any, patients: int) -> Any:
    """Thirty steps of gradient descent by CrypTen, as in the chapter; every party runs this."""
    import torch

    from ppml_helpers.secure_computation import load_crypten

    crypten = load_crypten()
    x = crypten.cat([crypten.cryptensor(north, src=0), crypten.cryptensor(south, src=1)], dim=1)
    y = crypten.cryptensor(died, src=0)
    model = crypten.nn.Linear(x.size(1), 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    loss = crypten.nn.BCEWithLogitsLoss(skip_forward=True)
    optimizer = crypten.optim.SGD(model.encrypt().parameters(), 0.8, 0.9)
    for start in range(0, 30 * 512, 512):
        rows = torch.arange(start, start + 512) % patients
        optimizer.zero_grad()
        loss(model(x[rows]).squeeze(1), y[rows]).backward()
        optimizer.step()
    return next(model.parameters()).get_plain_text()[0]


def _listen(values: Any, weights: Any) -> np.ndarray:
    """Score on shares, while the first party writes down what it sees anyway."""
    from ppml_helpers.secure_computation import Eavesdropper, load_crypten

    crypten = load_crypten()
    x, w = crypten.cryptensor(values, src=1), crypten.cryptensor(weights, src=0)
    with Eavesdropper() as ear:
        x.matmul(w).get_plain_text(dst=1)
    return ear.read()[0][0]


# Code to the data ------------------------------------------------------------------------------------------------

_JOB = """
import json
import numpy as np
import syft as sy

table = np.loadtxt(sy.resolve_dataset_file_path("features"), delimiter=",", skiprows=1)
width = table.shape[1]
X = np.column_stack([table[:, :-1].clip(-1, 1), np.ones(len(table))]) / np.sqrt(width)
y, w, push, rng = table[:, -1] > 0.5, np.zeros(width), np.zeros(width), np.random.default_rng()
for _ in range(STEPS):
    gradient = X.T @ (1 / (1 + np.exp(-X @ w)) - y) + NOISE * rng.normal(size=width)
    push = 0.8 * push + gradient / PATIENTS
    w = w - 8 * push
json.dump(w.tolist(), open("outputs/model.json", "w"))
"""
_STEPS = 40


def _code_to_data(ground: Ground, epsilon: float = 1.0) -> Fields:
    """Run a researcher's training at the hospital, behind the release gate: chapter 10, with one hospital."""
    import json

    from ppml_helpers.owner_in_control import Defences, Network, ReleaseGate, attacks, silence

    clock, split = Clock(), ground.split
    noise = math.ceil(1e4 * accounting.noise_multiplier(epsilon, 1.0, _STEPS)) / 1e4
    spent = accounting.epsilon(noise, 1.0, _STEPS)
    code = _JOB.replace("STEPS", str(_STEPS)).replace("NOISE", str(noise))
    code = code.replace("PATIENTS", str(_rounded(len(split.y_train))))
    names = [f"x{number}" for number in range(split.X_train.shape[1])]
    table = split.X_train.set_axis(names, axis=1).assign(died=split.y_train)
    mock = pd.DataFrame(np.random.default_rng(0).uniform(-1, 1, (20, len(names))), columns=names)
    network = Network()
    try:
        with silence(), clock.running():
            owner, researcher = network.hospital("north"), network.researcher("rita")
            network.pair(researcher, owner)
            network.publish(owner, "features", private=table, mock=mock.assign(died=[0, 1] * 10))
            researcher.sync()
            gate = ReleaseGate(owner, budgets={researcher.email: (math.ceil(1e3 * spent) / 1e3, DELTA)})
            researcher.submit_python_job(owner.email, str(network.write(researcher, "model.py", code)), "model")
            gate.sync()
            review = gate.review("model")
            gate.approve(review, epsilon=spent, delta=DELTA)
            run = gate.run(review)
            gate.release(run)
    finally:
        network.close()
    sent = run.outputs["model.json"]
    weights = np.array(json.loads(sent)) / math.sqrt(len(names) + 1)
    found = judged(ground, lambda X: 1 / (1 + np.exp(-(X.to_numpy(float) @ weights[:-1] + weights[-1]))))
    leaks = attacks.attack_all(Defences())
    lost, asked = (sum(getattr(leak, name) for leak in leaks) for name in ("recovered", "patients"))
    return (
        found
        | {
            "seconds": clock.seconds,
            "bytes": len(sent),
            "released": "the model, after the owner read the code",
            "read": lost / asked,
            "reads": f"{len(leaks)} attacks on the gate get {lost} of {asked} patients out",
        }
        | _promised(_gaussian(noise, 1.0, _STEPS))
    )


TECHNIQUES: Mapping[str, Callable[[Ground], Fields]] = MappingProxyType(
    {
        "no protection: overfitted forest": _forest,
        "no protection: logistic regression": _logistic,
        "pseudonymised": _pseudonymised,
        "minimised": _minimised,
        "minimised + anonymised": _anonymised,
        "synthetic table, epsilon 1": _synthetic,
        "private statistics, epsilon 1": _statistics,
        "private training, epsilon 1": functools.partial(_private, epsilon=1.0),
        "private training, epsilon 0.1": functools.partial(_private, epsilon=0.1),
        "federated": _federated,
        "federated + masks": functools.partial(_federated, protection="masks"),
        "federated + noise": functools.partial(_federated, protection="dp"),
        "federated + masks + noise": functools.partial(_federated, protection="masks+dp"),
        "encrypted scoring": _encrypted_scoring,
        "encrypted training": _encrypted_training,
        "secret shares, triples by a hospital": functools.partial(_shared, provider="TFP"),
        "secret shares, triples by a third party": functools.partial(_shared, provider="TTP"),
        "code to the data": _code_to_data,
    }
)
"""Technique -> what measures it, in the order of the chapters."""
