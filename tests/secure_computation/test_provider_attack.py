"""The attack on who prepares the triples: it reads the other's values by the default, and none with a third party."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppml_helpers.secure_computation import Eavesdropper, load_crypten, run_parties

crypten = load_crypten()
VALUES = torch.tensor(np.random.default_rng(0).normal(scale=3, size=(5_000, 4)), dtype=torch.float32)


def listen(values: torch.Tensor, weights: torch.Tensor, how: str) -> np.ndarray:
    x, w = crypten.cryptensor(values, src=1), crypten.cryptensor(weights, src=0)
    with Eavesdropper() as ear:
        product = x.matmul(w) if how == "matmul" else x * w[:, 0]
        product.get_plain_text(dst=1)
    again = x * x  # after the block nothing is listened to
    return ear.read()[0][0] if len(ear.read()) == 1 and again is not None else np.zeros(1)


@pytest.mark.parametrize("how", ["matmul", "mul"])
def test_the_first_party_reads_everything_and_with_a_third_one_nothing(how: str) -> None:
    inputs = [(torch.zeros_like(VALUES), torch.ones(4, 1), how), (VALUES, torch.zeros(4, 1), how)]
    read = {provider: run_parties(listen, inputs, provider=provider) for provider in ("TFP", "TTP")}
    assert np.abs(read["TFP"][0].result - VALUES.numpy()).max() < 1e-2
    for nothing in (read["TFP"][1], *read["TTP"]):  # nor does the second party, nor anybody with a third
        assert abs(np.corrcoef(nothing.result.ravel(), VALUES.ravel())[0, 1]) < 0.1
