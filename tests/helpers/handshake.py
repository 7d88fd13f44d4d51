"""TLS without a network: two sides meet in memory."""

from __future__ import annotations

import ssl
from pathlib import Path


def meet(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Let a client look for a server by its name; return both sides, or raise what one refuses."""
    down, up = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)
    for _ in range(6):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides


def visit(certificate: Path, key: Path, trusted: Path, name: str) -> None:
    """Let a client that trusts `trusted` meet a server under `name`."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    client, _ = meet(serving, ssl.create_default_context(cafile=trusted), name)
    assert client.version() is not None
