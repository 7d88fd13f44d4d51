"""Keeping records encrypted: a token vault, Parquet with column keys, and keys that can be shredded."""

from __future__ import annotations

from ppml_helpers.identifiers import new_key
from ppml_helpers.vault.columns import KeyService, read_as, readable, write_encrypted
from ppml_helpers.vault.shredding import ShredStore
from ppml_helpers.vault.tokens import TokenVault

__all__ = ["KeyService", "ShredStore", "TokenVault", "new_key", "read_as", "readable", "write_encrypted"]
