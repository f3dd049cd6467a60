import copy
import json

import numpy as np
import pytest

from understudy.cli import main
from understudy.envs import of_gym
from understudy.envs.actions import ActionMap
from understudy.envs.bench import Bench
from understudy.envs.of_vector import VectorSimulator
from understudy.envs.play import play
from understudy.envs.rollout import Rollout
from understudy.errors import EnvironmentFailure
from understudy.policies.families import family_of

COMBAT = "understudy/Combat-v0"


def made(copies, **kwargs):
    simulator = of_gym.make(COMBAT, copies, **kwargs)
    return simulator, ActionMap(family_of(simulator.action_space), simulator.action_space)


def actor(generator):
    def act(observation, start):
        return np.clip(observation[:, 1:3] + 0.5 * generator.standard_normal((len(observation), 2)), -1, 1)

    return act


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, VectorSimulator),
        ({"env_kwargs": {"max_episode_steps": 9}}, VectorSimulator),
        ({"wrappers": ["time-feature"]}, Bench),
        ({"layers": [lambda env: env]}, Bench),
        ({"env_kwargs": {"render_mode": "rgb_array"}}, Bench),
    ],
)
def test_copies_are_stepped_together_unless_each_has_something_around_it(options, kind):
    simulator, _ = made(3, **options)
    assert type(simulator) is kind
    assert (simulator.spec_id, simulator.restartable) == (COMBAT, True)
    assert simulator.max_episode_steps == options.get("env_kwargs", {}).get("max_episode_steps", 300)


def test_a_module_may_stand_before_the_id_and_minus_one_is_no_limit():
    assert type(of_gym.make(f"understudy:{COMBAT}", 2)) is VectorSimulator
    assert made(2, env_kwargs={"max_episode_steps": -1})[0].max_episode_steps is None


def test_keyword_arguments_that_are_not_known_are_refused():
    with pytest.raises(EnvironmentFailure, match=r"understudy/Combat-v0 with .*gravitas"):
        made(2, env_kwargs={"gravitas": 2})


@pytest.mark.parametrize("env_id", ["CartPole-v1", "understudy.envs.flight.single:FlightEnv"])
def test_other_environments_are_stepped_one_by_one_as_ever(env_id):
    assert type(of_gym.make(env_id, 2)) is Bench


def test_episodes_stepped_together_are_those_stepped_one_by_one():
    def played(simulator, actions):
        return play(simulator, actions, lambda seen, start: seen[:, 1:3], range(40, 60))

    together = played(*made(16))
    alone = played(*made(3, layers=[lambda env: env]))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_rollout_goes_on_to_the_same_bits_in_another_process_place():
    simulator, actions = made(5)
    rollout, generator = Rollout(simulator, actions, 0), np.random.default_rng(1)
    rollout.collect(actor(generator), 150)
    assert rollout.replays(lambda copies: made(copies)[0])
    state, stream = copy.deepcopy(rollout.state()), generator.bit_generator.state
    wanted = rollout.collect(actor(generator), 200)
    again, new = Rollout(made(5)[0], actions, 99), np.random.default_rng(0)
    new.bit_generator.state = stream
    assert again.restore(state)
    found = again.collect(actor(new), 200)
    for name in ("observation", "action", "reward", "terminated", "truncated", "start", "valid"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert wanted.terminated.any()


def test_no_step_of_a_rollout_is_a_fake_one():
    simulator, actions = made(6)
    window = Rollout(simulator, actions, 0).collect(actor(np.random.default_rng(2)), 400)
    assert window.valid.all()
    assert (window.terminated.any(0)).all()
    assert window.start.sum() == 6 + len(window.finished.returns) - (window.terminated[-1] | window.truncated[-1]).sum()


def test_a_scripted_pilot_is_distilled_from_the_command_line(tmp_path, capsys):
    words = "distill understudy.envs.flight.pilots:chase --trust --env understudy/Pursuit-v0 --student mlp:32"
    amounts = ["--copies", "64", "--steps", "10000", "--final-episodes", "20"]
    code = main([*words.split(), *amounts, "--out", str(tmp_path / "run")])
    assert code == 0, capsys.readouterr()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["teacher_return"] > 60
    assert result["recovered"] > 0.9
