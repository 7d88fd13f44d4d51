"""Scores by parties in processes of their own: our launcher against CrypTen's own, and every way against every other.

First our launcher against CrypTen's, from the start of the processes to the scores. CrypTen's own cannot bring back the
scores of many patients (it waits for a process before it reads what that has to say, so anything beyond the 64 KB of a
pipe hangs): there the parties return one number. Then the protocols of chapter 09 alone, everything loaded, from the
table to the opened scores; rounds, bytes and errors stand among the facts. Last, a line that is really slow.

SPU needs an environment of its own, and is measured where SPU_PYTHON names one (see ``_spu_peer.py``); TF Encrypted is
measured by ``_tf_encrypted.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tenseal
import torch
from _frame import Benchmark, Timing

from ppml_helpers.secure_computation import Party, load_crypten, run_parties
from ppml_helpers.secure_computation.costs import counted, seconds_on_line
from ppml_helpers.secure_computation.shares import score_by_hand

crypten = load_crypten()
HERE = Path(__file__).resolve().parent
COLUMNS = 39
TEST_PATIENTS = 2_276
LATENCY = 10.0  # of the slow line, in milliseconds
LAUNCHED = 3.0  # times as long as the stock launcher that ours may take: it starts as many processes
Found = tuple[Timing, dict[str, Any]]


def score(values: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Score the second party's patients with the first one's model; open the scores to both; time it."""
    crypten.communicator.get().barrier()
    crypten.reset_communication_stats()
    begun = time.perf_counter()
    scores = crypten.cryptensor(values, src=1).matmul(crypten.cryptensor(weights, src=0)).get_plain_text()
    return scores, time.perf_counter() - begun


async def score_with_mpyc(mpc: Any, values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Score as one of three parties of MPyC."""
    begun = time.perf_counter()
    number = mpc.SecFxp(48, 20)
    x = mpc.input(number.array(values, integral=False), senders=1)
    w = mpc.input(number.array(weights, integral=False), senders=0)
    scores = np.asarray(await mpc.output(x @ w), dtype=float)
    return scores, time.perf_counter() - begun


def stock(values: torch.Tensor, weights: torch.Tensor) -> list[float]:
    """Score with CrypTen's own launcher; return the first score of each party."""
    from crypten import mpc

    return mpc.run_multiprocess(world_size=2)(lambda: float(score(values, weights)[0][0]))()


def main() -> None:
    """Compare the launchers, the protocols, and what was computed with what a slow line takes."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    about = "Scores by parties in processes of their own, against other ways."
    with Benchmark("parties", about) as benchmark:
        for patients in (1_000,) if benchmark.quick else (1_000, 10_000):
            _launchers(benchmark, *_made_up(rng, patients))
        for patients in (TEST_PATIENTS,) if benchmark.quick else (1_000, TEST_PATIENTS, 10_000):
            _protocols(benchmark, *_made_up(rng, patients))
        if benchmark.quick:
            benchmark.note("The slow line is left out of a quick run: it takes half a minute of waiting.")
        else:
            _slow_line(benchmark)


def _made_up(rng: np.random.Generator, patients: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(-1, 1, (patients, COLUMNS)), rng.uniform(-1, 1, COLUMNS)


def _launchers(benchmark: Benchmark, values: np.ndarray, weights: np.ndarray) -> None:
    x, w = (torch.tensor(one, dtype=torch.float32) for one in (values, weights))
    benchmark.compare(
        f"{len(values):,} patients, CrypTen's own launcher",
        ours=partial(run_parties, score, [(torch.zeros_like(x), w), (x, torch.zeros_like(w))]),
        peer=partial(stock, x, w),
        repeats=2 if benchmark.quick else 10,
        unit="scoring",
        note="ours: run_parties; two parties of CrypTen, default provider, processes started anew",
        ratio="ours/peer",
        at_most=LAUNCHED,
    )


def _protocols(benchmark: Benchmark, values: np.ndarray, weights: np.ndarray) -> None:
    """Time each way; the facts are those of the peer, and of ours in the first comparison."""
    ways = _ways(values, weights)
    for name, way in ways.items():
        try:
            facts = way()[1]
        except FileNotFoundError as error:
            benchmark.note(f"{len(values):,} scores by {name} are left out: {error}.")
            continue
        result = benchmark.compare(
            f"{len(values):,} scores, {name}",
            ours=lambda: ways["CrypTen, first party"]()[0],
            peer=lambda way=way: way()[0],
            repeats=2 if benchmark.quick else 5,
            unit="scoring",
            note="ours: CrypTen with its default; the protocol alone, everything loaded; one machine, no real line",
            ratio="ours/peer",
            warmup=0,
            floor=name == "plain",
        )
        result.facts = {"way": name, "patients": len(values), **facts}


def _ways(values: np.ndarray, weights: np.ndarray) -> dict[str, Callable[[], Found]]:
    """Return, by name, what scores the patients and says how long it took and what it sent."""
    x, w = (torch.tensor(one, dtype=torch.float32) for one in (values, weights))
    tables = [(torch.zeros_like(x), w), (x, torch.zeros_like(w))]
    arrays = [(np.zeros_like(values), weights), (values, 0 * weights), (np.zeros_like(values), 0 * weights)]

    def parties(function: Any, inputs: list, **options: Any) -> Found:
        told: list[Party] = run_parties(function, inputs, **options)
        scores, seconds = told[1].result
        return Timing(seconds, 0.0), {"rounds": told[0].rounds, "bytes": told[1].bytes, **_error(scores)}

    def timed(function: Callable[[], tuple[Any, int, float]]) -> Found:
        begun = time.perf_counter()
        scores, rounds, sent = function()
        return Timing(time.perf_counter() - begun, 0.0), {"rounds": rounds, "bytes": sent, **_error(scores)}

    def _error(scores: Any) -> dict[str, float]:
        return {"error": float(np.abs(np.asarray(scores, dtype=float) - values @ weights).max())}

    def spu() -> Found:
        """Score in an environment of its own."""
        if not os.environ.get("SPU_PYTHON"):
            raise FileNotFoundError("SPU_PYTHON names no Python that has it")
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "patients.npz", values=values, weights=weights)
            command = [os.environ["SPU_PYTHON"], str(HERE / "_spu_peer.py"), str(Path(folder) / "patients.npz")]
            said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
        facts = json.loads(said.strip().splitlines()[-1])
        return Timing(facts.pop("seconds"), 0.0), facts

    return {
        "CrypTen, first party": partial(parties, score, tables),
        "CrypTen, third party": partial(parties, score, tables, provider="TTP"),
        "MPyC": partial(parties, score_with_mpyc, arrays, library="mpyc"),
        "by hand": lambda: timed(lambda: score_by_hand(values, weights, np.random.default_rng(0))),
        "encryption": lambda: timed(lambda: _encrypted(values, weights)),
        "plain": lambda: timed(lambda: (values @ weights, 0, 0)),
        "SPU": spu,
    }


def _encrypted(values: np.ndarray, weights: np.ndarray) -> tuple[list[float], int, int]:
    """Encrypt each column, add them up as the server of chapter 08 does, and decrypt the scores."""
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 60])
    context.global_scale = 2.0**40
    columns = [tenseal.ckks_vector(context, column) for column in values.T]
    sent = sum(len(column.serialize()) for column in columns)
    answer = sum(column * float(weight) for column, weight in zip(columns, weights, strict=True))
    return answer.decrypt(), 1, sent


def _slow_line(benchmark: Benchmark) -> None:
    """Run the protocols on a line with a latency and on one without: what it adds, beside what was computed."""
    runs: dict[float, dict[str, Any]] = {}

    def run(latency: float) -> None:
        command = [sys.executable, str(HERE / "_delayed_line.py"), str(latency), str(TEST_PATIENTS), "5"]
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode:
            raise FileNotFoundError(told.stdout.strip() or told.stderr.strip())
        runs[latency] = json.loads(told.stdout)

    try:
        result = benchmark.compare(
            f"{TEST_PATIENTS:,} patients, a line of {LATENCY:g} ms against one without delay",
            ours=partial(run, LATENCY),
            peer=partial(run, 0.0),
            repeats=1,
            unit="run of three protocols",
            note="two parties of CrypTen, networks of their own, 100 megabits a second; the processes' start included",
            ratio="ours/peer",
            warmup=0,
        )
    except FileNotFoundError as error:
        benchmark.note(f"The slow line is left out: {error}.")
        return
    computed = {one.name: seconds_on_line(one.crossings, one.bytes(TEST_PATIENTS), LATENCY) for one in counted()[1:]}
    seconds = {name: one["seconds"] for name, one in runs[LATENCY].items()}
    result.facts = {"latency": LATENCY, "seconds": seconds, "computed": computed}


if __name__ == "__main__":
    main()
