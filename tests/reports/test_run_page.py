"""A run's page: opened in a real browser, held against the run's own files, and honest where something is missing."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from browser import Opened, opened, pictured

import understudy
from understudy import cli
from understudy.errors import RunError
from understudy.reports import run_page
from understudy.reports.command import _check_env, report
from understudy.reports.names import action_names, entry_names
from understudy.reports.run_figures import divergences, learning
from understudy.reports.run_states import grids, parted, plain
from understudy.reports.run_words import headline, times, verdict
from understudy.runs import extent
from understudy.runs.config import DistillConfig
from understudy.runs.folder import RunFolder
from understudy.runs.result import Result

ROOT = Path(__file__).parents[2]
CARTPOLE = ROOT / "teachers" / "ppo-CartPole-v1.zip"
PUBLISHED = ROOT.parent / "shared" / "teachers"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of some seconds, with its page."""
    out = tmp_path_factory.mktemp("runs") / "cartpole"
    options = {"final_episodes": 20, "out": out, "quiet": True}
    understudy.distill(CARTPOLE, "CartPole-v1", "mlp:8", seed=1, report=True, **options)
    return out


@pytest.fixture(scope="module")
def seen(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened(finished / "report.html", tmp_path_factory.mktemp("browser"))


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The same run, to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_the_browser_would_tell_what_is_wrong_with_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<body><img alt="gone" src="data:image/png;base64,AAAA"><img alt="far" src="http://127.0.0.1:9/far.png">'
        '<div style="width: 4000px">wide</div><script>missing()</script></body>'
    )
    found = opened(page, tmp_path)
    assert any("missing is not defined" in line for line in found.console)
    assert found.images == [("gone", 0), ("far", 0)]
    assert found.resources == ["http://127.0.0.1:9/far.png"]
    assert found.overflow > 2000


def test_a_browser_shows_the_page_without_complaint_and_without_loading_anything(seen: Opened) -> None:
    assert seen.console == []
    assert seen.resources == []
    assert len(seen.images) >= 1 + 3 + 6  # the film, figures, states
    assert all(width > 100 for _, width in seen.images)
    assert all(len(alt) > 20 for alt, _ in seen.images)


def test_the_page_names_no_address_to_load_from(finished: Path) -> None:
    text = (finished / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'\b(?:src|srcset|href|poster|action)=["\']?([^"\'\s>]*)|url\(([^)]*)', text)
    sources = ["".join(pair).strip("'\"") for pair in sources]
    assert len(sources) >= 10
    assert {source.partition(":")[0] for source in sources} == {"data"}


def test_the_page_fits_a_wide_and_a_narrow_window(finished: Path, seen: Opened, tmp_path: Path) -> None:
    assert seen.overflow <= 0
    assert opened(finished / "report.html", tmp_path, width=500).overflow <= 0


def test_the_page_can_be_pictured(finished: Path, tmp_path: Path) -> None:
    with PIL.Image.open(pictured(finished / "report.html", tmp_path)) as image:
        assert image.size == (1200, 2000)
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 200  # figures and film are there


class Figures(HTMLParser):
    """Tiles by name, and the rows of the table of all policies."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.path: list[str] = []
        self.tiles: dict[str, list[str]] = {}
        self.rows: dict[str, list[str]] = {}
        self.within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = dict(attrs).get("class") or ""
        if (tag, kind) in (("dl", "tiles"), ("table", "policies")):
            self.within = kind
        self.path.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.path = self.path[: len(self.path) - 1 - self.path[::-1].index(tag)]
        if tag in ("dl", "table"):
            self.within = ""

    def handle_data(self, data: str) -> None:
        tag, data = self.path[-1] if self.path else "", data.strip()
        if not data:
            return
        if self.within == "tiles" and tag == "dt":
            self.tiles[data] = []
        elif self.within == "tiles" and tag == "dd":
            list(self.tiles.values())[-1].append(data)
        elif self.within == "policies" and tag == "th" and "tbody" in self.path:
            self.rows[data] = []
        elif self.within == "policies" and tag == "td":
            list(self.rows.values())[-1].append(data)


def test_the_key_figures_are_those_of_the_result(finished: Path, seen: Opened) -> None:
    result = json.loads((finished / "result.json").read_text())
    found = Figures(seen.dom)
    assert found.tiles["Recovered"][0] == f"{100 * result['recovered']:.1f} %"
    low, high = (100 * end for end in result["recovered_interval"])
    assert found.tiles["Recovered"][1].startswith(f"[{low:.1f}, {high:.1f}]")
    assert float(found.tiles["Return"][0]) == pytest.approx(result["student_return"], abs=0.5)
    assert found.tiles["Parameters"][0] == f"{result['student_parameters']:,}"
    for who in ("teacher", "student", "random"):
        numbers = [float(one) for one in re.findall(r"-?[\d.]+", found.rows[who][0])]
        assert numbers == pytest.approx([result[f"{who}_return"], *result[f"{who}_interval"]], rel=0.005)
    assert f"{100 * result['recovered']:.1f} % [{low:.1f}, {high:.1f}] of what the teacher earns" in seen.text


def test_the_page_tells_a_stranger_what_the_words_mean(seen: Opened) -> None:
    for word in ("Side by side", "What it earns", "How it learned", "Where they differ most", "How it was made"):
        assert word in seen.text
    for word in ("Teacher, student", "Return", "Recovered", "KL(teacher‖student)", "Visitation", "µs"):
        assert f"\n{word}\n" in seen.text
    assert "understudy distill --config" in seen.text


def test_a_run_whose_evidence_and_teacher_are_gone_still_has_a_page(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "evidence")
    (copy / "metrics.jsonl").unlink()
    facts = json.loads((copy / "provenance.json").read_text())
    facts["teacher"]["path"] = facts["teacher"]["uri"] = str(tmp_path / "gone.zip")
    (copy / "provenance.json").write_text(json.dumps(facts))
    config = (copy / "config.toml").read_text().replace(str(CARTPOLE), str(tmp_path / "gone.zip"))
    (copy / "config.toml").write_text(config)
    page = opened(report(copy), tmp_path)
    assert "This page shows less than it could" in page.text
    assert "gone.zip" in page.text
    assert "has no record of its training" in page.text
    assert "Recovered" in page.text
    assert page.console == []


def test_a_folder_of_a_result_alone_has_a_page(copy: Path, tmp_path: Path) -> None:
    """As of an older version: no intervals, no provenance, no episodes."""
    old = json.loads((copy / "result.json").read_text())
    kept = ("teacher_return", "random_return", "student_return", "recovered", "recovered_interval", "env_steps")
    more = ("updates", "seconds", "teacher_parameters", "student_parameters", "stopped_because")
    (copy / "result.json").write_text(json.dumps({key: old[key] for key in (*kept, *more)}))
    shutil.rmtree(copy / "evidence")
    (copy / "provenance.json").unlink()
    text = opened(run_page.write(RunFolder.open(copy)), tmp_path).text
    assert "CartPole-v1" in text
    assert "keeps" in text or "earns" in text


def test_an_unfinished_run_is_refused_with_what_to_do(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "result.json").unlink()
    assert cli.main(["report", str(copy)]) == 2
    assert f"understudy distill --resume {copy}" in capsys.readouterr().err


def test_the_command_writes_where_it_is_told(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "elsewhere" / "page.html"
    (copy / "report.html").unlink()
    assert cli.main(["report", str(copy), "--out", str(out), "--quiet"]) == 0
    assert capsys.readouterr().out == f"Page         {out}\n"
    assert out.is_file()
    assert not (copy / "report.html").exists()


def test_what_was_gathered_is_used_again_unless_it_is_to_be_fresh(copy: Path) -> None:
    path = copy / "evidence" / "evidence.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"bytes": {"teacher": 1, "student": 123_000_000}}))
    assert "123 MB" in report(copy, film=False).read_text()
    assert "123 MB" not in report(copy, film=False, episodes=4).read_text()
    anew = json.loads((path.parent / "anew" / "evidence.json").read_text())
    assert len(anew["players"]["student"]["returns"]) == 4
    assert "123 MB" in report(copy, film=False).read_text()  # those of the run's result are there still
    assert "123 MB" not in report(copy, film=False, fresh=True).read_text()


def test_all_figures_of_a_page_are_of_the_episodes_that_were_played_for_it(copy: Path, tmp_path: Path) -> None:
    """The run's own are changed, so that any that is left over would be seen."""
    path = copy / "result.json"
    own = json.loads(path.read_text())
    names = [f"{who}_{part}" for who in ("teacher", "student", "random") for part in ("return", "length")]
    path.write_text(json.dumps(own | dict.fromkeys(names, 7777.0) | {"recovered": 0.7777, "episodes": 20}))
    page = opened(report(copy, film=False, episodes=6), tmp_path)
    players = json.loads((copy / "evidence" / "anew" / "evidence.json").read_text())["players"]
    assert "measured on 6 episodes" in page.text
    assert "played anew for this page" in page.text
    assert "The run's own figures, over 20 episodes, are in its result.json" in page.text
    assert not re.search(r"7,?777|77\.8", page.text)
    found = Figures(page.dom)
    for who in ("teacher", "student", "random"):
        returns = np.array(players[who]["returns"])
        assert len(returns) == 6
        assert float(re.findall(r"-?[\d.]+", found.rows[who][0])[0]) == pytest.approx(returns.mean(), rel=0.005)
        assert float(found.rows[who][2]) == pytest.approx(np.mean(players[who]["lengths"]), rel=0.005)
    path.write_text(json.dumps(own))
    later = opened(report(copy, film=False), tmp_path)
    assert "measured on 20 episodes that had no part in its training." in later.text
    assert "Returns and lengths of the 20 episodes" in later.text


def test_the_page_says_on_which_states_the_divergence_was_measured(
    seen: Opened, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert re.search(r"the states of whole episodes, .* \d+ of the teacher \([\d,]+ states\)", seen.text)
    assert "take more memory" not in seen.text
    monkeypatch.setattr(extent, "MOST_BYTES", 16 * 50)
    cut = opened(report(copy, film=False, fresh=True), tmp_path).text
    assert "the states of episodes, in which" in cut
    assert re.search(r"more memory than was spent: of the teacher 1 of \d+ episodes, 1 broken off after 50 steps", cut)
    assert cut.count("more memory than was spent") == 2  # also where actions are compared
    shutil.rmtree(copy / "evidence")
    assert "from the first steps of fresh episodes" in opened(run_page.write(RunFolder.open(copy)), tmp_path).text


def test_warnings_and_text_of_any_kind_stand_on_the_page_as_text(copy: Path, tmp_path: Path) -> None:
    result = json.loads((copy / "result.json").read_text())
    nasty = "<script>missing()</script> & the termination trap"
    (copy / "result.json").write_text(json.dumps(result | {"termination_trap": nasty, "teacher": "<b>x</b>.zip"}))
    found = opened(run_page.write(RunFolder.open(copy)), tmp_path)
    assert nasty in found.text
    assert found.console == []


def test_a_film_that_is_gone_is_missed_in_a_sentence(copy: Path, tmp_path: Path) -> None:
    (copy / "evidence" / "film.webp").unlink()
    assert "film.webp is no longer in the run's folder" in opened(run_page.write(RunFolder.open(copy)), tmp_path).text


KINDS = (
    ("trpo/LunarLanderContinuous-v2", "LunarLanderContinuous-v3", "mlp:16,16", "Part of the action"),
    ("dqn/LunarLander-v2", "LunarLander-v3", "mlp:16,16", "Rows: what the teacher takes"),
    ("ppo/HalfCheetah-v3", "HalfCheetah-v5", "mlp:16,16", "back thigh"),
    ("ppo/CartPole-v1", "CartPole-v1", "gru:8", "push left"),
)


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "env", "student", "word"), KINDS, ids=[kind[0] for kind in KINDS])
def test_agents_of_every_kind_have_their_page(agent: str, env: str, student: str, word: str, tmp_path: Path) -> None:
    if not PUBLISHED.is_dir():
        pytest.skip(f"the published agents are not at {PUBLISHED}")
    teacher, out = PUBLISHED / agent / f"{agent.split('/')[1]}.zip", tmp_path / "run"
    few = {"steps": 1500, "final_episodes": 4, "evaluation_episodes": 2, "quiet": True}
    understudy.distill(teacher, env, student, out=out, **few)
    page = opened(report(out, film=False), tmp_path)
    assert page.console == page.resources == []
    assert word in page.text
    assert all(width > 100 for _, width in page.images)
    assert "pictures were not asked for" in page.text


RESULT = Result(100.0, 0.0, 99.0, 0.99, (0.97, 1.0), 10, 1, 1.0, 1200, 100, "enough")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, "The student keeps 99.0 % [97.0, 100.0] of what the teacher earns above random play, with 12 x fewer"),
        ({"recovered": 1.05}, "The student earns 105.0 %"),
        ({"recovered": -0.1}, "no more than random play"),
        ({"recovered": None}, "this teacher does not beat random play"),
        ({"teacher_parameters": 0}, "above random play."),
        ({"student_parameters": 2400}, "2 x more parameters"),
        ({"student_parameters": 1201}, "about as many parameters"),
    ],
)  # fmt: skip
def test_the_headline_says_it_in_plain_words(change: dict[str, float | None], told: str) -> None:
    assert told in headline(Result(**vars(RESULT) | change))


def test_the_learning_curve_stands_between_the_teacher_the_target_and_random_play() -> None:
    result = Result(**vars(RESULT) | {"random_return": 20.0, "target": 0.5})
    record = {"kind": "evaluation", "student_return": 30.0, "recovered": 0.1, "recovered_interval": [0.0, 0.2]}
    records = [record | {"env_steps": steps} for steps in (100, 200)] + [{"kind": "train", "env_steps": 300}]
    returns, shares = learning(records, result)
    heights = {one.label: (list(one.x), list(one.mean)) for one in returns.series}
    assert heights == {
        "student, evaluated": ([100, 200], [30, 30]),
        "teacher": ([0, 300], [100, 100]),
        "target (50 %)": ([0, 300], [60, 60]),
        "random policy": ([0, 300], [20, 20]),
    }
    assert [list(shares.series[0].low), list(shares.series[0].high)] == [[0, 0], [0.2, 0.2]]
    assert learning(records[:1], result) == []


def test_the_axis_of_divergences_is_logarithmic_where_they_span_decades() -> None:
    def drawn(*sizes: float) -> bool:
        kinds = ("teacher", "student", "uniform")
        return divergences(
            [
                {"kind": "evaluation", "env_steps": k} | {f"kl_{who}": size for who in kinds}
                for k, size in enumerate(sizes)
            ]
        )[0].y_log

    assert drawn(1.0, 0.01)
    assert not drawn(1.0, 0.1)


def test_the_verdict_is_that_of_the_interval() -> None:
    def said(recovered: float | None, low: float, target: float = 0.95) -> str:
        known = {"recovered": recovered, "recovered_interval": (low, 1.0), "target": target}
        return verdict(Result(**vars(RESULT) | known))[0]

    assert said(0.99, 0.97) == "target 95 %: held"
    assert said(0.99, 0.9) == "target 95 %: held by the estimate, not by the whole interval"
    assert said(0.9, 0.8) == "target 95 %: missed"
    assert said(None, 0.0) == "target 95 %: not defined"


def test_sizes_and_numbers_are_as_a_person_says_them() -> None:
    assert times(1200, 100) == "12 x fewer"
    assert times(100, 125) == "1.2 x more"
    assert times(0, 5) == ""
    assert [plain(x) for x in (1e-9, -1e-9, 0.126, -2.0, 1234.5)] == ["0", "0", "0.13", "-2", "1,234"]


def test_names_are_known_ones_only_where_they_fit() -> None:
    assert action_names("CartPole-v1", ["0", "1"]) == ["push left", "push right"]
    assert action_names("CartPole-v1", ["0", "1", "2"]) == ["action 0", "action 1", "action 2"]
    assert entry_names("CartPole-v1", ["0", "1", "2", "3"])[2] == "pole angle"
    assert entry_names("CartPole-v1", ["0", "1", "2", "3", "4"])[4] == "time left"
    assert entry_names("Other-v0", ["0", "key[1]"]) == ["number 0", "key[1]"]


def test_rare_choices_are_taken_together_and_none_is_lost() -> None:
    counts = [[(i + 1) * 10 if i == j else int(i == 14 and j == 0) for j in range(15)] for i in range(15)]
    part = {"labels": [str(i) for i in range(15)], "counts": counts}
    (grid,) = grids({"parts": [part], "states": 1201}, "Other-v0")
    assert len(grid.labels) == 10
    assert grid.labels[-1] == "all others"
    assert sum(map(sum, grid.counts)) == sum(map(sum, counts))
    assert "“action 14” and the student “action 0”: in 1 of 1,201 states" in parted(
        {"parts": [part], "states": 1201}, "Other-v0"
    )


def test_a_page_that_cannot_be_written_says_where_to(finished: Path) -> None:
    with pytest.raises(RunError, match="--out"):
        run_page.write(RunFolder.open(finished), Path("/proc/page.html"))


def test_a_page_is_not_made_of_another_environment(tmp_path: Path) -> None:
    folder = RunFolder.create(DistillConfig("x.zip", "CartPole-v1", out=str(tmp_path / "run")))
    with pytest.raises(RunError, match=r"is a run on CartPole-v1.* understudy evaluate .* --env CartPole-v0"):
        _check_env(folder, "CartPole-v0")
