"""Chapter 01: what an ordinary model gives away."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "explorer": ["AttackExplorer", "draw_attacks"],
    },
)
