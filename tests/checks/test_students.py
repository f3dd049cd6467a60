"""A student's run that no longer says the truth."""

import json
import shutil
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file
from sick import CARTPOLE, ROOT, Seen, look, with_logits

import understudy
from understudy.errors import RunError

CHECKS = ["teacher", "setting", "normaliser", "return", "agreement", "lengths"]


def edited(run, tmp_path, **changes):
    """A copy of the run with other figures in its result.json."""
    copy = shutil.copytree(run, tmp_path / "copy")
    result = json.loads((copy / "result.json").read_text())
    (copy / "result.json").write_text(json.dumps(result | changes))
    return copy


def rewired(run, tmp_path, change):
    """A copy of the run with other tensors in its student."""
    copy = shutil.copytree(run, tmp_path / "copy")
    path = copy / "student" / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    return copy


def seen(check, run, *things, **options):
    return look(f"student: {check}", *things, student=str(run), **options)


@pytest.mark.parametrize("check", CHECKS)
def test_all_is_well_with_a_run_as_it_was_left(check, run) -> None:
    found = seen(check, run)
    assert (found.outcome, found.fix) == ("ok", "")


@pytest.mark.parametrize("check", ["normaliser", "return", "agreement"])
def test_a_student_of_another_environment_is_not_asked_to_play_in_this_one(check, run) -> None:
    found = seen(check, run, ROOT / "teachers" / "ppo-LunarLander-v3.zip", "LunarLander-v3")
    assert found.outcome == "skipped"
    assert found.text == "the student cannot play here: it sees Box(4 of float32, -inf to inf), does Discrete(2)"


def test_another_teacher_than_the_runs_is_found_by_its_hash(run, tmp_path) -> None:
    other = tmp_path / "other.zip"
    shutil.copy(CARTPOLE, other)
    with zipfile.ZipFile(other, "a") as archive:
        archive.comment = b"saved again"
    found = seen("teacher", run, other)
    assert found.outcome == "failed"
    assert "other.zip is not the teacher of" in found.text
    assert "understudy distill" in found.fix


def test_a_teacher_that_is_no_file_has_no_hash(run) -> None:
    assert seen("teacher", run, with_logits(lambda logits: logits)).outcome == "skipped"


def test_other_wrappers_than_the_students_are_found(run) -> None:
    found = seen("setting", run, CARTPOLE, "CartPole-v1", wrap=("flatten",))
    assert found.outcome == "failed"
    assert "wrappers (), here ('flatten',) (--wrap)" in found.text


def test_other_arguments_of_the_environment_are_found(run) -> None:
    found = seen("setting", run, env_args='{"sutton_barto_reward": true}')
    assert found.outcome == "failed"
    assert "--env-args" in found.text


def test_a_student_without_its_statistics_is_found(run, tmp_path) -> None:
    def bare(tensors):
        for name in tensors:
            if "standardise" in name:
                tensors[name] = (
                    torch.zeros_like(tensors[name]) if name.endswith("mean") else torch.ones_like(tensors[name])
                )

    found = seen("normaliser", rewired(run, tmp_path, bare))
    assert found.outcome == "failed"
    assert "holds no statistics" in found.text


def test_an_environment_in_other_units_is_far_from_the_students_statistics(run) -> None:
    found = seen("normaliser", run, CARTPOLE, lambda: Seen(lambda state: 100 * state))
    assert found.outcome == "warning"
    assert "units" in found.fix


def test_a_student_that_was_changed_since_returns_otherwise_and_disagrees(run, tmp_path) -> None:
    def turned(tensors):
        last = sorted(name for name in tensors if name.startswith("network.layers") and name.endswith("weight"))[-1]
        tensors[last] = -tensors[last]

    copy = rewired(run, tmp_path, turned)
    assert seen("return", copy).outcome == "failed"
    found = seen("agreement", copy)
    assert found.outcome == "warning"
    assert "the run recorded" in found.text


def test_a_run_that_claims_another_return_is_found_where_its_episodes_are_not_kept(run, tmp_path) -> None:
    copy = edited(run, tmp_path, student_return=321.0)
    (copy / "evidence" / "episodes.json").unlink()
    found = seen("return", copy)
    assert found.outcome == "failed"
    assert "result.json says 321.0" in found.text


def test_episodes_far_shorter_than_the_teachers_are_named_for_the_trap(run, tmp_path) -> None:
    copy = edited(run, tmp_path, student_length=21.0, recovered=0.0)
    found = seen("lengths", copy)
    assert found.outcome == "warning"
    text = (copy / "config.toml").read_text().replace("# method", '# method\nmethod = "n-distill"')
    (copy / "config.toml").write_text(text)
    trapped = seen("lengths", copy)
    assert trapped.outcome == "failed"
    assert "--remedy absorbing" in trapped.fix


def test_the_runs_own_row_counts_for_the_trap(run, tmp_path) -> None:
    copy = edited(run, tmp_path)
    config = (copy / "config.toml").read_text()
    charging = config.replace("# method", '# method\nmethod = "n-distill"', 1)
    (copy / "config.toml").write_text(charging)
    assert look("endings", student=str(copy)).outcome == "warning"
    (copy / "config.toml").write_text(charging.replace('remedy = "none"', 'remedy = "absorbing"'))
    found = look("endings", student=str(copy))
    assert found.outcome == "ok"
    assert "has its remedy" in found.text


def test_the_teachers_return_comes_from_the_run_where_nothing_else_says_it(run) -> None:
    assert "known for 500.0" in look("return", student=str(run)).text


def test_a_folder_that_is_no_finished_run_is_an_error(run, tmp_path) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        understudy.doctor(CARTPOLE, "CartPole-v1", student=str(tmp_path))
    copy = edited(run, tmp_path)
    (copy / "result.json").unlink()
    with pytest.raises(RunError, match="has not finished"):
        understudy.doctor(CARTPOLE, "CartPole-v1", student=str(copy))


def test_the_teachers_folder_is_left_alone(run) -> None:
    before = sorted(path.name for path in (ROOT / "teachers").iterdir())
    seen("return", run)
    assert sorted(path.name for path in (ROOT / "teachers").iterdir()) == before
