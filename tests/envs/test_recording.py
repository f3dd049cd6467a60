"""Recorded steps: what is read is what was written, nothing is read that is wrong, and next states are next states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from understudy.envs import of_minari, of_npz
from understudy.envs.recording import DONE, SEEN, Recording
from understudy.errors import ConfigurationError, MissingExtra


def anything(needed: int) -> None:
    """Room for everything."""


def episodes(*lengths: int, open_last: bool = True) -> Recording:
    """Row i shows i and pays 10 i; episodes terminate, but the last, of which nothing more is known."""
    count = sum(lengths)
    last = np.zeros(count, bool)
    last[np.cumsum(lengths) - 1] = True
    terminated = last.copy()
    terminated[-1] = not open_last
    seen = np.arange(count, dtype=np.float32)[:, None]
    return Recording(
        "made", seen, np.arange(count) % 2, 10.0 * np.arange(count), terminated, last, np.zeros(0, np.int64), seen[:0],
        spaces.Box(-np.inf, np.inf, (1,)), spaces.Discrete(2),
    )  # fmt: skip


def write(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    seen = np.random.default_rng(0).normal(size=(6, 3))
    path = write(
        tmp_path / "a.npz", observations=seen, actions=np.array([0, 2, 1, 0, 0, 1]), rewards=np.arange(6),
        terminations=np.array([0, 0, 1, 0, 0, 0]), truncations=np.array([0, 0, 0, 0, 1, 0]), weather=np.zeros(2),
    )  # fmt: skip
    found = of_npz.read(path, anything)
    assert np.array_equal(found.observation, seen.astype(np.float32))
    assert found.episodes.tolist() == [[0, 3], [3, 5], [5, 6]]
    assert found.terminated.tolist() == [False, False, True, False, False, False]
    assert found.played is not None
    assert found.played.returns.tolist() == [3, 7, 5]
    assert found.played.lengths.tolist() == [3, 2, 1]
    assert found.observation_space == spaces.Box(-np.inf, np.inf, (3,))
    assert found.action_space == spaces.Discrete(3)


@pytest.mark.parametrize(
    ("seen", "done", "spaces_found"),
    [
        (np.array([0, 4, 1]), np.array([0, 0, 0]), (spaces.Discrete(5), spaces.Discrete(2))),
        (np.zeros((3, 8, 8, 3), np.uint8), np.array([[0, 1], [2, 0], [0, 0]]),
         (spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.MultiDiscrete([3, 2]))),
        (np.zeros((3, 2)), np.array([[0.5], [-2.0], [1.0]]),
         (spaces.Box(-np.inf, np.inf, (2,)), spaces.Box(-2.0, 1.0, (1,)))),
        (np.zeros(3), np.array([[True, False]] * 3), (spaces.Box(-np.inf, np.inf, (1,)), spaces.MultiBinary([2]))),
    ],
)  # fmt: skip
def test_spaces_are_what_the_numbers_allow(tmp_path: Path, seen: Any, done: Any, spaces_found: Any) -> None:
    found = of_npz.read(write(tmp_path / "a.npz", observations=seen, actions=done), anything)
    assert (found.observation_space, found.action_space) == spaces_found


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"observations": np.array([[0.0], [np.nan]]), "actions": [0, 1]}, "observations of row 1, entry [0] are nan"),
        ({"observations": np.zeros((2, 1)), "actions": [[0.5], [np.inf]]}, "actions of row 1, entry [0] are inf"),
        ({"observations": np.zeros((2, 1)), "actions": [0, 1], "rewards": [0, np.nan]}, "rewards of row 1 are nan"),
        ({"observations": np.zeros((3, 1)), "actions": [0, 1]}, "3 rows of observations, and 2 actions"),
        ({"observations": np.zeros((2, 1)), "actions": [0, 1], "rewards": [1.0]}, "1 rows of rewards, and 2 actions"),
        ({"observations": np.zeros((2, 1)), "actions": [0, -1]}, "choices from 0 on, and -1"),
        ({"observations": np.zeros((0, 1)), "actions": np.zeros(0, int)}, "holds no steps"),
        ({"observations": np.zeros((2, 1))}, "no array 'actions'; it holds observations"),
        ({"observations": np.zeros((2, 1)), "actions": [0, 1], "terminated": [0, 1]}, "Did you mean 'terminations'?"),
        ({"observations": np.zeros((2, 1)), "actions": [0, 1], "dones": [0, 1]}, "Did you mean 'terminations'?"),
        ({"observations": np.zeros((2, 1)), "actions": [0, 1], "timeouts": [0, 1]}, "Did you mean 'truncations'?"),
        ({"observations": np.zeros((2, 1)), "actions": [0, 1], "terminations": [0, 2]}, "that of row 1 is 2"),
        ({"observations": np.zeros((0, 3)), "actions": np.zeros((0, 2))}, "holds no steps"),
        ({"observations": np.zeros((3, 1)), "next_observations": np.zeros((3, 1)), "actions": [0, 1, 0],
          "terminations": [0, 0]}, "2 rows of terminations, and 3 actions"),
        ({"observations": [[0.0], [1], [5]], "actions": [0, 1, 0], "next_observations": [[1.0], [2], [6]]},
         "next_observations of row 1 are not the observations of row 2"),
        ({"observations": np.array([{}, {}]), "actions": [0, 1]}, "Python objects, which are not read"),
        ({"observations": np.zeros((2, 1)), "actions": np.array(["a", "b"])}, "actions must be numbers"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "wrong.npz", **{key: np.asarray(value) for key, value in arrays.items()})
    with pytest.raises(ConfigurationError) as caught:
        of_npz.read(path, anything)
    assert words in str(caught.value)
    assert "wrong.npz" in str(caught.value)


def test_next_observations_say_what_came_after_a_time_limit(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.npz", observations=[[0.0], [1], [2], [3]], actions=[0, 1, 0, 1], truncations=[0, 1, 0, 0],
        next_observations=[[1.0], [50], [3], [70]],
    )  # fmt: skip
    found = of_npz.read(path, anything)
    assert (found.after_row.tolist(), found.after.tolist()) == ([1, 3], [[50], [70]])  # type: ignore[union-attr]


def test_a_file_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    path = write(tmp_path / "a.npz", observations=np.array([Evil()], dtype=object), actions=np.zeros(1, int))
    with pytest.raises(ConfigurationError, match="could run code"):
        of_npz.read(path, anything)
    assert not (tmp_path / "ran").exists()


def test_the_room_is_asked_for_before_anything_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", observations=np.zeros((1000, 8)), actions=np.zeros(1000, int))

    def full(needed: int) -> None:
        assert 72_000 <= needed <= 73_000
        raise ConfigurationError("no room")

    with pytest.raises(ConfigurationError, match="no room"):
        of_npz.read(path, full)


def test_windows_show_every_step_once_with_what_was_done() -> None:
    recording = episodes(3, 1, 4)
    (window,) = recording.windows(np.array([[4, 8], [0, 3]]), with_next=False)
    shown: Any = window.observation
    assert shown[SEEN][:, 0, 0].tolist() == [4, 5, 6, 7, 0, 1, 2]
    assert shown[DONE][:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert window.start[:, 0].tolist() == [True, False, False, False, True, False, False]
    assert window.terminated[:, 0].tolist() == [False] * 6 + [True]
    assert window.reward[:, 0].tolist() == [40, 50, 60, 70, 0, 10, 20]
    assert not len(window.beyond_index)


def test_a_last_step_without_a_successor_is_the_successor_of_the_one_before() -> None:
    (window,) = episodes(3, 1, 4).windows(np.array([[4, 8], [0, 3]]), with_next=True)
    beyond: Any = window.beyond_observation
    assert window.action.shape == (6, 1)
    assert window.truncated[:, 0].tolist() == [False, False, True, False, False, False]
    assert window.beyond_index.tolist() == [[2, 0]]
    assert beyond[SEEN].tolist() == [[7]]
    (nothing,) = episodes(3, 1).windows(np.array([[3, 4], [0, 3]]), with_next=True)
    assert nothing.start[:, 0].tolist() == [True, False, False]  # an open episode of one step teaches no difference


def test_a_piece_of_an_episode_ends_with_the_state_that_came_next() -> None:
    (window,) = episodes(8).windows(np.array([[2, 4]]), with_next=True)
    beyond: Any = window.beyond_observation
    assert (window.beyond_index.tolist(), beyond[SEEN].tolist()) == ([[1, 0]], [[4]])


def test_what_was_seen_after_a_time_limit_is_used() -> None:
    one = episodes(2, 2)
    kept = Recording(
        "made", one.observation, one.action, one.reward, np.zeros(4, bool), one.last, np.array([1, 3]),
        np.array([[100.0], [300.0]], np.float32), one.observation_space, one.action_space,
    )  # fmt: skip
    (window,) = kept.windows(np.array([[2, 4], [0, 2]]), with_next=True)
    beyond: Any = window.beyond_observation
    assert (window.beyond_index.tolist(), beyond[SEEN].tolist()) == ([[1, 0], [3, 0]], [[300], [100]])


@pytest.mark.parametrize("lengths", [(5,) * 40, (200,), (90, 110), (1,) * 30, (10,) * 20 + (2000,)])
def test_what_is_held_out_is_a_tenth_and_apart(lengths: tuple[int, ...]) -> None:
    recording = episodes(*lengths)
    learned, held = ([set(range(begin, end)) for begin, end in part] for part in recording.split(0.1, seed=3))
    rows = set().union(*learned, *held)
    assert rows == set(range(len(recording)))
    assert sum(map(len, learned)) + sum(map(len, held)) == len(recording)
    for seed in range(9):
        assert 0.05 <= np.diff(recording.split(0.1, seed)[1]).sum() / len(recording) <= 0.2
    assert recording.split(0.1, seed=3)[1].tolist() == recording.split(0.1, seed=3)[1].tolist()
    assert recording.split(0.1, seed=3)[1].tolist() != recording.split(0.1, seed=4)[1].tolist()
    if len(lengths) >= 10 and max(lengths) == min(lengths):
        whole = {(int(b), int(e)) for b, e in recording.episodes}
        assert all((min(piece), max(piece) + 1) in whole for piece in held)


# Minari


@pytest.fixture
def minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("h5py")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return pytest.importorskip("minari")


def stored(minari: Any, name: str, action_space: spaces.Space[Any], dicts: bool = False) -> list[Any]:
    """Three episodes of 3, 4 and 5 steps; the second one terminates."""
    from minari.data_collector.episode_buffer import EpisodeBuffer

    generator = np.random.default_rng(0)
    action_space.seed(0)
    space: Any = spaces.Box(-10, 10, (2,))
    space = spaces.Dict({"a": space, "b": spaces.Discrete(7)}) if dicts else space
    buffers = []
    for count in (3, 4, 5):
        seen: Any = generator.normal(size=(count + 1, 2)).astype(np.float32)
        seen = {"a": seen, "b": np.arange(count + 1)} if dicts else seen
        buffers.append(
            EpisodeBuffer(
                observations=seen,
                actions=[action_space.sample() for _ in range(count)],
                rewards=list(generator.normal(size=count)),
                terminations=[False] * (count - 1) + [count == 4],
                truncations=[False] * (count - 1) + [count != 4],
            )
        )
    minari.create_dataset_from_buffers(
        name, buffers, observation_space=space, action_space=action_space, description="made"
    )
    return buffers


def test_a_minari_data_set_is_read_as_it_was_written(minari: Any) -> None:
    buffers = stored(minari, "made/three-v0", spaces.Discrete(3, start=5))
    found = of_minari.read("made/three-v0", anything)
    assert np.array_equal(found.observation, np.concatenate([one.observations[:-1] for one in buffers]))
    assert found.action.tolist() == [int(a) for one in buffers for a in one.actions]
    assert np.allclose(found.reward, np.concatenate([one.rewards for one in buffers]))
    assert found.episodes.tolist() == [[0, 3], [3, 7], [7, 12]]
    assert np.flatnonzero(found.terminated).tolist() == [6]
    assert found.after_row.tolist() == [2, 11]
    assert np.array_equal(found.after, np.stack([buffers[0].observations[-1], buffers[2].observations[-1]]))
    assert found.action_space == spaces.Discrete(3, start=5)
    (window,) = found.windows(found.episodes, with_next=True)
    assert window.action[:, 0].tolist() == [int(a) - 5 for one in buffers for a in one.actions]


def test_a_minari_data_set_of_dicts_is_read_by_its_keys(minari: Any) -> None:
    buffers = stored(minari, "made/dicts-v0", spaces.Box(-1, 1, (2,)), dicts=True)
    found = of_minari.read("made/dicts-v0", anything)
    seen: Any = found.observation
    assert np.array_equal(seen["a"], np.concatenate([one.observations["a"][:-1] for one in buffers]))
    assert seen["b"].tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 4]
    assert found.after_these(np.array([2, 4, 11]))["b"].tolist() == [3, 2, 5]  # type: ignore[call-overload]


def test_a_minari_data_set_that_is_not_there_is_named_with_its_neighbour(minari: Any, tmp_path: Path) -> None:
    stored(minari, "made/three-v0", spaces.Discrete(3))
    with pytest.raises(ConfigurationError, match=r"Did you mean 'made/three-v0'\?.*`minari download made/thre-v0`"):
        of_minari.read("made/thre-v0", anything)


def test_no_environment_is_made_of_what_a_data_set_says(minari: Any, tmp_path: Path) -> None:
    stored(minari, "made/three-v0", spaces.Discrete(3))
    facts = tmp_path / "made" / "three-v0" / "data" / "metadata.json"
    told = json.loads(facts.read_text())
    del told["observation_space"]
    told["env_spec"] = json.dumps({"id": "Evil-v0", "entry_point": "this_module_is_not:there"})
    facts.write_text(json.dumps(told))
    with pytest.raises(ConfigurationError, match="could run code"):
        of_minari.read("made/three-v0", anything)


def test_without_minari_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(MissingExtra, match=r"understudy\[minari\]"):
        of_minari.read("any-v0", anything)
