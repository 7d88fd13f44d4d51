"""The key service that pyarrow's Parquet encryption asks to wrap and unwrap data keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from ppml_helpers.errors import ColumnAccessError, VaultError
from ppml_helpers.people.identifiers import KEY_BYTES, check_key

_RESERVED = ":;,"  # pyarrow joins names of keys and columns with these


class KeyService(pe.KmsClient):
    """A key management service in memory: it wraps data keys with the master keys that one role holds.

    A real one (a cloud's KMS, HashiCorp Vault) runs elsewhere and never hands the master keys out; pyarrow calls it
    by the same two methods.

    Parameters
    ----------
    keys : mapping of str to bytes
        Master keys of 32 bytes by name; a role holds some of them.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        super().__init__()
        if not isinstance(keys, Mapping):
            raise VaultError(
                f"keys is a {type(keys).__name__}, it must be a dict of keys by name: {{'labs': new_key()}}."
            )
        for name, key in keys.items():
            check_name(name, "key")
            check_key(key, f"the key {name!r}", VaultError, KEY_BYTES)
        self._keys = dict(keys)
        self.refused: str | None = None  #: the name of the last key that was asked for in vain

    def __repr__(self) -> str:
        """Name the keys and never show them."""
        return f"KeyService(keys named {', '.join(self._keys)})"

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        """Return a data key wrapped with a master key, as hexadecimal text."""
        return aes_key_wrap(self._master(master_key_identifier), key_bytes).hex()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        """Return the data key, or raise if this role lacks the master key or it is the wrong one."""
        master = self._master(master_key_identifier)
        try:
            wrapped = bytes.fromhex(wrapped_key)
            if wrapped.hex() != wrapped_key:  # capitals are other bytes for the same key
                raise InvalidUnwrap
            return aes_key_unwrap(master, wrapped)
        except (InvalidUnwrap, ValueError):
            self.refused = master_key_identifier
            raise VaultError(
                f"The key {master_key_identifier!r} does not open this file: it was written with another key of "
                f"that name, or it was altered; fetch the right key or an intact copy."
            ) from None

    def _master(self, name: str) -> bytes:
        if name not in self._keys:
            self.refused = name
            raise ColumnAccessError(f"This role does not hold the key {name!r}: ask the data owner for it.")
        return self._keys[name]


def check_name(name: Any, what: str) -> None:
    """Refuse what pyarrow cannot take as the name of a key or column."""
    if not isinstance(name, str) or not name.strip() or name != name.strip() or set(name) & set(_RESERVED):
        raise VaultError(
            f"{name!r} cannot name a {what}, it must be text without {' '.join(_RESERVED)} and without blanks around: "
            f"rename it."
        )
