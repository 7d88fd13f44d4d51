"""The attack on CrypTen's default: the first party makes the random triples, so it can take the masks off again.

Multiplying two secrets x and y opens x - a and y - b, where a and b are random and nobody should know them (a Beaver
triple). Under the provider TFP ("trusted first party") party 0 draws them. It adds its own a to the opened x - a.

References
----------
D. Beaver, "Efficient multiparty protocols using circuit randomization", CRYPTO 1991.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from ppml_helpers.secure_computation import crypten_today

_GROUPS = 8
_MASKED = 2.0**47  # a masked value is anything up to here: 64 bits, of which 16 stand behind the point


def draw_read(axis: Axes, values: ArrayLike, read: ArrayLike, title: str) -> None:
    """Draw which readings occur with which values: eight groups of patients each way, a mark where somebody lies.

    Groups rather than dots: masks are drawn anew in every run, and the picture says no more than what stays.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    values, read : array_like, shape (patients,)
        One column as it is, and as the attacker reads it.
    title : str
    """
    values, read = np.asarray(values), np.asarray(read)
    edges = np.quantile(values, np.arange(1, _GROUPS) / _GROUPS) + 1e-3  # not upon a value that many patients have
    masked = np.abs(read).max() > _MASKED / 2
    readings = _MASKED * np.linspace(-1, 1, _GROUPS + 1)[1:-1] if masked else edges
    seen = np.zeros((_GROUPS, _GROUPS))
    seen[np.digitize(read, readings), np.digitize(values, edges)] = 1
    axis.grid(False)
    axis.imshow(seen, origin="lower", cmap="Oranges", vmin=0, vmax=1.5, aspect="auto")
    ticks = range(_GROUPS), range(1, _GROUPS + 1)
    axis.set_xticks(*ticks)
    axis.set_yticks(*ticks)
    axis.set_title(title, fontsize=10, loc="left")


class Eavesdropper:
    """Keep what this party sees anyway while a block runs: the masks it drew, and what was opened.

    It changes nothing that is sent. Use it inside one party::

        with Eavesdropper() as ear:
            product = x * y
        ear.read()  # its best guess of every factor

    Attributes
    ----------
    masks, opened : list of tuples
        Of each multiplication the two masks as this party knows them, and the two opened differences.
    """

    def __init__(self) -> None:
        crypten = crypten_today.load_crypten()
        self._tensor = crypten.mpc.primitives.arithmetic.ArithmeticSharedTensor
        self._provider = crypten.mpc.get_default_provider()
        self._scale = 2.0**crypten.config.cfg.encoder.precision_bits
        self._drawn: list[Any] = []
        self.masks: list[tuple[Any, Any]] = []
        self.opened: list[tuple[Any, Any]] = []

    def __enter__(self) -> Eavesdropper:
        provider, tensor = type(self._provider), self._tensor
        self._triple, self._reveal = provider.generate_additive_triple, tensor.reveal_batch
        module = __import__(provider.__module__, fromlist=["generate_random_ring_element"])
        self._module, self._random = module, module.generate_random_ring_element
        module.generate_random_ring_element = self._noted
        provider.generate_additive_triple = self._noting_triple
        tensor.reveal_batch = staticmethod(self._noting_reveal)
        return self

    def __exit__(self, *_: object) -> None:
        self._module.generate_random_ring_element = self._random
        type(self._provider).generate_additive_triple = self._triple
        self._tensor.reveal_batch = staticmethod(self._reveal)

    def read(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return a guess of the two factors of each multiplication: what was opened, plus this party's mask."""
        return [
            tuple(
                (difference + mask).double().numpy() / self._scale for difference, mask in zip(seen, own, strict=True)
            )
            for seen, own in zip(self.opened, self.masks, strict=True)
        ]

    def _noted(self, *args: Any, **kwargs: Any) -> Any:
        drawn = self._random(*args, **kwargs)
        self._drawn.append(drawn.clone())
        return drawn

    def _noting_triple(self, *args: Any, **kwargs: Any) -> Any:
        self._drawn.clear()
        triple = self._triple(self._provider, *args, **kwargs)
        self.masks.append((self._drawn[0], self._drawn[1]))
        return triple

    def _noting_reveal(self, tensors: Any, *args: Any, **kwargs: Any) -> Any:
        seen = self._reveal(tensors, *args, **kwargs)
        if len(self.masks) > len(self.opened):
            self.opened.append(tuple(one.clone() for one in seen))
        return seen
