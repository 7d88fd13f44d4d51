"""Helpers of the kit: a small core that every chapter uses, and a room for each chapter.

They carry what would distract a learner, and nothing that a learner must see.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType

__version__ = "0.1.0"

MOVED = MappingProxyType(
    {
        "widgets": "each chapter's room, for example `from ppml_helpers.private_training import EpsilonExplorer`; the "
        "base class is `ppml_helpers.explorer.Explorer`",
        "attacks": "`ppml_helpers.membership`, `ppml_helpers.people.linkage` and the rooms of the other attacks, for "
        "example `ppml_helpers.attack_and_audit`",
        "anonymity": "`ppml_helpers.anonymise`",
        "encrypted": "`ppml_helpers.homomorphic_encryption`",
        "federation": "`ppml_helpers.federated_learning`",
        "datasite": "`ppml_helpers.owner_in_control`",
        "vault": "`ppml_helpers.pseudonymise.vault`",
        "pseudonyms": "`ppml_helpers.pseudonymise`",
        "audit": "`ppml_helpers.attack_and_audit`",
        "setup_check": "`ppml_helpers.start_here`",
        **dict.fromkeys(
            ("country", "fictional", "free_text", "identifiers", "identities", "national_id"), "`ppml_helpers.people`"
        ),
    }
)
"""Names of earlier versions, and where what they held is now."""


class _OldNames:
    """Answers the import of a name of an earlier version with a sentence; imports nothing itself."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, rest = name.partition(".")
        old = rest.split(".")[0]
        if package == __name__ and old in MOVED:
            raise ImportError(f"There is no {name} any more: what it held is in {MOVED[old]}.", name=name)
        return None


sys.meta_path.append(_OldNames)
