"""The patients: load and check them, turn them into features, split them, deal them to simulated hospitals."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["table"],
    submod_attrs={
        "table": [
            *("COLUMNS", "DATA_FILE", "DATA_FOLDER", "DIAGNOSES", "INCOMES", "RACES"),
            *("Column", "check_patients", "expected_sha256", "load_patients"),
        ],
        "schema": ["SUPPORT2", "Category", "Number", "Schema", "features"],
        "dealing": ["Split", "checked_split", "hospitals", "outcome_words", "split"],
    },
)
