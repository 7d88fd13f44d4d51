"""Exercises of chapter 05: private training."""

from __future__ import annotations

import math

from ppml_helpers.exercises.frame import Exercise, Reply, as_number, close, right, wrong

TITLE = "Private training"

_OFFERED = (0.1, 0.3, 1.0, 3.0, 10.0)  # the epsilons of 05.4
_NEEDED = 0.75  # the test AUC that 05.4 asks for
_PATIENTS = 1000

# Shares of right guesses in 05.5, as the chapter's own cells find them: its solution cell would show a drift.
_BROKEN, _TOO_NOISY = 0.805, 0.65


def _judge_1(answer: object) -> Reply:
    from ppml_helpers import accounting

    value, truth = as_number(answer), 100 * accounting.membership_accuracy(2.0, 1e-5)
    if close(value, truth, 0.6):
        return right(f"At most {truth:.0f} times in 100, if both were equally likely before; a coin gives 50.")
    if close(value, truth / 100, 0.006):
        return wrong("That is the probability, and the task asks for times in 100.")
    if close(value, 100 * (math.e**2 - 1) / (math.e**2 + 1), 1.0):
        return wrong(
            "That is the membership advantage, the gain over guessing. The share of right guesses starts from 50."
        )
    if close(value, 100 * accounting.membership_accuracy(1.0, 1e-5), 0.6):
        return wrong("That is epsilon 1. This colleague promises epsilon 2, which allows more.")
    if close(value, 50, 0.5):
        return wrong("50 in 100 would be a promise of epsilon 0: the model would not depend on anybody.")
    if value >= 99:
        return wrong("Epsilon 2 leaves more doubt than that. Ask accounting.membership_accuracy.")
    return wrong("The function is accounting.membership_accuracy(epsilon, delta); it gives a probability.")


def _judge_2(answer: object) -> Reply:
    from ppml_helpers import accounting

    value = as_number(answer)
    sigma = accounting.noise_multiplier(1.0, 1.0, 100)
    truth = accounting.epsilon(sigma, 1.0, 500)
    if close(value, truth, 0.03):
        return right(f"Epsilon {truth:.2f}: more than one year's promise, less than five times as much.")
    if close(value, 5.0, 0.01):
        return wrong(
            "That is basic composition: safe, but you can promise less. The noise of five full-batch trainings "
            "composes like that of one training with five times the steps."
        )
    if close(value, 1.0, 0.01):
        return wrong(
            "Each model used the same patients: what leaks adds up. Epsilon is spent per patient, not per model."
        )
    if close(value, math.sqrt(5), 0.01):
        return wrong(
            "Close to how Gaussian noise composes, but epsilon is not the noise: compute it from the noise multiplier "
            "and all steps."
        )
    if close(value, sigma, 0.05):
        return wrong("That is the noise multiplier of one year. Put it into accounting.epsilon with the steps of five.")
    if value > 5:
        return wrong("Adding the five promises up is always safe and gives 5, so a bound above 5 says too little.")
    return wrong("Find the noise multiplier of one year's training first, then the epsilon of five years' steps.")


def _judge_3(answer: object) -> Reply:
    from ppml_helpers import accounting

    value = as_number(answer)
    truth = accounting.noise_multiplier(2.0, 0.05, 600)
    if truth * 0.998 <= value <= truth * 1.02:
        return right(f"A noise multiplier of {truth:.2f}: 30 epochs of 20 batches are 600 steps at q = 0.05.")
    if truth * 1.02 < value <= truth * 1.1:
        return right(f"That keeps the promise with a little noise to spare; {truth:.2f} is enough.")
    if close(value, accounting.noise_multiplier(2.0, 0.05, 30), 0.02):
        return wrong("You counted 30 steps. An epoch has as many steps as batches, and there are 20 batches of 5 %.")
    if close(value, accounting.noise_multiplier(2.0, 1.0, 30), 0.1):
        return wrong("That is for full batches. A batch of 5 % means sample_rate=0.05, and 20 steps an epoch.")
    if close(value, accounting.noise_multiplier(2.0, 1.0, 600), 0.5):
        return wrong("You count all 600 steps but let every patient take part in each: use sample_rate=0.05.")
    if value < truth:
        return wrong("With so little noise epsilon is above 2. Count the steps: epochs divided by the sample rate.")
    return wrong("That keeps the promise but blurs more than it must. Check sample_rate and steps.")


def _judge_4(answer: object) -> Reply:
    value = as_number(answer)
    if not any(close(value, offered, 1e-6) for offered in _OFFERED):
        return wrong(f"Choose one of {', '.join(f'{offered:g}' for offered in _OFFERED)}.")
    reached = _mean_aucs()
    truth = min(offered for offered, auc in reached.items() if auc >= _NEEDED)
    here = reached[min(_OFFERED, key=lambda offered: abs(offered - value))]
    if close(value, truth, 1e-6):
        return right(
            f"Epsilon {truth:g} gives {here:.2f}. On records that are not public this search alone would have spent "
            "far more than that: five epsilons, five trainings each, all on the same patients."
        )
    if value < truth:
        return wrong(f"Epsilon {value:g} gives a test AUC of {here:.2f} with {_PATIENTS:,} patients; it must be 0.75.")
    return wrong(f"Epsilon {value:g} gives {here:.2f}, which is enough, but a smaller one on the list is enough too.")


def _mean_aucs() -> dict[float, float]:
    """Train as the chapter's explorer does, and return the mean test AUC of each epsilon."""
    from ppml_helpers import cohort
    from ppml_helpers.private_training.curve import SEEDS, drawn
    from ppml_helpers.private_training.engine import RECIPES, Sweep

    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    aucs = Sweep(RECIPES["logistic regression"], drawn(split, _PATIENTS)).run(_OFFERED, SEEDS)
    return aucs.mean(axis=1).to_dict()


def _judge_5(answer: object) -> Reply:
    from ppml_helpers import accounting

    value = as_number(answer)
    promised = accounting.membership_accuracy(1.0, 1e-5)
    if 1 < value <= 100:
        return wrong("Give the share as a number from 0 to 1, as right_guesses returns it.")
    if not 0 <= value <= 1:
        return wrong("A share of right guesses lies between 0 and 1.")
    if close(value, _BROKEN, 0.03):
        return right(
            f"{100 * value:.0f} of 100 right, where epsilon 1 allows {100 * promised:.0f}: the promise is broken. "
            "Clipping the average leaves one patient's pull as long as it was, and noise made for a clipped pull "
            "no longer hides it."
        )
    if close(value, promised, 0.01):
        return wrong(
            "That is what the promise allows, not what happens. Play the game: right_guesses(*play(...)) with "
            "train=hasty_train."
        )
    if close(value, _TOO_NOISY, 0.04):
        return wrong(
            "That is the noise of 100 steps (recipe.steps), and hasty_train takes 20: epsilon 1 over 20 steps needs "
            "less noise, and less is what the colleague added."
        )
    if value > promised:
        return wrong(
            "That is more than this training gives away with the noise of epsilon 1. Compute the noise with "
            "accounting.noise_multiplier(1.0, sample_rate=1.0, steps=20)."
        )
    return wrong(
        "So few right guesses come from a training that clips each patient. Pass train=hasty_train to play, "
        "with the noise multiplier of epsilon 1 for its 20 steps."
    )


EXERCISES = (
    Exercise(
        name="05.1",
        expects="a number of times in 100",
        hints=(
            "The chapter's table 'promise allows' has the same number for other epsilons.",
            "accounting.membership_accuracy(epsilon, delta) gives it as a probability.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="05.2",
        expects="an epsilon, a number above 0",
        hints=(
            "Epsilons do not just add up, but the noise of all steps does: count the steps of five years.",
            "accounting.noise_multiplier(1.0, sample_rate=1.0, steps=100) is one year's noise.",
            "Put that noise into accounting.epsilon with 500 steps.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="05.3",
        expects="a noise multiplier, a number above 0",
        hints=(
            "accounting.noise_multiplier wants a target epsilon, a sample rate and a number of steps.",
            "Each epoch has 1 / 0.05 = 20 batches.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="05.4",
        expects="one of the epsilons 0.1, 0.3, 1, 3, 10",
        hints=(
            "explorer.set(epsilon=1.0, patients=1000).result.present holds the five test AUCs.",
            "Loop over the list and keep the epsilons whose mean is at least 0.75.",
        ),
        judge=_judge_4,
    ),
    Exercise(
        name="05.5",
        expects="a share of right guesses from 0 to 1",
        hints=(
            "The noise multiplier for epsilon 1 depends on the steps, and hasty_train takes 20 of them.",
            "play(recipe, noise_multiplier, train=hasty_train) returns what right_guesses(*...) wants.",
        ),
        judge=_judge_5,
    ),
)
