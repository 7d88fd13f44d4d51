"""Chapter 09b's computation, timed and counted: run it with the Python of its environment.

    .venvs/tfe/bin/python benchmarks/_tf_encrypted.py

It has no peer beside it, since no other library runs in that environment: chapter 09 puts its figures into a table.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from sklearn.linear_model import LogisticRegression

from ppml_helpers import cohort
from ppml_helpers.secure_computation import tf_encrypted_today

RESULT = Path(__file__).parent / "results" / "tf-encrypted.json"
REPEATS = 7


def main() -> None:
    """Score SUPPORT2's test patients as often as REPEATS, logits and risks, and write what it took."""
    tf, tfe = tf_encrypted_today.load_tf_encrypted()
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    plain = LogisticRegression(max_iter=1000).fit(split.X_train, split.y_train)
    config = tf_encrypted_today.players(tfe, "server0", "server1", "server2", "hospital", "company")
    tfe.set_protocol(tfe.protocol.ABY3())
    values, weights = split.X_test.to_numpy(), plain.coef_.T

    def score(sigmoid: bool, read: list[Any]) -> None:
        x = tfe.local_computation("hospital")(lambda: tf.constant(values))()
        w, b = tfe.local_computation("company")(lambda: (tf.constant(weights), tf.constant(plain.intercept_)))()
        z = tfe.add(tfe.matmul(x, w), b)
        tfe.define_output("hospital", tfe.sigmoid(z) if sigmoid else z, read.append)

    logits = values @ weights[:, 0] + plain.intercept_
    truths = {"logits": logits, "risks": 1 / (1 + np.exp(-logits))}
    rows = {}
    for name, truth in truths.items():
        seconds, read = [], []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            score(name == "risks", read)
            seconds.append(time.perf_counter() - begun)
        found = np.array([one.numpy()[:, 0] for one in read])
        half = 0.5 if name == "risks" else 0.0
        sent = tf_encrypted_today.traffic(tf, config, lambda name=name: score(name == "risks", []))
        rows[name] = {
            "seconds": round(statistics.median(seconds[1:]), 3),  # the first call also builds
            "largest_error": float(abs(found - truth).max()),
            "class_flips": int(((found > half) != (truth > half)).sum(axis=1).max()),
            **asdict(sent),
        }
    about = "TF Encrypted 0.9.1, ABY3, three servers in one process; bytes and rounds counted on the graph"
    record = {"about": about, "patients": len(values), "columns": values.shape[1], "rows": rows}
    RESULT.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
