"""The Python interface: what ``understudy.NAME`` offers. What only one of them needs is imported in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.checks.config import DoctorConfig
from understudy.comparison.config import CompareConfig, CompressConfig
from understudy.errors import ConfigurationError
from understudy.runs import evaluation, execute
from understudy.runs.config import FINAL_SEED, DistillConfig, EvaluateConfig
from understudy.runs.console import open_console
from understudy.runs.evaluation import Evaluation
from understudy.runs.fields import fields_of
from understudy.runs.result import Result
from understudy.runs.tasks.folder import is_of_tasks
from understudy.runs.tasks.result import TasksResult
from understudy.stages.config import FILE as STAGES
from understudy.stages.config import StagesConfig

if TYPE_CHECKING:
    from understudy.checks.finding import Finding
    from understudy.comparison.summary import Comparison
    from understudy.export.command import Exported
    from understudy.export.push import Pushed
    from understudy.stages.result import StagesResult


def distill(
    teacher: Any = None, env: Any = None, student: str = "mlp:64,64", method: str | None = None, **options: Any
) -> Result:
    """Distil ``teacher`` into a new ``student`` and measure what was kept.

    teacher: what :func:`understudy.open_teacher` takes: a path, ``scheme:path``, a policy, an ``nn.Module`` or a
    function. env: a Gymnasium id, ``envpool:ID``, ``module:function``, or a function that makes one environment.
    Both may be left out with ``data``. method: a row of :data:`understudy.methods.METHODS`; by default
    on-policy-distill. options: the other options of ``understudy distill --help``, with underscores (``seed``,
    ``out``, ``steps``, ``target`` ...); ``report=True`` writes ``report.html`` into the run folder.

    The run folder is ``result.path``; ``understudy.load_student(result.path)`` opens the student. Raises subclasses
    of :class:`understudy.errors.UnderstudyError`, a ConfigurationError with all problems of the options at once.

        >>> result = understudy.distill("ppo-CartPole-v1.zip", "CartPole-v1", student="mlp:16,16", seed=1)
        >>> print(result.summary())
    """
    if not isinstance(method, str | None):
        raise ConfigurationError(
            f"method is a name or FILE.toml:NAME, got a {type(method).__name__}. Write a row of your own to a file, so "
            "that the run's configuration can name it: see docs/methods"
        )
    named = {name: _name(one) for name, one in (("teacher", teacher), ("env", env)) if one is not None}
    config = DistillConfig.of({**named, "student": student, "method": method} | options)
    if config.continue_with != "none":
        from understudy.stages.continued import check_continues

        check_continues(config, _object(env))
    result = execute.distill(config, teacher=_object(teacher), env=_object(env))
    if config.report:
        from understudy.reports.command import finish

        finish(result.path, teacher=_object(teacher), env=_object(env), quiet=config.quiet)
    if config.continue_with != "none":
        from understudy.stages.continued import continue_with_rl

        further = continue_with_rl(result.path, open_console(config.quiet))
        if config.report:
            finish(further.path)
    return result


def evaluate(
    policy: Any,
    env: Any,
    *,
    episodes: int = 100,
    seed: int = FINAL_SEED,
    deterministic: bool = True,
    wrappers: Sequence[str] = (),
    **options: Any,
) -> Evaluation:
    """Play ``episodes`` episodes in parallel, the first on ``seed``, the next on ``seed + 1``, and so on.

    policy: what :func:`understudy.open_teacher` takes, among it a run folder. env: as for :func:`distill`.
    wrappers: names, the first innermost; those that the policy needs are found where they can be. options: the other
    options of ``understudy evaluate --help`` with underscores (``copies``, ``vecnormalize``, ``trust``, ``view`` ...).

        >>> understudy.evaluate("runs/ppo-CartPole-v1-mlp-64-64-s0", "CartPole-v1", episodes=20).mean_return
    """
    own = {"path": _name(policy), "env": _name(env), "episodes": episodes, "seed": seed}
    config = EvaluateConfig.of(own | {"stochastic": not deterministic, "wrap": tuple(wrappers)} | options)
    return evaluation.evaluate(config, policy=_object(policy), env=_object(env))


def train_stages(stages: Sequence[Mapping[str, Any]], student: str = "mlp:64,64:tanh", **options: Any) -> StagesResult:
    """Train one policy in stages, each a table with ``name``, ``env`` and what else docs/stages.md lists.

    options: those of all stages: ``out``, ``seed``, ``copies``, ``ppo`` (a table of PPO's options) ... The result has
    ``matrix``, the returns on every task after every stage; each stage lies in a folder of ``result.path``, whose page
    is ``report.html`` (not with ``report=False``).

        >>> understudy.train_stages(
        ...     [{"name": "chase", "env": "understudy/Pursuit-v0"},
        ...      {"name": "dodge", "env": "understudy/Evasion-v0", "anchors": [{"policy": "chase"}]}])
    """
    from understudy.reports.stages_command import finish
    from understudy.stages.execute import run_stages

    result = run_stages(StagesConfig.of({**options, "stages": stages, "student": student}))
    finish(result.path)
    return result


def distill_tasks(
    tasks: Mapping[str, Mapping[str, Any]], student: str = "mlp:64,64", method: str | None = None, **options: Any
) -> TasksResult:
    """Distil several teachers into one ``student``, each in its own environment.

    tasks: by name, a table with ``teacher`` and ``env``, both names, and perhaps ``weight`` and what else a task has of
    its own: see docs/tasks.md. options: ``heads`` and ``mix``, and the other options of ``understudy distill --help``;
    ``steps`` are those of all tasks together. Each task has a run folder of its own in ``tasks/`` of ``result.path``.

        >>> pong, breakout = {"teacher": "p.zip", "env": "ALE/Pong-v5"}, {"teacher": "b.zip", "env": "ALE/Breakout-v5"}
        >>> understudy.distill_tasks({"pong": pong, "breakout": breakout}, "cnn:nature", "q-kl").geometric_mean
    """
    from understudy.runs.tasks.config import TasksConfig
    from understudy.runs.tasks.execute import distill_tasks as execute_tasks

    tables = {name: dict(table) for name, table in tasks.items()}
    config = TasksConfig.of({"tasks": tables, "student": student, "method": method} | options)
    result = execute_tasks(config)
    if config.shared.report:
        from understudy.reports.command import finish

        for one in result.tasks.values():
            finish(one.path, quiet=config.shared.quiet)
    return result


def resume(path: str | os.PathLike[str], teacher: Any = None, env: Any = None) -> Result | TasksResult | StagesResult:
    """Go on with the run in ``path``, which was stopped, to the result that it would have had.

    teacher, env: given again where they were objects when the run was begun. A finished run's result is answered as it
    is. The run follows its own config.toml, code that it names included, so that the folder must be one's own. Raises
    RunError: another process is at the run, or its teacher has changed. A run of several tasks answers a TasksResult,
    and training in stages a StagesResult.

        >>> result = understudy.resume("runs/ppo-CartPole-v1-mlp-16-16-s1")
    """
    if is_of_tasks(os.fspath(path)):
        from understudy.runs.tasks.execute import resume_tasks

        return resume_tasks(os.fspath(path))
    if (Path(path) / STAGES).is_file():
        from understudy.reports.stages_command import finish
        from understudy.stages.execute import resume_stages

        stages = resume_stages(os.fspath(path))
        finish(os.fspath(path))
        return stages
    return execute.resume(os.fspath(path), teacher=teacher, env=env)


def compare(
    teacher: str, env: str, methods: Sequence[str] = (), students: Sequence[str] = (), seeds: int = 3, **options: Any
) -> Comparison:
    """Distil with every method, student and seed, in processes side by side, and write a page of what they come to.

    teacher, env: names, for every run is a process of its own. methods, students: by default those of
    ``understudy compare --help``; options: its other ones, with underscores (``out``, ``processes``, ``keep`` ...), and
    any of ``understudy distill``. What is finished in ``out`` is kept. The page is ``index.html`` in ``out``.

    A script calls this under ``if __name__ == "__main__":``, for its processes read the script anew. Raises:
    ConfigurationError with all problems of all runs, before any begins.

        >>> found = understudy.compare("ppo-LunarLander-v3.zip", "LunarLander-v3", students=["mlp:16,16", "linear"])
        >>> found.verdict.headline
    """
    return _compared(CompareConfig, teacher, env, methods, students, options | {"seeds": seeds})


def compress(teacher: str, env: str, students: Sequence[str] = (), seeds: int = 3, **options: Any) -> Comparison:
    """The same with one method, and students from the teacher's own size down to a linear one.

    options: as for :func:`compare`, among them ``bytes`` and ``microseconds``: then the verdict names the best student
    within them, else the smallest that keeps ``keep`` (0.95) of the teacher's return.
    """
    return _compared(CompressConfig, teacher, env, (), students, options | {"seeds": seeds})


def _compared(
    kind: type[CompareConfig],
    teacher: str,
    env: str,
    methods: Sequence[str],
    students: Sequence[str],
    options: dict[str, Any],
) -> Comparison:
    from understudy.reports.comparison_command import carried_out  # with it comes Matplotlib

    if _object(teacher) is not None or _object(env) is not None:
        raise ConfigurationError("teacher and env are names here: every run is a process of its own, which opens them")
    whole: type = kind
    own = {name: value for name, value in options.items() if name in fields_of(whole)}
    others = [f"{name}={_word(value)}" for name, value in options.items() if name not in own]
    values = {"teacher": _name(teacher), "env": env, "set": (*own.pop("set", ()), *others)} | own
    values |= {"methods": ",".join(methods)} if methods else {}
    values |= {"students": ";".join(students)} if students else {}
    config = kind.of(values)
    return carried_out(config, f"understudy.{config.name}({values})", open_console(config.quiet))[0]


def _word(value: Any) -> str:
    """A value as ``--set`` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def doctor(teacher: Any, env: Any, **options: Any) -> list[Finding]:
    """What usually goes wrong in silence with ``teacher`` in ``env``: one finding a check, in order.

    teacher, env: as for :func:`distill`. options: the other options of ``understudy doctor --help`` with underscores
    (``student``, ``expect``, ``vecnormalize``, ``trust``, ``wrap`` ...). A finding has ``check``, ``outcome`` (ok,
    warning, failed or skipped), ``text`` and ``fix``.

        >>> [one.fix for one in understudy.doctor("ppo-CartPole-v1.zip", "CartPole-v1") if one.outcome == "failed"]
    """
    from understudy.checks.examination import examine

    config = DoctorConfig.of({"teacher": _name(teacher), "env": _name(env)} | options)
    return examine(config, teacher=_object(teacher), env=_object(env))


def export_student(run: Any, format: str = "onnx", out: Any = None, *, env: Any = None, **options: Any) -> Exported:
    """Write a student as a file, check that it acts the same, and time it: ``understudy export``.

    run: a run folder or a student's. format: ``onnx``, ``torch`` or ``sb3``. out: the file; by default
    ``export/NAME`` in the run folder. env: plays the check; by default the run's environment. options: the other
    options of ``understudy export --help`` with underscores (``steps``, ``force``, ``trust``, ``algorithm`` ...).

        >>> understudy.export_student("runs/ppo-CartPole-v1-mlp-64-64-s0").files
    """
    from understudy.export.command import export as execute
    from understudy.export.config import ExportConfig

    values = {"run": _name(run), "format": format, "out": out, "env": None if env is None else _name(env)}
    return execute(ExportConfig.of(values | options), env=_object(env))


def push(run: Any, repo: str | None = None, *, teacher: Any = None, env: Any = None, **options: Any) -> Pushed:
    """Make a folder for the Hugging Face Hub from a finished run: ``understudy push``.

    repo: owner/name on the Hub. Nothing is sent but with ``upload=True``. teacher, env: given again where they were
    objects when the run was begun. options: the other options of ``understudy push --help`` with underscores (``out``,
    ``private``, ``video``, ``onnx``, ``trust``).

        >>> print(understudy.push("runs/ppo-CartPole-v1-mlp-16-16-s0", "me/small-cartpole").summary())
    """
    from understudy.export.push import push as execute
    from understudy.export.push_config import PushConfig

    return execute(PushConfig.of({"run": _name(run), "repo": repo} | options), teacher=teacher, env=env)


def _name(thing: Any) -> str:
    """What messages and the run folder call it."""
    if isinstance(thing, str | os.PathLike):
        return os.fspath(thing)
    if isinstance(thing, list | tuple):
        return ",".join(_name(one) for one in thing)
    return getattr(thing, "__name__", None) or type(thing).__name__


def _object(thing: Any) -> Any:
    """The thing itself where it is no name."""
    return None if isinstance(thing, str | os.PathLike) else thing
