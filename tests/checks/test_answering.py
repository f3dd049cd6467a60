"""Teachers whose answers depend on more than the observation, or from which there is hardly anything to learn."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sick import CARTPOLE, Aiming, Balance, Changed, aim, look, upright, with_logits

from understudy.errors import TeacherError
from understudy.math.distributions import Family
from understudy.math.heads import Heads
from understudy.policies.student import Student


def test_a_teacher_is_at_no_distance_from_itself() -> None:
    found = look("answers")
    assert found.outcome == "ok"
    assert "KL(teacher‖teacher)" in found.text


def test_dropout_in_training_mode_is_found() -> None:
    dropout = torch.nn.Dropout(0.2).train()
    found = look("answers", with_logits(dropout))
    assert found.outcome == "failed"
    assert "asked again" in found.text
    assert "evaluation mode" in found.fix


def test_dropout_that_a_module_would_apply_is_off_once_it_is_opened() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2)).train()
    assert look("answers", module).outcome == "ok"


def test_a_function_that_draws_is_refused_where_it_is_opened() -> None:
    noise = np.random.default_rng(0)
    with pytest.raises(TeacherError, match="differently the second time"):
        look("answers", lambda seen: {"logits": noise.normal(size=(len(seen), 2))})


def test_an_answer_that_depends_on_the_rest_of_the_batch_is_found() -> None:
    found = look("answers", with_logits(lambda logits: logits - 0.5 * logits.mean(-2, keepdim=True)))
    assert found.outcome == "failed"
    assert "one at a time" in found.text


def test_an_answer_that_depends_on_its_place_in_the_batch_is_found() -> None:
    def ramp(logits):
        if logits.shape[-2] == 1:
            return logits
        return logits + torch.linspace(0, 1, logits.shape[-2])[:, None] * torch.tensor([0.0, 1.0])

    assert look("answers", with_logits(ramp)).outcome == "failed"


def test_a_student_that_is_all_but_uniform_is_looked_at_like_any_teacher() -> None:
    box = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    found = look("certainty", Student(box, spaces.Discrete(2), Family("categorical", (2,)), "mlp:8"))
    assert found.outcome == "warning"
    assert "all actions are nearly alike" in found.text


def test_a_uniform_teacher_is_told_to_sharpen_and_sharpening_mends_it() -> None:
    assert look("certainty").outcome == "ok"
    found = look("certainty", teacher_temperature=200)
    assert found.outcome == "warning"
    assert "all actions are nearly alike" in found.text
    better = float(found.fix.split()[1])
    assert better < 200
    assert look("certainty", teacher_temperature=better).outcome == "ok"


def test_a_teacher_of_one_possible_action_is_told_to_soften_and_softening_mends_it() -> None:
    found = look("certainty", teacher_temperature=1e-5)
    assert found.outcome == "warning"
    assert "all but impossible" in found.text
    better = float(found.fix.split()[1])
    assert better > 1e-5
    assert look("certainty", teacher_temperature=better).outcome == "ok"


def test_action_values_are_softened_by_their_own_temperature() -> None:
    def q_values(seen):
        return {"q": 1000 * upright(seen)["logits"]}

    found = look("certainty", q_values)
    assert found.outcome == "warning"
    better = float(found.fix.split()[1])
    assert better > 0.01
    assert look("certainty", q_values, teacher_temperature=better).outcome == "ok"


def test_deviations_that_are_far_too_small_or_large_are_mended_by_the_temperature_that_is_named() -> None:
    assert look("certainty", aim, Aiming).outcome == "ok"
    for std, says, mended in ((1e-5, "all about rounding", 0.1), (50, "little to do with its mean", 0.5)):
        found = look("certainty", aim, Aiming, teacher_std=std)
        assert found.outcome == "warning"
        assert says in found.text
        better = float(found.fix.split()[1])
        now = look("certainty", aim, Aiming, teacher_std=std, teacher_temperature=better)
        assert (now.outcome, now.text) == ("ok", f"its deviation is {mended} of half the action range")


def test_a_teacher_of_actions_alone_is_said_to_be_one() -> None:
    found = look("certainty", lambda seen: {"action": (upright(seen)["logits"][:, 1] > 0).astype(int)})
    assert found.outcome == "ok"
    assert "actions alone" in found.text


def test_a_recurrent_teacher_is_asked_for_windows_and_steps(tmp_path) -> None:
    import understudy

    understudy.distill(
        CARTPOLE, "CartPole-v1", student="gru:16", out=str(tmp_path / "run"), steps=512, final_episodes=2, quiet=True
    )
    found = look("answers", str(tmp_path / "run"))
    assert found.outcome == "ok"
    assert "over a whole window at once" in found.text

    class Forgetful(Changed):
        """Loses its memory where it is asked for more than a step."""

        def __call__(self, observation, memory=None, start=None):
            if len(start) > 1:
                start = torch.ones_like(start)
            return super().__call__(observation, memory, start)

    student = understudy.load_student(tmp_path / "run")
    broken = look("answers", Forgetful(lambda heads: Heads(heads.policy), student))
    assert broken.outcome == "failed"
    assert "over a whole window at once" in broken.text


def test_a_teacher_without_parameters_is_looked_at_all_the_same() -> None:
    assert look("answers", Balance()).outcome == "ok"
