"""Returns under perturbations, verdicts on data whose answer is known, and what ``evaluate --perturb`` prints."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import understudy
from understudy import cli
from understudy.envs.perturbations import Perturbation
from understudy.envs.perturbed import layers
from understudy.errors import ConfigurationError, RunError
from understudy.runs.exposure import SIZES, Exposure, Ground, Plan, exposed, ground
from understudy.runs.reopen import reopen
from understudy.runs.sturdiness import Sturdiness, judged, sturdiness

TEACHER = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"
ID = "CartPole-v1"
PLAN = Plan(episodes=6, copies=4, sizes={"noise": (0, 1.6), "random": (0, 0.4, 0.8), "dynamics": (0, 0.7)})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("sturdy") / "run"
    words = {"steps": 2_000, "final_episodes": 4, "evaluation_episodes": 4, "student": "mlp:8"}
    understudy.distill(TEACHER, ID, out=place, quiet=True, **words)
    return reopen(place)


@pytest.fixture(scope="module")
def earth(run):
    return ground(run, PLAN)


def test_a_size_of_0_changes_no_bit(run, earth):
    nothing = layers([Perturbation(kind, 0) for kind in SIZES], earth.scale)
    bare, same = (run.play("student", run.simulator(3, some), PLAN.seeds) for some in ((), nothing))
    found = exposed(run, "student", PLAN, earth)
    assert bare.returns.tolist() == same.returns.tolist() == list(found.plain)
    assert all(rows[0] == found.plain for rows in found.returns.values())
    plain, perturbed = (
        understudy.evaluate(TEACHER, ID, episodes=5, perturb=some) for some in ([], ["noise:0", "dynamics:0"])
    )
    assert plain.returns == perturbed.returns


@pytest.mark.parametrize("who", ["teacher", "student"])
def test_returns_are_the_same_for_any_number_of_copies(run, earth, who):
    one, other = (exposed(run, who, replace(PLAN, copies=copies), earth) for copies in (1, 6))
    assert one == other
    assert {kind: len(rows) for kind, rows in one.returns.items()} == {"noise": 2, "random": 3, "dynamics": 2}
    assert all(one.returns[kind][-1] != one.plain for kind in PLAN.sizes)


def test_teacher_and_student_meet_the_same_random_actions(run):
    # when all actions are replaced nothing is left of the policies: both play the same episodes
    plan = Plan(episodes=4, sizes={"random": (0, 1)})
    found = [exposed(run, who, plan, ground(run, plan)).returns["random"][1] for who in ("teacher", "student")]
    assert found[0] == found[1]


def test_the_noise_is_scaled_by_what_the_teacher_sees(run, earth):
    shown = []
    simulator = run.simulator(10)
    actor = run.actor("teacher", simulator)

    class Watched:
        def __call__(self, observation, start):
            shown.append(observation.copy())
            return actor(observation, start)

    from understudy.envs.play import play

    found = play(simulator, run.actions(simulator), Watched(), range(3_000_000, 3_000_010))
    assert (found.lengths == 500).all()  # so that every row is of an episode in play
    assert earth.scale == pytest.approx(np.concatenate(shown).std(0), rel=1e-6)


def test_a_run_is_judged_in_one_call_and_survives_json(run):
    notes = []
    found = sturdiness({"mlp:8": [run, run]}, PLAN, notes.append)
    assert notes == ["playing the teacher under perturbations", "playing mlp:8 under perturbations (2 runs)"]
    assert [trial.kind for trial in found.trials] == ["noise", "random", "dynamics"]
    assert (found.env, found.episodes, found.runs) == (ID, 6, {"mlp:8": 2})
    teacher = exposed(run, "teacher", PLAN, ground(run, PLAN))
    for trial in found.trials:
        assert trial.teacher.mean == pytest.approx(np.mean(teacher.returns[trial.kind], 1))
        assert trial.teacher.mean[-1] < trial.teacher.mean[0]
    assert Sturdiness.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    text = found.summary()
    assert text.startswith(f"Sturdiness on {ID}, 6 episodes at every size: Did distilling make the policy sturdier?")
    assert "pole length, pole mass, cart mass and force, each X up or down" in text


def test_runs_of_different_environments_are_refused(run):
    other = replace(run, origin=replace(run.origin, env_kwargs={"sutton_barto_reward": True}))
    with pytest.raises(RunError, match="of different teachers or environments"):
        sturdiness({"a": [run], "b": [other]}, PLAN)
    with pytest.raises(ConfigurationError, match="a run of each"):
        sturdiness({"a": [run], "b": []}, PLAN)


def made(left, seed, spread=4.0):
    """An exposure whose returns keep these shares of 100 at two sizes; what seeds do is common to all."""
    common = np.random.default_rng(0).normal(0, 20, 40)
    own = np.random.default_rng(seed).normal(0, spread, (3, 40))
    rows = tuple(tuple((level * 100 + common + one).tolist()) for level, one in zip((1, *left), own, strict=True))
    return Exposure(rows[0], {"noise": rows, "random": rows})


SYNTHETIC = Plan(episodes=40, sizes={"noise": (0, 1, 2), "random": (0, 0.1, 0.2)})
EARTH = Ground(None, {"noise": "noise", "random": "random"})
FLOOR = Exposure(tuple(np.random.default_rng(1).normal(0, 5, 40).tolist()))


def judge(**students):
    runs = {name: [made(left, 10 * i + j) for j in range(3)] for i, (name, left) in enumerate(students.items(), 1)}
    return judged("Made-v0", SYNTHETIC, EARTH, made((0.6, 0.2), 0), runs, FLOOR)


def test_verdicts_on_data_whose_answer_is_known():
    found = judge(tough=(0.75, 0.35), like=(0.6, 0.2), frail=(0.45, 0.05))
    expected = ["sturdier", "no difference seen", "less sturdy"]
    assert [one.outcome for one in found.overall] == expected
    assert all([one.outcome for one in trial.verdicts] == expected for trial in found.trials)
    tough = found.overall[0]
    assert tough.difference.point == pytest.approx(0.15, abs=0.02)
    assert tough.absolute.point == pytest.approx(15, abs=2)
    assert tough.text.startswith("tough: sturdier; it keeps 5")
    assert "the teacher 4" in tough.text
    assert found.headline == (
        "Did distilling make the policy sturdier? Not every student (sturdier: tough; less sturdy: frail; "
        "no difference seen: like)."
    )


def test_a_student_of_lower_return_that_loses_less_of_it_is_the_sturdier_one():
    half = made((0.6, 0.2), 0)
    student = Exposure(
        tuple(0.5 * x for x in half.plain),
        {kind: (tuple(0.5 * x for x in rows[0]), *(tuple(0.5 * x + 10 for x in row) for row in rows[1:]))
         for kind, rows in half.returns.items()},
    )  # fmt: skip
    found = judged("Made-v0", SYNTHETIC, EARTH, half, {"half": [student]}, FLOOR).overall[0]
    assert found.outcome == "sturdier"
    assert found.difference.point == pytest.approx(0.2, abs=0.01)
    assert found.absolute.high < 0


def test_headlines_answer_yes_only_for_all():
    assert judge(a=(0.75, 0.35), b=(0.8, 0.4)).headline.startswith("Did distilling make the policy sturdier? Yes (")
    assert judge(a=(0.6, 0.2)).headline.endswith("? Not that these figures show (no difference seen: a).")
    alone = judged("Made-v0", SYNTHETIC, EARTH, made((0.6, 0.2), 0), {"a": [made((0.6, 0.2), 1)]}, FLOOR)
    assert alone.headline.endswith("(no difference seen: a). One run of each: another seed may say otherwise.")


def test_a_student_no_better_than_random_cannot_be_judged():
    hopeless = Exposure(FLOOR.plain[::-1], dict.fromkeys(SYNTHETIC.sizes, (FLOOR.plain[::-1],) * 3))
    found = judged("Made-v0", SYNTHETIC, EARTH, made((0.6, 0.2), 0), {"hopeless": [hopeless]}, FLOOR)
    assert [one.outcome for one in (*found.overall, *found.trials[0].verdicts)] == ["cannot be judged"] * 2
    assert "not clearly better than random" in found.summary()
    assert Sturdiness.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_that_several_verdicts_are_not_corrected_for_their_number_is_said():
    students = {f"mlp:{size}": [made((0.6, 0.2), size)] for size in (8, 16, 32)}
    hopeless = Exposure(FLOOR.plain[::-1], dict.fromkeys(SYNTHETIC.sizes, (FLOOR.plain[::-1],) * 3))
    several = judged("Made-v0", SYNTHETIC, EARTH, made((0.6, 0.2), 0), students | {"hopeless": [hopeless]}, FLOOR)
    assert "Each of the 3 students is judged by a 95 % interval of its own, not corrected" in several.summary()
    assert "(of these, 0.15 on average)" in several.caution
    one = judged("Made-v0", SYNTHETIC, EARTH, made((0.6, 0.2), 0), {"mlp:8": students["mlp:8"]}, FLOOR)
    assert one.caution == ""


def test_exposures_survive_json():
    one = made((0.6, 0.2), 0)
    assert Exposure.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"sizes": {"noise": (0.1, 0.2)}}, r"the sizes of noise must grow from 0, as in 0, 0.1, 0.2, got \(0.1, 0.2\)"),
        ({"sizes": {"random": (0, 2)}}, r"the size of random \(share of the actions\) must lie in \[0, 1\], got 2"),
        ({"sizes": {"nois": (0, 1)}}, "Did you mean 'noise'"),
        ({"episodes": 1}, "needs 2 episodes, 1 copy and 1 kind of perturbation at least, got 1 episodes"),
    ],
)
def test_a_plan_that_cannot_be_played_is_refused(words, message):
    with pytest.raises(ConfigurationError, match=message):
        Plan(**words)


def test_evaluate_says_what_it_played_under():
    found = understudy.evaluate(TEACHER, ID, episodes=8, perturb=["noise:1.6", "random:0.3"])
    assert found.mean_return < 400
    assert found.perturbations == (
        "observation noise: Gaussian, its deviation 1.6 of each number's standard deviation",
        "random actions: 30% replaced by uniform ones",
    )
    lines = found.summary().splitlines()
    assert lines[1:3] == [f"Under    {one}" for one in found.perturbations]
    again = understudy.evaluate(TEACHER, ID, episodes=8, perturb=["noise:1.6", "random:0.3"], copies=3)
    assert again.returns == found.returns


def test_evaluate_perturbs_from_the_command_line(capsys):
    words = ["evaluate", str(TEACHER), "--env", ID, "--episodes", "3", "--json"]
    assert cli.main([*words, "--perturb", "dynamics:0.5", "--perturb", "noise:0.1"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["perturbations"][0].startswith("changed dynamics: pole length")
    assert cli.main([*words, "--perturb", "nose:0.1"]) == 2
    assert "no perturbation is called 'nose'. Did you mean 'noise'?" in capsys.readouterr().err
    assert cli.main([*words, "--perturb", "random:7"]) == 2
    assert "must lie in [0, 1], got 7" in capsys.readouterr().err


def test_noise_on_codes_is_refused_by_evaluate():
    policy = lambda observation: np.zeros(len(observation), np.int64)  # noqa: E731
    with pytest.raises(ConfigurationError, match="noise is added to numbers and pictures, and there are none"):
        understudy.evaluate(policy, "FrozenLake-v1", episodes=2, perturb=["noise:0.1"])
    assert understudy.evaluate(policy, "FrozenLake-v1", episodes=2, perturb=["random:0.1"]).episodes == 2


def test_a_headline_does_not_answer_what_cannot_be_judged():
    floor = judged("Made-v0", SYNTHETIC, EARTH, made((0.6, 0.2), 0), {"a": [made((-0.1, -0.2), 1)]}, FLOOR)
    found = dataclasses.replace(
        floor, overall=tuple(dataclasses.replace(one, outcome="cannot be judged") for one in floor.overall)
    )
    assert "? That cannot be judged (cannot be judged: a)." in found.headline
