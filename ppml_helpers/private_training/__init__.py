"""Chapter 05: models trained with differential privacy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "careless": ["careless_train"],
        "engine": ["Models", "RECIPES", "Recipe", "Sweep", "train"],
        "explorer": ["EpsilonExplorer"],
        "with_opacus": ["OpacusRun", "network", "train_with_opacus"],
    },
)
