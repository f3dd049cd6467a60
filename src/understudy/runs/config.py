"""The configuration of a distillation: plain data, checked when it is made, to and from TOML.

Nothing heavy is imported here: the command line's help reads these fields.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from understudy.envs.perturbations import parse_perturbations
from understudy.errors import ConfigurationError, UnderstudyError
from understudy.methods import (
    Method,
    QMethod,
    Row,
    lookup,
    parse_control,
    with_behaviour,
    with_control,
    with_credit,
    with_divergence,
    with_entropy_bonus,
    with_expected_reward,
    with_q_weights,
    with_weights,
)
from understudy.methods.schedule import parse
from understudy.policies import spec
from understudy.runs.fields import build, fields_of, option, plain, problems, refuse, settle, toml_text
from understudy.runs.option_texts import parse_data, parse_device, parse_env_args, parse_remedy, parse_target
from understudy.runs.options import misfits_of_data, unused

PLAY = ("teacher", "env")
"""What a distillation needs that is not from recorded data."""
DEFAULT_METHOD = "on-policy-distill"
FINAL_SEED = 1_000_000
"""Episodes of final figures are seeded from here on, far from any that training or stopping uses."""

GROUPS = {
    "": "what is distilled",
    "data": "instead of play",
    "teacher": "how the teacher is read",
    "environment": "where the policies act",
    "views": "what each side sees",
    "method": "Eq. 1",
    "estimator": "how the update of rows with a reward term is estimated",
    "values": "how rows of Q-networks learn (q-*, dqn*)",
    "optimisation": "step sizes and amounts; chosen by the row (with or without reward) and the student's memory",
    "stop": "when it is enough",
    "machine": "where it runs and what is shown",
}


@dataclass(frozen=True)
class DistillConfig:
    """Everything that decides a distillation. In a file a key is the option's name, with underscores."""

    teacher: str = option(
        "Agent to distil: a zip, a model file, a run folder, SCHEME:PATH or hf://OWNER/NAME. With --data perhaps none.",
        "",
        positional=True,
    )
    env: str = option(
        "Environment: a Gymnasium id, envpool:ID or module:function. With --data it is for measuring only.",
        "",
    )
    student: str = option(
        "Student: linear, mlp:64,64[:silu][:layernorm], cnn:nature, cnn:small, gru:64, lstm:64.",
        "mlp:64,64",
        read=spec.parse,
    )
    method: str | None = option(
        "Row of `understudy methods`, or FILE.toml[:NAME]. Default: on-policy-distill, which did best on the published "
        "agents.",
        None,
        read=lookup,
    )
    seed: int = option("Seed of everything random.", 0, within="[0, inf)")
    out: str | None = option("Run folder. Default: runs/TEACHER-ENV-STUDENT-sSEED.", None)

    data: str | None = option(
        "Learn from steps that were recorded: minari:NAME, store:RUN (of a stopped run) or FILE.npz. Without a teacher "
        "the recorded actions are copied.",
        None,
        "data",
        read=parse_data,
    )
    held_out: float = option("Share of the data that is only looked at, to stop by.", 0.1, "data", "(0, 1)")
    patience: int = option(
        "Stop after so many looks at it without an improvement; 0: spend the budget.", 20, "data", "[0, inf)"
    )

    vecnormalize: str | None = option(
        "VecNormalize statistics. Default: vecnormalize.pkl beside the teacher.", None, "teacher"
    )
    trust: bool = option(
        "Run code that the teacher's files hold or name: classes of their own, wrappers, views.", False, "teacher"
    )
    teacher_temperature: float | None = option(
        "Divide the teacher's logits (or scale its deviation) by this; a Q-network's softmax temperature.",
        None,
        "teacher",
        "(0, inf)",
    )
    teacher_std: float | None = option(
        "Standard deviation given to a deterministic continuous teacher.", None, "teacher", "(0, inf)"
    )

    copies: int = option("Environments stepped side by side.", 8, "environment", "[1, inf)")
    vector: Literal["sync", "async"] = option(
        "Step the copies in this process, or in one process each while training; evaluations run in this one.",
        "sync",
        "environment",
    )
    wrap: tuple[str, ...] = option(
        "Environment wrapper: a name or module:function; repeat for more.", (), "environment"
    )
    env_args: str = option(
        "Keyword arguments of the environment, a JSON object.", "", "environment", read=parse_env_args
    )

    student_view: str = option("What the student sees of the observation; empty: all.", "", "views")
    teacher_view: str = option("What the teacher sees.", "", "views")
    critic_view: str = option("What the estimator's critic sees.", "", "views")

    control: str | None = option(
        "Who acts instead of the row's own: teacher, student, uniform, mixture:BETA.",
        None,
        "method",
        read=parse_control,
    )
    divergence: Literal["auto", "cross-entropy", "kl"] = option(
        "Form of the row's cross-entropies; auto: cross-entropy, the row as published.", "auto", "method"
    )
    expected_reward: bool = option(
        "Take reward parts one step later in expectation over the next action.", False, "method"
    )
    loss_weight: str = option(
        "Weight of the loss term: a number or SHAPE:START:END[:UNTIL].", "1", "method", read=parse
    )
    task_weight: str = option("Weight of the task reward in +r rows; likewise.", "1", "method", read=parse)
    remedy: str = option(
        "Against the termination trap: none, absorbing, credit:C.", "none", "method", read=parse_remedy
    )

    estimator: Literal["auto", "returns", "gae", "ppo"] = option(
        "Plain returns, a critic with GAE, or PPO's clipping.", "auto", "estimator"
    )
    gamma: float | None = option("Discount. Default: the teacher's own, else 0.99.", None, "estimator", "(0, 1]")
    gae_lambda: float = option("GAE's lambda.", 0.95, "estimator", "[0, 1]")
    clip: float = option("PPO's clipping range.", 0.2, "estimator", "(0, 1)")
    epochs: int = option("PPO's passes over each batch.", 10, "estimator", "[1, inf)")
    normalise_advantages: bool = option("Bring each batch's advantages to mean 0, deviation 1.", False, "estimator")
    value_clip: float | None = option("How far a round may move the critic's values.", None, "estimator", "(0, inf)")
    target_kl: float | None = option("PPO's passes end beyond 1.5 times this KL.", None, "estimator", "(0, inf)")
    entropy_bonus: str = option(
        "Weight of the student's entropy, for exploration: a number or SHAPE:START:END[:UNTIL].",
        "0",
        "estimator",
        read=parse,
    )

    epsilon: str | None = option(
        "Share of uniformly drawn actions: a number or SHAPE:START:END[:UNTIL].", None, "values", read=parse
    )
    prefill: int | None = option(
        "Environment steps before the first update; the teacher takes them where the row reads it.",
        None,
        "values",
        "[0, inf)",
    )
    n_step: int = option("Rewards summed up before the target's values count.", 1, "values", "[1, 32]")
    target_update: str = option(
        "Renew the target network after so many updates, or move it by a share at each: hard:N or soft:SHARE.",
        "hard:250",
        "values",
        read=parse_target,
    )
    targets: Literal["double", "max"] = option(
        "Who chooses the next action that a target values: the student, or the target network.",
        "double",
        "values",
    )
    td_error: Literal["squared", "huber"] = option(
        "How temporal-difference errors count; huber: those beyond 1 in proportion.", "squared", "values"
    )
    frames: int | None = option(
        "Frames that an observation stacks, stored once each. Default: found out.", None, "values", "[1, 16]"
    )
    light_checkpoints: bool = option(
        "Leave the store out of checkpoints: smaller, but a stopped run goes on to other bits.", False, "values"
    )

    learning_rate: float | None = option("Adam's step size.", None, "optimisation", "(0, inf)")
    batch_size: int | None = option("Steps in a minibatch.", None, "optimisation", "[1, inf)")
    collect: int | None = option("Environment steps between updates.", None, "optimisation", "[1, inf)")
    updates: int | None = option("Updates after each collection.", None, "optimisation", "[1, inf)")
    store: int | None = option(
        "Steps that the aggregating store, or the replay store, holds.", None, "optimisation", "[1, inf)"
    )

    target: float = option("Stop when this fraction of the teacher's return is held.", 0.95, "stop", "(0, inf)")
    steps: int | None = option("Budget of environment steps; of updates with --data.", None, "stop", "[1, inf)")
    evaluation_episodes: int = option("Episodes of an evaluation during training.", 20, "stop", "[2, inf)")
    final_episodes: int = option("Episodes of the final figures.", 100, "stop", "[2, inf)")
    curve_episodes: int = option(
        "Episodes whenever the environment steps have doubled, for a learning curve; they decide nothing.",
        0,
        "stop",
        "[0, inf)",
    )

    continue_with: Literal["none", "rl"] = option(
        "Go on with the student: rl, by the task's reward (PPO), the critic fitted first and the return guarded.",
        "none",
        "stop",
    )
    continue_steps: int = option("Environment steps of that.", 300_000, "stop", "[1, inf)")

    device: str = option("cpu, cuda or cuda:N.", "cpu", "machine", read=parse_device)
    precision: Literal["float32", "bfloat16"] = option(
        "Arithmetic of the student's updates; all else is float32.", "float32", "machine"
    )
    compile: bool = option("Use torch.compile.", False, "machine")
    threads: int = option("Threads that PyTorch may use.", 1, "machine", "[1, inf)")
    tensorboard: bool = option("Write TensorBoard events into the run folder too.", False, "machine")
    report: bool = option("Write the run's page at the end.", False, "machine")
    quiet: bool = option("Show no progress.", False, "machine")

    def __post_init__(self) -> None:
        settle(self)
        refuse(self._disagreements())

    def _disagreements(self) -> list[str]:
        """Options that each are fine but do not go together, or that nothing would read."""
        lacking = [] if self.data else [name for name in PLAY if not getattr(self, name)]
        found = [f"{name} is missing; `understudy distill --help` shows what it may be" for name in lacking]
        row = lookup(self.row_name)
        found += unused(self, row) + misfits_of_data(self, row)
        try:
            self.row()
        except UnderstudyError as error:
            found.append(str(error))
        return found

    @property
    def row_name(self) -> str:
        """The name of the method's row."""
        return self.method or DEFAULT_METHOD

    def row(self) -> Row:
        """The method's row with every option applied to it."""
        method = lookup(self.row_name)
        return self._q_row(method) if isinstance(method, QMethod) else self._row(method)

    def _q_row(self, method: QMethod) -> QMethod:
        control = None if self.control is None else parse_control(self.control)
        method = with_behaviour(method, control, None if self.epsilon is None else parse(self.epsilon))
        return with_q_weights(method, parse(self.loss_weight), parse(self.task_weight))

    def _row(self, method: Method) -> Method:
        if self.control is not None:
            method = with_control(method, parse_control(self.control))
        if self.divergence == "kl":
            method = with_divergence(method, "kl")
        if self.expected_reward:
            method = with_expected_reward(method)
        method = with_weights(method, parse(self.loss_weight), parse(self.task_weight))
        bonus = parse(self.entropy_bonus)
        method = with_entropy_bonus(method, bonus) if bonus else method
        kind, credit = parse_remedy(self.remedy)
        return with_credit(method, credit) if kind == "credit" else method

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "") -> DistillConfig:
        """From keys and values; unknown and missing keys are problems like any other, and all are reported."""
        return build(cls, values, where, () if values.get("data") else PLAY)

    @classmethod
    def from_toml(cls, path: str | Path, **overrides: Any) -> DistillConfig:
        """From a file; ``overrides`` win."""
        return cls.of(read_toml(path, **overrides), str(path))

    def to_toml(self) -> str:
        """Every value that is not None, under the headings of the help."""
        lines: list[str] = []
        for group, title in GROUPS.items():
            lines += ["", f"# {group or title}"]
            for name, entry in fields_of(DistillConfig).items():
                if entry.metadata["group"] == group and getattr(self, name) is not None:
                    lines.append(f"{name} = {toml_text(getattr(self, name))}")
        return "\n".join(lines[1:]) + "\n"


EVALUATE_GROUPS = {
    "": "what is played",
    "teacher": GROUPS["teacher"],
    "environment": GROUPS["environment"],
    "machine": GROUPS["machine"],
}


@dataclass(frozen=True)
class EvaluateConfig:
    """Everything that decides an evaluation."""

    path: str = option("Agent, run folder or student folder: whatever `distill` takes as a teacher.", positional=True)
    env: str = option("Environment: a Gymnasium id, envpool:ID or module:function.")
    episodes: int = option("Episodes to play.", 100, within="[1, inf)")
    seed: int = option(
        "Seed of the first episode; the others follow. Default: those of a run's final figures.",
        FINAL_SEED,
        within="[0, inf)",
    )
    stochastic: bool = option("Sample actions; without it the most probable or mean one is taken.", False)
    json: bool = option("Print one JSON object.", False)

    vecnormalize: str | None = option(
        "VecNormalize statistics. Default: vecnormalize.pkl beside the agent.", None, "teacher"
    )
    trust: bool = option(
        "Run code that the teacher's files hold or name: classes of their own, wrappers, views.", False, "teacher"
    )
    teacher_temperature: float | None = option(
        "As for distill; matters with --stochastic.", None, "teacher", "(0, inf)"
    )
    teacher_std: float | None = option("As for distill; matters with --stochastic.", None, "teacher", "(0, inf)")

    copies: int = option("Environments stepped side by side.", 20, "environment", "[1, inf)")
    vector: Literal["sync", "async"] = option(
        "Step the copies in this process, or in one process each.", "sync", "environment"
    )
    wrap: tuple[str, ...] = option(
        "Environment wrapper: a name or module:function; repeat for more.", (), "environment"
    )
    env_args: str = option(
        "Keyword arguments of the environment, a JSON object.", "", "environment", read=parse_env_args
    )
    view: str = option("What the agent sees of the observation; a student brings its own.", "", "environment")
    perturb: tuple[str, ...] = option(
        "Play under noise:SIGMA (on what is seen), random:P (actions) or dynamics:X (changed by X); repeat for more.",
        (),
        "environment",
        read=parse_perturbations,
    )

    device: str = option("cpu, cuda or cuda:N.", "cpu", "machine", read=parse_device)
    threads: int = option("Threads that PyTorch may use.", 1, "machine", "[1, inf)")

    def __post_init__(self) -> None:
        settle(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> EvaluateConfig:
        """From keys and values; all problems are reported at once."""
        return build(cls, values)


def read_toml(path: str | Path, **overrides: Any) -> dict[str, Any]:
    """A file's keys and values, each checked; required ones may be missing. ``overrides`` stand for what it says."""
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"no such configuration file: {path}") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    values = {name: plain(DistillConfig, name, value) for name, value in values.items()} | overrides
    refuse(problems(DistillConfig, values), str(path))
    return values
