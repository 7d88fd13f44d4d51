"""Flower's command lines for a server and its hospitals, as they are typed on real machines too."""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from ppml_helpers.certificates import ADDRESS
from ppml_helpers.federated_learning.certificates import Keys

if TYPE_CHECKING:
    from flwr.supercore.control import ControlHttpClient

CONNECTION = "federation"  # what the server is called in Flower's configuration
PATIENCE = 30  # seconds for which a hospital tries again to reach the server
_BEHIND_DOOR = [sys.executable, "-P", Path(__file__).with_name("door.py")]


def server(port: int, keys: Keys, door: bool = True) -> list[str]:
    """Start the server: one port over TLS for hospitals, who must hold a key, and for those who submit runs.

    Behind the door these must hold the token. Without it, whoever reaches the port may submit.
    """
    tls = ["--ssl-ca-certfile", keys.authority, "--ssl-certfile", keys.certificate, "--ssl-keyfile", keys.server_key]
    rules = ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
    guard = [*_BEHIND_DOOR, "--submit-token", keys.token] if door else []
    return _words(*guard, "flower-superlink", "--host", ADDRESS, "--port", port, *tls, *rules)


def hospital(port: int, own_port: int, authority: Path, key: Path | None, settings: Path) -> list[str]:
    """Start a hospital: it calls the server, nobody calls it; `own_port` serves the programs it starts itself.

    Without a key it comes to be refused. `settings` holds the node config: what the app may know of this hospital. It
    is a file, because everybody on a machine can list command lines, and this holds the key of an identity.
    """
    place = ["--superlink", f"{ADDRESS}:{port}", "--host", ADDRESS, "--port", own_port]
    trust = ["--root-certificates", authority]
    if key is not None:
        own, own_key = (key.with_name(key.name + end) for end in (".crt", ".tls"))
        trust += ["--auth-supernode-private-key", key]
        trust += ["--ssl-ca-certfile", own, "--ssl-certfile", own, "--ssl-keyfile", own_key]
    about = ["--max-wait-time", PATIENCE, "--node-config", settings]
    return _words(*_BEHIND_DOOR, "flower-supernode", *place, *trust, *about)


def run(app: Path, settings: Path) -> list[str]:
    """Submit a run of the app, with the run config in a file, and repeat the server's log until it ends."""
    return _words("flwr", "run", app, CONNECTION, "--stream", "--run-config", settings)


def control(port: int, token: str | None, authority: Path | None = None) -> ControlHttpClient:
    """Connect to the server as `flwr` does, to register hospitals and to stop runs; no web proxy has a part in it.

    Without a token as a stranger, and without an authority's certificate to whoever answers.
    """
    from flwr.supercore.control import ControlHttpClient
    from flwr.supercore.interceptors.http import RuntimeVersionHttpInterceptor

    def intercept(context: Any, call_next: Callable[[Any], Any]) -> Any:
        if token is not None:
            context.request.headers["Authorization"] = f"Bearer {token}"
        return call_next(context)

    asks = [RuntimeVersionHttpInterceptor("flwr CLI"), SimpleNamespace(intercept=intercept)]
    trust = False if authority is None else ssl.create_default_context(cafile=str(authority))
    with patch.dict(os.environ, {"NO_PROXY": "*", "no_proxy": "*"}):
        return ControlHttpClient(f"https://{ADDRESS}:{port}", verify=trust, interceptors=asks)


def connection(port: int, authority: Path) -> str:
    """Give the configuration (``config.toml`` in Flower's home) by which the command line finds the server."""
    return (
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
        f'address = "{ADDRESS}:{port}"\nroot-certificates = {json.dumps(str(authority))}\n'
    )


def credentials(port: int, token: str) -> str:
    """Give the ``credentials.yaml`` in Flower's home by which the command line shows that it may submit runs."""
    account = {"authn-type": b"oidc", "oidc-access-token": token.encode(), "oidc-refresh-token": b"-"}
    place = f"flower.account-auth.{ADDRESS}:{port}"
    return json.dumps({f"{place}.{name}": base64.b64encode(value).decode() for name, value in account.items()})


def in_toml(values: Mapping[str, int | float | str]) -> bytes:
    """Write node config or run config as Flower reads it from a file; a text looks alike in TOML and in JSON."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()).encode()


def _words(*words: object) -> list[str]:
    return [str(word) for word in words]
