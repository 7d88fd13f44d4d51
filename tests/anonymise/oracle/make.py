"""Make the tables in this folder and write down what pycanon says about them.

pycanon pins other versions of numpy and pandas than the kit, so it has an environment of its own, and the kit's tests
read its answers from `expected.json`. To make them again, from the top of the repository:

    python3 -m venv pycanon-env && pycanon-env/bin/python -m pip install pycanon==1.3.6
    pycanon-env/bin/python tests/anonymise/oracle/make.py

The same bytes come out each time. Three things to know about pycanon 1.3.6: it needs a RangeIndex (with another one it
counts the wrong rows, silently); it leaves out rows with a missing quasi-identifier, so missing values are the label
"missing" here; it measures t by the ordered distance for numbers and by the equal distance for text, so a column of
numbers is asked about twice, once as text.
"""

import gzip
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from pycanon.anonymity import _l_diversity, entropy_l_diversity, k_anonymity, l_diversity, t_closeness

HERE = Path(__file__).resolve().parent
PATIENTS = HERE.parents[2] / "data" / "support2.csv.gz"


def banded(values: pd.Series, width: int) -> pd.Series:
    """Return bands of whole numbers, "60-69"; a missing number becomes "missing"."""
    low = (values // width * width).astype("Int64")
    return (low.astype(str) + "-" + (low + width - 1).astype(str)).where(values.notna(), "missing")


def released(table: pd.DataFrame, qi: list, k: int) -> pd.DataFrame:
    """Drop the classes of fewer than k rows."""
    return table[table.groupby(qi)[qi[0]].transform("size") >= k].reset_index(drop=True)


def support2_tables() -> dict:
    """Return extracts of SUPPORT2, generalised by hand and released at several k."""
    with gzip.open(PATIENTS, "rt") as file:
        patients = pd.read_csv(file)
    race = patients["race"].fillna("missing")
    full = pd.DataFrame({"age": banded(patients["age"], 10), "sex": patients["sex"], "race": race})
    full["group"] = race.where(race.isin(["white", "black"]), "other")
    full["edu"] = banded(patients["edu"], 8)
    for name in ("income", "dzgroup", "dzclass", "dementia", "hospdead", "num.co", "dnr"):
        full[name] = patients[name] if patients[name].notna().all() else patients[name].fillna("missing").astype(str)
    some, many = full.sample(900, random_state=3), full.sample(2500, random_state=5)

    def case(table, qi, k, *sensitive):
        return released(table[[*qi, *sensitive]], qi, k), qi, list(sensitive)

    return {
        "support2_raw": case(some, ["age", "sex", "race", "income", "edu"], 1, "dzgroup", "hospdead"),
        "support2_k5": case(some, ["age", "sex", "group"], 5, "dzgroup", "num.co", "dnr"),
        "support2_k10": case(many, ["age", "sex", "group"], 10, "dementia", "hospdead", "dzclass"),
    }


def random_tables() -> dict:
    """Return small random tables, and tables made by hand for what is easy to get wrong."""
    rng = np.random.default_rng(8)

    def random(rows, widths, sensitive):
        table = pd.DataFrame({f"q{i}": rng.integers(0, width, rows) for i, width in enumerate(widths)}).astype(str)
        qi = list(table.columns)
        for name, values in sensitive.items():
            table[name] = values
        return table, qi, list(sensitive)

    skewed = rng.choice(["no", "yes"], 400, p=[0.97, 0.03])
    words = np.array(["Müller", "Łódź", "東京", "مرحبا", "naïve", "😀", "a,b", 'say "x"', " padded "])
    unicode = pd.DataFrame(
        {"Straße": rng.choice(words, 120), "性別": rng.choice(["女", "男"], 120), "наличие": rng.choice(words, 120)}
    )
    with_missing = pd.DataFrame(
        {
            "age": rng.choice(["60-69", "70-79", "missing"], 150),
            "edu": rng.choice(["8-15", "missing"], 150, p=[0.4, 0.6]),
            "finding": rng.choice(["benign", "malignant", "missing"], 150, p=[0.6, 0.1, 0.3]),
        }
    )
    return {
        "random_small": random(40, (3, 2), {"score": rng.integers(0, 5, 40), "dx": rng.choice(list("abc"), 40)}),
        "random_wide": random(
            250, (2, 3, 2, 2, 2), {"cost": rng.normal(0, 9, 250).round(1), "dx": rng.choice(list("abcdef"), 250)}
        ),
        "random_skewed": random(400, (4, 3), {"rare": skewed, "flag": (skewed == "yes").astype(int)}),
        "random_unique": random(60, (40, 40), {"score": rng.integers(-3, 4, 60)}),
        "one_class": random(50, (1, 1), {"dx": rng.choice(list("ab"), 50), "score": rng.integers(0, 9, 50)}),
        "one_value": random(30, (3,), {"dx": np.repeat("same", 30)}),
        "unicode": (unicode, ["Straße", "性別"], ["наличие"]),
        "missing_labels": (with_missing, ["age", "edu"], ["finding"]),
    }


def exact_entropy_l(table: pd.DataFrame, qi: list, sensitive: str) -> float:
    """Return pycanon's entropy l before it cuts the decimals: its own code, with `int` shadowed by `float`."""
    _l_diversity.int = float
    try:
        return float(entropy_l_diversity(table, qi, [sensitive]))
    finally:
        del _l_diversity.int


def answers(table: pd.DataFrame, qi: list, sensitive: str) -> dict:
    """Return what pycanon says about one sensitive column."""
    number = pd.api.types.is_numeric_dtype(table[sensitive])
    as_text = table.assign(**{sensitive: table[sensitive].astype(str)})
    return {
        "type": "number" if number else "text",
        "l": int(l_diversity(table, qi, [sensitive])),
        "entropy_l": int(entropy_l_diversity(table, qi, [sensitive])),
        "exact_entropy_l": exact_entropy_l(table, qi, sensitive),
        "t_equal": float(t_closeness(as_text, qi, [sensitive])),
        "t_ordered": float(t_closeness(table, qi, [sensitive])) if number else None,
    }


def main() -> None:
    """Write the tables and pycanon's answers beside this file."""
    expected = {}
    for name, (table, qi, sensitive) in {**support2_tables(), **random_tables()}.items():
        table.to_csv(HERE / f"{name}.csv", index=False, encoding="utf-8", lineterminator="\n")
        expected[name] = {
            "qi": qi,
            "rows": len(table),
            "k": int(k_anonymity(table, qi)),
            "sensitive": {column: answers(table, qi, column) for column in sensitive},
        }
        print(name, len(table), "rows, k =", expected[name]["k"])
    document = {"pycanon": version("pycanon"), "tables": expected}
    (HERE / "expected.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
