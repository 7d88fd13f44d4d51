"""CrypTen loads beside today's PyTorch, and what stood in for it on the way is gone afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation import crypten_today


def test_it_loads_and_leaves_no_stand_in_behind() -> None:
    program = (
        "import sys\n"
        "from ppml_helpers.secure_computation import load_crypten\n"
        "crypten = load_crypten()\n"
        "assert crypten is load_crypten() and crypten.__version__ == '0.4.1'\n"
        "assert getattr(sys.modules.get('onnx'), '__file__', 'absent' if 'onnx' not in sys.modules else None)\n"
    )
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", program], check=True)


def test_without_it_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "crypten", raising=False)
    monkeypatch.setattr(crypten_today.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ComputationError, match="CrypTen is not installed"):
        crypten_today.load_crypten()


def test_without_onnx_one_sentence_says_what_translates_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    crypten = crypten_today.load_crypten()
    monkeypatch.setattr(crypten_today, "_there", lambda name: False)
    with pytest.raises(ComputationError, match="onnx and ml_dtypes: install them"):
        crypten.nn.from_pytorch(torch.nn.Linear(3, 1), torch.zeros(1, 3))


def test_every_opened_number_is_read_right() -> None:
    """CrypTen's own decoder reads 45 of these as one less, such as -2.99998 as -3.99998."""
    encoder = crypten_today.load_crypten().encoder.FixedPointEncoder()
    opened = torch.arange(-10 * 2**16, 10 * 2**16)
    assert (encoder.decode(opened) - opened.double() / 2**16).abs().max() < 1e-6
    assert encoder.decode(opened).dtype == torch.float32
    assert encoder.decode(None) is None
