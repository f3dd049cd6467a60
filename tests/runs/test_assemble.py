"""From a configuration to parts that fit, or to a message that says which do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from understudy.errors import ConfigurationError, MethodError, SpaceError, UnderstudyError
from understudy.math.distributions import Family
from understudy.policies.student import Student
from understudy.policies.student_file import save_student
from understudy.runs.assemble import Assembly, assemble
from understudy.runs.config import DistillConfig
from understudy.runs.console import Lines

TEACHER = str(Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip")


class Told(Lines):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _print(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def build() -> Iterator[Any]:
    made: list[Assembly] = []

    def assembled(
        teacher: Any = TEACHER, env: Any = "CartPole-v1", console: Told | None = None, **options: Any
    ) -> Assembly:
        names = [thing if isinstance(thing, str) else "an object" for thing in (teacher, env)]
        config = DistillConfig.of({"teacher": names[0], "env": names[1], "copies": 2, **options})
        objects = [None if isinstance(thing, str) else thing for thing in (teacher, env)]
        made.append(assemble(config, *objects, console or Told()))
        return made[-1]

    yield assembled
    for one in made:
        one.close()


def acts(observation: np.ndarray) -> np.ndarray:
    return (observation[:, 2] > 0).astype(np.int64)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"env": "MountainCar-v0"}, SpaceError, ("Box(4 of float32", "Box(2 of float32", "Discrete(3)")),
        ({"teacher_view": "0,1"}, SpaceError, ("Box(4 of float32", "Box(2 of float32")),
        ({"student_view": "0,7"}, SpaceError, ("'0,7'", "0 to 3")),
        ({"critic_view": "key:a", "method": "n-distill+r"}, SpaceError, ("'key:a'", "selects keys")),
        ({"student": "cnn:small"}, SpaceError, ("needs pictures", "mlp:64,64")),
        ({"method": "teacher-v-reward", "teacher": acts}, MethodError, ("value function", "on-policy-distill")),
        ({"method": "n-distill", "remedy": "absorbing", "gamma": 1}, ConfigurationError, ("--gamma below 1",)),
        ({"device": "cuda:99"}, ConfigurationError, ("cuda",)),
        ({"teacher": acts, "vecnormalize": "v.pkl"}, ConfigurationError, ("vecnormalize",)),
    ],
)
def test_what_does_not_match_is_refused(
    build: Any, options: dict[str, Any], kind: type[UnderstudyError], words: tuple[str, ...]
) -> None:
    with pytest.raises(kind) as caught:
        build(**options)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("method", ["entropy-regularised", "kl-regularised", "exp-entropy-regularised"])
def test_a_teacher_of_actions_alone_cannot_say_how_likely_others_are(build: Any, method: str) -> None:
    with pytest.raises(MethodError, match="gives every action some probability"):
        build(teacher=acts, method=method)


@pytest.mark.parametrize(
    ("options", "title"),
    [
        ({}, "on-policy-distill over aggregated states"),
        ({"method": "n-distill+r"}, "n-distill+r (ppo)"),
        (
            {"method": "n-distill", "divergence": "kl", "remedy": "absorbing", "estimator": "gae"},
            "n-distill (gae, kl, absorbing)",
        ),
        ({"method": "n-distill", "remedy": "credit:0.5"}, "n-distill (ppo, credit:0.5)"),
        (
            {"control": "mixture:linear:1:0:0.5", "loss_weight": 2.0},
            "on-policy-distill over aggregated states (control mixture(linear:1:0:0.5), loss weight 2.0)",
        ),
        ({"method": "on-policy-distill", "control": "student"}, "on-policy-distill over aggregated states"),
        (
            {"method": "exp-entropy-regularised+r", "expected_reward": True, "task_weight": "linear:0:1"},
            "exp-entropy-regularised+r (ppo, task weight linear:0:1, expected reward)",
        ),
    ],
)
def test_the_title_names_what_changes_the_method(build: Any, options: dict[str, Any], title: str) -> None:
    assert build(**options).title == title


def test_a_row_that_charges_every_step_is_warned_of_unless_there_is_a_remedy(build: Any) -> None:
    told = Told()
    parts = build(method="n-distill", console=told)
    assert len(parts.warnings) == 1
    assert "termination trap" in parts.warnings[0]
    assert told.lines == [f"warning: {parts.warnings[0]}"]
    for options in ({"remedy": "absorbing"}, {"remedy": "credit:0"}, {"method": "on-policy-distill+r"}):
        assert build(**{"method": "n-distill"} | options).warnings == []


def test_short_episodes_are_told_of_where_the_row_invites_them(build: Any) -> None:
    parts = build(method="n-distill")
    assert "21 steps" in parts.trap_sprung(21, 500)
    assert parts.trap_sprung(400, 500) is None
    assert build().trap_sprung(21, 500) is None


def test_gamma_is_the_teachers_unless_given_and_a_difference_is_told(build: Any) -> None:
    told = Told()
    own = build(console=told).gamma
    assert told.lines == []
    other = build(gamma=0.5, console=told).gamma
    assert own == 0.98
    assert other == 0.5
    assert told.lines == ["warning: --gamma 0.5, but the teacher was trained with 0.98; its values mean that one"]
    assert build(teacher=acts).gamma == 0.99


def test_the_estimators_options_are_the_configurations(build: Any) -> None:
    objective = build(method="n-distill+r", estimator="ppo", gae_lambda=0.5, clip=0.1, epochs=3).learner.objective
    estimator = objective.estimator
    assert (estimator.kind, estimator.lam, estimator.clip, estimator.epochs) == ("ppo", 0.5, 0.1, 3)
    assert build(method="n-distill+r").learner.objective.estimator.kind == "ppo"
    more = build(
        method="n-distill+r", normalise_advantages=True, value_clip=2.0, target_kl=0.1
    ).learner.objective.estimator
    assert (more.normalise, more.value_clip, more.target_kl, more.value_weight) == (True, 2.0, 0.1, 1.0)


def test_a_bonus_for_entropy_is_a_part_of_the_rows_loss(build: Any) -> None:
    row = build(method="task-reward", entropy_bonus="linear:0.1:0").learner.objective.method
    assert [(part.atom, str(part.weight)) for part in row.loss] == [("student-entropy", "linear:-0.1:-0:1")]
    assert not build(method="task-reward").learner.objective.method.loss


def test_plain_returns_are_of_whole_episodes(build: Any) -> None:
    assert build(method="n-distill+r", estimator="returns").learner.source.whole_episodes
    assert not build(method="n-distill+r").learner.source.whole_episodes


def test_the_critic_sees_its_view_and_a_value_that_sees_more_than_the_student_is_not_saved_with_it(build: Any) -> None:
    plain = build(method="v-gated", student_view="0,2", critic_view="0,2")
    privileged = build(method="v-gated", student_view="0,2")
    assert plain.student.observation_space.shape == plain.learner.objective.critic.network.space.shape == (2,)
    assert privileged.learner.objective.critic.network.space.shape == (4,)
    assert plain.critic_value().space.shape == (2,)
    assert privileged.critic_value is None
    assert build().critic_value is None


def student(path: Path, **facts: Any) -> str:
    policy = Student(spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2), Family("categorical", (2,)), "mlp:8")
    with torch.no_grad():
        policy.network.layers[-1].weight.mul_(100)
    save_student(policy, path, **facts)
    return str(path)


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_a_student_as_a_teacher_brings_its_view_its_wrappers_and_its_gamma(
    build: Any, tmp_path: Path, temperature: float | None
) -> None:
    path = student(tmp_path, view="2,4", wrappers=["time-feature"], gamma=0.9)
    parts = build(teacher=path, teacher_temperature=temperature)
    assert parts.views.teacher.text == "2,4"
    assert (parts.origin.wrappers, parts.gamma) == (("time-feature",), 0.9)
    assert parts.student.observation_space.shape == (5,)
    window = parts.learner.source.collect(0.0)
    columns, _ = parts.learner.objective.prepare(window)
    seen = torch.tensor(window.observation[..., [2, 4]]).reshape(-1, 2)
    torch.testing.assert_close(columns["teacher"][:, 0], parts.teacher(seen)[0].policy.flat)


def test_options_win_over_what_a_student_brings(build: Any, tmp_path: Path) -> None:
    path = student(tmp_path, view="2,4", wrappers=["time-feature"], gamma=0.9)
    parts = build(teacher=path, teacher_view="0,1", wrap=("flatten",), gamma=0.5)
    assert (parts.views.teacher.text, parts.origin.wrappers, parts.gamma) == ("0,1", ("flatten",), 0.5)


def test_what_the_environment_lacks_is_inferred_and_told(build: Any) -> None:
    low, high = np.array([*[-np.inf] * 4, 0], np.float32), np.array([*[np.inf] * 4, 1], np.float32)
    space = spaces.Box(low, high, dtype=np.float32)
    policy = Student(space, spaces.Discrete(2), Family("categorical", (2,)), "mlp:8")
    told = Told()
    parts = build(teacher=policy, console=told)
    assert parts.origin.wrappers == ("time-feature",)
    assert any("time-feature" in line for line in told.lines)


def test_another_simulator_of_the_same_environment_can_be_made(build: Any) -> None:
    parts = build(env_args={"sutton_barto_reward": True}, wrap=("flatten",))
    other = parts.origin.make(3)
    try:
        assert (other.copies, other.observation_space) == (3, parts.simulator.observation_space)
    finally:
        other.close()


def test_the_same_seed_assembles_the_same_student(build: Any) -> None:
    one, two, other = (build(seed=seed).student.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_a_vector_environment_is_refused_for_it_cannot_be_trained_in_and_evaluated_in(build: Any) -> None:
    env = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2)
    with pytest.raises(ConfigurationError, match="a function that makes one environment, or an id"):
        build(env=env)
    env.close()


def test_a_squashed_teacher_of_other_bounds_than_the_environments_is_refused(build: Any) -> None:
    seen = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    narrow, right = (
        Student(seen, spaces.Box(-bound, bound, (1,), np.float32), Family("squashed-gaussian", (1,)), "mlp:4")
        for bound in (1.0, 2.0)
    )
    with pytest.raises(SpaceError, match="scaled to the bounds"):
        build(teacher=narrow, env="Pendulum-v1")
    assert build(teacher=right, env="Pendulum-v1").student.family.kind == "squashed-gaussian"


def test_students_as_one_teacher_bring_what_they_share(build: Any, tmp_path: Path) -> None:
    facts = {"view": "2,4", "wrappers": ["time-feature"], "gamma": 0.9}
    paths = [student(tmp_path / name, **facts) for name in ("one", "two")]
    parts = build(teacher=",".join(paths))
    assert (parts.views.teacher.text, parts.origin.wrappers, parts.gamma) == ("2,4", ("time-feature",), 0.9)
    other = student(tmp_path / "other", **facts | {"view": "0,1"})
    with pytest.raises(SpaceError, match=r"differ in their view\. Say what counts with --teacher-view"):
        build(teacher=f"{paths[0]},{other}")
    assert build(teacher=f"{paths[0]},{other}", teacher_view="0,1").views.teacher.text == "0,1"
