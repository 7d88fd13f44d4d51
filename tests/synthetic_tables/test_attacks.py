"""The attacks on what is made without a promise, and on what has one (`attacks`, `naive`, `usefulness`, `hospital`)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.errors import AttackError, DataError, TrainingDataError
from ppml_helpers.synthetic_tables import (
    ORDER,
    POSTCODE,
    copies,
    fictional_hospital,
    group,
    measure,
    members_by_distance,
    name_by_register,
    nearest,
    public_domain,
    rarest,
    sequential_trees,
    train_and_test,
)
from ppml_helpers.synthetic_tables.hospital import Hospital


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    whole = fictional_hospital()
    return whole._replace(train=whole.train.head(4000))


def test_trees_with_one_patient_a_leaf_copy_patients_and_name_them(hospital: Hospital) -> None:
    made = sequential_trees(hospital.train, seed=0, leaf=1)
    assert copies(made, hospital.train) > 0.9
    assert copies(made, hospital.test) < 0.01
    assert members_by_distance(made, hospital.train, hospital.test).advantage > 0.5
    named = name_by_register(made, hospital.train, hospital.register, hospital.truth, "dzgroup")
    assert named.right / named.patients > 0.9
    assert named.right > 500
    others = name_by_register(made, hospital.test, hospital.register, hospital.truth, "dzgroup")
    assert others.patients < 0.05 * named.patients  # who was not in the table is not named


def test_with_a_promise_the_same_attacks_are_left_with_chance(hospital: Hospital) -> None:
    domain = public_domain(ORDER[:12], also=[POSTCODE])
    made = measure(hospital.train, domain, 1.0, seed=0).sample(0)
    assert copies(made, hospital.train) == 0
    assert abs(members_by_distance(made, hospital.train, hospital.test).advantage) < 0.06
    named = name_by_register(made, hospital.train, hospital.register, hospital.truth, "dzgroup")
    assert named.right < 0.03 * len(hospital.train)


def test_distances_are_those_of_a_loop(hospital: Hospital) -> None:
    few, many = hospital.test.head(20), hospital.train.head(50)
    names = [name for name in cohort.SUPPORT2.columns if name in few.columns]
    here, there = (np.column_stack(cohort.features(table, names)) for table in (few, many))
    loop = [min(np.linalg.norm(row - other) for other in there) for row in here]
    assert nearest(few, many) == pytest.approx(loop)
    with pytest.raises(AttackError, match="no column of the patients' schema"):
        nearest(few[["postcode"]], many[["postcode"]])


def test_a_register_attack_by_hand() -> None:
    public = pd.DataFrame({"age": [50, 60, 60, 70]}, index=[10, 11, 12, 13])
    truth = pd.Series([0, 1, np.nan, 7], index=public.index)
    patients = pd.DataFrame({"age": [50, 60], "dzgroup": ["CHF", "Coma"]})
    made = pd.DataFrame({"age": [50, 50, 50, 60, 70], "dzgroup": ["CHF", "COPD", "CHF", "Coma", "Coma"]})
    # 50 is one patient, told rightly by two rows of three; 60 fits two people; 70 is no patient of this table.
    assert name_by_register(made, patients, public, truth, "dzgroup", on=["age"]) == (2, 1, 1)


@pytest.mark.parametrize("leaf", [1, 30])
def test_trees_make_no_value_up_and_keep_frequencies(hospital: Hospital, leaf: int) -> None:
    made = sequential_trees(hospital.train, seed=1, leaf=leaf, rows=3000)
    assert len(made) == 3000
    assert list(made) == list(hospital.train)
    for name in ("age", "dzgroup", "hospdead"):
        true, found = (table[name].value_counts(normalize=True) for table in (hospital.train, made))
        assert set(found.index) <= set(true.index)
        assert (found.reindex(true.index, fill_value=0) - true).abs().max() < 0.05
    with pytest.raises(DataError, match="leaf = 0"):
        sequential_trees(hospital.train, seed=0, leaf=0)


def test_usefulness_of_real_rows_of_coins_and_of_one_outcome(hospital: Hospital) -> None:
    real = train_and_test(hospital.train, hospital.test)
    assert real.auc > 0.78
    assert real.log_loss < 0.48
    assert 0.9 < real.expected < 1.1
    coins = hospital.train.assign(hospdead=np.random.default_rng(0).integers(0, 2, len(hospital.train)))
    assert train_and_test(coins, hospital.test).log_loss > 0.6
    assert train_and_test(hospital.train.assign(hospdead=0), hospital.test).auc == 0.5
    with pytest.raises(TrainingDataError, match="no column of the patients' schema"):
        train_and_test(hospital.train[["postcode", "hospdead"]], hospital.test)


def test_the_rarest_group_and_an_empty_one() -> None:
    table = pd.DataFrame({"dzgroup": ["CHF", "CHF", "Coma"], "hospdead": [0, 0, 1]})
    assert rarest(table) == "Coma"
    assert group(table, "dzgroup", "Coma") == (1 / 3, 1.0)
    assert np.isnan(group(table, "dzgroup", "COPD").died)
