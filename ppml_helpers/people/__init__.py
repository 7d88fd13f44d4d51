"""The fictional people behind the patients: identities, notes, and the register that an attacker holds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "linkage": ["Linkage", "LinkageScore", "link"],
    },
)
