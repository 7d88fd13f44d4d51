"""CrypTen 0.4.1 (December 2022) on a PyTorch of today: what moved since, put back where CrypTen looks for it.

Four things have changed under it, and a fifth was never right. None of them touches what is computed on shares.

1. PyTorch moved ``torch.onnx._internal.registration`` into ``...torchscript_exporter.registration``.
2. ``torch.onnx.export`` took a new way to export ("dynamo"), which knows nothing of what CrypTen registers: the old one
   must be asked for.
3. CrypTen imports ``onnx`` as it starts, and needs it for `crypten.nn.from_pytorch` alone, which a deeper section of
   chapter 09 uses. Where the package is missing, an empty module stands in for it until CrypTen is loaded.
4. Its own list of requirements names ``sklearn``, which the package index refuses; so it is installed without them.
5. Its decoder reads an opened number just above a negative whole one, such as -2.99998, as one less: -3.99998. It
   divides negative numbers by 2^16 - 1. Of scores between 0 and -4 about one of 30,000 comes out so.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from ppml_helpers.errors import ComputationError

if TYPE_CHECKING:
    import torch

_MOVED = "torch.onnx._internal.registration"
_NOW = "torch.onnx._internal.torchscript_exporter.registration"
_OPERATORS = 17  # the set of ONNX that CrypTen reads


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
            crypten = importlib.import_module("crypten")
        crypten.nn.onnx_converter._export_pytorch_model = _exported
        crypten.encoder.FixedPointEncoder.decode = _decoded
        return crypten
    finally:
        if stand_in:
            del sys.modules["onnx"]


def _decoded(encoder: Any, opened: torch.Tensor | None) -> torch.Tensor | None:
    """Return the numbers that an opened tensor of whole multiples stands for."""
    if opened is None:
        return None
    return (opened.double() / encoder.scale).float() if encoder.scale > 1 else opened.clone()


def _exported(file: BinaryIO, model: torch.nn.Module, example: Any) -> BinaryIO:
    """Write a model of PyTorch as ONNX, the way CrypTen reads it; or say what is missing."""
    if not _there("onnx"):
        packages = "the optional packages onnx and ml_dtypes"
        raise ComputationError(f"CrypTen translates models with {packages}: install them, or build it of crypten.nn.")
    import torch

    settings = {"input_names": ["input"], "output_names": ["output"], "export_params": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the old way will go
        torch.onnx.export(
            model, example, file, dynamo=False, do_constant_folding=False, opset_version=_OPERATORS, **settings
        )
    return file


def _there(name: str) -> bool:
    """Say whether a module is loaded or can be."""
    return name in sys.modules or importlib.util.find_spec(name) is not None
