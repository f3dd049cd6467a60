"""What would stop a later stage is told before the first one is trained, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from understudy.errors import ConfigurationError, SpaceError, UnderstudyError
from understudy.runs.console import Silent
from understudy.stages.config import StagesConfig
from understudy.stages.execute import run_stages

STORED = {"anchors": [{"policy": "s0", "states": "stored"}]}


def stages(out: Path, *tables: dict[str, Any], env: str = "CartPole-v1", **more: Any) -> StagesConfig:
    whole = [{"name": f"s{k}", "env": env, "steps": 512, **table} for k, table in enumerate(tables)]
    return StagesConfig.of({"student": "mlp:8,8", "copies": 4, "out": str(out), **more, "stages": whole})


OWN_STD = {"env": "Pendulum-v1", "own_std": True}


@pytest.mark.parametrize(
    ("tables", "more", "error", "told"),
    [
        (({}, {"entropy": 0.3, "critic": "keep"}), {}, ConfigurationError, "stage s1: entropy is set on the states"),
        (({}, {"entropy": 0.3, "fit_rounds": 0}), {}, ConfigurationError, "fit_rounds of 1 at least"),
        (({}, {"entropy": 0.7}), {}, ConfigurationError, "entropy must be below 0.693"),
        (({}, {"std": 0.3}), {}, ConfigurationError, "std is not for categorical(2) actions; give entropy"),
        (({}, {"entropy": 0.3}), {"env": "Pendulum-v1"}, ConfigurationError, "give std in its place"),
        (({}, {"std": 0.3, "fit_rounds": 0}), OWN_STD, ConfigurationError, "std is set on the states"),
        (({}, {"distil": "mlp:4"}), OWN_STD, ConfigurationError, "Leave own_std or distil out"),
        (({}, {"critic": "keep", "distil": "mlp:4"}), {}, ConfigurationError, "mlp:8,8 and the policy becomes mlp:4"),
        (({"store": 0}, STORED), {}, ConfigurationError, "recalls states of stage s0, which has store = 0"),
        (({}, STORED), {"student": "gru:8"}, ConfigurationError, "Use states = 'visited'"),
        (({}, {"distil": "mlp:8"} | STORED), {"student": "gru:8"}, ConfigurationError, "so that none are kept"),
        (({}, {"anchors": [{"policy": "s0"}, {"policy": "s0"}]}), {}, ConfigurationError, "two anchors are called s0"),
        (({}, {"joint": ["s0"]}), {"copies": 1}, ConfigurationError, "1 copies do not go round 2 tasks"),
        (({}, {"heads": "own"}), {"student": "linear"}, ConfigurationError, "nothing of linear can be shared"),
        (({}, {"env": "Acrobot-v1", "begin": "fresh", "joint": ["s0"]}), {}, SpaceError, "trained on side by side"),
        (({},), {"device": "cuda:99"}, ConfigurationError, "CUDA"),
    ],
)  # fmt: skip
def test_what_would_stop_a_later_stage_is_told_before_the_first(
    tmp_path: Path, tables: tuple[dict[str, Any], ...], more: dict[str, Any], error: type[UnderstudyError], told: str
) -> None:
    config = stages(tmp_path / "run", *tables, **more)
    with pytest.raises(error) as found:
        run_stages(config, console=Silent())
    assert told in str(found.value)
    assert str(found.value).count("stage s1: stage") == 0
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("table", [{"std": 0.3}, {"std": 0.3, "fit_rounds": 0}])
def test_noise_that_can_be_set_is_let_through(tmp_path: Path, table: dict[str, Any]) -> None:
    small = {"evaluations": 1, "evaluation_episodes": 2, "final_episodes": 2, "quiet": True}
    own = bool(table.get("fit_rounds", 2))  # deviations of their own are measured on no states
    config = stages(
        tmp_path / "run", {}, table, env="Pendulum-v1", own_std=own, ppo={"n_steps": 64, "n_epochs": 1}, **small
    )
    assert run_stages(config, console=Silent()).complete
