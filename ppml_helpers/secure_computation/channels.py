"""The connections between the parties of MPyC on this machine: ports that are ours already, and a certificate each.

Without certificates whoever reaches a port may speak as a party. So each run makes an authority, which signs one
certificate a party and is forgotten; both sides of every connection show theirs (mutual TLS, MPyC's own ``--ssl``).
"""

from __future__ import annotations

import socket
from pathlib import Path

from ppml_helpers.certificates import ADDRESS, Pair
from ppml_helpers.files import write_secret

FOLDER = ".config"  # where MPyC looks for its certificates, in the working folder of a party


def prepare(folder: Path, parties: int) -> list[socket.socket]:
    """Write the certificates of a run into `folder`, and return a listening socket for each party.

    The sockets are bound before any party starts and are handed over as they are: nobody else can take a port
    between the choice and its use.
    """
    place = folder / FOLDER
    place.mkdir(mode=0o700)
    authority = Pair("MPyC authority", signs=True)
    write_secret(place / "mpyc_ca.crt", authority.certificate)
    for rank in range(parties):
        party = Pair(f"MPyC party {rank}", authority)  # the name that MPyC asks a certificate for
        write_secret(place / f"party_{rank}.crt", party.certificate)
        write_secret(place / f"party_{rank}.key", party.key)
    return [_listening() for _ in range(parties)]


def _listening() -> socket.socket:
    listener = socket.socket()
    listener.bind((ADDRESS, 0))
    listener.listen()
    return listener
