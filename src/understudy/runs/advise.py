"""Answers to the questions of C19's Fig. 1, from flags, from measuring a teacher, or from whoever is there.

Nothing heavy is imported here: without a teacher nothing is played, and the command line's help reads the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from understudy.errors import ConfigurationError
from understudy.methods import METHODS, Method, Need
from understudy.methods.advice import ENDS_EARLY, QUESTIONS, STRONG, VALUE, Answer, Path, Question, walk
from understudy.runs.config import GROUPS, EvaluateConfig
from understudy.runs.fields import build, option, refuse, settle
from understudy.runs.option_texts import parse_device, parse_env_args

if TYPE_CHECKING:
    from understudy.runs.measure import Measured

ADVICE_SEED = 5_000_000
"""Apart from the seeds of stopping and of final figures: no choice is made on those."""

ADVISE_GROUPS = {
    "": "what is advised on",
    "questions": "answers; auto: measured with a TEACHER where that can be, else asked, else assumed",
    "teacher": GROUPS["teacher"],
    "environment": GROUPS["environment"],
    "machine": GROUPS["machine"],
}


def _answer(name: str) -> Any:
    question = QUESTIONS[name]
    return option(f"{question.text} (Assumed: {'yes' if question.assumed else 'no'}.)", "auto", "questions")


@dataclass(frozen=True)
class AdviseConfig:
    """Everything that decides an advice: what is measured, and the answers that are given."""

    teacher: str | None = option("Agent to measure; without it nothing is played.", None, positional=True)
    env: str | None = option("Environment that it plays in, as for distill.", None)
    episodes: int = option("Episodes of the teacher, and of the uniform policy.", 50, within="[2, inf)")
    seed: int = option("Seed of the first episode; the others follow.", ADVICE_SEED, within="[0, inf)")
    json: bool = option("Print one JSON object.", False)

    elsewhere: Literal["auto", "yes", "no"] = _answer("elsewhere")
    guarantees: Literal["auto", "yes", "no"] = _answer("guarantees")
    improve: Literal["auto", "yes", "no"] = _answer("improve")
    strong: Literal["auto", "yes", "no"] = _answer("strong")
    value: Literal["auto", "yes", "no"] = _answer("value")
    ends_early: Literal["auto", "yes", "no"] = _answer("ends_early")

    vecnormalize: str | None = option("As for distill.", None, "teacher")
    trust: bool = option("As for distill: run code that the teacher's files hold or name.", False, "teacher")
    teacher_temperature: float | None = option("As for distill.", None, "teacher", "(0, inf)")
    teacher_std: float | None = option("As for distill.", None, "teacher", "(0, inf)")

    copies: int = option("Environments stepped side by side.", 20, "environment", "[1, inf)")
    wrap: tuple[str, ...] = option("Environment wrapper, as for distill; repeat for more.", (), "environment")
    env_args: str = option("As for distill, a JSON object.", "", "environment", read=parse_env_args)
    teacher_view: str = option("What the teacher sees.", "", "environment")

    device: str = option("cpu, cuda or cuda:N.", "cpu", "machine", read=parse_device)
    threads: int = option("Threads that PyTorch may use.", 1, "machine", "[1, inf)")

    def __post_init__(self) -> None:
        settle(self)
        if self.teacher is not None and self.env is None:
            refuse(["env is missing: measuring a teacher needs the environment that it plays in"])
        if self.teacher is None and self.env is not None:
            refuse(
                ["a TEACHER is missing: --env alone measures nothing. Leave it out to be asked, or name the teacher"]
            )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> AdviseConfig:
        """From keys and values; all problems are reported at once."""
        return build(cls, values)

    def given(self, question: Question) -> bool | None:
        """The flag's answer, if it gives one."""
        return {"yes": True, "no": False}.get(getattr(self, question.name))

    def play(self) -> EvaluateConfig:
        """The same as an evaluation of the teacher."""
        names = (
            "episodes", "seed", "vecnormalize", "trust", "teacher_temperature", "teacher_std", "copies", "wrap",
            "env_args", "device", "threads",
        )  # fmt: skip
        words = {name: getattr(self, name) for name in names}
        return EvaluateConfig.of(words | {"path": self.teacher, "env": self.env, "view": self.teacher_view})


@dataclass(frozen=True)
class Advice:
    """``methods``: preferred first, those that the teacher cannot serve left out (``unserved``: row to what it needs).

    ``trap``: the answer about episodes that end early, None where no row's reward charges. ``commands``: words to
    run each of ``methods``, in the same order.
    """

    methods: tuple[str, ...]
    unserved: dict[str, str]
    path: Path
    trap: Answer | None
    commands: tuple[tuple[str, ...], ...]
    measured: Measured | None = None
    hints: dict[str, str] = field(default_factory=dict)

    @property
    def row(self) -> Method:
        """The preferred one."""
        return METHODS[self.methods[0]]


Ask = Callable[[Question], bool | None]


def advise(config: AdviseConfig, ask: Ask, note: Callable[[str], None]) -> Advice:
    """Measure where there is a teacher, then go down the tree. ``ask`` answers None where nobody is there."""
    measured = None
    if config.teacher is not None:
        from understudy.runs.measure import measure

        measured = measure(config.play(), note)
    facts, hints = ({}, {}) if measured is None else (known(measured), hints_of(measured))

    def answer(question: Question) -> Answer:
        found = _settled(config, question, facts.get(question.name), hints.get(question.name, ""))
        if found is not None:
            return found
        if question.name in hints:
            note(hints[question.name])
        said = ask(question)
        if said is None:
            return Answer(question, question.assumed, "assumed", hints.get(question.name, question.why))
        return Answer(question, said, "asked")

    path = walk(answer)
    if config.teacher is None and all(one.how == "assumed" for one in path.answers):
        flags = ", ".join(f"{question.flag} yes|no" for question in QUESTIONS.values())
        raise ConfigurationError(
            f"there is nobody to ask and nothing to go by. Give TEACHER --env ID, or answers: {flags}"
        )
    unserved = _unserved(path.leaf.methods, measured)
    methods = tuple(name for name in path.leaf.methods if name not in unserved)
    trap = answer(ENDS_EARLY) if any(METHODS[name].charges for name in methods) else None
    commands = tuple(command(config, name, trap) for name in methods)
    return Advice(methods, unserved, path, trap, commands, measured, hints)


def _settled(config: AdviseConfig, question: Question, fact: Answer | None, hint: str) -> Answer | None:
    """The flag's answer, else the measured one. A flag may not claim what measuring has refuted."""
    given = config.given(question)
    if given is None:
        return fact
    if fact is not None and given != fact.yes and question in (VALUE, ENDS_EARLY):
        if question is VALUE and not given:
            return Answer(question, False, "given", f"{fact.note}; you say not to use it")
        raise ConfigurationError(
            f"{question.flag} {'yes' if given else 'no'} contradicts what was measured: {fact.note}. Leave it out"
        )
    differs = fact is not None and given != fact.yes
    return Answer(question, given, "given", f"measured otherwise: {fact.note}" if differs and fact else hint)


def known(measured: Measured) -> dict[str, Answer]:
    """The questions that measuring answers, by name."""
    has = "has one" if measured.has_value else "has none"
    found = {"value": Answer(VALUE, measured.has_value, "measured", f"{measured.policy} {has}")}
    ended = [
        f"{play.terminated:.0%} of {whose} episodes, after {play.mean_length:.0f} steps on average"
        for whose, play in (("the teacher's", measured.teacher), ("random", measured.random))
        if play.terminated
    ]
    seen = f"termination ended {' and '.join(ended)}" if ended else f"none of {2 * measured.episodes} episodes did"
    if ended or measured.time_limit is not None:
        found["ends_early"] = Answer(ENDS_EARLY, bool(ended), "measured", seen)
    strong = _strength(measured)
    return found if strong is None else found | {"strong": strong}


def _strength(measured: Measured) -> Answer | None:
    """Strong or weak only by a reference: the environment's own threshold above, the uniform policy below."""
    low, high = measured.teacher.interval
    if not measured.beats_random:
        return Answer(STRONG, False, "measured", "it does not beat a uniformly random policy")
    if measured.threshold is None:
        return None
    limit = f"the environment's reward threshold, {measured.threshold:g}"
    interval = f"the 95 % interval of its mean return, [{low:.1f}, {high:.1f}],"
    if low >= measured.threshold:
        return Answer(STRONG, True, "measured", f"{interval} is not below {limit}")
    if high < measured.threshold:
        return Answer(STRONG, False, "measured", f"{interval} lies below {limit}")
    return None


def hints_of(measured: Measured) -> dict[str, str]:
    """What measuring has to say on a question that it does not answer."""
    if _strength(measured) is not None:
        return {}
    figures = f"it returns {measured.teacher.mean_return:.1f}, a random policy {measured.random.mean_return:.1f}"
    if measured.threshold is None:
        return {"strong": f"{figures}; without a reference nobody can say how good that is"}
    return {"strong": f"{figures}; its interval holds the environment's reward threshold, {measured.threshold:g}"}


def _unserved(names: tuple[str, ...], measured: Measured | None) -> dict[str, str]:
    """Rows that need what the teacher has not."""
    lacking: tuple[Need, ...] = () if measured is None else measured.missing
    gaps = {name: [need.value for need in lacking if need in METHODS[name].needs] for name in names}
    return {name: " and ".join(needs) for name, needs in gaps.items() if needs}


_PASSED = ("vecnormalize", "teacher_temperature", "teacher_std", "env_args", "teacher_view", "device")


def command(config: AdviseConfig, name: str, trap: Answer | None) -> tuple[str, ...]:
    """``understudy distill`` with everything that the teacher was measured with; the remedy where the trap is open."""
    words = ["understudy", "distill", config.teacher or "TEACHER", "--env", config.env or "ENV", "--method", name]
    if trap is not None and trap.yes and METHODS[name].charges_every_step:
        words += ["--remedy", "absorbing"]
    defaults = AdviseConfig()
    for key in _PASSED:
        if getattr(config, key) != getattr(defaults, key):
            words += [f"--{key.replace('_', '-')}", f"{getattr(config, key)}"]
    words += [word for wrapper in config.wrap for word in ("--wrap", wrapper)]
    return (*words, *(["--trust"] if config.trust else []))
