"""Staged training with and without memory: what is forgotten, and what remembering costs; writes forgetting/page.md.

python benchmarks/forgetting.py [--seeds 5] [--processes 1] [--out runs/forgetting] [--only flight/nothing ...]

Three sequences of three tasks, each in several variants that differ in one option of the later stages. The first stage
is the same in all variants of a seed and is trained once. Training that has finished is not run again, and what was
stopped goes on where it was. The page is written from all that has finished; `--page-only` runs nothing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from forgetting_page import write

from understudy.runs.console import Silent
from understudy.stages.config import StagesConfig
from understudy.stages.execute import resume_stages, run_stages
from understudy.stages.folder import StagesFolder
from understudy.stages.result import StagesResult

ROOT = Path(__file__).resolve().parents[1]
FLIGHT: dict[str, Any] = {
    "copies": 64,
    "ppo": {"n_steps": 128, "batch_size": 1024, "n_epochs": 8, "learning_rate": 1e-3, "final_learning_rate": 1e-4},
    "stages": [
        {"name": "pursuit", "env": "understudy/Pursuit-v0", "steps": 300_000},
        {"name": "evasion", "env": "understudy/Evasion-v0", "steps": 400_000},
        {"name": "combat", "env": "understudy/Combat-v0", "steps": 300_000},
    ],
}
LANDER: dict[str, Any] = {
    "copies": 16,
    "ppo": {
        "n_steps": 256, "batch_size": 512, "n_epochs": 8, "gae_lambda": 0.98, "ent_coef": 0.01,
        "learning_rate": 1e-3, "final_learning_rate": 1e-4,
    },
    "stages": [
        {"name": "earth", "env": "LunarLander-v3", "steps": 500_000},
        {"name": "moon", "env": "LunarLander-v3", "env_args": '{"gravity": -2.0}', "steps": 250_000},
        {"name": "storm", "env": "LunarLander-v3", "env_args": '{"enable_wind": true, "wind_power": 20.0}',
         "steps": 250_000},
    ],
}  # fmt: skip
PENDULUM: dict[str, Any] = {
    "copies": 16,
    "ppo": {
        "n_steps": 256, "batch_size": 256, "n_epochs": 10, "gamma": 0.9,
        "learning_rate": 1e-3, "final_learning_rate": 1e-4,
    },
    "stages": [
        {"name": "usual", "env": "Pendulum-v1", "env_args": '{"g": 10}', "steps": 150_000},
        {"name": "light", "env": "Pendulum-v1", "env_args": '{"g": 2}', "steps": 150_000},
        {"name": "heavy", "env": "Pendulum-v1", "env_args": '{"g": 13}', "steps": 150_000},
    ],
}  # fmt: skip
SEQUENCES = {"flight": FLIGHT, "lander": LANDER, "pendulum": PENDULUM}
QUICK, OWN = ("flight", "pendulum"), ("flight",)  # a training takes seconds there
SHARED: dict[str, Any] = {
    "student": "mlp:64,64:tanh", "evaluations": 5, "evaluation_episodes": 20, "final_episodes": 100, "quiet": True,
}  # fmt: skip
OWN_STD = {"own_std": True}
WEIGHT = 0.1
FADING = "linear:0.1:0"
DISTILLED = {"distil": "mlp:64,64:tanh"}
HEADS, ADAPTERS, GATE = {"heads": "own"}, {"adapters": True}, {"gate": True}


@dataclass(frozen=True)
class Variant:
    """One way to train the later stages. ``anchored``: on which states; ``also``: options of a stage.

    ``whole``: options of all stages, so that the first one is trained anew; ``within``: sequences to try it on.
    """

    name: str
    what: str
    anchored: str = ""
    also: Mapping[str, Any] = field(default_factory=dict)
    joint: bool = False
    weight: float | str = WEIGHT
    whole: Mapping[str, Any] = field(default_factory=dict)
    within: tuple[str, ...] = tuple(SEQUENCES)

    def stages(self, sequence: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The sequence's stages in this variant."""
        found: list[dict[str, Any]] = []
        for number, stage in enumerate(sequence["stages"]):
            before = [one["name"] for one in found]
            more: dict[str, Any] = dict(self.also) if number else {}
            if number and self.anchored:
                more["anchors"] = [{"policy": before[-1], "weight": self.weight, "states": self.anchored}]
            if number and self.joint:
                more["joint"] = before
            found.append(stage | more)
        return found


VARIANTS = (
    Variant("nothing", "goes on directly"),
    Variant("visited", "KL to the last stage's policy on the student's states", "visited"),
    Variant("fading", "the same with a weight that falls to 0", "visited", weight=FADING),
    Variant("stored", "KL to each earlier stage's policy on states stored of it", "stored"),
    Variant("distilled", "first distilled into a fresh network", also=DISTILLED, within=QUICK),
    Variant("distilled+stored", "first distilled, then anchored on stored states", "stored", DISTILLED, within=QUICK),
    Variant("joint", "half of the copies play the earlier tasks", joint=True, within=QUICK),
    Variant("nothing+own-std", "goes on directly; deviations that the network gives", whole=OWN_STD, within=QUICK),
    Variant(
        "stored+own-std", "stored states; deviations that the network gives", "stored", whole=OWN_STD, within=QUICK
    ),
    Variant("heads", "a head a stage on one body", also=HEADS, within=OWN),
    Variant("heads+stored", "each head held on the states stored of its task", "stored", HEADS, within=OWN),
    Variant("adapters", "earlier columns frozen, a new one reads them", also=ADAPTERS, within=OWN),
    Variant("heads+gate", "heads; a learned gate tells which acts", also=HEADS | GATE, within=OWN),
    Variant("adapters+gate", "adapters; a learned gate tells which acts", also=ADAPTERS | GATE, within=OWN),
    Variant("both", "stored and visited states", "both", within=OWN),
)


def run(sequence: str, variant: Variant, seed: int, out: Path) -> str:
    """One training, unless it has finished; a line about it."""
    config = planned(sequence, variant, seed, out)
    folder = Path(config.out)
    if (folder / "stages.toml").is_file() and StagesFolder.open(folder).config != config:
        raise SystemExit(f"{folder} was trained as something else: move it away, or choose another --out")
    if (folder / "result.json").is_file():
        return ""
    first = out / sequence / f"{VARIANTS[0].name}-s{seed}" / config.stages[0].name
    shared = variant is not VARIANTS[0] and not variant.whole and (first / "result.json").is_file()
    result = go_on(config, first) if shared else resumed_or_begun(config)
    facts = result.matrix.facts()
    share = facts["average_forgetting_normalised"]
    lost = "not defined" if share is None else f"{share:.0%}"
    last = [f"{value:.0f}" for value in result.matrix.returns[-1]]
    return f"{sequence}/{variant.name} seed {seed}: forgot {lost}; at the end {', '.join(last)}"


def planned(sequence: str, variant: Variant, seed: int, out: Path) -> StagesConfig:
    """What is trained."""
    whole = SEQUENCES[sequence]
    values = SHARED | {key: value for key, value in whole.items() if key != "stages"} | dict(variant.whole)
    folder = out / sequence / f"{variant.name}-s{seed}"
    return StagesConfig.of(values | {"stages": variant.stages(whole), "seed": seed, "out": str(folder)})


def go_on(config: StagesConfig, first: Path) -> StagesResult:
    """From behind the first stage, which has been trained in the folder ``first``."""
    if not (Path(config.out) / "stages.toml").is_file():
        StagesFolder.create(config).close()
        shutil.copytree(first, Path(config.out) / first.name)
    return resume_stages(config.out, console=Silent())


def resumed_or_begun(config: StagesConfig) -> StagesResult:
    begun = (Path(config.out) / "stages.toml").is_file()
    return resume_stages(config.out, console=Silent()) if begun else run_stages(config, console=Silent())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "forgetting")
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "forgetting")
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of names, such as flight/anchor")
    parser.add_argument("--page-only", action="store_true")
    options = parser.parse_args()
    if not options.page_only:
        jobs = [
            (sequence, variant, seed)
            for variant in VARIANTS
            for seed in range(options.seeds)
            for sequence in variant.within
            if not options.only or f"{sequence}/{variant.name}".startswith(tuple(options.only))
        ]
        with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
            for done in [pool.submit(run, *job, options.out) for job in jobs]:
                if done.result():
                    print(done.result(), flush=True)
    write(SEQUENCES, VARIANTS, options.seeds, options.out, options.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
