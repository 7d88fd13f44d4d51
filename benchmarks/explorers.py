"""What one honest move of an explorer's knob costs, in units of drawing the same picture."""

from __future__ import annotations

from _frame import Benchmark

from ppml_helpers import cohort
from ppml_helpers.widgets import epsilon as epsilon_widget


def main() -> None:
    """Move the epsilon slider to a stop where it never was, against drawing that picture once more."""
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    explorer = epsilon_widget.EpsilonExplorer(split)
    explorer.set(epsilon=1.0, model="logistic regression")
    unvisited = [stop for stop in epsilon_widget.SLIDER if stop not in epsilon_widget.CURVE]
    trained: list[int] = []

    def move() -> None:
        explorer.set(epsilon=unvisited.pop())
        trained.append(len(explorer.result.present))

    about = "One move of the epsilon slider, with real training, against drawing the picture alone."
    with Benchmark("explorers", about) as benchmark:
        benchmark.compare(
            "epsilon explorer: logistic regression, all patients",
            ours=move,
            peer=explorer.redraw,
            repeats=5 if benchmark.quick else 20,
            unit="slider move",
            note=f"{len(split.X_train)} patients, 5 seeds trained anew, accounting and drawing; the peer only draws",
            ratio="ours/peer",
            at_most=3,
        )
        assert set(trained) == {len(epsilon_widget.SEEDS)}


if __name__ == "__main__":
    main()
