"""A door for Flower's programs: who holds no secret of the federation runs nothing, on the same machine either.

Flower 1.41 asks a hospital for its key. It asks nobody who submits a run, and a run is code that the hospitals execute.
Accounts are part of its makers' paid edition; ``--trusted-entities`` takes apps from their store alone. So this program
puts two things in before it starts Flower's own. It knows nothing of the kit: copy the one file to a server, and type::

    python -P door.py --submit-token token.txt flower-superlink --host ...
    python -P door.py flower-supernode --superlink ...

- **Accounts.** Whoever submits, stops or lists runs, or registers a hospital, must send the token. ``flwr`` does so by
  itself once its ``credentials.yaml`` has it. The place for this is Flower's own `ControlAuthnPlugin`.
- **Helpers.** Server and hospitals start programs that fetch tasks from them over a port. On a shared machine others
  could fetch a task first, or read its token in the list of processes. Behind the door a helper proves itself with a
  secret of this start (Flower's SuperExec secret), and gets its tokens in files that only their owner can read.
"""

from __future__ import annotations

import hmac
import importlib.util
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

_SERVERS = {  # a program, and what in its module starts the port that its helpers call
    "flower-superlink": ("flwr.superlink.cli.flower_superlink", "_run_superlink_http_api"),
    "flower-supernode": ("flwr.supernode.cli.flower_supernode", "_start_supernode_http_api"),
}
_HELPER = "flower-superexec"
_STARTED = {  # what servers, hospitals and their helpers start, each for one task, and where it lies
    _HELPER: "supercore/cli/flower_superexec.py",
    "flwr-clientapp": "supernode/cli/flwr_clientapp.py",
    "flwr-serverapp": "superlink/cli/flwr_serverapp.py",
}
_SHORTEST = 32  # characters of a token: an empty file would let everybody in


def main(words: list[str]) -> None:
    """Start the program that is named first, or after ``--submit-token FILE``."""
    if not (found := version("flwr")).startswith("1.41."):
        sys.exit(f"This door fits Flower 1.41, and {found} is installed: it could stand open. Install flwr==1.41.0.")
    token = Path(words[1]).read_bytes().strip() if words[0] == "--submit-token" else None
    if token is not None and len(token) < _SHORTEST:
        sys.exit(f"The token in {words[1]} has {len(token)} characters, {_SHORTEST} is the least: make a new one.")
    program, *sys.argv[1:] = words if token is None else words[2:]
    sys.argv[0] = program
    if program in _STARTED:
        if program == _HELPER:
            _guard_children(_folder(), None)
        return _alone(program)()
    folder = _folder()
    secret = secrets.token_bytes(32)
    _guard_children(folder, secret)
    name, serve = _SERVERS[program]
    module = importlib.import_module(name)
    setattr(module, serve, _guarded(getattr(module, serve), secret))
    if token is not None:
        module.load_control_authn_plugin = lambda: _account(token)
    getattr(module, program.replace("-", "_"))()


def _alone(program: str) -> Callable[[], Any]:
    """Load one of Flower's programs without the package around it, whose import is half of what a short task takes."""
    import flwr

    name = program.replace("-", "_")
    file = Path(flwr.__file__).parent / _STARTED[program]
    spec = importlib.util.spec_from_file_location(f"{name}_alone", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="door-"))  # mode 700


def _account(token: bytes) -> Any:
    """Make the plugin that knows one account: whoever sends the token."""
    from flwr.common.constant import ACCESS_TOKEN_KEY
    from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin

    class Account(NoOpControlAuthnPlugin):
        def validate_tokens_in_metadata(self, metadata: Any) -> Any:
            given = dict(metadata).get(ACCESS_TOKEN_KEY, "")
            known = hmac.compare_digest(given.encode(), token)
            return super().validate_tokens_in_metadata(metadata) if known else (False, None)

        def refresh_tokens(self, metadata: Any) -> Any:
            return None, None

    return Account()


def _guarded(serve: Callable[..., Any], secret: bytes) -> Callable[..., Any]:
    """Let a server ask its helpers for the secret; by itself Flower does so only for helpers that others start."""

    def with_secret(*given: Any, **named: Any) -> Any:
        config = [*given, *named.values()][0]
        config.superexec_auth_secret = secret
        return serve(*given, **named)

    return with_secret


def _guard_children(folder: Path, secret: bytes | None) -> None:
    """Hand secret and tokens to the programs that this one will start, as files."""

    def handed_over(content: bytes) -> str:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:  # mode 600
            file.write(content)
        return file.name

    class Popen(subprocess.Popen):
        def __init__(self, words: Any, **options: Any) -> None:
            words = list(words)
            if words[0] == _HELPER and secret is not None:
                words += ["--superexec-auth-secret-file", handed_over(secret)]
            if words[0] in _STARTED:
                words[:1] = [sys.executable, "-P", __file__, words[0]]
            if "--token" in words:
                at = words.index("--token")
                words[at : at + 2] = ["--token-file", handed_over(words[at + 1].encode())]
            super().__init__(words, **options)

    subprocess.Popen = Popen


if __name__ == "__main__":
    main(sys.argv[1:])
