"""The model card: what the student is and earns, in the Hub's metadata and in words."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import understudy
from understudy.envs.rollout import Episodes
from understudy.policies.hub_names import hub_part, parse_hub
from understudy.runs.result import Interval, Result

TASK = "reinforcement-learning"
TAGS = (TASK, "deep-reinforcement-learning", "policy-distillation", "understudy")
PLAIN = re.compile(r"[A-Za-z][\w.-]*( [A-Za-z][\w.-]*)*")
RESERVED = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

BODY = """\
# {title} on {env}

A small policy that imitates a larger one.

- Teacher: {described}, {teacher_size}.
- Student: `{student}`, {student_size}.
- Of what the teacher earns above a random policy, the student keeps {kept}.
{film}{mind}
## Figures

{count} episodes each{seeds}, with deterministic actions (the random policy draws its own).

{table}

`worst 5 %` is the mean return of the worst episodes. `bytes` are the student's weights, and the teacher's file as it
came. `µs` is the median time from an observation to its action, on one thread of the machine where it was measured.

## Use

```sh
pip install 'understudy[hub]'
understudy evaluate hf://{repository} --env {env}{env_args}
```

```python
import understudy

student = understudy.load_student("hf://{repository}")
print(student.description, student.parameter_count, student.observation_space, student.action_space)
```

Reading the student runs no code of this repository.{needs}
{onnx}
## How it was made

Method: {method}, by Understudy {version}. {env_steps:,} environment steps, {updates:,} updates, {seconds:.1f} s of
training, seed {seed}; it stopped because {stopped}. Teacher: `{teacher}`{digest}.

`config.toml` holds every option, `provenance.json` the versions, `result.json` the figures. With the teacher at the
place that `config.toml` names, this does it again:

```sh
understudy distill --config config.toml
```

## Limits and licence

The student imitates its teacher, faults included, and was measured in {env} alone: of other dynamics, noise or
observations these figures say nothing. They are of one training; another seed gives another student.

The student was made from its teacher and from nothing else. Look at the teacher's licence before you choose one
(`license:` in the header of this card).
"""
ONNX = """
Without Understudy and PyTorch, through ONNX Runtime; a recurrent student's memory is zeros at first, and then what the
last step answered as `memory_out`:

```python
import numpy as np
import onnxruntime
from huggingface_hub import hf_hub_download

session = onnxruntime.InferenceSession(hf_hub_download("{repository}", "model.onnx"))
types = {{"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}}
inputs = {{one.name: np.zeros([1, *one.shape[1:]], types[one.type]) for one in session.get_inputs()}}
print({{name: (value.shape, value.dtype) for name, value in inputs.items()}}, session.run(["action"], inputs))
```
"""


@dataclass(frozen=True)
class Player:
    """What one of the three did in the final episodes. ``size`` in bytes; ``latency``: µs a decision, the median."""

    who: str
    episodes: Episodes
    interval: Interval
    worst: float
    parameters: int | None = None
    size: int | None = None
    latency: float | None = None

    @property
    def reward(self) -> str:
        """``500.00 +/- 0.00``, as the Hub's leaderboards read it: mean and standard deviation of the episodes."""
        returns = self.episodes.returns
        return f"{float(np.mean(returns)):.2f} +/- {float(np.std(returns)):.2f}"

    def row(self) -> dict[str, str]:
        """Of the card's table."""
        return {
            "": self.who,
            "return (mean +/- std)": self.reward,
            "95 % interval of the mean": "{:.2f} to {:.2f}".format(*self.interval),
            "worst 5 %": f"{self.worst:.2f}",
            "length": f"{float(np.mean(self.episodes.lengths)):.0f}",
            "parameters": f"{self.parameters:,}" if self.parameters else "",
            "bytes": f"{self.size:,}" if self.size else "",
            "µs": f"{self.latency:.0f}" if self.latency else "",
        }


@dataclass(frozen=True)
class Card:
    """What the card tells. ``config``, ``teacher`` and all texts are public; ``described``: the teacher in words.

    ``config``: by the keys of config.toml. ``facts``: provenance.json. ``files``: what lies beside the card. ``film``:
    what replay.mp4 shows, empty where there is none.
    """

    repository: str
    result: Result
    config: Mapping[str, Any]
    teacher: str
    described: str
    facts: Mapping[str, Any]
    players: Mapping[str, Player]
    files: tuple[str, ...]
    film: str = ""

    @property
    def algorithms(self) -> list[str]:
        """The teacher's, where SB3 names them."""
        return sorted(set(re.findall(r"([\w-]+) of SB3", self.described)))

    @property
    def title(self) -> str:
        return f"{'-'.join(self.algorithms) or 'teacher'} distilled into {self.config['student']}"

    def metadata(self) -> dict[str, Any]:
        """The Hub's own description of the repository."""
        env, remote = self.config["env"], hub_part(self.teacher) if "," not in self.teacher else None
        metric = {"type": "mean_reward", "value": self.players["student"].reward, "name": "mean_reward"}
        outcome = {
            "task": {"type": TASK, "name": TASK},
            "dataset": {"name": env, "type": env},
            "metrics": [metric | {"verified": False}],
        }
        return {
            "library_name": "understudy",
            "pipeline_tag": TASK,
            "tags": [*TAGS, env, *self.algorithms],
            **({"base_model": parse_hub(remote).repository} if remote else {}),
            "model-index": [{"name": self.title, "results": [outcome]}],
        }

    def text(self) -> str:
        """README.md."""
        head = "\n".join(yaml_lines(self.metadata()))
        return f"---\n{head}\n---\n\n{BODY.format_map(self._run() | self._words())}"

    def _run(self) -> dict[str, Any]:
        """What the run's files say."""
        result, teacher = self.result, self.facts.get("teacher") or {}
        final = (self.facts.get("seeds") or {}).get("final")
        return {
            "title": self.title,
            "env": self.config["env"],
            "env_args": f" --env-args {shlex.quote(self.config['env_args'])}" if self.config["env_args"] else "",
            "described": self.described,
            "teacher_size": _count(result.teacher_parameters),
            "student": self.config["student"],
            "student_size": _count(result.student_parameters),
            "count": len(self.players["student"].episodes.returns),
            "seeds": f", seeds {final[0]} to {final[1]}" if final else "",
            "repository": self.repository,
            "method": result.method,
            "version": self.facts.get("understudy") or understudy.__version__,
            "env_steps": result.env_steps,
            "updates": result.updates,
            "seconds": result.seconds,
            "seed": result.seed,
            "stopped": result.stopped_because,
            "teacher": self.teacher,
            "digest": f", SHA-256 `{teacher['sha256']}`" if teacher.get("sha256") else "",
        }

    def _words(self) -> dict[str, str]:
        """What depends on how it went, and on what lies beside the card."""
        return {
            "kept": _kept(self.result),
            "film": f"\n`replay.mp4` shows {self.film}.\n" if self.film else "",
            "mind": "".join(f"\n**Mind:** {text}\n" for text in self._warnings()),
            "table": _table([player.row() for player in self.players.values()]),
            "needs": self._needs(),
            "onnx": ONNX.format(repository=self.repository) if "model.onnx" in self.files else "",
        }

    def _warnings(self) -> list[str]:
        result = self.result
        missed = not result.reached and result.recovered is not None
        said = [f"the student missed its target, {result.target:.0%} of the teacher."] * missed
        return list(dict.fromkeys([*said, *filter(None, (result.termination_trap, *result.warnings))]))

    def _needs(self) -> str:
        """The wrappers and the view that come with the student."""
        wrappers = (self.facts.get("resolved") or {}).get("wrappers") or ()
        parts = [f"the wrapper `{one}`" for one in wrappers]
        parts += [f"the view `{self.config['student_view']}`"] if self.config["student_view"] else []
        return f" It brings {' and '.join(parts)}, without which it does not play." if parts else ""


def _kept(result: Result) -> str:
    if result.recovered is None:
        return "an undefined share: the teacher does not beat a random policy"
    interval = result.recovered_interval
    return f"**{result.recovered:.1%}**" + (
        "" if interval is None else " (95 % interval {:.1%} to {:.1%})".format(*interval)
    )


def _count(parameters: int) -> str:
    return f"{parameters:,} parameters" if parameters else "without parameters"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def yaml_lines(data: Any, depth: int = 0) -> list[str]:
    """Plain data as YAML, line by line; texts are quoted as JSON quotes them, which YAML reads alike."""
    pad, lines = "  " * depth, []
    if isinstance(data, Mapping):
        for key, value in data.items():
            nested = isinstance(value, Mapping | list) and len(value) > 0
            lines += [f"{pad}{key}:", *yaml_lines(value, depth + 1)] if nested else [f"{pad}{key}: {_scalar(value)}"]
        return lines
    for value in data:
        first, *rest = yaml_lines(value, depth + 1) if isinstance(value, Mapping) else [_scalar(value)]
        lines += [f"{pad}- {first.lstrip()}", *rest]
    return lines


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in RESERVED
    return value if plain else json.dumps(value, ensure_ascii=False)
