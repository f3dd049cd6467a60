"""Peers: students that learn a stage side by side, each held near the others as they move."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from cutter import Cut, Cutter
from staged import SHORT, same, stages, weights
from understudy.errors import ConfigurationError, SpaceError
from understudy.policies.student_file import load_student
from understudy.runs.console import Silent
from understudy.stages.execute import resume_stages, run_stages
from understudy.stages.folder import StagesFolder

ANCHORED = SHORT | {"anchors": [{"policy": "s0", "states": "both", "weight": "adaptive:0.1:0.001"}]}
NEXT_TO_NOTHING = "constant:1e-30"


def trained(out: Path, *tables: dict[str, Any], console: Any = None, **more: Any) -> Any:
    return run_stages(stages(out, *(tables or ({},)), **{"peers": 2, **more}), console=console or Silent())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two peers through two stages, the second anchored to the first as well."""
    return trained(tmp_path_factory.mktemp("peers") / "run", {}, ANCHORED)


def records(path: Path, kind: str = "train") -> list[dict[str, Any]]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["kind"] == kind]


def disagreement(path: Path) -> float:
    """The mean KL between two peers, as torch.distributions has it, on the states that the stage kept."""
    seen = StagesFolder(path).stage("s0").stored().seen()
    one, other = (load_student(path / "s0" / "peers" / k).flat(seen)[0] for k in "12")
    return float(kl_divergence(Categorical(logits=one), Categorical(logits=other)).mean())


def test_the_best_peer_stands_for_the_stage_and_all_are_kept(two: Any) -> None:
    for facts in two.stages:
        path = Path(two.path) / facts["stage"]
        returns = [records(path / "peers" / k, "evaluation")[-1]["returns"][facts["stage"]] for k in "12"]
        assert [one["return"] for one in facts["peers"]] == returns
        assert facts["best_peer"] == returns.index(max(returns)) + 1
        best = str(facts["best_peer"])
        assert same(weights(path), weights(path / "peers" / best))
        assert (path / "metrics.jsonl").read_bytes() == (path / "peers" / best / "metrics.jsonl").read_bytes()
        assert not same(weights(path / "peers" / "1"), weights(path / "peers" / "2"))
        assert facts["env_steps"] == sum(one["env_steps"] for one in facts["peers"]) == 2 * 768


def test_each_is_anchored_to_the_others_and_to_what_its_stage_says(two: Any) -> None:
    first, second = Path(two.path) / "s0", Path(two.path) / "s1"
    for path, own, other in ((first, "1", "2"), (first, "2", "1"), (second, "1", "2")):
        for record in records(path / "peers" / own):
            assert f"anchor/peer-{other}/kl" in record
            assert f"anchor/peer-{own}/kl" not in record
            assert ("anchor/s0/kl" in record) == (path == second)
    weighed = [one["anchor/peer-2/weight"] for one in records(first / "peers" / "1")]
    assert weighed == pytest.approx([0.1 * (1 - k / len(weighed)) for k in range(len(weighed))])


def test_the_next_stage_goes_on_with_the_best_one(two: Any) -> None:
    """Both peers of the second stage begin as the same policy: nothing lies between them before the first update."""
    start = [records(Path(two.path) / "s1" / "peers" / k)[0][f"anchor/peer-{3 - int(k)}/kl"] for k in "12"]
    assert start[0] == 0
    assert start[1] > 0
    begun = [records(Path(two.path) / "s1" / "peers" / k, "evaluation")[0]["returns"] for k in "12"]
    assert begun[0] == begun[1] == records(Path(two.path) / "s0", "evaluation")[-1]["returns"] | begun[0]


def test_the_first_peer_learns_as_if_alone_where_the_weight_is_next_to_nothing(tmp_path: Path) -> None:
    trained(tmp_path / "a", peer_weight=NEXT_TO_NOTHING)
    trained(tmp_path / "b", peers=1)
    first, alone = weights(tmp_path / "a" / "s0" / "peers" / "1"), weights(tmp_path / "b" / "s0")
    assert all(torch.allclose(first[name], alone[name], atol=1e-6) for name in alone)


def test_peers_agree_where_the_weight_is_large(tmp_path: Path) -> None:
    ppo = {"n_steps": 32, "n_epochs": 4, "learning_rate": 3e-3}
    for name, weight in (("near", "constant:100"), ("far", NEXT_TO_NOTHING)):
        trained(tmp_path / name, {"steps": 4096}, peer_weight=weight, ppo=ppo)
    assert disagreement(tmp_path / "far") > 0.01
    assert disagreement(tmp_path / "near") < 0.1 * disagreement(tmp_path / "far")


@pytest.mark.parametrize(("rounds", "politely", "done"), [(5, True, 0), (17, True, 640), (16, False, 0), (1, False, 0)])
def test_peers_that_are_stopped_go_on_to_the_same_bits(
    two: Any, tmp_path: Path, rounds: int, politely: bool, done: int
) -> None:
    """``done``: steps of the last stage that are not taken again, those of the critic's two rounds among them.

    A kill comes before the first checkpoint.
    """
    with pytest.raises((KeyboardInterrupt, Cut)):
        trained(tmp_path / "run", {}, ANCHORED, console=Cutter(rounds, politely))
    later = Cutter()
    again = resume_stages(tmp_path / "run", console=later)
    assert again.rows == two.rows
    assert later.begun == done
    for part in ("s0", "s0/peers/1", "s0/peers/2", "s1/peers/1", "s1/peers/2"):
        one, other = Path(two.path) / part, tmp_path / "run" / part
        assert same(weights(one), weights(other))
        assert len(records(one)) == len(records(other))


def test_three_peers_with_columns_keep_the_earlier_ones(tmp_path: Path) -> None:
    result = trained(tmp_path / "run", {"steps": 256}, SHORT | {"adapters": True, "steps": 256}, peers=3)
    assert [one["peers"][2]["env_steps"] for one in result.stages] == [256, 256]
    for k in "123":
        assert same(weights(tmp_path / "run" / "s0"), weights(tmp_path / "run" / "s1" / "peers" / k / "heads" / "s0"))
    assert result.rows["s1"]["s0"] == result.rows["s0"]["s0"]


def test_a_stage_is_over_when_one_peer_has_its_success(tmp_path: Path) -> None:
    """The criterion is what one of them holds through two evaluations before the budget ends, and the other not yet."""
    trained(tmp_path / "long", {"steps": 2048, "until": 1e9}, evaluations=8)
    looks = [records(tmp_path / "long" / "s0" / "peers" / k, "evaluation") for k in "12"]
    held = [
        (min(before["returns"]["s0"], now["returns"]["s0"]), now["env_steps"], number + 1)
        for number, one in enumerate(looks)
        for before, now in pairwise(one)
    ]
    until, steps, peer = max((one for one in held if one[1] < 2048), key=lambda one: (one[0], -one[1]))
    assert not any(value >= until for value, when, who in held if who != peer and when <= steps)
    (facts,) = trained(tmp_path / "run", {"steps": 2048, "until": until}, evaluations=8).stages
    assert facts["reached"] is True
    assert facts["best_peer"] == peer
    assert [one["env_steps"] for one in facts["peers"]] == [steps, steps]


def test_peers_may_learn_other_tasks_and_the_stage_is_played_by_one_that_learned_its_own(tmp_path: Path) -> None:
    """Episodes of the stage's own task end after 5 steps; those of the other are longer, and earn more."""
    first = {"peers_on": ["s1"], "wrap": ["time-limit:5"]}
    result = trained(tmp_path / "run", first, {"steps": 256}, peers=3)
    facts = result.stages[0]
    assert [one["task"] for one in facts["peers"]] == ["s0", "s1", "s0"]
    assert facts["best_peer"] in (1, 3)
    path = tmp_path / "run" / "s0" / "peers"
    looks = {k: records(path / k, "evaluation") for k in "123"}
    assert [set(looks[k][0]["returns"]) for k in "123"] == [{"s0"}, {"s1"}, {"s0"}]
    assert {one["episode_length"] for one in records(path / "3")} == {5.0}
    assert min(one["returns"]["s1"] for one in looks["2"]) > 5
    assert min(one["episode_length"] for one in records(path / "2") if "episode_length" in one) > 5
    assert [one["task"] for one in result.stages[1]["peers"]] == ["s1"] * 3


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (({"peers_on": ["s7"]},), "peers_on names 's7', which is no stage"),
        (({"peers_on": ["s0", "s0"]},), "2 peers, of which the first learns s0, cannot learn 2 other tasks"),
        (({}, {"peers_on": ["s0"], "adapters": True}), "have one head"),
        (({"peers_on": ["s1"]}, {"env": "Acrobot-v1", "begin": "fresh"}), "a peer on s1 sees"),
    ],
)
def test_tasks_that_peers_cannot_have_are_told(tmp_path: Path, tables: tuple[dict[str, Any], ...], told: str) -> None:
    with pytest.raises((ConfigurationError, SpaceError), match=told):
        trained(tmp_path / "run", *tables)
    assert not (tmp_path / "run" / "s0").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"peers": 0}, "peers"),
        ({"peer_weight": "linear:0:0"}, "never acts"),
        ({"peer_weight": "much"}, "the weight of an anchor"),
    ],
)
def test_peers_that_cannot_be_are_refused(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        trained(tmp_path / "run", **more)
