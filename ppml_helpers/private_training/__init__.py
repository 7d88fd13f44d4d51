"""Chapter 05: models trained with differential privacy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "engine": ["Models", "OpacusRun", "RECIPES", "Recipe", "Sweep", "network", "train", "train_with_opacus"],
        "explorer": ["EpsilonExplorer"],
    },
)
