"""Several simulators as one: copies of different environments that step together, as in training on several tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from understudy.envs.simulator import Outcome, Simulator, copied, put, spread, take
from understudy.errors import SpaceError
from understudy.policies.policy import Observation


class SideBySide:
    """The copies of the first simulator, then those of the second, and so on; their spaces are the same.

    Which environment a copy is of depends on its place, so that a few copies can't be played again without the others:
    not ``restartable``.
    """

    restartable = False

    def __init__(self, simulators: Sequence[Simulator]) -> None:
        first = simulators[0]
        self.simulators = list(simulators)
        for other in simulators[1:]:
            if (other.observation_space, other.action_space) != (first.observation_space, first.action_space):
                raise SpaceError(
                    f"{other.spec_id} and {first.spec_id} cannot be trained on side by side: "
                    f"{other.observation_space}, {other.action_space} against {first.observation_space}, "
                    f"{first.action_space}. Wrap them alike"
                )
        ends = np.cumsum([one.copies for one in simulators])
        self.parts = [slice(end - one.copies, end) for one, end in zip(simulators, ends.tolist(), strict=True)]
        self.copies, self.spec_id = int(ends[-1]), " beside ".join(one.spec_id for one in simulators)
        self.observation_space, self.action_space = first.observation_space, first.action_space
        limits = [one.max_episode_steps for one in simulators]
        self.max_episode_steps = max((one for one in limits if one is not None), default=None) if all(limits) else None
        self.plays = 0
        self._seen: list[Observation] = []

    def reset(self, seed: int | None = None) -> Observation:
        self.plays += 1
        seeds = spread(seed, len(self.simulators))
        self._seen = [one.reset(own) for one, own in zip(self.simulators, seeds, strict=True)]
        return joined(self._seen)

    def begin(self, copies: Sequence[int], seeds: Sequence[int]) -> Observation:
        """In a simulator that is not asked for anything what it showed last is shown again."""
        self.plays += 1
        fresh = not self._seen
        where, which = np.asarray(copies), np.asarray(seeds)
        for number, (one, part) in enumerate(zip(self.simulators, self.parts, strict=True)):
            mine = (where >= part.start) & (where < part.stop)
            if mine.any() or fresh:
                seen = one.begin((where[mine] - part.start).tolist(), which[mine].tolist())
                self._seen[number : number + 1] = [seen]
        return joined(self._seen)

    def step(self, action: np.ndarray) -> Outcome:
        played = [one.step(action[part]) for one, part in zip(self.simulators, self.parts, strict=True)]
        self._seen = [one.observation for one in played]
        seen = joined(self._seen)
        columns = {
            name: np.concatenate([getattr(one, name) for one in played])
            for name in ("reward", "terminated", "truncated", "start")
        }
        valid = None
        if any(one.valid is not None for one in played):
            pairs = zip(played, self.simulators, strict=True)
            valid = np.concatenate([np.ones(s.copies, bool) if one.valid is None else one.valid for one, s in pairs])
        return Outcome(seen, **columns, final=self._final(seen, played), valid=valid)

    def _final(self, seen: Observation, played: list[Outcome]) -> Observation | None:
        """The last observations of the episodes that ended, in their rows."""
        if all(one.final is None for one in played):
            return None
        final = copied(seen)
        for one, part in zip(played, self.parts, strict=True):
            if one.final is not None:
                rows = np.flatnonzero(one.terminated | one.truncated)
                put(final, rows + part.start, take(one.final, rows))
        return final

    def close(self) -> None:
        for one in self.simulators:
            one.close()


def joined(parts: Sequence[Observation]) -> Observation:
    """Observations of copies, one set after the other."""
    first = parts[0]
    if isinstance(first, dict):
        return {key: np.concatenate([part[key] for part in parts if isinstance(part, dict)]) for key in first}
    return np.concatenate([part for part in parts if not isinstance(part, dict)])
