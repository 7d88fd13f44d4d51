"""Exercises of chapter 01: what leaks from a table without names and from an ordinary model."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong
from ppml_helpers.words import percent

if TYPE_CHECKING:
    from ppml_helpers.people.linkage import LinkageScore
    from ppml_helpers.what_leaks.model_attack import AttackedModel

TITLE = "What leaks"

_POLICY = 0.60  # highest AUC of the surprise attack that 01.3 allows
_EXACT = 0.004  # an answer with two digits, and no farther
_HALVES = 0.003  # `membership_attack` measures 01.4 on halves: twice this above the shares of all, at its usual seed
_ALL_LEFT_OUT = (
    "That counts all patients who were left out. Half of them are the attacker's own records: the chapter's `others` "
    "are the other half."
)


def _attack_forest(leaf: int) -> AttackedModel:
    """Grow and attack the chapter's forest anew, as its explorer does."""
    from ppml_helpers import cohort
    from ppml_helpers.what_leaks.model_attack import attacked

    data = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    return attacked(data, "forest", leaf, len(data.y_train))


def _judge_1(answer: object) -> Reply:
    value = as_number(answer)
    if close(value, 0.29, 0.0049):
        return right("Of 100 members 30 are found, of 100 others 1 is accused: 0.30 - 0.01 = 0.29.")
    if close(value, 29, 0.51):
        return wrong("The idea is right; give it as a share of 1, not in percent.")
    if close(value, 0.30, 0.0049):
        return wrong("That is the share of members found. An attack that accuses everybody finds all of them.")
    if close(value, 0.31, 0.0049):
        return wrong("False alarms count against the attack, and you added them.")
    if close(value, 0.645, 0.006):
        return wrong("That is the share of right guesses when both are equally many; it starts from 0.5, not from 0.")
    if close(value, 0.01, 0.0051):
        return wrong("That is the share of false alarms alone.")
    if close(value, 30, 0.51):
        return wrong("The advantage is at most 1, and it takes the false alarms off.")
    return wrong("The advantage is the share of members found, less the share of others accused.")


def _judge_2(answer: object) -> Reply:
    value = as_number(getattr(answer, "auc", answer))
    forest = _attack_forest(leaf=20)
    truth = forest.confidence.auc
    if close(value, truth, _EXACT):
        return right(
            f"With at least 20 patients a leaf the attack's AUC is {truth:.2f}: close to guessing. On this forest the "
            f"surprise attack comes out nearly the same ({forest.surprise.auc:.2f}), so this check cannot tell them "
            f"apart."
        )
    if close(value, forest.confidence_left_out, _EXACT):
        return wrong(_ALL_LEFT_OUT)
    if close(value, 1 - truth, 0.008):
        return wrong("Below 0.5: the scores of members and non-members have changed places.")
    if close(value, 0.5, 1e-9):
        return wrong("0.5 is what guessing gives; the forest is a little worse off. Run the attack.")
    if 0.8 <= value <= 0.9:
        return wrong("That is how well the forest predicts death. Attack it: who was trained on?")
    if 0.65 <= value <= 0.79:
        return wrong("That is the leak of a fully grown forest. Give this one min_samples_leaf=20.")
    if value > 1 or value < 0:
        return wrong("An AUC lies between 0 and 1.")
    return wrong("Not the AUC of the confidence attack with members from training and the 1,138 others.")


def _judge_3(answer: object) -> Reply:
    from ppml_helpers.what_leaks.model_attack import LEAVES

    value = as_number(answer)
    if value not in LEAVES:
        raise NotAnAnswer(f"this is {value:g}, which the explorer does not offer")
    place = LEAVES.index(int(value))
    leak = _attack_forest(LEAVES[place]).surprise.auc
    if leak > _POLICY:
        return wrong(f"With {value:g} the surprise attack still has AUC {leak:.2f}: above the policy's 0.60.")
    smaller = _attack_forest(LEAVES[place - 1]).surprise.auc if place else 1.0
    if smaller <= _POLICY:
        return wrong(f"That keeps the policy, but so does {LEAVES[place - 1]}: look for the smallest leaf that does.")
    return right(
        f"AUC {leak:.2f} with {value:g}, {smaller:.2f} with {LEAVES[place - 1]}. "
        "The policy is kept for this attack; a better attack may come."
    )


def _judge_4(answer: object) -> Reply:
    value = as_number(getattr(answer, "advantage", answer))
    if close(value, 0, 1e-9):
        return wrong("Labels leak too: the forest is right more often about patients it was trained on.")
    forest = _attack_forest(leaf=1)
    truth = forest.right_members - forest.right_others
    if close(value, truth, _EXACT) or close(value, truth + _HALVES, _HALVES):
        return right(
            f"Guess 'member' whenever the label is right: that finds {100 * forest.right_members:.0f} % of the members "
            f"and accuses {100 * forest.right_others:.0f} % of the others. Hiding the probabilities brings the "
            f"advantage from {forest.confidence.advantage:.2f} (confidence attack) down to {truth:.2f}: less, not "
            f"nothing."
        )
    if close(value, forest.right_members - forest.right_left_out, _EXACT):
        return wrong(_ALL_LEFT_OUT)
    if close(value, 100 * truth, 1.6):
        return wrong("The idea is right; give it as a share of 1, not in percent.")
    if close(value, -truth, 0.016):
        return wrong("The sign is turned: take the others' share from the members'.")
    if close(value, forest.right_others, 0.016):
        return wrong("That is how often the label is right for others: the false alarms. What of the members?")
    if close(value, forest.right_members, 0.005):
        return wrong("All members are found, yes. How many others would the same guess accuse?")
    if close(value, (1 + truth) / 2, 0.01):
        return wrong("That is the share of right guesses. The advantage is members found less others accused.")
    if 0.35 <= value <= 0.5:
        return wrong("That attack reads probabilities. Here only the label comes out: use forest.predict.")
    return wrong("Guess 'member' where the label is right, and take the share for others from the share for members.")


@cache  # the patients do not change, and the answer is wanted for each try
def _link_bands() -> dict[str, LinkageScore]:
    """Attack the chapter's extract with ages in bands of ten years, and in the ways of the likely mistakes."""
    import pandas as pd

    from ppml_helpers import cohort
    from ppml_helpers.people import linkage
    from ppml_helpers.people.identities import deidentified, identities, register

    def banded(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(age=table["age"] // 10 * 10, district=table["postcode"].str.split().str[0])

    patients = cohort.load_patients()
    people = identities(patients, seed=0)
    extract = deidentified(patients, people)
    public, truth = register(people, seed=0)
    mine, theirs, on = banded(extract), banded(public), ["age", "sex", "postcode"]
    ways = {
        "right": (mine, theirs, on),
        "by year": (extract, public, on),
        "bands on one side": (mine, public, on),
        "rounded": (*(table.assign(age=table["age"].round(-1)) for table in (extract, public)), on),
        "without sex": (mine, theirs, ["age", "postcode"]),
        "by district": (mine, theirs, ["age", "sex", "district"]),
    }
    return {name: linkage.link(*way).score(truth) for name, way in ways.items()}


def _judge_5(answer: object) -> Reply:
    value = as_number(getattr(answer, "n_right", answer))
    scores = _link_bands()
    named = {name: score.n_right for name, score in scores.items()}
    score, share = scores["right"], scores["right"].right
    if close(value, score.n_right, 0.5):
        return right(
            f"{score.n_right} patients, where whole years named {named['by year']:,}. Fewer, not none; and who guesses "
            f"one candidate for every row still names {percent(score.expected)} rightly."
        )
    if close(value, score.n_right + score.n_wrong, 0.5):
        return wrong(
            f"So many are named; {score.n_wrong} of the names belong to somebody else. Score them by the truth."
        )
    if close(value, score.n_wrong, 0.5):
        return wrong("So many are named wrongly: strangers who happen to share the values. How many rightly?")
    if close(value, named["by year"], 0.5):
        return wrong("That is the attack on whole years of age. Put the ages of both tables into bands of ten first.")
    if value == 0 or close(value, named["bands on one side"], 0.5):
        return wrong(
            "The ages of the two tables must be in the same bands, or people do not meet: change both of them."
        )
    if close(value, named["rounded"], 0.5):
        return wrong("That is rounded: 66 became 70. A band is 60 for everyone from 60 to 69: age // 10 * 10.")
    if close(value, named["without sex"], 0.5):
        return wrong("That is without sex. The extract still gives it: link on age, sex and postcode.")
    if close(value, named["by district"], 0.5):
        return wrong("That is by district. The extract still gives the whole postcode.")
    if close(value, share, 0.0005) or close(value, 100 * share, 0.05):
        return wrong("That is the share. Give the number of patients: score.n_right.")
    if close(value, score.expected * score.n, 1) or close(value, score.expected, 0.001):
        return wrong(
            "That is for an attacker who guesses among several candidates. Count only rows that have just one."
        )
    return wrong("Put both tables' ages into bands of ten, link on age, sex and postcode, and score by the truth.")


_SHARE = "a number between 0 and 1, such as 0.25"

EXERCISES = (
    Exercise(
        name="01.1",
        expects=_SHARE,
        hints=(
            "An attack that accuses everybody finds every member, and is worth nothing.",
            "Take the share of others that are accused from the share of members that are found.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="01.2",
        expects="an AUC between 0 and 1, or the result of membership_attack",
        hints=(
            "RandomForestClassifier(100, min_samples_leaf=20, random_state=0).fit(*members)",
            "membership.scores(model, *members), and the same for the others.",
            "membership.membership_attack(members' scores, others' scores).auc",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="01.3",
        expects="one of the explorer's leaf sizes: 1, 2, 5, 10, 20, 50, 100",
        hints=(
            "The policy is about the surprise attack's AUC: the diamond in the right panel.",
            "explorer.set(leaf=5).result.surprise.auc gives it without turning the knob by hand.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="01.4",
        expects=_SHARE,
        hints=(
            "For whom is the fully grown forest's label always right?",
            "Guess 'member' where forest.predict(X) == y.",
            "np.mean(forest.predict(X) == y) for the members, less the same for the others.",
        ),
        judge=_judge_4,
    ),
    Exercise(
        name="01.5",
        expects="a number of patients, or the score of a linkage",
        hints=(
            "The attacker puts the register's ages into the same bands: nothing keeps them from it.",
            'table.assign(age=table["age"] // 10 * 10) gives the bands, for the extract and for the register.',
            "linkage.link(banded_extract, banded_register, on).score(truth).n_right",
        ),
        judge=_judge_5,
    ),
)
