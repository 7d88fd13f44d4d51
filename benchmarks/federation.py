"""Federated rounds in a notebook: ours in one process against Flower's simulation, which starts Ray.

Both run the same ServerApp and ClientApp on the same files: 4 simulated hospitals, 10 rounds with an evaluation after
each. Ray is started and ended by every run, because that is what happens on every call in a notebook cell; so its start
is timed. In the first comparison both processes have imported everything before; in the second one each run is a new
process, and imports are timed too. Both must arrive at the same model, bit for bit.

Where the processor is busy, Ray may not start at all: then the peer is given up after five minutes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from _frame import Benchmark, BenchmarkError, Worker, timed

from ppml_helpers.federated_learning import hospitals, in_process, results
from ppml_helpers.federated_learning.app.federated_hospitals import task
from ppml_helpers.federated_learning.run_config import complete

# Ray stays out of the course's own environment. Everything else as in requirements.lock.
PEER_REQUIREMENTS = [
    "alembic==1.20.1",
    "annotated-doc==0.0.7",
    "annotated-types==0.8.0",
    "anyio==4.16.0",
    "attrs==23.2.0",
    "certifi==2026.10.18",
    "cffi==2.1.1",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "cryptography==50.0.2",
    "fastapi==0.138.2",
    "filelock==4.2.11",
    "flwr==1.41.0",
    "greenlet==3.5.6",
    "grpcio-health-checking==1.81.1",
    "grpcio==1.85.1",
    "h11==0.16.0",
    "httpcore==1.0.9",
    "httptools==0.9.0",
    "httpx==0.28.1",
    "idna==3.20",
    "iterators==0.0.2",
    "jsonschema-specifications==2025.9.1",
    "jsonschema==4.26.0",
    "Mako==1.4.3",
    "markdown-it-py==4.3.0",
    "MarkupSafe==3.0.4",
    "mdurl==0.1.2",
    "msgpack==1.2.4",
    "numpy==2.4.6",
    "packaging==25.0",
    "pathspec==1.1.1",
    "prompt_toolkit==3.0.53",
    "protobuf==6.33.6",
    "pycparser==3.12",
    "pycryptodome==3.24.1",
    "pydantic==2.14.3",
    "pydantic_core==2.50.4",
    "Pygments==2.21.0",
    "python-dotenv==1.2.4",
    "PyYAML==6.0.3",
    "ray==2.55.1",
    "referencing==0.37.0",
    "requests==2.34.2",
    "rich==14.3.4",
    "rpds-py==2026.9.1",
    "shellingham==1.5.4",
    "SQLAlchemy==2.1.9",
    "starlette==1.3.1",
    "tomli==2.5.0",
    "tomli_w==1.2.0",
    "typer==0.20.1",
    "typing-inspection==0.4.5",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
    "uv==0.12.24",
    "uvicorn==0.49.0",
    "uvloop==0.23.0 ; sys_platform != 'win32'",
    "watchfiles==1.3.0",
    "wcwidth==0.9.4",
    "websockets==17.4",
]

ROUNDS, HOSPITALS, BOUND = 10, 4, 15
OURS = """
import json, sys
from ppml_helpers.federated_learning import hospitals, in_process
config = json.loads(sys.argv[2])
tables = [hospitals.read(f"{sys.argv[1]}/hospital-{i}.npz") for i in range(config["num-hospitals"])]
in_process.run(tables, config)
"""


def main() -> None:
    """Compare in running processes, then in new ones.

    Raises
    ------
    BenchmarkError
        If the two models differ, or a process fails.
    """
    given = hospitals.simulated(n=HOSPITALS)
    with (
        tempfile.TemporaryDirectory(prefix="fed-") as scratch,
        Worker("_ray_peer.py") as worker,
        Benchmark(
            "federation", "4 hospitals x 10 rounds: in one process against Flower's Ray simulation."
        ) as benchmark,
    ):
        hospitals.write(given, scratch)
        config = {**complete(given, {"num-server-rounds": ROUNDS}), "out": str(Path(scratch) / "peer.npz")}
        peer = {"folder": scratch, "config": json.dumps(config)}
        warm = benchmark.compare(
            "in a running process",
            ours=lambda: in_process.run(given, {"num-server-rounds": ROUNDS}),
            peer=lambda: worker.call(**peer),
            repeats=1 if benchmark.quick else 5,
            unit="run",
            note="start of Ray included, imports not; processor time of Ray's own processes not counted",
            at_least=BOUND,
            warmup=0 if benchmark.quick else 1,
        )
        ours, theirs = in_process.run(given, {"num-server-rounds": ROUNDS}), results.read(config["out"])
        warm.facts = {"sha256": ours.sha256, "same_model": ours.sha256 == theirs.sha256, "auc": ours.auc}
        if not warm.facts["same_model"]:
            raise BenchmarkError(f"The models differ: {ours.sha256} and {theirs.sha256}.")
        for hospitals_there in (HOSPITALS,) if benchmark.quick else (2, HOSPITALS, 8, 16):
            against_training(benchmark, hospitals_there)
        python = os.environ.get("KIT_PEER_PYTHON", sys.executable)
        benchmark.compare(
            "in a new process",
            ours=lambda: timed([sys.executable, "-c", OURS, scratch, json.dumps({**config, "out": ""})]),
            peer=lambda: timed([python, str(Path(__file__).with_name("_ray_peer.py")), *peer.values()]),
            repeats=1 if benchmark.quick else 3,
            unit="process",
            note="imports and start of Ray included; ours also imports pandas, which the peer does without",
            warmup=0,
        )


def against_training(benchmark: Benchmark, number: int) -> None:
    """Tell a run as a multiple of the hospitals' own steps: no app, no messages, no server, no evaluation."""
    given = hospitals.simulated(n=number)
    asked = complete(given, {"num-server-rounds": ROUNDS})

    def alone() -> None:
        weights = np.zeros(given[0].X_train.shape[1] + 1)
        for server_round in range(ROUNDS):
            for hospital, one in enumerate(given):
                task.train(
                    weights,
                    one.X_train,
                    one.y_train,
                    epochs=asked["local-epochs"],
                    batch_size=asked["batch-size"],
                    learning_rate=asked["learning-rate"],
                    rng=task.rng_for(0, server_round, hospital),
                )

    benchmark.floor(
        f"{number} hospitals, {ROUNDS} rounds",
        ours=lambda: in_process.run(given, {"num-server-rounds": ROUNDS}),
        peer=alone,
        repeats=2 if benchmark.quick else 5,
        unit="run",
        note="the same patients, dealt to more hospitals; the floor only takes the hospitals' own training steps",
    )


if __name__ == "__main__":
    main()
