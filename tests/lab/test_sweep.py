"""A sweep: the same bits however it is divided, and nothing is run twice or mixed up."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_sweeps import GROUND, SMALL, TUTOR, Counted, bits, curve, some_curves

from understudy.errors import ConfigurationError
from understudy.lab import chunk as chunks_of
from understudy.lab.chunk import MOST_CELLS, MOST_MDPS, size_of
from understudy.lab.curve import Ground, Tutor
from understudy.lab.draw import draw_mdp, draw_teacher
from understudy.lab.spread import Local
from understudy.lab.sweep import Sweep, measured_at
from understudy.mdp.model import MDP
from understudy.runs.console import Lines


def test_any_chunk_size_and_any_number_of_threads_give_the_same_bits(tmp_path: Path) -> None:
    divisions = [(7, 1), (7, 3), (3, 2), (1, 1), (1, 4)]
    found = [
        bits(Sweep(SMALL, tmp_path / f"{size}-{threads}", Local(threads), chunk=size).train(some_curves()))
        for size, threads in divisions
    ]
    assert all(one == found[0] for one in found[1:])
    assert len(set(found[0].values())) > len(some_curves())  # the curves differ


def test_another_seed_gives_other_worlds_and_the_same_seed_the_same_ones_for_every_curve(
    tmp_path: Path,
) -> None:
    first = Sweep(SMALL, tmp_path / "a").train(some_curves())
    other = Sweep(replace(SMALL, seed=4), tmp_path / "b").train(some_curves())
    returns = [one.facts["optimal-return"] for one in first.values()]
    assert all((one == returns[0]).all() for one in returns)
    assert (returns[0] != other[some_curves()[0].name].facts["optimal-return"]).any()
    assert len(np.unique(returns[0])) > 1


def test_what_is_measured_is_what_the_mdp_says_for_two_teachers_in_one_sweep(tmp_path: Path) -> None:
    """At iteration 0 the student is uniform: its return is the uniform policy's, solved here densely."""
    tutors = {"learned": TUTOR, "best": Tutor("optimal", temperature=0.0, noise=0.1)}
    one = curve("task-reward")
    found = Sweep(SMALL, tmp_path).train([replace(one, name=name, tutor=tutor) for name, tutor in tutors.items()])
    for name, measured in found.items():
        for index in range(SMALL.mdps):
            mdp = draw_mdp(GROUND, SMALL.seed, index)
            uniform = np.full((mdp.states, mdp.actions), 1 / mdp.actions)
            teacher = draw_teacher(tutors[name], mdp, SMALL.seed, index).policy
            for policy, value in (
                (uniform, measured.metrics["return"][index, 0]),
                (uniform, measured.facts["uniform-return"][index]),
                (teacher, measured.facts["teacher-return"][index]),
            ):
                assert value == pytest.approx(return_of(mdp, policy), abs=1e-5)


def return_of(mdp: MDP, policy: np.ndarray) -> float:
    steps = np.einsum("sa,sat->st", policy, mdp.transitions[:, mdp.action_map])
    earned = (policy * mdp.rewards).sum(1) * ~mdp.terminal
    return float(mdp.start @ np.linalg.solve(np.eye(mdp.states) - steps, earned))


def test_the_points_are_in_order_from_the_start_to_the_end_and_denser_early() -> None:
    points = measured_at(30_000, 60)
    assert (points[0], points[-1], len(points)) == (0, 30_000, 60)
    assert (np.diff(points) > 0).all()
    assert (np.diff(np.diff(points)) >= -1).all()
    assert measured_at(3, 60).tolist() == [0, 1, 2, 3]


def test_a_stopped_sweep_goes_on_where_it_was_and_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = Sweep(SMALL, tmp_path / "whole", chunk=2).train(some_curves())
    first, second = Counted(stop_after=5), Counted()
    with pytest.raises(KeyboardInterrupt):
        Sweep(SMALL, tmp_path / "stopped", first, chunk=2).train(some_curves())
    resumed = Sweep(SMALL, tmp_path / "stopped", second, chunk=2).train(some_curves())
    assert bits(resumed) == bits(whole)
    assert len(first.ran) == 5
    assert len(second.ran) == 16 - 5
    assert not set(first.ran) & set(second.ran)
    assert [path for path in (tmp_path / "stopped").rglob("*") if path.suffix == ".tmp"] == []


def test_a_larger_sweep_in_the_same_folder_runs_only_what_is_new(tmp_path: Path) -> None:
    one = curve("on-policy-distill")
    Sweep(replace(SMALL, mdps=4), tmp_path, chunk=2).train([one])
    spread = Counted()
    found = Sweep(replace(SMALL, mdps=8), tmp_path, spread, chunk=2).train([replace(one, name="another name")])
    assert sorted((chunk.first, chunk.stop) for chunk in spread.ran) == [(4, 6), (6, 8)]
    assert found["another name"].metrics["return"].shape == (8, 5)


@pytest.mark.parametrize(
    "change", [{"seed": 9}, {"iterations": 41}, {"points": 6}], ids=lambda change: next(iter(change))
)
def test_nothing_of_other_settings_is_taken_for_ours(change: dict[str, int], tmp_path: Path) -> None:
    one = curve("on-policy-distill")
    Sweep(SMALL, tmp_path).train([one])
    spread = Counted()
    Sweep(replace(SMALL, **change), tmp_path, spread).train([one])
    assert len(spread.ran) == 1


def test_another_step_size_world_teacher_or_version_of_the_code_is_another_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = curve("on-policy-distill")
    Sweep(SMALL, tmp_path).train([one])
    others = [
        replace(one, setting=replace(one.setting, learning_rate=0.2)),
        replace(one, ground=replace(GROUND, slip=0.2)),
        replace(one, tutor=replace(TUTOR, temperature=0.5)),
    ]
    for other in others:
        Sweep(SMALL, tmp_path, spread := Counted()).train([other])
        assert len(spread.ran) == 1
    monkeypatch.setattr(chunks_of, "_code", lambda: "changed")
    Sweep(SMALL, tmp_path, spread := Counted()).train([one])
    assert len(spread.ran) == 1


def test_a_chunk_that_is_cut_short_or_holds_another_s_results_is_said_and_run_again(tmp_path: Path) -> None:
    one = curve("on-policy-distill")
    sweep = Sweep(SMALL, tmp_path, chunk=1)
    whole = sweep.train([one])
    first, second, third, *_ = sorted((tmp_path / "chunks").iterdir())
    first.write_bytes(first.read_bytes()[:200])
    second.write_bytes(third.read_bytes())
    said = io.StringIO()
    again = replace(sweep, spread=(spread := Counted()), console=Lines(said)).train([one])
    assert bits(again) == bits(whole)
    assert len(spread.ran) == 2
    assert said.getvalue().count("it is run again") == 2


def test_chunks_are_smaller_where_actions_are_many() -> None:
    assert [size_of(Ground(actions=actions)) for actions in (4, 40, 400, 4000)] == [MOST_MDPS, MOST_MDPS, 12, 1]
    assert MOST_CELLS >= 12 * 400 * 400


def test_two_curves_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"got twice: a$"):
        Sweep(SMALL, tmp_path).train([curve("task-reward", "a"), curve("on-policy-distill", "a")])
