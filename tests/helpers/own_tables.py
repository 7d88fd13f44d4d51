"""Tables of people who do not exist, each awkward in its own way, and the roles that their owners would give them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ppml_helpers.choose.proposal import READ, Roles, propose, with_target

HOSTILE = {
    "age": "<script>alert(1)</script>",
    "dose": "=1+cmd|' /C calc'!A0",
    "sex": "\u202egnp.exe\u202c $x$ | `a` **b**",
    "stay": "long" * 25_000,
}


def mixed(rows: int, rare: float = 0.3, seed: int = 0) -> pd.DataFrame:
    """Numbers with eight digits, a name for everybody, gaps, a constant, and a level that one person has."""
    rng = np.random.default_rng(seed)
    age, dose = rng.normal(60, 12, rows), rng.lognormal(2, 0.5, rows)
    risk = (age - 60) / 12 + rng.normal(0, 1, rows)
    table = pd.DataFrame(
        {
            "Üłgi-Name": [f"Zofia Źdźbło {number:06d}" for number in rng.permutation(rows)],
            "age": age.round(6),
            "sex": rng.choice(["женщина", "mężczyzna"], rows),
            "dose": dose.round(7),
            "stay": rng.exponential(5, rows).round(6),
            "ward": rng.choice(["A", "B", "C"], rows).astype(object),
            "always": 1,
            "died": (risk > np.quantile(risk, 1 - rare)).astype(int),
        }
    )
    table.loc[rng.choice(rows, rows // 10, replace=False), ["dose", "ward"]] = None
    table.loc[7, "ward"] = "only Mr Quispe"
    return table


def numeric(rows: int = 600) -> pd.DataFrame:
    """Numbers only."""
    return mixed(rows).select_dtypes("number")


def hostile(rows: int = 300) -> pd.DataFrame:
    """The names of columns are an attack."""
    return mixed(rows).rename(columns=HOSTILE)


def roles_of(table: pd.DataFrame, public: bool = True, target: str = "died") -> Roles:
    """Take the proposal, name the target and, if public, replace what was read from the table by round values."""
    roles = with_target(propose(table), target)
    if not public:
        return roles
    columns = {}
    for name, one in roles.columns.items():
        low, high = np.floor((one.low or 0) / 10) * 10, np.ceil((one.high or 0) / 10) * 10
        ends = {"low": low, "high": high, "fill": (low + high) / 2} if one.kind == "number" else {}
        columns[name] = replace(one, source="a rule" if one.source == READ else one.source, **ends)
    return replace(roles, columns=columns)


def told_values(table: pd.DataFrame) -> list[str]:
    """Every value by which somebody would recognise a person: names, numbers of many digits, rare levels."""
    found = []
    for name in table.columns:
        values = table[name].dropna()
        if values.dtype.kind == "f":
            found += [repr(float(value)) for value in values if len(repr(float(value))) > 7]
        elif values.dtype.kind not in "iub":
            counts = values.value_counts()
            found += counts.index[counts < 3].tolist()
    return found
