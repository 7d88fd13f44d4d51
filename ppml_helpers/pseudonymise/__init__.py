"""Chapters 02 and 02b: pseudonyms and the attack on them; the vault, column keys, and erasure from backups."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cracking_time": ["IDENTIFIERS", "METHODS", "attackers", "measured_speed", "time_in_words", "time_needed"],
        "dates": ["shift_dates"],
        "drawing": ["draw_shares"],
        "guessing_attack": ["Cracked", "dictionary_attack"],
        "explorer": ["ErasureExplorer", "PseudonymExplorer"],
        "minimise": ["IN_WORDS"],
        "pseudonyms": ["Pseudonymiser", "new_key", "rotate"],
    },
)
