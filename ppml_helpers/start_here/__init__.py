"""Chapter 00: what a promise of (epsilon, delta) means, and whether the set-up is complete."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "course_map": ["CourseMap", "read_map"],
        "explorer": ["PromiseExplorer"],
        "limits": ["promise"],
        "setup_check": ["check_setup"],
    },
)
