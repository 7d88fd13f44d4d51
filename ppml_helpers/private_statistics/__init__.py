"""Chapter 04: answers with a promise, and the budget that they spend."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "budget": ["Budget", "Cost", "Entry", "checked_bounds"],
        "explorer": ["BudgetExplorer"],
    },
)
