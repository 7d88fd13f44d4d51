"""TF Encrypted 0.9.1 in an environment of its own: its import without noise, and what its players send to each other.

It was last released in 2023. Its compiled parts were built for TensorFlow 2.9.1, which ends with Python 3.10. So this
module and what it imports are written for Python 3.10 too; nothing else of the course needs to be.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ppml_helpers.errors import ComputationError

PLAYERS = 8
"""How many devices there are to put players on."""


def load_tf_encrypted() -> tuple[Any, Any]:
    """Import TensorFlow and TF Encrypted, so that every player gets a device of its own.

    Returns
    -------
    tuple
        The modules ``tensorflow`` and ``tf_encrypted``.

    Raises
    ------
    ComputationError
        In another kernel than the one that ``kit.py tfe`` makes, or without its secure random numbers.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # remarks about graphics cards
    os.environ["KERAS_HOME"] = os.path.join(sys.prefix, "keras")  # it would write to a person's home, and read from it
    try:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        if tf.config.get_logical_device_configuration(cpu) is None:
            devices = [tf.config.LogicalDeviceConfiguration()] * PLAYERS
            tf.config.set_logical_device_configuration(cpu, devices)
        import tf_encrypted as tfe
        from tf_encrypted.operations.secure_random import secure_random
    except ImportError as error:
        raise ComputationError(
            f"This notebook has a kernel of its own, and this one has no {error.name}: type 'python3 kit.py tfe' in a "
            "terminal, then choose the kernel TF Encrypted at the top right."
        ) from None
    logging.getLogger("tf_encrypted").setLevel(logging.ERROR)
    if not secure_random.supports_seeded_randomness():
        raise ComputationError(
            "TF Encrypted finds no secure random numbers here, and would go on without: its compiled parts need Linux "
            "on x86-64 and TensorFlow 2.9.1, which 'python3 kit.py tfe' installs."
        )
    return tf, tfe


def players(tfe: Any, *names: str) -> Any:
    """Make a configuration of players in this one process, each on a device of its own, and use it from now on."""
    config = tfe.LocalConfig(list(names))
    for index, player in enumerate(config.players):
        player.device_name = f"/job:localhost/replica:0/task:0/device:CPU:{index}"
    tfe.set_config(config)
    return config


@dataclass(frozen=True)
class Traffic:
    """What players send to each other in one computation.

    Parameters
    ----------
    rounds : int
        Messages in the longest chain in which each waits for the one before.
    messages : int
        Tensors that go from one player to another.
    bytes : int
        Of all of them.
    received : dict
        Player's name -> bytes that it receives.
    widths : dict
        Bits of an element (1, 8, 16, 32, 64) -> messages of such elements.
    """

    rounds: int
    messages: int
    bytes: int
    received: dict[str, int]
    widths: dict[int, int]


def traffic(tf: Any, config: Any, compute: Callable[[], object]) -> Traffic:
    """Count what a computation would send, on the graph that TensorFlow makes of it; nothing is computed.

    The keys from which every two servers draw their common masks are agreed on beforehand, and not counted.
    """
    names = {player.device_name: player.name for player in config.players}
    return count(tf.function(compute).get_concrete_function().graph.get_operations(), names)


def count(operations: Iterable[Any], names: dict[str, str]) -> Traffic:
    """Count the tensors that an operation on one device takes from another device, once for each that receives it.

    Parameters
    ----------
    operations : iterable
        TensorFlow's operations, each after those that it takes something from.
    names : dict
        Device -> the player on it. What runs elsewhere, a constant or an input, belongs to everybody.
    """
    chain: dict[str, int] = {}
    sent: dict[tuple[str, str], Any] = {}
    for operation in operations:
        longest = 0
        for tensor in operation.inputs:
            source = tensor.op
            here, there = names.get(operation.device), names.get(source.device)
            crosses = None not in (here, there) and here != there and source.type != "Const"
            if crosses:
                sent[tensor.name, here] = tensor
            longest = max(longest, chain.get(source.name, 0) + crosses)
        chain[operation.name] = longest
    received: Counter[str] = Counter()
    for (_, player), tensor in sent.items():
        received[player] += tensor.shape.num_elements() * tensor.dtype.size
    bits = Counter(1 if tensor.dtype.name == "bool" else 8 * tensor.dtype.size for tensor in sent.values())
    return Traffic(max(chain.values(), default=0), len(sent), received.total(), dict(received), dict(bits))
