"""Plant faults, one at a time, in a copy of the project, and require the tests to notice each of them.

    python scripts/planted_faults.py [NAME ...]

Prints a table; exits with 1 if a fault survives, or if the copy without a fault does not pass.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("src", "tests", "scripts", "teachers", "pyproject.toml")


@dataclass(frozen=True)
class Fault:
    """``old`` occurs exactly once in ``file`` and becomes ``new``; ``tests`` must then fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


EXACT, SAMPLED, WINDOWS = (f"tests/proof/test_{name}.py" for name in ("surrogate", "sampled_update", "windows"))
UPDATE, FIELD = "tests/proof/test_exact_update.py", "tests/engines/test_exact_field.py"
TABULAR = "tests/proof/test_tabular.py"
STEPS, EPISODE = (f"src/understudy/engines/{name}.py" for name in ("exact/steps", "tabular/episode"))
STATE, TAPE, RESUME = (f"tests/{name}.py" for name in ("engines/test_state", "envs/test_tape", "runs/test_resume"))
ANCHOR_LOSS, ANCHORED, RESERVOIR, ANCHORED_PPO = (
    f"tests/{name}.py"
    for name in (
        "methods/test_anchor_loss",
        "engines/test_anchored",
        "engines/test_reservoir",
        "stages/test_anchored_ppo",
    )
)
ESTIMATED, REINFORCED, HANDED_OVER = (
    f"tests/engines/test_{name}.py" for name in ("estimator", "reinforce", "hand_over")
)
SUMS, DIVERGENCES = (f"tests/math/test_{name}.py" for name in ("sums", "divergences"))

FAULTS = (
    Fault(
        "a sign flipped in Eq. 1",
        "src/understudy/methods/surrogate.py",
        "steps.expect(loss - score(steps, advantage))",
        "steps.expect(loss + score(steps, advantage))",
        (EXACT,),
    ),
    Fault(
        "a swapped direction",
        "src/understudy/methods/atoms.py",
        '"forward-cross-entropy": lambda s: cross_entropy(s.teacher.policy, s.student.policy)',
        '"forward-cross-entropy": lambda s: cross_entropy(s.student.policy, s.teacher.policy)',
        (EXACT,),
    ),
    Fault(
        "a divergence with its arguments swapped",
        "src/understudy/math/divergences.py",
        "return _expectation(p.log_probs, p.log_probs - q.log_probs)",
        "return _expectation(q.log_probs, q.log_probs - p.log_probs)",
        (DIVERGENCES,),
    ),
    Fault(
        "a leaking teacher gradient",
        "src/understudy/engines/objective.py",
        "    @torch.no_grad()\n    def prepare(",
        "    def prepare(",
        (SAMPLED,),
    ),
    Fault(
        "a leaking return",
        "src/understudy/methods/surrogate.py",
        "if part.credit == credit), steps.held)",
        "if part.credit == credit), steps)",
        (EXACT,),
    ),
    Fault(
        "an unmasked autoreset row",
        "src/understudy/envs/rollout.py",
        "            self.valid[t] = outcome.valid\n",
        "            pass\n",
        (WINDOWS,),
    ),
    Fault(
        "an autoreset row given as played",
        "src/understudy/envs/of_vector.py",
        "start=fake, valid=~fake",
        "start=fake",
        (WINDOWS,),
    ),
    Fault(
        "a time limit taken for an end",
        "src/understudy/engines/steps.py",
        "        if beyond is not None and len(self.beyond_index):\n",
        "        if False:\n",
        (SAMPLED,),
    ),
    Fault(
        "a return that runs on into the next episode",
        "src/understudy/math/sums.py",
        "carry = x[t] + discount * np.where(stop[t], tails[t], carry)",
        "carry = x[t] + discount * carry",
        (SUMS,),
    ),
    Fault(
        "a normaliser of observations applied twice",
        "src/understudy/policies/sb3_observation.py",
        "else self.normaliser(x)",
        "else self.normaliser(self.normaliser(x))",
        ("tests/policies/test_sb3_vecnormalize.py",),
    ),
    Fault(
        "a mean divided by twice the steps",
        "src/understudy/engines/steps.py",
        "return x.mean() if self.valid is None",
        "return x.mean() / 2 if self.valid is None",
        (SAMPLED,),
    ),
    Fault(
        "a discount applied twice to the next state",
        "src/understudy/engines/steps.py",
        "return self.gamma * after * self.valid",
        "return self.gamma**2 * after * self.valid",
        (SAMPLED,),
    ),
    Fault(
        "the exact engine forgets gamma in next",
        STEPS,
        "return self.gamma * moves_of(self.mdp).after(self._acted(x))",
        "return moves_of(self.mdp).after(self._acted(x))",
        (UPDATE,),
    ),
    Fault(
        "the exact engine differentiates what is held fixed",
        STEPS,
        "return replace(self, student=self.frozen)",
        "return self",
        (UPDATE,),
    ),
    Fault(
        "a Jacobian that holds the student fixed",
        "src/understudy/engines/exact/problem.py",
        "held = _policy(self.student(frozen))",
        "held = _policy(self.student(live))",
        (FIELD,),
    ),
    Fault(
        "every Jacobian looks symmetric",
        "src/understudy/engines/exact/field.py",
        "(square - square.T)",
        "(square - square)",
        ("tests/proof/test_exact_facts.py",),
    ),
    Fault(
        "the flow runs uphill",
        "src/understudy/engines/exact/flow.py",
        "return -descent(",
        "return descent(",
        ("tests/engines/test_exact_flow.py",),
    ),
    Fault(
        "the tabular engine's score has the wrong sign",
        EPISODE,
        "target[world.seen[s], a] += rate * earned",
        "target[world.seen[s], a] -= rate * earned",
        (TABULAR,),
    ),
    Fault(
        "the tabular engine forgets gamma one step later",
        EPISODE,
        "            weight *= row.gamma\n            if beyond != ENDED:",
        "            if beyond != ENDED:",
        (TABULAR,),
    ),
    Fault(
        "the tabular engine ignores credit",
        EPISODE,
        "decay = row.gamma * row.credits[credit]",
        "decay = row.gamma",
        (TABULAR,),
    ),
    Fault(
        "an atom's text for tables is not its text for PyTorch",
        "src/understudy/engines/tabular/texts.py",
        "out[a] += weight * p[a] * (mean - log_q[a])",
        "out[a] += weight * p[a] * (mean + log_q[a])",
        ("tests/engines/tabular/test_texts.py",),
    ),
    Fault(
        "a generator that a checkpoint leaves out",
        "src/understudy/engines/learner.py",
        'self.generator.set_state(state["generator"])',
        "self.generator.get_state()",
        (STATE,),
    ),
    Fault(
        "a critic that forgets in a checkpoint that it was fitted",
        "src/understudy/engines/critic.py",
        "self.fitted = state",
        "self.fitted = False",
        (STATE,),
    ),
    Fault(
        "a tape that is one action short",
        "src/understudy/envs/tape.py",
        "self.ages[copies] = seeds, -ahead",
        "self.ages[copies] = seeds, -ahead - 1",
        (TAPE,),
    ),
    Fault(
        "metrics that a resumed run does not cut back",
        "src/understudy/runs/folder.py",
        "file.truncate(metrics)",
        "file.truncate()",
        (RESUME,),
    ),
    Fault(
        "advantages of a minibatch normalised by the wrong deviation",
        "src/understudy/engines/estimator.py",
        "(played.std() + 1e-8)",
        "(played.std(correction=0) + 1e-8)",
        (REINFORCED,),
    ),
    Fault(
        "a KL that ends the passes, with a sign flipped",
        "src/understudy/engines/estimator.py",
        "torch.expm1(log_ratio) - log_ratio",
        "torch.expm1(log_ratio) + log_ratio",
        (ESTIMATED,),
    ),
    Fault(
        "a look at the KL that costs the loss its gradient",
        "src/understudy/engines/estimator.py",
        "    def strayed(",
        "    @torch.no_grad()\n    def strayed(",
        (REINFORCED,),
    ),
    Fault(
        "passes that never end early",
        "src/understudy/engines/learner.py",
        "            if self.objective.strayed:\n                break\n",
        "",
        (REINFORCED,),
    ),
    Fault(
        "values clipped about the targets",
        "src/understudy/engines/objective.py",
        'columns["old_value"] = values',
        'columns["old_value"] = targets',
        (REINFORCED,),
    ),
    Fault(
        "a bonus for being sure",
        "src/understudy/methods/method.py",
        'Part(scaled(weight, -1), "student-entropy")',
        'Part(weight, "student-entropy")',
        (REINFORCED,),
    ),
    Fault(
        "a rate that does not fall",
        "src/understudy/engines/reinforce.py",
        "options.learning_rate if final is None else final",
        "options.learning_rate",
        (REINFORCED,),
    ),
    Fault(
        "a carried policy standardised anew",
        "src/understudy/engines/reinforce.py",
        "options.standardise and _is_new(network)",
        "options.standardise",
        (REINFORCED,),
    ),
    Fault(
        "moments that carry the policy on while its critic is fitted",
        "src/understudy/engines/hand_over.py",
        "    learner.optimiser = learner.new_optimiser()  # without",
        "    # without",
        (HANDED_OVER,),
    ),
    Fault(
        "a temperature that makes surer",
        "src/understudy/engines/hand_over.py",
        "layer.weight.div_(high)",
        "layer.weight.mul_(high)",
        (HANDED_OVER,),
    ),
    Fault(
        "an anchor's direction swapped",
        "src/understudy/methods/anchor_loss.py",
        '"forward": kl,',
        '"forward": lambda anchor, student: kl(student, anchor),',
        (ANCHOR_LOSS,),
    ),
    Fault(
        "an anchor that pushes away",
        "src/understudy/engines/anchored.py",
        "total = total + anchor.weight * self._visited(",
        "total = total - anchor.weight * self._visited(",
        (ANCHORED,),
    ),
    Fault(
        "stored states that favour late ones",
        "src/understudy/engines/reservoir.py",
        "self.generator.integers(order + 1)",
        "self.generator.integers(np.maximum(order, 1))",
        (RESERVOIR,),
    ),
    Fault(
        "a recurrent anchor that forgets between windows",
        "src/understudy/engines/anchored.py",
        "anchor.memory = None if memories is None else memories[-1]",
        "anchor.memory = None",
        (ANCHORED,),
    ),
    Fault(
        "an anchor's gradient twice in SB3's PPO",
        "src/understudy/stages/anchored_ppo.py",
        "return gradient, torch.ones(()",
        "return gradient, 2 * torch.ones(()",
        (ANCHORED_PPO,),
    ),
    Fault(
        "anchors in SB3's PPO at another step's state",
        "src/understudy/stages/anchored_ppo.py",
        "flat.transpose(0, 1).flatten(0, 1)",
        "flat.flatten(0, 1)",
        (ANCHORED_PPO,),
    ),
)


def copy_of_the_project(where: Path) -> Path:
    """What these tests read."""
    copy = where / "project"
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif source.exists():
            shutil.copy2(source, copy / name)
    return copy


def passes(copy: Path, tests: tuple[str, ...]) -> bool:
    """Whether the tests pass against the copy's own package, whichever is installed."""
    settings = {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=copy, env={**os.environ, **settings}, capture_output=True, text=True)
    if done.returncode not in (0, 1):  # neither passed nor failed: the tests could not be run at all
        raise SystemExit(f"{' '.join(command)} could not run:\n{done.stdout}\n{done.stderr}")
    return done.returncode == 0


def noticed(copy: Path, fault: Fault) -> bool:
    """Plant, test, and mend again."""
    file = copy / fault.file
    sound = file.read_text(encoding="utf-8")
    if sound.count(fault.old) != 1:
        raise SystemExit(
            f"{fault.name}: {fault.file} must hold {fault.old!r} exactly once, has {sound.count(fault.old)}"
        )
    file.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
    try:
        return not passes(copy, fault.tests)
    finally:
        file.write_text(sound, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="faults to plant, by a part of their names; default: all"
    )
    names = parser.parse_args(arguments).names
    chosen = [fault for fault in FAULTS if not names or any(name in fault.name for name in names)]
    if not chosen:
        parser.error(f"no fault is named {' or '.join(names)}; there are: {', '.join(f.name for f in FAULTS)}")
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of_the_project(Path(folder))
        tests = tuple(sorted({test for fault in chosen for test in fault.tests}))
        if not passes(copy, tests):
            print(f"without a fault these tests must pass, and do not: {' '.join(tests)}")
            return 1
        print(f"{'no fault':45s} passes")
        survived = 0
        for fault in chosen:
            began = time.perf_counter()
            red = noticed(copy, fault)
            survived += not red
            print(
                f"{fault.name:45s} {'noticed' if red else 'SURVIVED'}  {time.perf_counter() - began:5.1f} s", flush=True
            )
    print(f"{len(chosen) - survived} of {len(chosen)} planted faults were noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
