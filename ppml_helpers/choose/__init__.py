"""Chapter 11: Choose."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "chooser": ["Choice", "Setting", "choose"],
        "explorer": ["ChooseExplorer", "ScoreboardMaker"],
        "making": ["make"],
        "pictures": ["use_and_leak", "who_is_trusted"],
        "scoreboard": ["Row"],
        "techniques": ["TECHNIQUES", "measure"],
        "report": ["Section"],
        "review": ["Review", "columns_needed", "export_review"],
        "table": ["Table"],
        "worksheet": ["ReviewWorksheet"],
    },
)
