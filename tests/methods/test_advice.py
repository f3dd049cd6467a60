"""Fig. 1 of C19 against a second transcription, and the figures beside it against the pages that they are from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from understudy.methods import METHODS, Need
from understudy.methods.advice import (
    ENDS_EARLY,
    EVIDENCE,
    QUESTIONS,
    REMEDIES,
    TREE,
    Answer,
    Fork,
    Leaf,
    Question,
    Tree,
    paths,
    walk,
)

DOCS = Path(__file__).parents[2] / "docs"

BY_HAND = """
elsewhere-                                         teacher-distill
elsewhere+ guarantees- improve-                    exp-entropy-regularised on-policy-distill n-distill
elsewhere+ guarantees- improve+ strong+            exp-entropy-regularised+r on-policy-distill+r n-distill+r
elsewhere+ guarantees- improve+ strong- value+     teacher-v-reward
elsewhere+ guarantees- improve+ strong- value-     exp-entropy-regularised+r on-policy-distill+r n-distill+r
elsewhere+ guarantees+ improve-                    exp-entropy-regularised n-distill
elsewhere+ guarantees+ improve+ strong+            exp-entropy-regularised+r n-distill+r
elsewhere+ guarantees+ improve+ strong- value+     teacher-v-reward
elsewhere+ guarantees+ improve+ strong- value-     exp-entropy-regularised+r n-distill+r
"""
"""Every path of the figure, read off it once more: questions with their answers, then the rows, the preferred first."""

PATHS = list(paths())


def transcribed() -> dict[tuple[tuple[str, bool], ...], tuple[str, ...]]:
    found = {}
    for line in BY_HAND.strip().splitlines():
        answers = tuple(
            (name, sign == "+") for name, sign in re.findall(r"(\w+)([+-])(?= )", line.split("  ")[0] + " ")
        )
        found[answers] = tuple(line.split("  ")[-1].split())
    return found


def test_every_path_ends_where_the_figure_says() -> None:
    assert {tuple(answers.items()): leaf.methods for answers, leaf in PATHS} == transcribed()
    assert len(PATHS) == 9


@pytest.mark.parametrize(("answers", "leaf"), PATHS, ids=str)
def test_every_row_of_a_leaf_is_in_the_catalogue_and_is_what_the_answers_ask_for(
    answers: dict[str, bool], leaf: Leaf
) -> None:
    rows = [METHODS[name] for name in leaf.methods]
    assert len(set(leaf.methods)) == len(rows) > 0
    if answers.get("guarantees"):
        assert all(row.gradient is True for row in rows)
    if "improve" in answers:
        assert all((Need.TASK_REWARD in row.needs) == answers["improve"] for row in rows)
    if not answers.get("value"):
        assert not any(Need.TEACHER_VALUE in row.needs for row in rows)
    assert all(str(row.control) == ("student" if answers["elsewhere"] else "teacher") for row in rows)


@pytest.mark.parametrize(("answers", "leaf"), PATHS, ids=str)
def test_only_what_lies_on_the_way_is_asked(answers: dict[str, bool], leaf: Leaf) -> None:
    asked: list[str] = []

    def answer(question: Question) -> Answer:
        asked.append(question.name)
        return Answer(question, answers[question.name], "given")

    path = walk(answer)
    assert path.leaf == leaf
    assert asked == list(answers) == [one.question.name for one in path.answers]


def test_a_leaf_leaves_something_to_a_teacher_that_answers_actions_alone() -> None:
    for _, leaf in PATHS:
        assert any(Need.FULL_SUPPORT not in METHODS[name].needs for name in leaf.methods)


def questions(tree: Tree) -> set[str]:
    return {tree.question.name} | questions(tree.no) | questions(tree.yes) if isinstance(tree, Fork) else set()


def test_the_questions_are_those_of_the_tree_and_the_trap_s() -> None:
    assert set(QUESTIONS) == questions(TREE) | {ENDS_EARLY.name}


def test_where_nobody_answers_the_advice_is_that_of_a_good_teacher_and_little_time() -> None:
    path = walk(lambda question: Answer(question, question.assumed, "assumed"))
    assert path.leaf.methods[0] == "exp-entropy-regularised"


def rows_of(page: str) -> list[list[str]]:
    lines = (DOCS / page).read_text(encoding="utf-8").partition("<!-- measured -->")[2].splitlines()
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if not set("".join(row)) <= {"-"}][1:]


def test_the_figures_of_the_rows_are_those_of_the_results_page() -> None:
    page = {row[0]: row for row in rows_of("results-rows.md")}
    assert set(EVIDENCE) == {name for _, leaf in PATHS for name in leaf.methods}
    for name, evidence in EVIDENCE.items():
        _, recovered, _, steps, _, _, fell, _ = page[name]
        assert recovered.startswith(f"{evidence.recovered:.1f}% ["), name
        assert steps == f"{evidence.steps:,}", name
        assert evidence.trapped == (not fell.startswith("0 ")), name


@pytest.mark.parametrize("remedy", REMEDIES)
def test_the_figures_of_the_remedies_are_those_of_the_trap_s_page(remedy: str) -> None:
    runs = [run for row in rows_of("results-trap.md") if row[2] == remedy for run in row[4].split(";")]
    assert (sum(run.strip().startswith("100.0%") for run in runs), len(runs)) == REMEDIES[remedy]


def test_no_row_beside_the_task_reward_fell_into_the_trap() -> None:
    assert not any(evidence.trapped for name, evidence in EVIDENCE.items() if name.endswith("+r"))


def test_the_figure_of_the_published_agents_is_the_results_page_s() -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    assert "All 51 runs reach 95 %" in text
    assert "17 agents" in text
