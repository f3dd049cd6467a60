"""Fig. 7: what the random worlds and their teachers look like, and whether they are drawn as said."""

from __future__ import annotations

from dataclasses import asdict, astuple

import numpy as np

from understudy.lab.curve import Ground
from understudy.lab.draw import Stream, draw_mdp, draw_teacher, sequence
from understudy.lab.experiment import Bench, Experiment
from understudy.lab.findings import Claim, Findings, Picture, Table
from understudy.lab.rates import GAMMA, tutor
from understudy.lab.verdict import difference, mean_interval
from understudy.mdp.families import Grid, GridOdds, grid
from understudy.mdp.grid import KINDS
from understudy.mdp.solve import Chain, optimal

SHOWN = 6
PICTURES = "Worlds of this seed; above each its number, its teacher's return and the best possible return"
PRINTED = {"#": 35, "-1": 41, "+10": 3, "+5": 2, "-10": 6, "-5": 4}
"""Cells of each kind in the one world that the paper prints."""
PERCENTILES = {5: "5th percentile", 25: "25th percentile", 50: "median", 75: "75th percentile", 95: "95th percentile"}
NAMES = {
    "#": "walls",
    "-1": "cells of -1",
    "+10": "ends of +10",
    "+5": "ends of +5",
    "-10": "ends of -10",
    "-5": "ends of -5",
}


def draw(seed: int, index: int) -> Grid:
    """The world of this number, with its map."""
    ground = Ground()
    generator = np.random.default_rng(sequence(seed, index, Stream.WORLD))
    return grid(generator, ground.size, ground.odds, ground.slip, ground.end)


def counts(worlds: list[Grid]) -> np.ndarray:
    """``[n, kinds]`` in the order of KINDS."""
    return np.array([np.bincount(world.codes.reshape(-1), minlength=len(KINDS)) for world in worlds])


def picture(seed: int, index: int) -> Picture:
    """A world with its teacher's probabilities."""
    world = draw(seed, index)
    teacher = draw_teacher(tutor(), world.mdp, seed, index, GAMMA)
    policy = np.round(teacher.policy.reshape(world.size, world.size, 4), 3)
    returns = float(world.mdp.start @ Chain(world.mdp, teacher.policy).values(world.mdp.rewards))
    return Picture(
        f"world {index}: teacher {returns:.2f}, best {optimal_return(world):.2f}",
        world.cells,
        world.terminal.tolist(),
        policy.tolist(),
        row=index // 3,
        figure=PICTURES,
    )


def optimal_return(world: Grid) -> float:
    return float(world.mdp.start @ optimal(world.mdp)[0])


def odds_claim(found: np.ndarray) -> Claim:
    """That cells come as often as configured; the centre is always free."""
    cells = Ground().size ** 2 - 1
    effects = []
    for kind, share in zip(KINDS[1:], astuple(GridOdds()), strict=True):
        column = found[:, KINDS.index(kind)].astype(np.float64)
        expected, half = cells * share, 6 * np.sqrt(cells * share * (1 - share) / len(found))
        name = f"{NAMES[kind]} a world (configured: {expected:.2f}; the paper's one: {PRINTED[kind]})"
        effects.append(mean_interval(column).effect(name, round(expected - half, 2), round(expected + half, 2)))
    return Claim(
        "W1",
        "Worlds are drawn with the configured odds",
        "The paper gives no odds; it prints one world: 35 walls, 41 cells of -1, and 3, 2, 6, 4 ends of +10, +5, "
        "-10, -5.",
        "The odds follow the world that the paper prints. Held against them is our generator: each mean within six "
        "standard errors of the configured one. One printed world tells each count only to about its square root.",
        tuple(effects),
    )


def teacher_claim(returns: dict[str, np.ndarray]) -> Claim:
    effects = (
        difference(returns["teacher"], returns["uniform"]).effect("teacher's return - the uniform policy's", above=0.0),
        difference(returns["best possible"], returns["teacher"]).effect(
            "best possible return - the teacher's", above=0.0
        ),
        mean_interval((returns["teacher"] > returns["uniform"]) * 1.0).effect("share of worlds where it beats chance"),
        mean_interval(returns["teacher"]).effect("teacher's return"),
        mean_interval(returns["best possible"]).effect("best possible return"),
    )
    return Claim(
        "W2",
        "The learned teacher is better than chance and not the best",
        "The teachers are Q-learners stopped after 30,000 steps; their curves end at about 7.5.",
        "Returns are exact, undiscounted, from the start. The mean hides much: 30,000 steps, a tenth of them "
        "random, find a prize in most worlds, and in some nothing; there the teacher walks into walls until "
        "chance ends the episode.",
        effects,
    )


def run(bench: Bench) -> Findings:
    """Pictures, counts and returns."""
    seed, kinds = bench.scale.seed, []
    returns: dict[str, list[float]] = {"teacher": [], "best possible": [], "uniform": []}
    indices = range(bench.scale.mdps)
    for index, _ in zip(indices, bench.track(indices, "worlds"), strict=True):
        kinds.append(counts([draw(seed, index)])[0])
        mdp = draw_mdp(Ground(), seed, index)
        teacher = draw_teacher(tutor(), mdp, seed, index, GAMMA)
        uniform = np.full(mdp.rewards.shape, 1 / mdp.actions)
        returns["best possible"].append(float(mdp.start @ optimal(mdp)[0]))
        for name, policy in {"teacher": teacher.policy, "uniform": uniform}.items():
            returns[name].append(float(mdp.start @ Chain(mdp, policy).values(mdp.rewards)))
    found = {name: np.array(values) for name, values in returns.items()}
    pictures = tuple(picture(seed, index) for index in range(min(SHOWN, bench.scale.mdps)))
    claims = (odds_claim(np.array(kinds)), teacher_claim(found))
    settings = {"world": asdict(Ground()), "teacher": asdict(tutor())}
    return Findings("worlds", "The worlds", SUMMARY, claims, (*pictures, quantiles(found)), settings, NOTES)


def quantiles(found: dict[str, np.ndarray]) -> Table:
    rows: list[list[str | float]] = [
        [name, *(round(float(x), 2) for x in np.percentile(values, list(PERCENTILES)))]
        for name, values in found.items()
    ]
    return Table("Returns over worlds", ["policy", *PERCENTILES.values()], rows)


SUMMARY = (
    "Random worlds of 20 x 20 cells, and in each a teacher. A step goes where it was meant to with probability "
    "0.925, else to one of the other three sides; a step into a wall or off the edge stays; after each the "
    "episode ends with probability 0.01. Arriving at a cell pays what is written there; large prizes and losses "
    "end the episode."
)
NOTES = (
    (
        "Arrows show the teacher's probabilities (Q-learning, temperature 0.1). Where it has never been, all four are "
        "alike."
    ),
)

WORLDS = Experiment("worlds", "Fig. 7", "sampled worlds with their teachers", run)
