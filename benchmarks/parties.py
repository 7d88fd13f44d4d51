"""Scores by two parties of CrypTen: our launcher against CrypTen's own, MPyC's three parties, and plain arithmetic.

All score the same made-up patients with the same model, from the start of the processes to the scores. CrypTen's own
launcher cannot bring back the scores of many patients (it waits for a process before it reads what that has to say, so
anything beyond the 64 KB of a pipe hangs): there the parties return one number. Rounds and bytes stand among the facts.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from _frame import Benchmark

from ppml_helpers.secure_computation import load_crypten, run_parties

crypten = load_crypten()
COLUMNS = 39
LAUNCHED = 3.0  # times as long as the stock launcher that ours may take: it starts as many processes


def score(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Score the second party's patients with the first one's model; open the scores to both."""
    return crypten.cryptensor(values, src=1).matmul(crypten.cryptensor(weights, src=0)).get_plain_text()


async def score_with_mpyc(mpc: Any, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Score as one of three parties of MPyC."""
    number = mpc.SecFxp(48, 20)
    x = mpc.input(number.array(values, integral=False), senders=1)
    w = mpc.input(number.array(weights, integral=False), senders=0)
    return np.asarray(await mpc.output(x @ w), dtype=float)


def stock(values: torch.Tensor, weights: torch.Tensor) -> list[float]:
    """Score with CrypTen's own launcher; return the first score of each party."""
    from crypten import mpc

    return mpc.run_multiprocess(world_size=2)(lambda: float(score(values, weights)[0]))()


def main() -> None:
    """Compare at two numbers of patients."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, COLUMNS).astype(np.float32)
    with Benchmark("parties", "Scores by parties in processes of their own, against other ways.") as benchmark:
        for patients in (1_000,) if benchmark.quick else (1_000, 10_000):
            values = rng.uniform(-1, 1, (patients, COLUMNS)).astype(np.float32)
            _compare(benchmark, values, weights)


def _compare(benchmark: Benchmark, values: np.ndarray, weights: np.ndarray) -> None:
    patients, x, w = len(values), torch.from_numpy(values), torch.from_numpy(weights)
    wide = values.astype(float), weights.astype(float)
    inputs = [(torch.zeros_like(x), w), (x, torch.zeros_like(w))]
    ours = partial(run_parties, score, inputs)
    ways = {
        "CrypTen's own launcher": (partial(stock, x, w), LAUNCHED),
        "with a trusted third party": (partial(run_parties, score, inputs, provider="TTP"), None),
        "MPyC, three parties": (partial(run_parties, score_with_mpyc, [wide] * 3, library="mpyc"), None),
        "plain": (lambda: x @ w, None),
    }
    for name, (peer, most) in ways.items():
        result = benchmark.compare(
            f"{patients:,} patients, {name}",
            ours=ours,
            peer=peer,
            repeats=2 if benchmark.quick else 10,
            unit="scoring",
            note="ours: two parties of CrypTen, default provider, processes started anew",
            ratio="ours/peer",
            at_most=most,
        )
        party = ours()[0]
        error = float((party.result - x @ w).abs().max())
        result.facts = {"rounds": party.rounds, "bytes": party.bytes, "largest_error": error}
        told = peer()
        if isinstance(told, list) and hasattr(told[0], "rounds"):
            result.facts |= {"peer_rounds": told[0].rounds, "peer_bytes": told[0].bytes}


if __name__ == "__main__":
    main()
