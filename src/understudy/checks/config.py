"""What the doctor is asked to look at. Nothing heavy is imported here: the command line's help reads these fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from understudy.methods import lookup
from understudy.runs.config import GROUPS as DISTILL_GROUPS
from understudy.runs.config import EvaluateConfig
from understudy.runs.fields import build, option, settle
from understudy.runs.option_texts import parse_env_args

DOCTOR_SEED = 6_000_000
"""Apart from the seeds of stopping, of final figures and of advice: no choice is made on those."""

GROUPS = {
    "": "what is looked at",
    "teacher": DISTILL_GROUPS["teacher"],
    "environment": DISTILL_GROUPS["environment"],
}


@dataclass(frozen=True)
class DoctorConfig:
    """Everything that decides an examination."""

    teacher: str = option("Agent to check, as for distill.", positional=True)
    env: str = option("Environment that it plays in, as for distill.")
    student: str | None = option("Run folder of a student that was distilled from it: checked too.", None)
    expect: float | None = option(
        "Return that the teacher is known for. Default: what lies beside it says (results.json, evaluations.npz, a "
        "model card, a run's result.json).",
        None,
    )
    method: str | None = option(
        "Row whose needs and dangers count, as for distill. Default: the student's, else distill's.", None, read=lookup
    )
    episodes: int = option("Episodes of the teacher, and of the uniform policy.", 20, within="[5, inf)")
    seed: int = option("Seed of the first episode; the others follow.", DOCTOR_SEED, within="[0, inf)")
    json: bool = option("Print one JSON object.", False)

    vecnormalize: str | None = option("As for distill.", None, "teacher")
    trust: bool = option("As for distill: run code that the teacher's files hold or name.", False, "teacher")
    teacher_temperature: float | None = option("As for distill.", None, "teacher", "(0, inf)")
    teacher_std: float | None = option("As for distill.", None, "teacher", "(0, inf)")

    wrap: tuple[str, ...] = option("Environment wrapper, as for distill; repeat for more.", (), "environment")
    env_args: str = option("As for distill, a JSON object.", "", "environment", read=parse_env_args)
    teacher_view: str = option("What the teacher sees.", "", "environment")

    def __post_init__(self) -> None:
        settle(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> DoctorConfig:
        """From keys and values; all problems are reported at once."""
        return build(cls, values)

    def play(self, **changes: Any) -> EvaluateConfig:
        """The teacher's part as an evaluation, with ``changes`` to it."""
        names = (
            "env",
            "episodes",
            "seed",
            "vecnormalize",
            "trust",
            "teacher_temperature",
            "teacher_std",
            "wrap",
            "env_args",
        )
        words = {name: getattr(self, name) for name in names}
        return EvaluateConfig.of({**words, "path": self.teacher, "view": self.teacher_view, **changes})

    def training(self, **changes: Any) -> dict[str, Any]:
        """The same for a distillation, as keys and values of its configuration."""
        names = (
            "teacher", "env", "seed", "vecnormalize", "trust", "teacher_temperature", "teacher_std", "wrap", "env_args",
            "teacher_view",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"quiet": True} | changes
