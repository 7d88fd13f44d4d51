"""The settings of a run, as the app's pyproject.toml has them, changed as asked and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning.app.federated_hospitals.settings import Settings
from ppml_helpers.federated_learning.app.federated_hospitals.task import RunError
from ppml_helpers.federated_learning.hospitals import Hospital, check

#: The folder that a hospital is given.
APP = Path(__file__).resolve().parent / "app"


def defaults() -> dict[str, Any]:
    """Return the run config of the app's pyproject.toml."""
    return tomllib.loads((APP / "pyproject.toml").read_text("utf-8"))["tool"]["flwr"]["app"]["config"]


def complete(hospitals: Sequence[Hospital], config: Mapping[str, Any] | None = None) -> dict[str, int | float | str]:
    """Return the whole run config for these hospitals; `config` has what differs from the defaults."""
    check(hospitals)
    if config is not None and not isinstance(config, Mapping):
        raise FederationError(f"config = {config!r} must map settings to values, such as {{'seed': 1}}: correct it.")
    known = defaults()
    known |= {"num-hospitals": len(hospitals), "num-features": hospitals[0].X_train.shape[1]}
    for key in ("num-hospitals", "num-features"):
        if config and key in config and config[key] != known[key]:
            raise FederationError(
                f"{key} = {config[key]!r}, but the hospitals that were given say {known[key]}: leave it out."
            )
    try:
        return Settings.of({**known, **(config or {})}).as_run_config()
    except RunError as error:
        raise FederationError(str(error)) from None


def node_configs(tables: Sequence[Path]) -> list[dict[str, str | int]]:
    """Return what the node of each simulated hospital knows, in this process and as one of its own.

    The hospitals know each other before the run: each has an identity, and the public half of all (see `client_app`).
    The secret makes its noise under "dp" repeatable, for lessons. A real hospital gets none: its noise comes from the
    operating system.
    """
    identities = [Ed25519PrivateKey.generate() for _ in tables]
    public = [key.public_key().public_bytes_raw().hex() for key in identities]
    return [
        {"table": str(table), "partition-id": number, "num-partitions": len(tables)}
        | {"noise-secret": f"simulated hospital {number}"}
        | {"identities": " ".join([key.private_bytes_raw().hex(), *public])}
        for number, (table, key) in enumerate(zip(tables, identities, strict=True))
    ]
