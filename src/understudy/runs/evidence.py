"""What a run's page shows and its result does not hold: gathered from the policies at play, kept in the run's folder.

``evidence/evidence.json`` beside pictures; of episodes that were played anew for a page, in ``evidence/anew/``. What
each figure means is in docs/report.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.envs.bench import Bench
from understudy.envs.rollout import Episodes, Rollout, Window
from understudy.envs.simulator import Simulator, take
from understudy.errors import EnvironmentFailure, RunError
from understudy.math.statistics import bootstrap_interval, recovered, worst_mean
from understudy.policies.policy import score_scale
from understudy.policies.whole_files import write_whole
from understudy.runs.action_values import action_values
from understudy.runs.agreement import Asked, agreement, apart, described, entries, flattened
from understudy.runs.extent import Extent, Looked
from understudy.runs.files import json_text
from understudy.runs.filming import animated, beside, film, rendering, still, webp
from understudy.runs.folder import RunFolder
from understudy.runs.judge import final_seeds
from understudy.runs.latency import Latency, measure
from understudy.runs.reopen import Reopened
from understudy.runs.sources import sha256
from understudy.runs.visitation import Pair, Seen, answers, over_episodes

FORMAT = 3
PARTS = {
    "asked",
    "anew",
    "seeds",
    "players",
    "recovered",
    "bytes",
    "latency",
    "divergence",
    "looked",
    "entries",
    "agreement",
    "action_values",
    "disagreements",
    "film",
}
FILE, FILM, STILL = "evidence.json", "film.webp", "film-still.webp"
PLAYERS = ("teacher", "student", "random")
VISITORS = {"teacher": "teacher", "student": "student", "random": "uniform"}
COPIES = 20
MOST_VISITED, MOST_COMPARED = 60, 20
"""Episodes: whose states KL is measured on, and whose actions are compared one by one."""
DISAGREEMENTS = 6
PICTURE_WIDTH = 320
DECLINED = {"missing": "pictures were not asked for (--no-film)", "declined": True}

Note = Callable[[str], None]


def kept(folder: RunFolder, episodes: int | None = None) -> dict[str, Any] | None:
    """What was gathered before of the student that is in the folder now; None where there is nothing.

    ``episodes``: of so many that were played anew; None: of those of the final figures.
    """
    try:
        found = json.loads((folder.evidence / under(episodes) / FILE).read_text(encoding="utf-8"))
        whole = found["format"] == FORMAT and found.keys() >= PARTS
        same = whole and found["asked"] == {"episodes": episodes} and found["student"] == sha256(folder.student)
        return found if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def under(episodes: int | None) -> str:
    """Where in a run's ``evidence/``: that of other episodes than the run's own does not take its place."""
    return "" if episodes is None else "anew/"


def gather(
    run: Reopened, *, episodes: int | None = None, filmed: bool = True, note: Note = lambda text: None
) -> dict[str, Any]:
    """Play, measure and film; write ``evidence/`` and answer what its JSON holds.

    ``episodes``: play so many anew; by default those of the run's final figures count. ``filmed``: with pictures.
    """
    torch.set_num_threads(1)
    place = under(episodes)
    (run.folder.evidence / place).mkdir(parents=True, exist_ok=True)
    with closing(run.simulator(COPIES)) as simulator:
        played, seeds, anew = _played(run, simulator, episodes, note)
        pair, space = _pair(run, simulator), simulator.observation_space
    note("measuring KL where teacher, student and the uniform policy go")
    extents = {VISITORS[who]: Extent.of(one.lengths, space, MOST_VISITED) for who, one in played.items()}
    divergence = over_episodes(pair, run.simulator, extents, run.config.seed)
    note("comparing actions, state by state")
    most = min(MOST_COMPARED, len(seeds))
    visits = [_visit(run, who, seeds, Extent.of(played[who].lengths, space, most)) for who in ("teacher", "student")]
    (run.folder.evidence / place / FILE).unlink(missing_ok=True)  # its pictures are about to be replaced
    found = {
        "format": FORMAT,
        "student": sha256(run.folder.student),
        "asked": {"episodes": episodes},
        "anew": anew,
        "seeds": [int(seeds[0]), int(seeds[-1])],
        "players": {who: _player(one) for who, one in played.items()},
        "recovered": _recovered(played),
        "bytes": sizes(run),
        "latency": {who: asdict(latency(run, who)) for who in ("teacher", "student")},
        "divergence": {who: value for who, (value, _) in divergence.items()},
        "looked": {
            "divergence": {who: asdict(looked) for who, (_, looked) in divergence.items()},
            "actions": {visit.who: asdict(visit.looked) for visit in visits},
        },
        **_compared(run, visits, place if filmed else None, note),
        "film": _film(run, _middle_seed(played["teacher"], seeds), place, note) if filmed else DECLINED,
    }
    write_whole(run.folder.evidence / place / FILE, json_text(found, indent=None))
    return found


def _pair(run: Reopened, simulator: Simulator) -> Pair:
    if run.teacher is None:
        raise RunError(f"{run.folder.path} was opened without its teacher")
    return Pair(run.teacher, run.student, run.views, run.actions(simulator))


def _played(
    run: Reopened, simulator: Simulator, count: int | None, note: Note
) -> tuple[dict[str, Episodes], Sequence[int], bool]:
    """The episodes of the final figures; played again where the folder has none, or another number is wanted.

    With their seeds, and whether they were played anew.
    """
    seeds = final_seeds(run.folder.result.episodes or run.config.final_episodes if count is None else count)
    if count is None:
        try:
            found = run.folder.episodes()
            if all(len(found[who].returns) == len(seeds) for who in PLAYERS):
                return {who: found[who] for who in PLAYERS}, seeds, False
        except (RunError, KeyError):
            pass
    note(f"playing {len(seeds)} episodes each of teacher, student and random policy")
    return {who: run.play(who, simulator, seeds) for who in PLAYERS}, seeds, True


def _player(one: Episodes) -> dict[str, Any]:
    return {
        "mean": float(one.returns.mean()),
        "interval": bootstrap_interval(one.returns, np.random.default_rng(0)),
        "worst_5_percent": worst_mean(one.returns),
        **{name: values.tolist() for name, values in one._asdict().items()},
    }


def _recovered(played: dict[str, Episodes]) -> dict[str, Any] | None:
    student, teacher, random = (played[who].returns for who in ("student", "teacher", "random"))
    found = recovered(student, teacher, random, np.random.default_rng(0))
    return None if found is None else asdict(found)


def sizes(run: Reopened) -> dict[str, int | None]:
    """Bytes of the student's weights as a file, and of the teacher's file as it came (None where it has none)."""
    facts = run.folder.provenance.get("teacher") or {}
    files = [one.get("path") for one in facts.get("members", [facts])]
    known = [Path(file) for file in files if file and Path(file).exists()]
    whole = bool(known) and len(known) == len(files)
    return {
        "teacher": sum(map(_size, known)) if whole else None,
        "student": (run.folder.student / "model.safetensors").stat().st_size,
    }


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(one.stat().st_size for one in path.rglob("*.safetensors"))


def latency(run: Reopened, who: str) -> Latency:
    """One observation in, one action out, as the policy plays here."""
    with closing(run.simulator(1)) as simulator:
        observation, actor, start = simulator.reset(0), run.actor(who, simulator), np.zeros(1, bool)
        return measure(lambda: actor(observation, start))


@dataclass(frozen=True)
class Visit:
    """Whole episodes of ``who`` on ``seeds``, and what both policies answer in their states, copy by copy in time."""

    who: str
    seeds: Sequence[int]
    window: Window
    asked: Asked
    looked: Looked


def _visit(run: Reopened, who: str, seeds: Sequence[int], extent: Extent) -> Visit:
    seeds = seeds[: extent.episodes]
    with closing(run.simulator(len(seeds))) as simulator:
        pair, space = _pair(run, simulator), simulator.observation_space
        window = Rollout(simulator, pair.actions, 0).episodes(run.actor(who, simulator), seeds, extent.steps)
    both = answers(pair, Seen(window.observation, window.start, window.valid))
    valid = window.valid.T  # episode by episode
    teacher, student = (one.flat.transpose(0, 1).numpy()[valid] for one in both)
    episode, step = np.nonzero(valid)
    seen = flattened(space, window.observation).swapaxes(0, 1)[valid]
    asked = Asked(run.student.family, teacher, student, seen, episode, step, valid.sum(1)[episode])
    return Visit(who, seeds, window, asked, Looked.at(window, extent))


def _compared(run: Reopened, visits: Sequence[Visit], place: str | None, note: Note) -> dict[str, Any]:
    """Agreement where the student goes, and the states of the largest difference where either goes, pictured in
    ``place`` unless that is None."""
    with closing(run.simulator(1)) as simulator:
        actions, names = run.actions(simulator), entries(simulator.observation_space)
    teachers, students = (visit.asked for visit in visits)
    scales, row = (score_scale(run.teacher), score_scale(run.student)), run.config.row()
    both = teachers + students
    states = []
    for s in apart(both, DISAGREEMENTS):
        visit = visits[s >= len(teachers)]
        at = s - len(teachers) * (s >= len(teachers))
        seed = int(visit.seeds[visit.asked.episode[at]])
        states.append({"who": visit.who, "seed": seed, **described(both, s, actions)})
    if place is not None and states:
        note("picturing the states where the two differ most")
        _picture_states(run, visits, states, place)
    return {
        "entries": names,
        "agreement": agreement(students, actions),
        "action_values": action_values(students, *scales, getattr(row, "fixes_level", True)),
        "mean_divergence": {visit.who: float(visit.asked.divergence.mean()) for visit in visits},
        "disagreements": states,
    }


def _picture_states(run: Reopened, visits: Sequence[Visit], states: list[dict[str, Any]], place: str) -> None:
    """A picture of each state, where the environment renders and shows the same when the actions are played again."""
    try:
        for number, state in enumerate(states, 1):
            visit = next(one for one in visits if one.who == state["who"])
            with rendering(run) as simulator:  # a new one each time: some remember earlier episodes
                content = _picture(simulator, run, visit, list(visit.seeds).index(state["seed"]), state["step"])
            if content is not None:
                state["picture"] = f"{place}state-{number}.webp"
                (run.folder.evidence / state["picture"]).write_bytes(content)
    except EnvironmentFailure:
        return  # the film says why


def _picture(simulator: Bench, run: Reopened, visit: Visit, copy: int, step: int) -> bytes | None:
    script = visit.window.action[:step, copy]
    frame, seen = still(simulator, run.actions(simulator), visit.seeds[copy], script, PICTURE_WIDTH)
    expected, found = (
        flattened(simulator.observation_space, one)
        for one in (take(take(visit.window.observation, step), [copy]), seen)
    )
    return webp(frame[None]) if np.allclose(expected, found, 1e-4, 1e-5) else None


def _middle_seed(played: Episodes, seeds: Sequence[int]) -> int:
    """Of the episode whose return is the median: neither the teacher's best nor its worst."""
    return int(seeds[int(np.argsort(played.returns, kind="stable")[(len(seeds) - 1) // 2])])


def _film(run: Reopened, seed: int, place: str, note: Note) -> dict[str, Any]:
    """Teacher and student on one seed, side by side; or in a line why not."""
    films = []
    try:
        for who in ("teacher", "student"):
            note(f"filming the {who}")
            films.append(film(run, who, seed))
    except EnvironmentFailure as error:
        return {"missing": str(error)}
    (run.folder.evidence / place / FILM).write_bytes(animated(films))
    (run.folder.evidence / place / STILL).write_bytes(webp(beside(films)[:1]))
    facts = ("episode_return", "length", "whole")
    return {
        "file": f"{place}{FILM}",
        "still": f"{place}{STILL}",
        "seed": seed,
        **{who: {name: getattr(one, name) for name in facts} for who, one in zip(PLAYERS, films, strict=False)},
    }
