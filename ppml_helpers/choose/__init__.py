"""Chapter 11: Choose."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "counting": ["alone"],
        "explorer": ["ChooseExplorer"],
        "scoreboard": ["Row"],
        "report": ["Section"],
        "review": ["Review", "columns_needed", "export_review"],
        "table": ["Table"],
        "worksheet": ["ReviewWorksheet"],
    },
)
