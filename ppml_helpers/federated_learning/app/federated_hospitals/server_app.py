"""The server's side of the run: wait for the hospitals, let a strategy of Flower's run the rounds, keep the books."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp

from . import secure_aggregation
from .passing_grid import PassingGrid
from .settings import Settings
from .strategies import EveryHospital, strategy_for, wait_for_hospitals
from .task import RunError

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run all rounds; what is complete is kept, also when the run stops early."""
    out = str(context.run_config.get("out", ""))
    if out:
        _clear(out)
    try:
        _run(grid, context, Settings.of(context.run_config))
    except Exception as error:
        if out:
            _replace(Path(out + ".error"), str(error).encode())
        raise


def _run(grid: Grid, context: Context, settings: Settings) -> None:
    grid = meter = Meter(grid)
    strategy = strategy_for(settings)
    if settings.is_masked:
        grid = secure_aggregation.MaskedGrid(grid)
    wait_for_hospitals(grid, settings)
    books = Books(context, settings, strategy, meter)
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({"weights": Array(np.zeros(settings.num_features + 1))}),
        num_rounds=settings.num_server_rounds,
        timeout=settings.reply_timeout,
        evaluate_fn=books.close_round,
    )
    books.close()


class Books:
    """What the server writes down after every round: in its context and, if asked, in a file.

    The file is `out + ".kept"` until the run is complete and `out` from then on; it holds `weights` and `record`, a
    JSON text, and can be read with `numpy.load`.
    """

    def __init__(self, context: Context, settings: Settings, strategy: EveryHospital, meter: Meter) -> None:
        self._context, self._settings, self._strategy, self._meter = context, settings, strategy, meter
        self._rounds: list[dict[str, Any]] = []

    def close_round(self, server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Write down a complete round; Flower calls this after each one, and once before the first."""
        if server_round == 0:
            return None
        self._rounds.append(self._round(server_round))
        weights = arrays["weights"].numpy()
        trained = self._strategy.trained
        record = {
            "settings": {key: value for key, value in self._settings.as_run_config().items() if key != "out"},
            "patients": [int(m["num-examples"]) for m in trained],
            "rounds": self._rounds,
        }
        self._context.state["weights"] = ArrayRecord({"weights": Array(weights)})
        self._context.state["record"] = ConfigRecord({"json": json.dumps(record)})
        if self._settings.out:
            _save(Path(self._settings.out + ".kept"), weights, json.dumps(record))
        return None

    def close(self) -> None:
        """Give the file its final name: that it exists means that the run is complete."""
        if self._settings.out:
            os.replace(self._settings.out + ".kept", self._settings.out)

    def _round(self, server_round: int) -> dict[str, Any]:
        trained, evaluated = self._strategy.trained, self._strategy.evaluated
        down, up = self._meter.read_and_reset()
        return {
            "number": server_round,
            "hospitals": int(trained[0].get("hospitals", len(trained))),
            "auc": [m["auc"] for m in evaluated],
            "steps": [int(m["steps"]) for m in trained if "steps" in m],
            "bytes_down": down,
            "bytes_up": up,
        }


class Meter(PassingGrid):
    """Counts the bytes of what the messages carry, to the real grid and back."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)
        self._down = self._up = 0

    def read_and_reset(self) -> tuple[int, int]:
        """Return the bytes sent to and received from all hospitals since the last call."""
        counted = self._down, self._up
        self._down = self._up = 0
        return counted

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Count both ways."""
        messages = list(messages)
        self._down += _bytes_of(messages)
        replies = list(self._grid.send_and_receive(messages, timeout=timeout))
        self._up += _bytes_of(replies)
        return replies


def _bytes_of(messages: list[Message]) -> int:
    return sum(content_bytes(message.content) for message in messages if not message.has_error())


def content_bytes(part: Any) -> int:
    """Return the bytes of a message's content as Flower sends it, without the envelope."""
    return len(part.deflate()) + sum(content_bytes(child) for child in (part.children or {}).values())


def _clear(out: str) -> None:
    """Remove the files of an earlier run, and see whether files can be written there before anybody trains."""
    try:
        for ending in (".error", ".kept", ""):
            path = Path(out + ending)
            path.touch()
            path.unlink()
    except OSError as error:
        raise RunError(
            f"out = {out!r} cannot be written ({error.strerror}): name a file in a folder that exists and has room."
        ) from None


def _save(path: Path, weights: np.ndarray, record: str) -> None:
    content = io.BytesIO()
    np.savez(content, weights=weights, record=np.array(record))
    _replace(path, content.getvalue())


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)
