"""The words that a page of the lab uses, for a reader who has never seen the project."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from understudy.lab.findings import Findings
from understudy.methods import METHODS, term_text

WORDS = {
    "Teacher π, student πθ": "A policy gives each action's probability in a state. Distillation trains the student to "
    "act as the teacher does, or as well.",
    "World, MDP": "A small problem with finitely many states and actions whose transition probabilities are known. "
    "Most figures are means over many worlds drawn at random.",
    "Iteration": "One batch of episodes (one episode where nothing else is said) and the update that it gives.",
    "Return": "The sum of an episode's rewards, in expectation; computed from the world's equations, not sampled, "
    "where nothing else is said.",
    "Recovered": "(student's return - random policy's) / (teacher's - random policy's): 0 is no better than random, "
    "1 the whole of the teacher.",
    "H(π‖πθ), H(πθ‖π)": "Cross-entropies; the expectation is over the first policy. KL(π‖πθ) = H(π‖πθ) - H(π) is 0 "
    "for a perfect copy.",
    "KL under a visitation": "KL(π‖πθ) per step, in nats, averaged over the states that the student, the teacher or "
    "the uniform policy visits: where one looks decides how good a copy seems.",
    "Asymmetry": "max|J - Jᵀ| / max|J| of an update's Jacobian J: 0 means that the update is the gradient of some "
    "objective, so that following it goes downhill and cannot go round in circles.",
    "[a, b]": "A 95 % interval, by resampling worlds, where nothing else is said. A statement holds if the whole "
    "interval says so.",
    "Never, undefined": "A level that a curve did not reach within the run is reached never. A ratio of iterations "
    "is never where its first curve did not arrive, and undefined where neither did.",
    "Verdict": "Computed from the data. Reproduced: all statements of the claim hold; partly: some; not reproduced: "
    "none.",
}

SYMBOLS = (
    "r is the task's reward, V_T and V_S the values that teacher and student expect, ′ a quantity of the next state, "
    "1[·] is 1 where the condition holds and 0 elsewhere. An update lowers the loss and makes actions likelier that "
    "are followed by a high reward term. [credit 0]: only the step's own reward counts, not those that follow."
)


@dataclass(frozen=True)
class Row:
    """A method in symbols."""

    name: str
    acts: str
    loss: str
    reward: str
    gradient: str


def rows_in(texts: Iterable[str]) -> list[Row]:
    """The methods that are named in ``texts``, in the catalogue's order."""
    text = "\n".join(texts)
    return [_row(name) for name in METHODS if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w+-])", text)]


def rows_of(findings: Findings) -> list[Row]:
    """The methods that a page names anywhere."""
    return rows_in([findings.to_json()])


def _row(name: str) -> Row:
    method = METHODS[name]
    gradient = {True: "yes", False: "no", None: "in general no"}[method.gradient]
    return Row(name, str(method.control), term_text(method.loss), term_text(method.reward), gradient)
