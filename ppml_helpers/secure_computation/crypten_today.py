"""CrypTen 0.4.1 (December 2022) on a PyTorch of today: what moved since, put back where CrypTen looks for it.

Three things have changed under it. None of them touches its arithmetic.

1. PyTorch moved ``torch.onnx._internal.registration`` into ``...torchscript_exporter.registration``.
2. CrypTen imports ``onnx`` as it starts, and needs it for `crypten.nn.from_pytorch` alone, which this course does not
   use. Where the package is missing, an empty module stands in for it until CrypTen is loaded.
3. Its own list of requirements names ``sklearn``, which the package index refuses; so it is installed without them.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from types import ModuleType

from ppml_helpers.errors import ComputationError

_MOVED = "torch.onnx._internal.registration"
_NOW = "torch.onnx._internal.torchscript_exporter.registration"


def load_crypten() -> ModuleType:
    """Import CrypTen and return it.

    Raises
    ------
    ComputationError
        If CrypTen is not installed.
    """
    if "crypten" in sys.modules:
        return sys.modules["crypten"]
    if importlib.util.find_spec("crypten") is None:
        raise ComputationError("CrypTen is not installed, this section needs it: run 'python3 kit.py doctor'.")
    if importlib.util.find_spec("torch.onnx._internal") and not _there(_MOVED):
        sys.modules[_MOVED] = importlib.import_module(_NOW)
    stand_in = not _there("onnx")
    if stand_in:
        sys.modules["onnx"] = onnx = ModuleType("onnx")
        onnx.numpy_helper = ModuleType("onnx.numpy_helper")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is deprecated there will not be mended any more
            return importlib.import_module("crypten")
    finally:
        if stand_in:
            del sys.modules["onnx"]


def _there(name: str) -> bool:
    """Say whether a module is loaded or can be."""
    return name in sys.modules or importlib.util.find_spec(name) is not None
