"""Chapter 02: pseudonyms, the attack on them, and the vault in which the way back is kept."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "guessing_attack": ["Cracked", "dictionary_attack"],
        "explorer": ["PseudonymExplorer"],
        "pseudonyms": ["Pseudonymiser", "new_key", "rotate"],
    },
)
