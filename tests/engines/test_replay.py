"""The replay store, against episodes kept as plain lists: one of theirs is drawn, and each of theirs is."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from understudy.engines import replay
from understudy.engines.replay import Replay, check_memory, check_stacks, rows_of, stacked_frames
from understudy.envs.rollout import Episodes, Window
from understudy.errors import ConfigurationError, RunError

GAMMA = 0.9
NONE = Episodes(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool))


@dataclass
class Episode:
    """``frames``: numbers of the first stack and of what followed, one more than steps once it is over."""

    frames: list
    actions: list = field(default_factory=list)
    rewards: list = field(default_factory=list)
    end: str = "goes on"


class World:
    """Random episodes in several copies, told as windows; ``lanes`` holds them as lists."""

    def __init__(self, seed, copies, frames, fake):
        self.random, self.copies, self.stack, self.fake = random.Random(seed), copies, frames, fake
        self.lanes = [[] for _ in range(copies)]
        self.resting = [False] * copies  # whether the next step is the fake one of an autoreset
        self.fresh = [True] * copies
        self.number = 0

    def frame(self):
        self.number += 1
        return self.number

    def seen(self, episode):
        return episode.frames[-self.stack :]

    def window(self, steps, broken=False):
        """``broken``: whatever was in play is not gone on with."""
        shape = (steps, self.copies)
        reward, observation = np.zeros(shape, np.float32), np.zeros((*shape, self.stack), np.int64)
        action = np.zeros(shape, np.int64)
        terminated, truncated, start = (np.zeros(shape, bool) for _ in range(3))
        valid, index, beyond, cut = np.ones(shape, bool), [], [], []
        if broken:
            for n, lane in enumerate(self.lanes):
                self.fresh[n], self.resting[n] = True, False
                if lane and lane[-1].end == "goes on":
                    lane[-1].end = "broken off"
        for t in range(steps):
            for n, lane in enumerate(self.lanes):
                if self.resting[n]:
                    valid[t, n], self.resting[n], self.fresh[n] = False, False, True
                    observation[t, n] = -1
                    continue
                if self.fresh[n]:
                    lane.append(Episode([self.frame() for _ in range(self.stack)]))
                    start[t, n], self.fresh[n] = True, False
                episode = lane[-1]
                observation[t, n] = self.seen(episode)
                action[t, n], reward[t, n] = self.random.randrange(4), self.random.randrange(-8, 8)
                episode.actions.append(int(action[t, n]))
                episode.rewards.append(float(reward[t, n]))
                episode.frames.append(self.frame())
                episode.end = self.random.choice(["terminated", "truncated", *["goes on"] * 5])
                terminated[t, n], truncated[t, n] = episode.end == "terminated", episode.end == "truncated"
                if truncated[t, n] or (t == steps - 1 and episode.end == "goes on"):
                    index.append((t, n))
                    beyond.append(self.seen(episode))
                    cut.append(bool(truncated[t, n]))
                if episode.end != "goes on":
                    self.resting[n], self.fresh[n] = self.fake, not self.fake
        return Window(
            observation, action, reward, terminated, truncated, start, valid,
            np.array(index, np.int64).reshape(-1, 2), np.array(beyond, np.int64).reshape(-1, self.stack),
            np.array(cut, bool), NONE,
        )  # fmt: skip


def rows_held(lane, stack, room):
    """What a lane's last ``room`` rows are: the number of each row's newest frame."""
    rows = []
    for episode in lane:
        rows += episode.frames[: stack - 1] if episode.actions else []
        rows += episode.frames[stack - 1 : stack - 1 + len(episode.actions)]
        rows += [episode.frames[-1]] if episode.end == "truncated" else []
    return set(rows[-room:])


def legal(lanes, stack, room, n_step):
    """Every transition that may be drawn, by its newest frame: (stack, action, reward, discount, next stack)."""
    found = {}
    for lane in lanes:
        held = rows_held(lane, stack, room)
        for episode in lane:
            steps = len(episode.actions)
            for t in range(steps):
                seen = tuple(episode.frames[t : t + stack])
                after = min(t + n_step, steps)
                total = sum(GAMMA**k * r for k, r in enumerate(episode.rewards[t:after]))
                over = after == steps
                if not held.issuperset(seen) or (over and n_step and episode.end == "broken off"):
                    continue
                if n_step and after - t < n_step and episode.end in ("goes on", "broken off"):
                    continue
                following = tuple(episode.frames[after : after + stack])
                if n_step and over and episode.end == "terminated":
                    found[seen[-1]] = (seen, episode.actions[t], total, 0.0, None)
                elif not n_step or held.issuperset(following):
                    found[seen[-1]] = (seen, episode.actions[t], total, GAMMA ** (after - t), following)
    return found


def as_pictures(window, last_axis, pixels=2):
    """Frames as little pictures of one number each."""

    def drawn(numbers):
        planes = np.repeat(numbers[..., None], pixels, -1)
        return np.moveaxis(planes, -2, -1) if last_axis else planes

    return Window(**window.__dict__ | {
        "observation": drawn(window.observation), "beyond_observation": drawn(window.beyond_observation),
    })  # fmt: skip


def filled(world, *, room, n_step, windows, last_axis=False):
    store = Replay(
        room * world.copies, world.copies, n_step=n_step, gamma=GAMMA, frames=world.stack, last_axis=last_axis
    )
    for k in range(windows):
        window = as_pictures(world.window(world.random.randrange(1, 9), broken=k % 4 == 3), last_axis)
        answers = torch.as_tensor(window.observation)[..., :1, -1].float() if last_axis else (
            torch.as_tensor(window.observation)[..., -1, :1].float())  # fmt: skip
        store.add(rows_of(window, {"teacher": answers}, world.stack, last_axis))
    return store


def numbers(pictures, last_axis):
    """``[B, frames]`` of stacks; every pixel of a frame shows its number."""
    planes = pictures.movedim(-1, 1) if last_axis else pictures
    assert (planes == planes[..., :1]).all()
    return [tuple(row) for row in planes[..., 0].tolist()]


def check_draws(store, expected, last_axis=False, count=12, batch=256):
    """Each drawn transition is one of those expected, each of which is drawn about as often as any other."""
    generator, drawn = torch.Generator().manual_seed(3), dict.fromkeys(expected, 0)
    for columns in store.draws(count, batch, generator):
        found = [columns[name].tolist() for name in ("action", "reward", "discount")]
        stacks, nexts = numbers(columns["observation"], last_axis), numbers(columns["next"], last_axis)
        for seen, chosen, paid, left, after in zip(stacks, *found, nexts, strict=True):
            assert seen[-1] in expected, f"{seen} cannot be learned from"
            stack, action, total, discount, following = expected[seen[-1]]
            assert (seen, chosen) == (stack, action)
            assert abs(paid - total) < 1e-4
            assert abs(left - discount) < 1e-6
            assert following in (None, after)
            drawn[seen[-1]] += 1
    assert all(drawn.values()), "not all are drawn"
    chi = sum((n - count * batch / len(drawn)) ** 2 for n in drawn.values()) / (count * batch / len(drawn))
    freedom = max(len(drawn) - 1, 1)
    assert chi < freedom + 6 * (2 * freedom) ** 0.5  # six deviations


@pytest.mark.parametrize("fake", [False, True], ids=["same step", "next step"])
@pytest.mark.parametrize("frames", [1, 2, 4])
@pytest.mark.parametrize("n_step", [1, 2, 5])
def test_what_is_drawn_is_what_happened_and_all_of_it(n_step, frames, fake):
    for windows in (2, 6, 9, 14):  # not full, about full, and gone round
        world = World(n_step + windows, 3, frames, fake)
        store = filled(world, room=40, n_step=n_step, windows=windows)
        check_draws(store, legal(world.lanes, frames, store.room, n_step))


@pytest.mark.parametrize("frames", [2, 3])
def test_stacks_along_the_last_axis_come_back_there(frames):
    world = World(7, 2, frames, False)
    store = filled(world, room=40, n_step=2, windows=9, last_axis=True)
    check_draws(store, legal(world.lanes, frames, store.room, 2), last_axis=True)


@pytest.mark.parametrize("frames", [1, 3])
def test_states_alone_need_nothing_after_them(frames):
    world = World(5, 2, frames, False)
    store = filled(world, room=40, n_step=0, windows=9)
    expected = legal(world.lanes, frames, store.room, 0)
    drawn = set()
    for columns in store.draws(8, 256, torch.Generator().manual_seed(0)):
        assert set(columns) == {"observation", "teacher"}
        for seen, answer in zip(numbers(columns["observation"], False), columns["teacher"][:, 0].tolist(), strict=True):
            assert seen == expected[seen[-1]][0]
            assert answer == seen[-1]  # the teacher's answer of this row and no other
            drawn.add(seen[-1])
    assert drawn == set(expected)


def test_the_store_keeps_each_copys_last_rows():
    world = World(1, 2, 1, False)
    store = filled(world, room=20, n_step=1, windows=30)
    assert len(store) == 2 * store.room == 40
    assert sum(len(e.actions) for lane in world.lanes for e in lane) > 100


def vectors(steps, copies, dtype=np.float32):
    """A window of one endless episode a copy; the observation counts steps."""
    time = np.arange(steps)[:, None] + 100 * np.arange(copies)
    seen, beyond = (np.stack([x, 200 - x], -1).astype(dtype) for x in (time, time[-1] + 1))
    index = np.stack([np.full(copies, steps - 1), np.arange(copies)], -1)
    no = np.zeros((steps, copies), bool)
    first = no.copy()
    first[0] = True
    parts = {
        "observation": seen, "action": np.zeros((steps, copies), np.int64),
        "reward": np.ones((steps, copies), np.float32), "terminated": no, "truncated": no, "start": first,
        "valid": ~no, "beyond_index": index, "beyond_observation": beyond,
        "beyond_truncated": np.zeros(copies, bool), "finished": NONE,
    }  # fmt: skip
    return Window(**parts)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_observations_keep_their_type(dtype):
    store = Replay(100, 1)
    store.add(rows_of(vectors(10, 1, dtype), {}, 1, False))
    columns = next(store.draws(1, 4, torch.Generator().manual_seed(0)))
    assert columns["observation"].numpy().dtype == store.columns["observation"].numpy().dtype == dtype


def test_doubles_are_kept_as_singles_which_is_all_that_a_student_sees():
    store = Replay(100, 1)
    store.add(rows_of(vectors(10, 1, np.float64), {}, 1, False))
    assert store.columns["observation"].dtype == torch.float32


def test_dicts_are_kept_by_their_keys():
    window, store = vectors(10, 2), Replay(100, 2, gamma=GAMMA)
    parts = {"a": window.observation, "b": window.observation[..., 0].astype(np.int64)}
    beyond = {"a": window.beyond_observation, "b": window.beyond_observation[..., 0].astype(np.int64)}
    store.add(rows_of(Window(**window.__dict__ | {"observation": parts, "beyond_observation": beyond}), {}, 1, False))
    columns = next(store.draws(1, 64, torch.Generator().manual_seed(0)))
    assert {"observation/a", "observation/b", "next/a", "next/b"} <= set(columns)
    assert torch.equal(columns["observation/a"][:, 0].long(), columns["observation/b"])
    assert torch.equal(columns["next/b"], columns["observation/b"] + 1)


@pytest.mark.parametrize("windows", [3, 12])
def test_what_was_saved_goes_on_to_the_same_draws(windows):
    def drawn(store):
        return list(store.draws(7, 16, torch.Generator().manual_seed(1)))

    world, again = World(4, 3, 2, False), World(4, 3, 2, False)
    store, other = (filled(w, room=40, n_step=2, windows=windows) for w in (world, again))
    back = Replay(40 * 3, 3, n_step=2, gamma=GAMMA, frames=2)
    state = {**store.state(), "columns": {name: column.clone() for name, column in store.state()["columns"].items()}}
    back.restore(state)
    for _ in range(3):
        for one, two, three in zip(drawn(store), drawn(other), drawn(back), strict=True):
            assert all(torch.equal(one[name], two[name]) and torch.equal(one[name], three[name]) for name in one)
        window = as_pictures(world.window(5, broken=True), False)
        for each in (store, other, back):
            answers = torch.as_tensor(window.observation)[..., -1, :1].float()
            each.add(rows_of(window, {"teacher": answers}, 2, False))
    check_draws(back, legal(world.lanes, 2, back.room, 2))


def test_a_store_that_is_not_kept_comes_back_empty_and_learns_from_what_follows():
    """The episodes in play go on in the middle, where the frames before are gone."""
    world = World(11, 2, 3, False)
    store = filled(world, room=60, n_step=1, windows=3)
    store.kept = False
    assert store.state() == {"kept": False}
    back = Replay(120, 2, n_step=1, gamma=GAMMA, frames=3)
    back.restore(store.state())
    assert len(back) == 0
    before = [(len(lane) - 1, len(lane[-1].actions)) for lane in world.lanes]
    for _ in range(3):
        window = as_pictures(world.window(6), False)
        back.add(rows_of(window, {"teacher": torch.zeros(*window.valid.shape, 1)}, 3, False))
    lanes = []
    for lane, (episode, steps) in zip(world.lanes, before, strict=True):
        old, *new = lane[episode:]
        lanes.append([Episode(old.frames[steps:], old.actions[steps:], old.rewards[steps:], old.end), *new])
    expected = {}
    for lane in lanes:
        first, *rest = lane
        if first.end == "goes on" or len(first.actions) > 0:
            # rows of a broken beginning: its first two frames are not among them
            part = legal([[first]], 3, 10_000, 1)
            expected |= {n: one for n, one in part.items() if one[0][0] not in first.frames[:2]}
        expected |= legal([rest], 3, 10_000, 1)
    check_draws(back, expected)


def test_nothing_is_drawn_until_something_can_be_learned_from():
    """One step a copy, and what followed it is not stored yet."""
    store = Replay(100, 4, n_step=2)
    window = vectors(3, 4)

    def piece(t):
        cut = {name: getattr(window, name)[t : t + 1] for name in (
            "observation", "action", "reward", "terminated", "truncated", "start", "valid")}  # fmt: skip
        seen = window.observation[t + 1] if t < 2 else window.beyond_observation
        cut |= {"beyond_index": np.stack([np.zeros(4, np.int64), np.arange(4)], -1), "beyond_observation": seen}
        return Window(**window.__dict__ | cut)

    counts = []
    for t in range(3):
        store.add(rows_of(piece(t), {}, 1, False))
        counts.append(len(list(store.draws(5, 8, torch.Generator().manual_seed(0)))))
    assert counts == [0, 0, 5]


def test_one_collection_larger_than_the_store_is_refused():
    store = Replay(40, 2)
    with pytest.raises(ConfigurationError, match="the store holds 40 steps, fewer than one collection; raise --store"):
        store.add(rows_of(vectors(21, 2), {}, 1, False))


def test_a_store_larger_than_memory_is_refused_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(replay, "memory_available", lambda: 1_000_000)
    store = Replay(100_000, 2)
    with pytest.raises(ConfigurationError, match=r"the store would take 0\.0 GB, and 0\.0 GB are free; lower --store"):
        store.add(rows_of(vectors(5, 2), {}, 1, False))
    assert not store.columns
    check_memory(890_000)
    monkeypatch.setattr(replay, "memory_available", lambda: None)
    check_memory(10**18)  # nothing is known


def test_this_machine_says_how_much_memory_is_free():
    available = replay.memory_available()
    assert available is not None
    assert 1 << 20 < available < 1 << 50


def stacks(frames=3, last_axis=False, steps=9):
    """Stacks of pictures of 2 by 2, in bytes."""
    window = World(2, 2, frames, False).window(steps)

    def drawn(numbers):
        planes = np.broadcast_to(numbers[..., None, None], (*numbers.shape, 2, 2)).astype(np.uint8)
        return np.moveaxis(planes, -3, -1) if last_axis else planes

    seen = {name: drawn(getattr(window, name)) for name in ("observation", "beyond_observation")}
    return Window(**window.__dict__ | seen)


@pytest.mark.parametrize("last_axis", [False, True])
def test_stacked_frames_are_found_out(last_axis):
    window = stacks(3, last_axis)
    assert stacked_frames(window, last_axis) == 3
    still = Window(**window.__dict__ | {
        "observation": np.zeros_like(window.observation), "beyond_observation": np.zeros_like(window.beyond_observation)
    })  # fmt: skip
    assert stacked_frames(still, last_axis) == 1  # nothing moves: they may be colours
    colours = window.observation.copy()
    colours[1:] = colours[1:][..., ::-1] if last_axis else colours[1:, :, ::-1]
    assert stacked_frames(Window(**window.__dict__ | {"observation": colours}), last_axis) == 1
    whole = Window(**window.__dict__ | {"observation": window.observation.astype(np.float32)})
    assert stacked_frames(whole, last_axis) == 1


def test_a_stack_that_does_not_follow_the_last_one_is_an_error():
    window = stacks(3)
    rows_of(window, {}, 3, False)
    t = next(t for t in range(1, 9) if not window.start[t, 0])
    torn = window.observation.copy()
    torn[t, 0, 0] += 1
    with pytest.raises(RunError, match=r"looked like stacks of 3 frames.*Use --frames 1"):
        rows_of(Window(**window.__dict__ | {"observation": torn}), {}, 3, False)
    beyond = window.beyond_observation.copy()
    beyond[0, 1] += 1
    with pytest.raises(RunError, match="looked like stacks of 3 frames"):
        check_stacks(Window(**window.__dict__ | {"beyond_observation": beyond}), 3, False)
