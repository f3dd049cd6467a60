"""Anchors in an objective: what they add to a loss and to nothing else, what they report, and that they come back."""

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.anchored import ActiveAnchor, AnchoredObjective
from understudy.engines.learner import Learner
from understudy.engines.objective import unroll
from understudy.engines.reservoir import Reservoir
from understudy.envs.actions import family_of
from understudy.envs.views import ObservationViews, parse_view
from understudy.errors import ConfigurationError, MethodError, SpaceError
from understudy.math.distributions import Family
from understudy.math.divergences import kl
from understudy.methods.anchor import Anchor
from understudy.policies.policy import tensors
from understudy.policies.shared import share
from understudy.runs.checkpoints import load, save

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)
THREE = spaces.Discrete(3)
SPACES = {
    "discrete": (FLAT, THREE),
    "multi-discrete": (FLAT, spaces.MultiDiscrete([3, 2])),
    "multi-binary": (FLAT, spaces.MultiBinary(3)),
    "box": (FLAT, spaces.Box(-1, 1, (2,), np.float32)),
    "squashed box": (FLAT, spaces.Box(-2, 1, (2,), np.float32)),
    "dict": (spaces.Dict({"a": FLAT, "b": spaces.Discrete(4), "c": spaces.MultiBinary(2)}), THREE),
    "picture": (spaces.Box(0, 255, (12, 12, 2), np.uint8), THREE),
}


def anchored(joined, *anchors, gathering=None, seed=0, budget=10_000):
    """The same learner with anchors."""
    objective = AnchoredObjective(joined.objective, anchors, seed=seed, gathering=gathering)
    return Learner(joined.source, objective, joined.rhythm, budget=budget, seed=seed)


def states(observation_space, count, seed=5):
    """A reservoir of observations drawn from the space."""
    found, space = Reservoir(count, np.random.default_rng(seed)), copy.deepcopy(observation_space)
    space.seed(seed)
    for _ in range(count):
        seen = space.sample()
        seen = {k: np.asarray(v)[None] for k, v in seen.items()} if isinstance(seen, dict) else np.asarray(seen)[None]
        rows = tensors(seen)
        found.offer(
            {f"observation/{k}": v for k, v in rows.items()} if isinstance(rows, dict) else {"observation": rows}
        )
    return found


def minibatch(joined):
    """The columns of a round's first minibatch, after its preparation."""
    joined.gather()
    return joined.store.take(torch.arange(len(joined.store)))


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("states_of", ["visited", "stored", "both"])
def test_a_heavy_anchor_draws_every_kind_of_student_to_itself_and_tells_how_far_it_is(
    learner, teacher, kind, states_of
):
    observation_space, action_space = SPACES[kind]
    squashed, body = kind == "squashed box", "cnn:small" if kind == "picture" else "mlp:8"
    guide = teacher(observation_space, family_of(action_space, squashed), action_space, body, std=squashed)
    row = Anchor(guide, 20.0, states=states_of, name="lead")
    stored = states(observation_space, 200) if row.states != "visited" else None
    collect = 32 if kind == "picture" else 64
    joined = learner(
        observation_space, action_space, method="task-reward", spec=body, squashed=squashed, collect=collect
    )
    joined = anchored(joined, ActiveAnchor(row, guide, stored=stored))
    facts = [joined.step().facts for _ in range(3 if kind == "picture" else 5)]
    names = {"visited": {"kl"}, "stored": {"stored_kl"}, "both": {"kl", "stored_kl"}}[states_of]
    assert {name for name in facts[0] if "anchor" in name} == {f"anchor/lead/{x}" for x in (*names, "weight")}
    for name in names:
        assert facts[-1][f"anchor/lead/{name}"] < facts[0][f"anchor/lead/{name}"]
    assert facts[0]["anchor/lead/weight"] == 20


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_a_loss_gains_weight_times_the_kl_on_both_kinds_of_states(learner, teacher, direction):
    first, second = (teacher(FLAT, Family("categorical", (3,)), THREE, spec) for spec in ("mlp:8", "mlp:5"))
    stored = states(FLAT, 50)  # fewer than a minibatch: all of them are taken
    joined = learner(method="task-reward")
    weighed = anchored(
        joined,
        ActiveAnchor(Anchor(first, 0.7, direction, name="first"), first),
        ActiveAnchor(Anchor(second, 0.2, direction, "both", name="second"), second, stored=stored),
    )
    columns = minibatch(weighed)
    method = joined.objective.method
    raw = stored.rows()["observation"]
    mine, there = weighed.objective.objective.answered(columns), joined.student(raw)[0].policy
    seen = joined.student.network.inputs[0].standardise
    observed = columns["features"] / seen.scale + seen.mean

    def distance(policy, observation, student):
        with torch.no_grad():
            theirs = policy(observation)[0].policy
        return (kl(theirs, student) if direction == "forward" else kl(student, theirs)).mean()

    expected = 0.7 * distance(first, observed, mine)
    expected = expected + 0.2 * (distance(second, observed, mine) + distance(second, raw, there))
    gained = weighed.objective.loss(columns, method) - joined.objective.loss(columns, method)
    assert gained.item() == pytest.approx(expected.item(), abs=1e-5)
    parameters = list(joined.student.parameters())
    for found, wanted in zip(
        torch.autograd.grad(gained, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("states_of", ["visited", "stored"])
def test_an_anchor_on_another_head_moves_the_body_and_that_head_alone_is_asked(learner, teacher, states_of):
    guide, stored = teacher(FLAT, Family("categorical", (3,)), THREE), states(FLAT, 50)
    joined = learner(method="task-reward", spec="mlp:8")
    head = copy.deepcopy(joined.student)
    with torch.no_grad():
        for parameter in head.network.last_layers[0].parameters():
            parameter.add_(torch.randn_like(parameter))
    share([joined.student, head], "own")
    row = Anchor(guide, 0.7, states=states_of, name="lead")
    weighed = anchored(joined, ActiveAnchor(row, guide, stored=stored if states_of == "stored" else None, holds=head))
    columns = minibatch(weighed)
    method = joined.objective.method
    seen = joined.student.network.inputs[0].standardise
    head.network.inputs[0].standardise.load_state_dict(seen.state_dict())
    observed = stored.rows()["observation"]
    if states_of == "visited":
        observed = columns["features"] / seen.scale + seen.mean
    with torch.no_grad():
        theirs = guide(observed)[0].policy
    expected = 0.7 * kl(theirs, head(observed)[0].policy).mean()
    gained = weighed.objective.loss(columns, method) - joined.objective.loss(columns, method)
    assert gained.item() == pytest.approx(expected.item(), abs=1e-5)
    parameters = list(joined.student.parameters())
    moved = torch.autograd.grad(gained, parameters, materialize_grads=True)
    own = {id(parameter) for parameter in joined.student.network.last_layers[0].parameters()}
    for parameter, gradient in zip(parameters, moved, strict=True):
        assert bool(gradient.abs().max() > 1e-6) == (id(parameter) not in own)


@pytest.mark.parametrize("spec", ["mlp:8", "gru:8"])
def test_critic_and_anchor_get_no_gradient_from_an_anchor(learner, teacher, spec):
    guide = teacher(FLAT, Family("categorical", (3,)), THREE)
    plain = learner(method="task-reward", spec=spec)
    joined = anchored(plain, ActiveAnchor(Anchor(guide, 50.0, name="lead"), guide))
    columns, method = minibatch(joined), plain.objective.method
    critic, student = list(plain.objective.critic.parameters()), list(plain.student.parameters())
    with_anchor, without = (
        torch.autograd.grad(one.loss(columns, method), critic + student) for one in (joined.objective, plain.objective)
    )
    assert all(torch.equal(a, b) for a, b in zip(with_anchor[: len(critic)], without, strict=False))
    assert any(not torch.equal(a, b) for a, b in zip(with_anchor[len(critic) :], without[len(critic) :], strict=True))
    before = copy.deepcopy(guide.state_dict())
    joined.step()
    assert all(parameter.grad is None for parameter in guide.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before.values(), guide.state_dict().values(), strict=True))


def test_a_student_with_a_value_head_keeps_it_as_it_is(learner, teacher):
    guide = teacher(FLAT, Family("categorical", (3,)), THREE)
    joined = learner(method="task-reward")
    joined.objective.student.value_network = copy.deepcopy(guide.value_network)
    before = copy.deepcopy(guide.value_network.state_dict())
    joined = anchored(joined, ActiveAnchor(Anchor(guide, 5.0), guide))
    joined.step()
    after = joined.student.value_network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_recurrent_anchor_remembers_from_window_to_window(learner, teacher):
    guide = teacher(FLAT, Family("categorical", (3,)), THREE, "gru:6")
    joined = anchored(learner(method="task-reward"), ActiveAnchor(Anchor(guide), guide))
    windows, found = [], []
    for _ in range(3):
        windows.append(joined.source.collect(0.0))
        if len(windows) == 1:
            joined._begin(windows[0])
        columns, _ = joined.objective.prepare(windows[-1])
        found.append(columns["anchor/0"].reshape(*windows[-1].valid.shape, 3))
    observation = torch.cat([torch.as_tensor(one.observation) for one in windows])
    with torch.no_grad():
        whole, _ = unroll(guide, observation, None, torch.cat([torch.as_tensor(one.start) for one in windows]))
    torch.testing.assert_close(torch.cat(found), whole.policy.flat)


def test_an_anchor_sees_its_own_view_and_stored_states_are_shown_by_each_sides(learner, teacher):
    narrow = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    guide = teacher(narrow, Family("categorical", (3,)), THREE)
    views = ObservationViews(student=parse_view("0,1,2"), teacher=parse_view("3"))
    joined = learner(method="task-reward", views=views)
    stored = states(FLAT, 60)
    row = Anchor(guide, states="both", name="lead")
    active = ActiveAnchor(row, guide, view=parse_view("3,0"), stored=stored)
    objective = AnchoredObjective(joined.objective, [active], seed=0, observation_space=FLAT)
    window = joined.source.collect(0.0)
    joined._begin(window)
    columns, facts = objective.prepare(window)
    raw = stored.rows()["observation"]
    with torch.no_grad():
        expected = guide(torch.as_tensor(window.observation)[..., [3, 0]])[0].policy.flat
        apart = kl(guide(raw[:, [3, 0]])[0].policy, joined.student(raw[:, [0, 1, 2]])[0].policy).mean()
    torch.testing.assert_close(columns["anchor/0"].reshape(expected.shape), expected)
    assert facts["anchor/lead/stored_kl"] == pytest.approx(float(apart), rel=1e-5)


def test_stored_states_are_standardised_as_the_student_is_now(learner, teacher):
    """A store that is kept is standardised anew as it grows; no answer changes by that, and neither does a KL."""
    wide = spaces.Box(-50, 950, (4,), np.float32)
    guide = teacher(wide, Family("categorical", (3,)), THREE)
    stored = states(wide, 100)
    joined = anchored(
        learner(wide, method="on-policy-distill", collect=16, learning_rate=1e-9, final_learning_rate=1e-9),
        ActiveAnchor(Anchor(guide, states="stored", name="lead"), guide, stored=stored),
    )
    found, scales = [], []
    for _ in range(12):
        found.append(joined.step().facts["anchor/lead/stored_kl"])
        scales.append(joined.student.network.inputs[0].standardise.scale.clone())
    assert not torch.equal(scales[0], scales[-1])
    assert found == pytest.approx([found[0]] * 12, rel=1e-3)


def test_schedules_follow_the_progress_and_adaptive_weights_the_kl(learner, teacher):
    guide = teacher(FLAT, Family("categorical", (3,)), THREE)
    rows = {"down": "linear:1:0", "near": "adaptive:1:0.0001", "far": "adaptive:1:1000", "off": "off-below:3:1000"}
    joined = anchored(
        learner(method="task-reward"),
        *(ActiveAnchor(Anchor(guide, weight, name=name), guide) for name, weight in rows.items()),
        budget=256,
    )
    facts = [joined.step().facts for _ in range(4)]
    weights = {name: [one[f"anchor/{name}/weight"] for one in facts] for name in rows}
    assert weights == {"down": [1, 0.75, 0.5, 0.25], "near": [1, 2, 4, 8], "far": [1, 0.5, 0.25, 0.125], "off": [0] * 4}


def test_nothing_changes_to_the_bit_while_every_anchor_is_off(learner, teacher):
    guide = teacher(FLAT, Family("categorical", (3,)), THREE)
    off = ActiveAnchor(Anchor(guide, "off-below:1:1000", states="both"), guide, stored=states(FLAT, 2000))
    plain, held = learner(method="task-reward"), anchored(learner(method="task-reward"), off)
    for _ in range(3):
        assert plain.step().loss == held.step().loss
    assert torch.equal(plain.optimiser.flat, held.optimiser.flat)


@pytest.mark.parametrize("spec", ["mlp:8", "gru:8"])
def test_it_goes_on_to_the_same_bits(learner, teacher, tmp_path, spec):
    """Adaptive weights, a recurrent anchor's memory, draws of stored states, and states being gathered."""
    family, recurrent = Family("categorical", (3,)), spec == "gru:8"
    first, second = teacher(FLAT, family, THREE, "gru:6"), teacher(FLAT, family, THREE)

    def build():
        anchors = [ActiveAnchor(Anchor(first, "adaptive:1:0.01", name="first"), first)]
        if not recurrent:
            row = Anchor(second, "adaptive:0.5:2", "reverse", "both", name="second")
            anchors.append(ActiveAnchor(row, second, stored=states(FLAT, 2000)))
        gathering = Reservoir(100, np.random.default_rng(3))
        return anchored(learner(method="task-reward", spec=spec), *anchors, gathering=gathering)

    straight, stopped = build(), build()
    for _ in range(3):
        straight.step()
        stopped.step()
    save({"learner": stopped.state()}, tmp_path / "x.safetensors")
    again = build()
    assert again.restore(load(tmp_path / "x.safetensors")["learner"])
    records = [[one.step() for _ in range(3)] for one in (straight, again)]
    assert [one.facts for one in records[0]] == [one.facts for one in records[1]]
    assert torch.equal(straight.optimiser.flat, again.optimiser.flat)
    one, other = (joined.objective.gathering.rows()["observation"] for joined in (straight, again))
    assert torch.equal(one, other)
    assert len(one) == 100


def test_what_is_gathered_is_a_sample_of_what_was_collected(learner):
    gathering = Reservoir(10_000, np.random.default_rng(0))
    joined = anchored(learner(method="task-reward"), gathering=gathering)
    windows, collect = [], joined.source.collect
    joined.source.collect = lambda progress: windows.append(collect(progress)) or windows[-1]
    for _ in range(3):
        joined.step()
    seen = np.concatenate([one.observation[one.valid] for one in windows])
    assert np.array_equal(gathering.rows()["observation"].numpy(), seen)


GAUSSIAN = spaces.Box(-1, 1, (3,), np.float32)


@pytest.mark.parametrize(
    ("action_space", "family", "message"),
    [
        (
            GAUSSIAN,
            Family("gaussian", (3,)),
            "anchor lead and the student do not match. actions: the anchor lead's Box",
        ),
        (spaces.Discrete(4), Family("categorical", (4,)), r"actions: the anchor lead's Discrete\(4\) against"),
    ],
)
def test_an_anchor_over_other_actions_is_refused_before_anything_is_played(
    learner, teacher, action_space, family, message
):
    guide = teacher(FLAT, family, action_space)
    with pytest.raises(SpaceError, match=message):
        anchored(learner(method="task-reward"), ActiveAnchor(Anchor(guide, name="lead"), guide))


def test_an_anchor_of_another_family_or_other_bounds_is_refused(learner, teacher):
    squashed = teacher(FLAT, Family("squashed-gaussian", (3,)), GAUSSIAN, std=True)
    with pytest.raises(SpaceError, match=r"answers squashed-gaussian\(3\), the student gaussian\(3\)"):
        anchored(learner(FLAT, GAUSSIAN, method="task-reward"), ActiveAnchor(Anchor(squashed), squashed))
    wider = spaces.Box(-2, 2, (3,), np.float32)
    with pytest.raises(SpaceError, match="squashes its actions into Box"):
        anchored(learner(FLAT, wider, method="task-reward", squashed=True), ActiveAnchor(Anchor(squashed), squashed))


def test_an_anchor_that_sees_something_else_is_refused(learner, teacher):
    guide = teacher(spaces.Box(-1, 1, (5,), np.float32), Family("categorical", (3,)), THREE)
    with pytest.raises(SpaceError, match="observations: the anchor lead's Box"):
        anchored(learner(method="task-reward"), ActiveAnchor(Anchor(guide, name="lead"), guide))
    guide = teacher(FLAT, Family("categorical", (3,)), THREE)
    stored = states(spaces.Box(-1, 1, (4, 1), np.float32), 3)
    stored.columns["flat"] = torch.zeros(3, 3)
    with pytest.raises(SpaceError, match=r"stored states show .*\(4, 1\).*, the student sees .*\(4,\)"):
        anchored(learner(method="task-reward"), ActiveAnchor(Anchor(guide, states="stored"), guide, stored=stored))


def test_what_cannot_hold_is_refused(learner, teacher):
    guide = teacher(FLAT, Family("categorical", (3,)), THREE)
    joined = learner(method="task-reward")
    with pytest.raises(ConfigurationError, match="anchor lead: states is 'both' but there are no stored states"):
        ActiveAnchor(Anchor(guide, states="both", name="lead"), guide)
    with pytest.raises(ConfigurationError, match="two anchors are called lead"):
        anchored(joined, *[ActiveAnchor(Anchor(guide, name="lead"), guide)] * 2)
    with pytest.raises(ConfigurationError, match="is the student itself; freeze a copy"):
        anchored(joined, ActiveAnchor(Anchor(joined.student), joined.student))
    recurrent = learner(method="task-reward", spec="gru:8")
    active = ActiveAnchor(Anchor(guide, states="stored"), guide, stored=states(FLAT, 9))
    with pytest.raises(ConfigurationError, match=r"the student has a memory.*Use states = 'visited'"):
        anchored(recurrent, active)
    stored = states(FLAT, 9)
    stored.columns["flat"] = torch.zeros(9, 2)
    with pytest.raises(SpaceError, match=r"2 parameters, categorical\(3\) has 3.*Label the states anew"):
        ActiveAnchor(Anchor(guide, states="stored"), guide, stored=stored)
    stored.columns["flat"] = torch.full((9, 3), -torch.inf)
    with pytest.raises(MethodError, match="use 'forward'"):
        ActiveAnchor(Anchor(guide, direction="reverse", states="stored"), guide, stored=stored)
    guide.full_support = False
    with pytest.raises(MethodError, match=r"answers actions alone\. Use direction 'forward'"):
        ActiveAnchor(Anchor(guide, direction="reverse"), guide)
