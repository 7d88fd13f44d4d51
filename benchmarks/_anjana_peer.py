"""The peer of `anonymise.py`: anjana, in its own environment, called with tables that it reads from files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from _frame import serve
from anjana.anonymity import k_anonymity

_loaded: dict[str, tuple[pd.DataFrame, dict[str, dict[int, list[str]]]]] = {}
_last: dict[str, pd.DataFrame] = {}


def anonymise(folder: str, k: int = 0, limit: float = 0.05, save: bool = False) -> None:
    """Anonymise the table of a folder; without k only load it (not to be timed), with `save` store the last outcome."""
    if save:
        _last["table"].to_csv(Path(folder) / "anjana.csv", index=False)
        return
    if folder not in _loaded:
        table = pd.read_csv(Path(folder) / "table.csv", dtype=object, keep_default_na=False)
        text = json.loads((Path(folder) / "hierarchies.json").read_text("utf-8"))
        _loaded[folder] = (
            table,
            {
                name: {level: pd.Series(labels, dtype=object) for level, labels in enumerate(levels)}
                for name, levels in text.items()
            },
        )
    if k:
        table, hierarchies = _loaded[folder]
        _last["table"] = k_anonymity(table, [], list(hierarchies), k, limit * 100, hierarchies)


serve(anonymise)
