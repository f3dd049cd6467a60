"""A small family of worlds, and the whole of what a sweep measured as bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from understudy.engines.tabular.setting import Setting
from understudy.lab.chunk import Chunk, Outcome
from understudy.lab.curve import Curve, Ground, Tutor
from understudy.lab.experiment import Measured, Scale
from understudy.lab.spread import Local
from understudy.methods import METHODS

SMALL = Scale(mdps=7, iterations=40, seed=3, points=5)
GROUND = Ground(size=6)
TUTOR = Tutor(steps=500)


def curve(row: str, name: str = "", ground: Ground = GROUND, **words: float) -> Curve:
    """``row`` on the small worlds."""
    return Curve(name or row, Setting(METHODS[row], max_steps=200, **words), ground, TUTOR)  # type: ignore[arg-type]


def bits(found: Mapping[str, Measured]) -> dict[str, bytes]:
    """Every array of every curve, exactly."""
    return {
        f"{name}/{part}": array.tobytes()
        for name, measured in found.items()
        for part, array in {"iterations": measured.iterations, **measured.metrics, **measured.facts}.items()
    }


@dataclass
class Counted:
    """Runs chunks here and remembers which; ``stop_after``: the user's Ctrl-C after as many."""

    stop_after: int | None = None
    ran: list[Chunk] = field(default_factory=list)

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Outcome]]:
        for chunk, outcome in Local(1).run(chunks):
            if len(self.ran) == self.stop_after:
                raise KeyboardInterrupt
            self.ran.append(chunk)
            yield chunk, outcome


def some_curves() -> list[Curve]:
    return [
        curve("on-policy-distill"),
        curve("exp-entropy-regularised"),
        curve("task-reward", learning_rate=0.5),
        curve("teacher-distill", "what a window shows", Ground(size=6, window=3)),
    ]
