"""The peer of `federation.py`: the same app in Flower's own simulation, which runs the hospitals in Ray.

`run_simulation` takes no run config and gives a node no table, so two thin apps around the app's own add both. Flower
calls it deprecated; what it recommends instead, `flwr run`, starts the same engine and a server process besides.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from _frame import serve

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "ppml_helpers" / "federated_learning" / "app"
sys.path[:0] = [str(APP), str(ROOT)]
os.environ["FLWR_LOG_LEVEL"] = "ERROR"  # ours writes no log either
os.environ["PYTHONPATH"] = os.pathsep.join([str(APP), os.environ.get("PYTHONPATH", "")])  # for Ray's own processes
# What the room switches off before Flower is imported; the room itself needs more than the peer's packages.
os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"}

from federated_hospitals import server_app  # noqa: E402
from flwr.app import Context, Message  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.serverapp import Grid, ServerApp  # noqa: E402
from flwr.simulation import run_simulation  # noqa: E402

LIMIT = 300  # seconds: where the processor is busy, Ray can fail to start and then not end by itself


def simulate(folder: str, config: str) -> None:
    """Run the app in Ray, from its start to its end.

    Parameters
    ----------
    folder
        Where `hospital-0.npz` and so on lie.
    config
        The run config as JSON; the server writes the model to its `out`.

    Raises
    ------
    RuntimeError
        If no model was written.
    """
    run_config = json.loads(config)
    scratch = tempfile.mkdtemp(prefix="ray-")
    watch = threading.Timer(LIMIT, os._exit, [1])
    watch.daemon = True
    watch.start()
    try:
        run_simulation(
            _server(run_config),
            _client(folder, run_config),
            num_supernodes=run_config["num-hospitals"],
            backend_config={
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
                "init_args": {"include_dashboard": False, "log_to_driver": False, "_temp_dir": scratch},
            },
        )
    finally:
        watch.cancel()
        shutil.rmtree(scratch, ignore_errors=True)
    if not Path(run_config["out"]).exists():
        raise RuntimeError("the simulation ended without a model")


def _server(run_config: dict[str, Any]) -> ServerApp:
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        server_app.app(grid, _configured(context, run_config, {}))

    return server


def _client(folder: str, run_config: dict[str, Any]) -> ClientApp:
    client = ClientApp()

    def answer(message: Message, context: Context) -> Message:
        from federated_hospitals import client_app  # in Ray's process

        table = f"{folder}/hospital-{context.node_config['partition-id']}.npz"
        return client_app.app(message, _configured(context, run_config, {"table": table}))

    client.train()(answer)
    client.evaluate()(answer)
    return client


def _configured(context: Context, run_config: dict[str, Any], node_config: dict[str, str]) -> Context:
    return Context(
        run_id=context.run_id,
        node_id=context.node_id,
        node_config={**context.node_config, **node_config},
        state=context.state,
        run_config=run_config,
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        simulate(*sys.argv[1:])
    else:
        serve(simulate)
