"""What ``understudy export`` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from understudy.runs.fields import build, fields_of, option, refuse, settle
from understudy.runs.option_texts import parse_env_args

FORMATS = ("onnx", "torch", "sb3")
GROUPS = {
    "": "what is written",
    "check": "how the file is checked",
    "onnx": "for --format onnx",
    "sb3": "for --format sb3",
}


@dataclass(frozen=True)
class ExportConfig:
    """Everything that decides an export."""

    run: str = option("Run folder, or the folder of a student.", positional=True)
    format: Literal["onnx", "torch", "sb3"] = option(
        "onnx; torch: a torch.export program; sb3: a zip of Stable-Baselines3.", "onnx"
    )
    out: str | None = option("File to write. Default: export/NAME in the run folder.", None)
    force: bool = option("Write over a file that is there.", False)

    env: str | None = option("Environment that the check plays. Default: the run's.", None, "check")
    env_args: str = option("Keyword arguments of that environment, a JSON object.", "", "check", read=parse_env_args)
    steps: int = option("Environment steps on which the file must act as the student does.", 1000, "check", "[1, inf)")
    trust: bool = option("Run code that the run's configuration names: environments, wrappers, views.", False, "check")

    int8: bool = option(
        "Write a second file with weights of 8 bits, NAME.int8.onnx, and measure what it earns.", False, "onnx"
    )
    episodes: int = option("Episodes that tell what the file of 8 bits earns.", 50, "onnx", "[2, inf)")
    opset: int | None = option("Version of ONNX's operators. Default: 20.", None, "onnx", "[18, 23]")

    algorithm: Literal["auto", "ppo", "recurrent-ppo", "dqn", "sac"] = option(
        "Whose agent to write. dqn takes a categorical student's logits for Q-values, whose greedy play is the same.",
        "auto",
        "sb3",
    )
    fold_normaliser: bool = option(
        "Put the normaliser into the first layer instead of a vecnormalize.pkl.", False, "sb3"
    )

    def __post_init__(self) -> None:
        settle(self)
        chosen = {
            name: entry.metadata["group"]
            for name, entry in fields_of(ExportConfig).items()
            if entry.metadata["group"] in FORMATS and getattr(self, name) != entry.default
        }
        refuse([f"{name} is for --format {form}; leave it out" for name, form in chosen.items() if form != self.format])

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ExportConfig:
        """From keys and values; all problems are reported at once."""
        return build(cls, values)
