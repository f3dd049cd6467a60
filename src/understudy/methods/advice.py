"""Fig. 1 of C19 as data: which row for whom, question by question, and what we measured with networks beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

SOURCE = (
    "Czarnecki et al., Distilling Policy Distillation (AISTATS 2019), Fig. 1: the preferred solution, then others that "
    "are feasible"
)


@dataclass(frozen=True)
class Question:
    """Asked with yes or no. ``assumed``: the answer where nobody answers, for the reason ``why``."""

    name: str
    text: str
    meaning: str
    assumed: bool
    why: str

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


ELSEWHERE = Question(
    "elsewhere",
    "Will the student act where the teacher's own play does not lead?",
    "A student that plays by itself does: its small mistakes lead to states that the teacher never sees. No: it is "
    "only ever asked about the teacher's own trajectories.",
    True,
    "a student that plays by itself does",
)
GUARANTEES = Question(
    "guarantees",
    "Do you want convergence to be guaranteed?",
    "Yes leaves the rows whose expected update is the gradient of something. The others may turn round for ever, "
    "which they rarely do.",
    False,
    "speed is what most people are after",
)
IMPROVE = Question(
    "improve",
    "Is improvement over the teacher worth more than speed?",
    "Yes: the student reads the task reward too. It may become better than the teacher, and takes longer.",
    False,
    "a student that holds the teacher's return is what distillation is for",
)
STRONG = Question(
    "strong",
    "Is the teacher strong?",
    "Yes: near the best that is known for the task, so that copying it is most of the way.",
    True,
    "a teacher is chosen for being good",
)
VALUE = Question(
    "value",
    "Has the teacher a value function?",
    "Of the task reward: a value head, or a Q-function. Actor-critics and Q-learners have one.",
    False,
    "without one, no row that needs it can run",
)
ENDS_EARLY = Question(
    "ends_early",
    "Can an episode end early, otherwise than by a time limit?",
    "By falling, crashing, losing. Where a reward charges every step, a student may learn to do just that.",
    True,
    "a warning too many costs nothing",
)


@dataclass(frozen=True)
class Leaf:
    """Rows of the catalogue: the preferred one, then others that are feasible."""

    methods: tuple[str, ...]


@dataclass(frozen=True)
class Fork:
    """A question and where each answer leads."""

    question: Question
    no: Tree
    yes: Tree


Tree = Leaf | Fork


def _by_aim(quick: Leaf, better: Leaf) -> Fork:
    """The half of the figure below either answer about guarantees."""
    weak = Fork(VALUE, no=better, yes=Leaf(("teacher-v-reward",)))
    return Fork(IMPROVE, no=quick, yes=Fork(STRONG, no=weak, yes=better))


TREE: Tree = Fork(
    ELSEWHERE,
    no=Leaf(("teacher-distill",)),
    yes=Fork(
        GUARANTEES,
        no=_by_aim(
            Leaf(("exp-entropy-regularised", "on-policy-distill", "n-distill")),
            Leaf(("exp-entropy-regularised+r", "on-policy-distill+r", "n-distill+r")),
        ),
        yes=_by_aim(Leaf(("exp-entropy-regularised", "n-distill")), Leaf(("exp-entropy-regularised+r", "n-distill+r"))),
    ),
)

QUESTIONS: dict[str, Question] = {
    question.name: question for question in (ELSEWHERE, GUARANTEES, IMPROVE, STRONG, VALUE, ENDS_EARLY)
}
"""All but the last are the figure's; the last decides on the warning of the termination trap."""

How = Literal["given", "measured", "asked", "assumed"]


@dataclass(frozen=True)
class Answer:
    """To one question; ``how`` it is known, and a ``note`` on why."""

    question: Question
    yes: bool
    how: How
    note: str = ""


@dataclass(frozen=True)
class Path:
    """The answers from the figure's top to a leaf, in order, and the leaf."""

    answers: tuple[Answer, ...]
    leaf: Leaf


def walk(answer: Callable[[Question], Answer], tree: Tree = TREE) -> Path:
    """Go down the tree; ``answer`` is asked what lies on the way and nothing else."""
    answers: list[Answer] = []
    while isinstance(tree, Fork):
        answers.append(answer(tree.question))
        tree = tree.yes if answers[-1].yes else tree.no
    return Path(tuple(answers), tree)


def paths(tree: Tree = TREE) -> Iterator[tuple[dict[str, bool], Leaf]]:
    """Every way through the figure: the answers by question, and the leaf."""
    if isinstance(tree, Leaf):
        yield {}, tree
        return
    for yes, branch in ((False, tree.no), (True, tree.yes)):
        for answers, leaf in paths(branch):
            yield {tree.question.name: yes} | answers, leaf


@dataclass(frozen=True)
class Evidence:
    """A row with networks on CartPole, as docs/results-rows.md has it: percent recovered, environment steps."""

    recovered: float
    steps: int
    trapped: bool = field(default=False)


EVIDENCE = {
    "teacher-distill": Evidence(100.0, 11_136),
    "on-policy-distill": Evidence(100.0, 11_136),
    "n-distill": Evidence(23.9, 100_352, trapped=True),
    "exp-entropy-regularised": Evidence(52.0, 100_352, trapped=True),
    "teacher-v-reward": Evidence(100.0, 18_432),
    "on-policy-distill+r": Evidence(100.0, 18_432),
    "n-distill+r": Evidence(100.0, 18_432),
    "exp-entropy-regularised+r": Evidence(100.0, 20_480),
}
"""Of every row that the figure names."""

REMEDIES = {"none": (2, 24), "absorbing": (24, 24), "credit:0": (12, 12)}
"""Runs of docs/results-trap.md that recovered the teacher's return in full, of how many."""
