"""THE loop. Nothing else calls a simulator's ``step``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from understudy.envs.actions import ActionMap
from understudy.envs.numbers import check_numbers, check_observation
from understudy.envs.simulator import Outcome, Simulator, blank, put, take
from understudy.envs.tape import Tape
from understudy.errors import EnvironmentFailure
from understudy.policies.policy import Observation

PROOF = 300  # steps that are played again to see whether an environment can be


class Actor(Protocol):
    """Who acts: raw actions ``[N, ...]`` for observations ``[N, ...]``; ``start [N]`` marks first steps of episodes."""

    def __call__(self, observation: Observation, start: np.ndarray) -> np.ndarray: ...


class Episodes(NamedTuple):
    """Whole episodes: undiscounted returns, lengths in steps, and whether each ended by termination; all ``[E]``."""

    returns: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray


@dataclass(frozen=True)
class Window:
    """L steps of N copies in order of time. Where ``valid`` is False nothing was played and the reward is 0."""

    observation: Observation
    """[L, N, ...]"""
    action: np.ndarray
    """[L, N, ...] raw"""
    reward: np.ndarray
    """[L, N] float32"""
    terminated: np.ndarray
    """[L, N] bool"""
    truncated: np.ndarray
    """[L, N] bool; never together with ``terminated``"""
    start: np.ndarray
    """[L, N] bool: first steps of episodes"""
    valid: np.ndarray
    """[L, N] bool; False: the fake step of a next-step autoreset, or a copy whose only episode is over"""
    beyond_index: np.ndarray
    """[B, 2] the (t, n) after which an episode goes on unseen: truncated, or cut by the window's end"""
    beyond_observation: Observation
    """[B, ...] what was seen there"""
    beyond_truncated: np.ndarray
    """[B] bool"""
    finished: Episodes
    """the episodes that ended in this window, in the order of their ends; they may have begun in earlier ones"""


class Stage:
    """A simulator between two steps: what is seen now, and where episodes begin."""

    def __init__(self, simulator: Simulator, actions: ActionMap) -> None:
        self.simulator, self._to_env = simulator, actions.to_env
        self.start = np.zeros(simulator.copies, bool)
        self.observation = blank(simulator.observation_space, 0)
        self._plays, self.steps = -1, 0

    @property
    def stale(self) -> bool:
        """Whether nothing was begun, or someone else has used the simulator since."""
        return self._plays != self.simulator.plays

    def reset(self, seed: int) -> None:
        """Endless play in every copy."""
        self.observation = self.simulator.reset(seed)
        self.start = np.ones(self.simulator.copies, bool)
        self._plays, self.steps = self.simulator.plays, 0
        self._check_first()

    def begin(self, copies: Any, seeds: Any) -> None:
        """One episode in each of these copies."""
        self.observation = self.simulator.begin(copies, seeds)
        self.start = self.start.copy()
        self.start[copies] = True
        self._plays = self.simulator.plays
        self._check_first()

    def _check_first(self) -> None:
        copies = np.arange(self.simulator.copies)
        check_observation("first observation", self.observation, copies, self.simulator.spec_id, self.steps)

    def stop(self) -> None:
        """Nothing is in play any more."""
        self._plays = -1

    def advance(self, actor: Actor) -> tuple[np.ndarray, Outcome]:
        """One step of every copy: the raw action and what came of it."""
        action = actor(self.observation, self.start)
        outcome = self.simulator.step(self._to_env(action))
        self.observation, self.start = outcome.observation, outcome.start
        self.steps += 1
        check_numbers(outcome, self.simulator.spec_id, self.steps)
        return action, outcome


class Rollout:
    """Windows of play. ``collect`` goes on where the last window stopped; ``episodes`` plays whole ones.

    Each episode has a seed of its own where the simulator takes one a copy, so that ``state`` can tell how to bring
    back what is in play: ``restore`` plays it again. Behind ``episodes`` nothing is in play; what is brought back then
    are the episodes' beginnings, only to see whether they come back.
    """

    def __init__(self, simulator: Simulator, actions: ActionMap, seed: int) -> None:
        self.simulator, self.actions = simulator, actions
        self._stage, self._tape = Stage(simulator, actions), Tape(simulator.copies)
        self._seeds = np.random.default_rng(seed)
        self._over = False  # whether what is on the tape has ended long ago
        self._running = np.zeros((2, simulator.copies))  # return and length so far of the episodes in play

    def restart(self) -> None:
        """New episodes in every copy at the next step, on new seeds."""
        self._running[:] = 0
        self._over = False
        self._tape = Tape(self.simulator.copies, endless=not self.simulator.restartable)
        if self.simulator.restartable:
            self._stage.start = np.zeros(self.simulator.copies, bool)
            self._begin(np.arange(self.simulator.copies))
        else:
            seed = int(self._seeds.integers(2**31))
            self._tape.begin(slice(None), seed)
            self._stage.reset(seed)

    def _begin(self, copies: np.ndarray, ahead: int = 0) -> None:
        seeds = self._seeds.integers(2**31, size=len(copies))
        self._tape.begin(copies, seeds, ahead)
        self._stage.begin(copies, seeds.tolist())

    def collect(self, actor: Actor, steps: int) -> Window:
        """The next ``steps`` steps of every copy."""
        if not self.in_play:
            self.restart()
        recording = _Recording(self._stage, self.actions, steps)
        for _ in range(steps):
            outcome = recording.record(actor)
            if outcome.final is not None and self.simulator.restartable:
                self._begin(np.flatnonzero(outcome.terminated | outcome.truncated), recording.length)
        self._tape.extend(recording.action)
        return recording.window(self._running)

    def episodes(self, actor: Actor, seeds: Sequence[int] | None = None, most: int | None = None) -> Window:
        """One whole episode in every copy, as long as the longest; the next ``collect`` begins new ones.

        ``most``: those that are longer are cut after so many steps.
        """
        copies = self.simulator.copies
        self._stage.start = np.zeros(copies, bool)
        seeds = self._seeds.integers(2**31, size=copies).tolist() if seeds is None else list(seeds)
        self._stage.begin(np.arange(copies), seeds)
        self._running[:] = 0
        room = min(self.simulator.max_episode_steps or 256, 1024)
        recording = _Recording(self._stage, self.actions, room if most is None else min(room, most))
        while recording.ended < copies and recording.length != most:
            recording.record(actor)
        window = recording.window(self._running)
        self._keep_beginnings(window, seeds)
        return window

    def _keep_beginnings(self, window: Window, seeds: Sequence[int]) -> None:
        """Put the episodes' first steps on the tape, and beside it what they showed and paid, as if still in play."""
        ages = np.minimum(window.valid.sum(0) - 1, PROOF)
        if not self.simulator.restartable:  # all copies begin at once
            ages[:] = ages.min()
        copies = np.arange(len(ages))
        self._tape, self._over = Tape.of_beginnings(window.action, seeds, ages), True
        self._stage.observation = take(window.observation, (ages, copies))
        self._running[0] = [window.reward[:age, copy].sum(dtype=float) for copy, age in enumerate(ages)]

    @property
    def in_play(self) -> bool:
        """Whether the next ``collect`` goes on with episodes that have begun."""
        return self.on_tape and not self._over

    @property
    def on_tape(self) -> bool:
        """Whether there is anything that can be played again."""
        return not self._stage.stale

    @property
    def settled(self) -> bool:
        """Whether ``settle`` would change nothing."""
        return not self._tape.long

    def settle(self) -> None:
        """Call before ``state``: episodes that would take too long to play again are broken off."""
        if self._tape.long:
            self._stage.stop()

    def move(self, simulator: Simulator) -> None:
        """Play in another simulator from now on, from new episodes."""
        self.simulator, self._stage = simulator, Stage(simulator, self.actions)

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs to go on from here."""
        state: dict[str, Any] = {"seeds": self._seeds.bit_generator.state, "running": self._running, "tape": None}
        if self.on_tape:
            stage = self._stage
            state |= {"observation": stage.observation, "start": stage.start, "steps": stage.steps, "over": self._over}
            state["tape"] = self._tape.state()
        return state

    def restore(self, state: dict[str, Any]) -> bool:
        """Play what was in play once more. False where that shows something else: new episodes follow then."""
        self._seeds.bit_generator.state = state["seeds"]
        self._running[:] = state["running"]
        if state["tape"] is None:
            return True
        self._tape.restore(state["tape"])
        if not _replayed(self._tape, self._stage, state["observation"], self._running[0]):
            self._stage.stop()
            return False
        self._stage.start, self._stage.steps = np.array(state["start"]), state["steps"]
        self._over = state["over"]
        return True

    def replays(self, make: Callable[[int], Simulator], times: int = 2) -> bool:
        """Whether what is on the tape, or a part of it, comes out the same in another simulator of so many copies.

        ``times``: twice, so that an environment that remembers earlier episodes gives itself away even in its first.
        """
        chosen = self._tape.youngest(PROOF) if self.simulator.restartable else np.arange(self.simulator.copies)
        tape, seen = self._tape.only(chosen), take(self._stage.observation, chosen)
        try:
            with closing(make(len(chosen))) as simulator:
                stage = Stage(simulator, self.actions)
                return all(_replayed(tape, stage, seen, self._running[0][chosen]) for _ in range(times))
        except EnvironmentFailure:  # the run itself is well
            return False


def _replayed(tape: Tape, stage: Stage, expected: Observation, returns: np.ndarray) -> bool:
    """Play a tape; whether it ends with what is expected, and each episode with its return so far."""
    actions, alone, total = tape.actions, not tape.endless, np.zeros(len(tape.ages))
    for t in range(len(actions) + 1):
        begun = tape.ages >= len(actions) - t
        due = np.flatnonzero(tape.ages == len(actions) - t)
        if len(due) and alone:
            stage.begin(due, tape.seeds[due].tolist())
        elif len(due):
            stage.reset(int(tape.seeds[0]))
        if t == len(actions):
            break
        _, outcome = stage.advance(lambda observation, start, action=actions[t]: action)
        if alone and ((outcome.terminated | outcome.truncated) & begun).any():
            return False
        total += np.where(begun, outcome.reward, 0)
    return _same(stage.observation, expected) and (not alone or np.allclose(total, returns, 1e-4, 1e-4))


def _same(one: Observation, other: Observation) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same(one[key], other[key]) for key in one)
    return np.array_equal(one, other)  # type: ignore[arg-type]


class _Recording:
    """A window being recorded; it grows when it is full."""

    def __init__(self, stage: Stage, actions: ActionMap, steps: int) -> None:
        copies, space = stage.simulator.copies, stage.simulator.observation_space
        self.stage, self.length, self.ended = stage, 0, 0
        self.observation = blank(space, steps, copies)
        self.action = np.zeros((steps, copies, *actions.shape), actions.dtype)
        self.reward = np.zeros((steps, copies), np.float32)
        self.terminated, self.truncated, self.start = (np.zeros((steps, copies), bool) for _ in range(3))
        self.valid = np.ones((steps, copies), bool)
        self.index, self.beyond = [np.zeros((0, 2), np.int64)], [blank(space, 0)]

    def record(self, actor: Actor) -> Outcome:
        """One step."""
        t, stage = self.length, self.stage
        if t == len(self.reward):
            self._grow()
        put(self.observation, t, stage.observation)
        self.start[t] = stage.start
        self.action[t], outcome = stage.advance(actor)
        self.reward[t] = outcome.reward
        if outcome.valid is not None:
            self.valid[t] = outcome.valid
        if outcome.final is not None:
            self._end(t, outcome, outcome.final)
        self.length = t + 1
        return outcome

    def _end(self, t: int, outcome: Outcome, final: Observation) -> None:
        self.terminated[t], self.truncated[t] = outcome.terminated, outcome.truncated
        self.ended += int(outcome.terminated.sum() + outcome.truncated.sum())
        self._beyond(t, outcome.truncated, final)

    def _beyond(self, t: int, where: np.ndarray, observation: Observation) -> None:
        copies = np.flatnonzero(where)
        if len(copies):
            self.index.append(np.stack([np.full_like(copies, t), copies], -1))
            self.beyond.append(take(observation, copies))

    def _grow(self) -> None:
        """Twice the room."""
        for name in ("action", "reward", "terminated", "truncated", "start", "valid"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.full_like(array, name == "valid")]))
        self.observation = _joined([self.observation, self.observation])

    def window(self, running: np.ndarray) -> Window:
        """What was recorded; ``running [2, N]``, the return and length of episodes in play, is brought up to date."""
        end = slice(self.length)
        terminated, truncated, valid = self.terminated[end], self.truncated[end], self.valid[end]
        over = terminated | truncated
        before = sum(map(len, self.index))
        self._beyond(self.length - 1, valid[-1] & ~over[-1], self.stage.observation)
        index = np.concatenate(self.index)
        return Window(
            take(self.observation, end),
            self.action[end],
            self.reward[end],
            terminated,
            truncated,
            self.start[end],
            valid,
            index,
            _joined(self.beyond),
            np.arange(len(index)) < before,
            _finished(self.reward[end], valid, over, terminated, running),
        )


def _joined(parts: list[Observation]) -> Observation:
    if isinstance(parts[0], dict):
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return np.concatenate(parts)  # type: ignore[arg-type]


def _finished(
    reward: np.ndarray, valid: np.ndarray, over: np.ndarray, terminated: np.ndarray, running: np.ndarray
) -> Episodes:
    """Returns and lengths of the episodes that ended. Each copy's row of time is cut behind its ends: a segment
    begins at every row's start (it carries on what ``running`` holds) and behind every end inside a row."""
    steps, copies = over.shape
    ends = np.flatnonzero(over.T.ravel())  # copy by copy, in time
    inside = ends[(ends + 1) % steps != 0] + 1
    cuts = np.sort(np.concatenate([np.arange(copies) * steps, inside]))
    segments = np.stack([np.add.reduceat(_rows(part), cuts, dtype=np.float64) for part in (reward, valid)])
    owner = cuts // steps
    segments[:, cuts % steps == 0] += running
    closed = np.searchsorted(cuts, ends, side="right") - 1
    totals = segments[:, closed]
    segments[:, closed] = 0  # what is left goes on
    running[:] = [np.bincount(owner, row, copies) for row in segments]
    order = np.argsort(ends % steps, kind="stable")
    returns, lengths = totals[:, order]
    return Episodes(returns, lengths.astype(np.int64), terminated.T.ravel()[ends[order]])


def _rows(part: np.ndarray) -> np.ndarray:
    """``[L, N]`` copy by copy, flat."""
    return np.ascontiguousarray(part.T).ravel()
