"""Keeping records encrypted: a token vault, Parquet with column keys, and keys that can be shredded."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "columns": ["read_as", "readable", "write_encrypted"],
        "key_service": ["KeyService"],
        "shredding": ["ShredStore"],
        "tokens": ["TokenVault"],
    },
)
