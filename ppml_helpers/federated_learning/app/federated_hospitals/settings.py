"""The settings of a run, checked: what Flower calls the run config."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .task import RunError

STRATEGIES = ("fedavg", "fedprox", "fedadam", "fedmedian", "krum")
PROTECTIONS = ("none", "masks", "dp", "masks+dp")


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do. In the run config `local_epochs` is called `local-epochs`, and so on."""

    num_server_rounds: int
    num_hospitals: int
    num_features: int
    strategy: str
    local_epochs: int
    batch_size: int
    learning_rate: float
    proximal_mu: float
    server_learning_rate: float
    num_malicious: int
    protection: str
    noise_multiplier: float
    clipping_norm: float
    sample_rate: float
    seed: int
    evaluate_every: int
    wait_seconds: float
    reply_timeout: float
    out: str

    def __post_init__(self) -> None:
        """Refuse a value that is out of range."""
        for name in ("num_server_rounds", "num_features", "local_epochs", "batch_size", "evaluate_every"):
            self._demand(name, getattr(self, name) >= 1, "must be at least 1")
        self._demand("num_hospitals", self.num_hospitals >= 2, "must be at least 2")
        for name in ("seed", "num_malicious", "proximal_mu", "noise_multiplier"):
            self._demand(name, getattr(self, name) >= 0, "must be at least 0")
        for name in ("learning_rate", "server_learning_rate", "clipping_norm", "wait_seconds", "reply_timeout"):
            self._demand(name, getattr(self, name) > 0, "must be above 0")
        self._demand("sample_rate", 0 < self.sample_rate <= 1, "must be above 0 and at most 1")
        self._demand("strategy", self.strategy in STRATEGIES, f"must be one of {', '.join(STRATEGIES)}")
        self._demand("protection", self.protection in PROTECTIONS, f"must be one of {', '.join(PROTECTIONS)}")
        needed = 2 * self.num_malicious + 3
        if self.strategy == "krum" and self.num_hospitals < needed:
            raise RunError(
                f"Krum withstands {self.num_malicious} poisoned hospitals only among at least {needed}, "
                f"num-hospitals is {self.num_hospitals}: take more hospitals, a smaller num-malicious or fedmedian."
            )
        if self.strategy in ("fedmedian", "krum") and self.is_masked:
            raise RunError(
                f"The strategy {self.strategy} compares single updates, which masks hide from the server: "
                f"choose fedavg, fedprox or fedadam, or another protection."
            )

    def _demand(self, name: str, kept: bool, rule: str) -> None:
        if not kept:
            raise RunError(f"{key_of(name)} = {getattr(self, name)!r} {rule}: choose another value.")

    @classmethod
    def of(cls, run_config: Mapping[str, Any]) -> Settings:
        """Return the settings of a run config."""
        known = {key_of(field.name): field for field in fields(cls)}
        for key in run_config:
            if key not in known:
                raise RunError(f"There is no setting {key!r}: choose from {', '.join(known)}.")
        missing = [key for key in known if key not in run_config]
        if missing:
            raise RunError(f"The setting {missing[0]!r} is missing: the app's pyproject.toml has the defaults.")
        return cls(**{field.name: _typed(key, run_config[key], field.type) for key, field in known.items()})

    def as_run_config(self) -> dict[str, int | float | str]:
        """Return the settings as a run config."""
        return {key_of(field.name): getattr(self, field.name) for field in fields(self)}

    @property
    def is_masked(self) -> bool:
        """Whether the server gets sums only."""
        return self.protection.startswith("masks")

    @property
    def is_noisy(self) -> bool:
        """Whether the hospitals train with noise."""
        return self.protection.endswith("dp")

    @property
    def steps_a_round(self) -> int:
        """Noisy steps in one round: under "dp" a hospital's own, under "masks+dp" one that all take together."""
        return 1 if self.is_masked else max(1, round(self.local_epochs / self.sample_rate))


def key_of(name: str) -> str:
    """Return the run config's name of a setting."""
    return name.replace("_", "-")


def _typed(key: str, value: Any, kind: str) -> int | float | str:
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "int" and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if kind == "float" and isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    wanted = {"str": "a text", "int": "a whole number", "float": "a finite number"}[kind]
    raise RunError(f"{key} = {value!r} must be {wanted}: correct it in the run config.")
