"""Write docs/methods from the catalogue: a page for each group of rows, and a table of all.

python scripts/method_pages.py          writes the pages
python scripts/method_pages.py --check  exits with 1 where they say something else than the catalogue
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from understudy.errors import ConfigurationError
from understudy.methods import METHODS, Q_METHODS, Method, Need, Part, term_text, with_divergence, with_expected_reward

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "methods"
VALUES = frozenset({Need.TEACHER_VALUE, Need.STUDENT_VALUE})
GRADIENT = {True: "yes", False: "no", None: "depends"}


@dataclass(frozen=True)
class Group:
    """A page. A row belongs to the first group that ``holds`` it."""

    file: str
    title: str
    text: str
    holds: Callable[[Method], bool]


GROUPS = (
    Group(
        "plus-task-reward.md",
        "Rows with the task reward (+R)",
        """Any row in which the student acts also takes the task reward: the environment's own reward is added to the
reward term with credit 1. The student then imitates where that is cheap and goes its own way where that pays, so it
may become better than its teacher. It also needs more environment steps than a row without a reward. `--task-weight`
and `--loss-weight` set the two weights; either may be a schedule, such as `--loss-weight linear:1:0:0.5`, which is
kickstarting (Schmitt et al. 2018) with `on-policy-distill+r`.

The sum of a gradient field and the policy gradient is a gradient field again; `on-policy-distill+r` is none, because
`on-policy-distill` is none.""",
        lambda row: row.name.endswith("+r"),
    ),
    Group(
        "values.md",
        "Rows with values",
        """These rows read a value function: the teacher's, `V_T`, or the student's own, `V_S`. Both are of the task
reward, in its unit. Which teachers have a value, and in which unit SB3 stores it, is told in
[teachers](../teachers.md#values).

Terms that shape the reward with a potential, such as `V_T′ − V_T`, don't change which policy is best: summed along an
episode they leave only a state's value behind, which acts like a baseline. What they change is how noisy or how biased
the update is. `teacher-v-reward-printed` has `V_S` in the place of the second `V_T`, as Table 1 of the paper prints it
(its section 4 has `V_T` twice): that is no potential, and no gradient field.""",
        lambda row: bool(row.needs & VALUES),
    ),
    Group(
        "rewards.md",
        "Rows with a reward term alone",
        """Nothing is differentiated directly here: the teacher's opinion of each action is paid as a reward, and the
student maximises the sum by policy gradient. These rows are gradient fields, but learning is as slow as reinforcement
learning is: one number for each action tried, in place of the teacher's whole distribution.""",
        lambda row: not row.loss,
    ),
    Group(
        "corrected.md",
        "Rows with a correction",
        """A loss on the student's own states is no gradient of anything, because it ignores that the student's actions
choose the states (C19, Theorem 1). Adding the reward `−l(s_{i+1})` to a one-step loss `l` restores this (Theorem 2):
the expected update is then the gradient of the loss summed along the student's own episodes. In Python,
`understudy.methods.corrected(row)` does this to any row with a loss and no reward other than the task's.

The correction charges for every step. Read about the termination trap in
[how it works](../how-it-works.md#the-termination-trap) before using one of these rows where episodes can end early.""",
        lambda row: bool(row.reward),
    ),
    Group(
        "cloning.md",
        "Cloning rows",
        """The student is trained to predict the teacher's action distribution, by cross-entropy with the teacher's
probabilities as targets. No reward term, hence no policy gradient and no critic: each stored state can be used many
times, which makes these rows by far the cheapest in environment steps. All states visited so far are kept and averaged
over ("over aggregated states", as results name it). `on-policy-distill` is the default method.

`--control mixture:linear:1:0:0.5` lets the teacher act with a probability that falls from 1 to 0 over the first half of
the run, as in DAgger (Ross et al. 2011).""",
        lambda row: True,
    ),
)

HEAD = "<!-- Written by scripts/method_pages.py from the catalogue; change that, then run `make docs`. -->"
NOTATION = """`π` is the teacher, `πθ` the student, `V_T` and `V_S` their values of the task reward `r`; `′` marks a
quantity one step later, which carries the factor `γ` and is 0 after a termination.
`H(p‖q) = −E_{a∼p} log q(a)` and `KL(p‖q) = H(p‖q) − H(p)`: the first argument is what the expectation is taken over, so
`H(π‖πθ)` (forward) asks the student to copy the teacher's distribution, and `H(πθ‖π)` (reverse) asks it for actions
that the teacher finds likely."""
INDEX = """# Methods

Every method is Eq. 1 of Czarnecki et al., *Distilling Policy Distillation* (AISTATS 2019, below: C19), with three
blanks filled in: who acts (the control policy `q`), a loss term `l`, and a reward term `r̂`:

    g(θ) = E_q [ Σ_t γ^(t−1) ( −∇ log πθ(a_t|s_t) · R̂_t  +  ∇ l_t ) ],      R̂_t = Σ_{i≥t} (γ · credit)^(i−t) r̂_i

`q`, `R̂` and every gate are held fixed while differentiating. A credit of 1 (the default) counts a reward towards every
earlier action, a credit of 0 towards its own action only. (With networks the factor `γ^(t−1)` is left out, see
[how it works](../how-it-works.md#what-the-deep-engine-leaves-out).)

"""
Q_FILE = "action-values.md"
Q_TEXT = """# Rows of action values

These rows are not of Eq. 1: the student learns a number for each action, and acts by the largest. They minimise
`λ·L(Q_S, Q_T) + w·(r + γ max_a′ Q_S(s′, a′; θ−) − Q_S(s, a))²` on what a replay store holds: `λ` is
`--loss-weight`, `w` is `--task-weight`, and either may be a schedule. `Q_T` and `Q_S` are the action values of
teacher and student, `τ` the temperature (`--teacher-temperature`), `θ−` the target network. At each step and in
each copy a uniform action is taken with probability `ε` (`--epsilon`), else the greedy one of the teacher or of the
student (`--control`)."""
Q_AFTER = """\
`q-kl` and `q-nll` leave the student with logits, whose greatest is its action; all other rows leave it with action
values on the scale of returns (`q-ce`: up to a constant in each state). How the temperature is chosen, what the
rows need of a teacher, and what they cost is told in [Q-networks](../q-networks.md). A row of your own:

```toml
[kickstarted-dqn]
distance = "kl"
weight = "linear:1:0:0.5"
td = 1
epsilon = "linear:0.2:0.05:0.1"
control = "student"
```

R15 is Rusu et al., *Policy Distillation* (2015)."""
AFTER_TABLE = """
*Gradient field*: whether the expected update is the gradient of some objective. Where it isn't, no convergence is
guaranteed, and there are small examples in which the update turns in circles for ever.

*Trap*: whether the reward charges every step and never pays, see
[the termination trap](../how-it-works.md#the-termination-trap).

`understudy methods` prints this table and `understudy methods --json` the same as data. C19 is the paper above, R15 is
Rusu et al., *Policy Distillation* (2015).

## A row of your own

A method is data, so it can come from a TOML file: a table for each row, its parts as `{weight, atom, later, credit}`.

```toml
[softened-n-distill]
control = "student"
loss = [{atom = "forward-kl"}]
reward = [{weight = -0.5, atom = "forward-kl", later = true}, {weight = "linear:0:1", atom = "task-reward"}]
```

`understudy distill TEACHER --env ID --method rows.toml:softened-n-distill` runs it. `examples/own_method.py` does this
in Python. What such a row needs is derived from its parts and checked like that of any other. The atoms:

"""


def group_of(row: Method) -> Group:
    return next(group for group in GROUPS if group.holds(row))


def yes(truth: bool) -> str:
    return "yes" if truth else "no"


def index() -> str:
    """The page that links the others."""
    lines = ["| name | control | loss | reward | gradient field | trap |", "| --- | --- | --- | --- | --- | --- |"]
    for row in METHODS.values():
        link = f"[`{row.name}`]({group_of(row).file}#{slug(row.name)})"
        cells = (link, str(row.control), code(row.loss), code(row.reward), GRADIENT[row.gradient])
        lines.append(f"| {' | '.join(cells)} | {yes(row.charges_every_step)} |")
    pages = [f"- [{group.title}]({group.file})" for group in reversed(GROUPS)]
    pages += [f"- [Rows of action values]({Q_FILE}): {', '.join(f'`{name}`' for name in Q_METHODS)}"]
    text = INDEX + NOTATION + "\n\n" + "\n".join(lines) + "\n" + AFTER_TABLE + atoms() + "\n\n## Pages\n\n"
    return f"{HEAD}\n\n{text}" + "\n".join(pages) + "\n"


def atoms() -> str:
    from understudy.methods import ATOMS

    lines = ["| atom | is | needs |", "| --- | --- | --- |"]
    for atom in ATOMS.values():
        needs = ", ".join(sorted(need.value for need in atom.needs)) or "nothing"
        lines.append(f"| `{atom.name}` | `{atom.symbol}` | {needs} |")
    return "\n".join(lines)


def page(group: Group) -> str:
    rows = [row for row in METHODS.values() if group_of(row) is group]
    parts = [HEAD, f"# {group.title}", group.text, NOTATION, *(section(row) for row in rows)]
    return "\n\n".join([*parts, "[All methods](index.md)"]) + "\n"


def section(row: Method) -> str:
    """One row: what it is, what it needs, and how to run it."""
    gradient = GRADIENT[row.gradient] + (f" ({row.notes})" if row.notes else "")
    needs = ", ".join(sorted(need.value for need in row.needs)) or "nothing but the teacher's action distribution"
    trap = (
        "applies: add `+r`, `--remedy absorbing` or `--remedy credit:C`" if row.charges_every_step else "does not apply"
    )
    facts = {
        "control": f"{row.control}",
        "loss `l_t`": code(row.loss),
        "reward `r̂_i`": code(row.reward),
        "gradient field": gradient,
        "minimises": minimises(row),
        "needs": needs,
        "termination trap": trap,
        "source": row.source,
    } | variants(row)
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in facts.items())])
    command = f"```sh\nunderstudy distill TEACHER --env ID --method {row.name}\n```"
    return f"## {row.name}\n\n{table}\n\n{command}\n\n{toml(row)}"


def minimises(row: Method) -> str:
    if row.objective != "none exists":
        return f"`{row.objective}`"
    return "no objective exists" if row.gradient is False else "no objective in general"


def variants(row: Method) -> dict[str, str]:
    """What ``--divergence kl`` and ``--expected-reward`` make of the row, where they change it."""
    found = {}
    kl = with_divergence(row, "kl")
    if (kl.loss, kl.reward) != (row.loss, row.reward):
        found["with `--divergence kl`"] = f"loss {code(kl.loss)}, reward {code(kl.reward)}"
    with contextlib.suppress(ConfigurationError):  # rows that have no such form
        found["with `--expected-reward`"] = f"reward {code(with_expected_reward(row).reward)}"
    return found


def toml(row: Method) -> str:
    lines = [f'["{row.name}"]', f'control = "{row.control}"']
    lines += [
        f"{side} = [{', '.join(map(entry, term))}]" for side, term in (("loss", row.loss), ("reward", row.reward))
    ]
    return (
        "As a row of a TOML file:\n\n```toml\n" + "\n".join(line for line in lines if not line.endswith("[]")) + "\n```"
    )


def entry(part: Part) -> str:
    words = [f'atom = "{part.atom}"']
    if part.weight != 1:
        words.insert(
            0, f"weight = {part.weight:g}" if isinstance(part.weight, int | float) else f'weight = "{part.weight}"'
        )
    words += ["later = true"] if part.later else []
    words += [f"credit = {part.credit:g}"] if part.credit != 1 else []
    return "{" + ", ".join(words) + "}"


def code(term: tuple[Part, ...]) -> str:
    return f"`{term_text(term)}`"


def q_page() -> str:
    """The rows of action values."""
    lines = ["| name | behaviour | minimises | source |", "| --- | --- | --- | --- |"]
    for row in Q_METHODS.values():
        lines.append(f"| `{row.name}` | {row.control} | `{row.text}` | {row.source} |")
    return "\n\n".join([HEAD, Q_TEXT, "\n".join(lines), Q_AFTER, "[All methods](index.md)"]) + "\n"


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return "".join(letter for letter in heading.lower() if letter.isalnum() or letter == "-")


def pages() -> dict[Path, str]:
    """Every page's path and text."""
    found = {FOLDER / "index.md": index(), FOLDER / Q_FILE: q_page()}
    return found | {FOLDER / group.file: page(group) for group in GROUPS}


def stale() -> list[Path]:
    """Pages that say something else than the catalogue, and pages that it does not have."""
    wanted = pages()
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return changed + [path for path in sorted(FOLDER.glob("*.md")) if path not in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page is out of date")
    if parser.parse_args().check:
        for path in stale():
            print(f"{path} is out of date: run `make docs`", file=sys.stderr)
        return int(bool(stale()))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
