"""The page of training in stages: opened in a real browser, held against the folder's files, honest of little."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browser import Opened, opened
from matplotlib.figure import Figure

import understudy
from staged import SHORT, SMALL, stages
from understudy import cli
from understudy.errors import ConfigurationError, RunError
from understudy.reports import chart_painters, stages_figures, stages_page, stages_words
from understudy.reports.charts import Staged
from understudy.reports.command import report
from understudy.reports.stage_cards import Card, cards
from understudy.reports.staged_training import read
from understudy.reports.stages_table import fates, returns
from understudy.runs.console import Silent
from understudy.runs.folder import RunFolder
from understudy.stages.execute import run_stages
from understudy.stages.result import StagesResult

ANCHORED = {"anchors": [{"policy": "s0", "weight": "adaptive:0.1:0.02", "states": "both"}]}
MISSED = {"until": 1e6}
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stages: the second is anchored, the third misses its criterion."""
    out = tmp_path_factory.mktemp("stages") / "run"
    run_stages(stages(out, {}, SHORT | ANCHORED, MISSED), console=Silent())
    stages_page.write(out)
    return out


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two peers, then heads of their own with a gate."""
    out = tmp_path_factory.mktemp("peers") / "run"
    run_stages(stages(out, {}, SHORT | {"heads": "own", "gate": True}, peers=2), console=Silent())
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The same, to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def seen(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened(finished / "report.html", tmp_path_factory.mktemp("browser"))


def told(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / "result.json").read_text()))


def changed(path: Path, change: Change) -> Path:
    """The folder with its result.json changed."""
    result = told(path)
    change(result)
    (path / "result.json").write_text(json.dumps(result))
    return path


def lines_of(path: Path, kind: str) -> list[dict[str, Any]]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["kind"] == kind]


def earning(rows: Sequence[Sequence[float]], random: float = 0.0, reach: float = 1.0) -> Change:
    """A result with these returns, after each stage on each task, and intervals that reach so far to either side.

    The untrained policy earns what a random one does.
    """

    def change(result: dict[str, Any]) -> None:
        names = list(result["rows"])[1:]
        result["random"] = dict.fromkeys(result["tasks"], random)
        result["rows"]["(before)"] = {task: {"return": random} for task in result["tasks"]}
        for name, values in zip(names, rows, strict=True):
            for task, x in zip(result["tasks"], values, strict=True):
                result["rows"][name][task] = {"return": x, "interval": [x - reach, x + reach]}

    return change


class Table(HTMLParser):
    """The cells of the table of returns: class, style and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[dict[str, str | None], list[str]]]] = []
        self.within = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within = self.within or (tag == "table" and dict(attrs).get("class") == "returns")
        if self.within and tag == "tr":
            self.rows.append([])
        if self.within and tag in ("td", "th"):
            self.rows[-1].append((dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        self.within = self.within and tag != "table"

    def handle_data(self, data: str) -> None:
        if self.within and data.strip() and self.rows and self.rows[-1]:
            self.rows[-1][-1][1].append(data.strip())


def test_a_browser_shows_the_page_without_complaint_and_without_loading_anything(seen: Opened) -> None:
    assert seen.console == []
    assert seen.resources == []
    assert len(seen.images) == 2  # the tasks, the anchors
    assert all(width > 100 and len(alt) > 20 for alt, width in seen.images)
    for word in ("What it earns on every task", "What became of each task", "How it learned", "What held it", "Guard"):
        assert word in seen.text


def test_the_page_fits_a_wide_and_a_narrow_window(finished: Path, seen: Opened, tmp_path: Path) -> None:
    assert seen.overflow <= 0
    assert opened(finished / "report.html", tmp_path, width=420).overflow <= 0


def test_the_table_holds_every_return_and_its_share_of_what_the_own_stage_gained(finished: Path) -> None:
    """By hand from result.json, for the tasks of which shares are told."""
    result = told(finished)
    found = Table((finished / "report.html").read_text()).rows
    assert [row[0][1] for row in found[1:]] == [
        ["random policy"], ["before all stages"], ["after", "s0"], ["after", "s1"], ["after", "s2"]
    ]  # fmt: skip
    shares = 0
    for row, cells in zip(result["rows"].values(), found[2:], strict=True):
        for task, (attributes, texts) in zip(result["tasks"], cells[1:4], strict=True):
            known, own, random = row[task], result["rows"][task][task], result["random"][task]
            assert float(texts[0]) == pytest.approx(known["return"], rel=0.01, abs=0.5)
            ends = [float(x) for x in texts[1].strip("[]").split(", ")]
            assert ends == pytest.approx(known["interval"], rel=0.01, abs=0.5)
            gain = own["return"] - random
            if gain < 2 * (own["return"] - own["interval"][0]):
                assert "style" not in attributes
                assert not any("%" in text for text in texts)
                continue
            share = (known["return"] - random) / gain
            assert int(texts[2].split(" ")[0]) == pytest.approx(100 * share, abs=0.51)
            heat = re.search(r"--share: ([\d.]+)%", str(attributes["style"]))
            assert heat is not None
            assert float(heat[1]) == pytest.approx(60 * min(1.0, max(0.0, share)), abs=0.06)
            shares += 1
    assert shares >= 4
    framed = [[i for i, (one, _) in enumerate(row) if "own" in (one.get("class") or "").split()] for row in found]
    assert framed == [[], [], [], [1], [2], [3]]


ROWS = ([100, 10, 20], [40, 50, 20], [70, 45, 80])


def test_what_became_of_each_task_is_as_worked_out_by_hand(copy: Path) -> None:
    found = fates(read(changed(copy, earning(ROWS))))
    texts = {one.name: one for one in found}
    assert [texts[name].kept for name in ("s0", "s1", "s2", "")] == ["70 %", "90 %", "", "80 %"]
    assert [one.forgotten for one in found] == ["30 (30 %)", "5 (10 %)", "", "17.5 (20 %)"]
    assert [one.backward for one in found] == ["-30 (-30 %)", "-5 (-10 %)", "", "-17.5 (-20 %)"]
    assert [one.forward for one in found][:3] == ["", "10 (20 %)", "20 (25 %)"]
    assert found[3].forward.startswith("15 (2")


KEPT = "After `s2` the policy keeps {} of what it had learned on "
LITTLE = "The policy had hardly learned `s0` and `s1`. It has hardly learned `s2`: it earns 1 [0, 2]"


@pytest.mark.parametrize(
    ("rows", "headline", "chip"),
    [
        (ROWS, KEPT.format("70 %") + "`s0` and 90 % on `s1`.", "forgets part of s0"),
        (([100, 0, 0], [50, 50, 0], [-5, 49, 80]), KEPT.format("nothing") + "`s0` and 98 % on", "forgets s0"),
        (([100, 0, 0], [50, 50, 0], [98, 51, 80]), KEPT.format("98 %") + "`s0` and 102 %", "no clear forgetting"),
        (([1, 0, 0], [1, 50, 0], [-9, 51, 80]), "`s1`. It had hardly learned `s0`.", "hardly learned: s0"),
        (([1, 0, 0], [1, 1, 0], [1, 1, 1]), LITTLE, "hardly learned: s0, s1 and s2"),
        (([100, 0, 0], [99, 50, 80], [98, 51, 60]), KEPT.format("98 %"), "worse after its own stage: s2"),
    ],
)
def test_the_headline_says_in_plain_words_what_was_kept(copy: Path, rows: Any, headline: str, chip: str) -> None:
    def change(result: dict[str, Any]) -> None:
        earning(rows)(result)
        for facts in result["stages"]:
            facts["reached"] = None

    training = read(changed(copy, change))
    assert headline in stages_words.headline(training)
    assert chip in stages_words.verdict(training)[0]


def began(path: Path, stage: str, begin: str) -> Path:
    """The folder with another origin of a stage."""
    file = path / "stages.toml"
    head, name, rest = file.read_text().partition(f'name = "{stage}"')
    file.write_text(head + name + rest.replace('begin = "last"', f'begin = "{begin}"', 1))
    return path


@pytest.mark.parametrize(
    ("stage", "begin", "said"),
    [
        ("s2", "s0", "`s2` began from `s0`: nothing of `s1` went into it."),
        ("s2", "fresh", "`s2` began anew: nothing of `s0` and `s1` went into it."),
        ("s1", "fresh", "`s2` began from `s1`: nothing of `s0` went into it."),
    ],
)
def test_a_policy_is_not_said_to_keep_what_others_learned(copy: Path, stage: str, begin: str, said: str) -> None:
    headline = stages_words.headline(read(changed(began(copy, stage, begin), earning(ROWS))))
    assert said in headline
    assert "After `s2` the policy has 70 % of what had been learned on `s0`" in headline
    assert "where the policy before earned" in headline
    assert "it had learned" not in headline


def test_a_loss_within_the_intervals_is_not_said_to_be_forgotten(copy: Path) -> None:
    wide = read(changed(copy, earning(ROWS, reach=16.0)))
    assert stages_words.lost(wide) == []
    assert stages_words.lost(read(changed(copy, earning(ROWS, reach=14.0)))) == ["s0"]


def test_a_task_is_worse_after_its_own_stage_only_beyond_its_interval(copy: Path) -> None:
    rows = ([100, 0, 0], [99, 50, 70], [98, 51, 60])
    assert stages_words.worse(read(changed(copy, earning(rows, reach=9.0)))) == ["s2"]
    assert stages_words.worse(read(changed(copy, earning(rows, reach=11.0)))) == []


def test_a_sure_loss_that_is_slight_is_not_said_to_be_forgotten(copy: Path) -> None:
    slight = earning(([100, 0, 0], [99, 50, 0], [96, 47, 80]))
    assert stages_words.lost(read(changed(copy, slight))) == ["s1"]  # 4 % and 6 %


def result_of(gain: float, reach: float) -> StagesResult:
    cell = {"return": 10 + gain, "interval": [10 + gain - reach, 10 + gain + 5 * reach]}
    last = {"a": {"return": 9.0, "interval": [8, 10]}, "b": {"return": 90.0, "interval": [80, 95]}}
    untrained = {"a": {"return": 10.0}, "b": {"return": 10.0}}
    facts = {"env_steps": 1, "seconds": 1.0, "stopped_because": "done", "warnings": []}
    each = ({"stage": "a", **facts}, {"stage": "b", **facts})
    rows: dict[str, Any] = {"(before)": untrained, "a": {"a": cell, "b": untrained["b"]}, "b": last}
    return StagesResult(("a", "b"), rows, {"a": 10.0, "b": 10.0}, each, True, 0, "there")


@pytest.mark.parametrize(("gain", "learned"), [(20.0, True), (8.0, True), (7.9, False), (0.1, False), (-5.0, False)])
def test_a_share_is_told_where_the_gain_is_twice_what_its_interval_reaches_down(gain: float, learned: bool) -> None:
    """Else the share would be wild: 0.1 gained and 1 lost would be 1100 % forgotten."""
    result = result_of(gain, 4.0)
    assert result.learned == {"a": learned, "b": True}
    assert ("% of what was learned" in result.summary()) == learned
    assert ("no share of what was learned: a gained too little" in result.summary()) == (not learned)


def test_how_little_the_last_stage_gained_says_nothing_of_what_was_forgotten_before() -> None:
    result = result_of(20.0, 4.0)
    result.rows["b"]["b"] = {"return": 11.0, "interval": [1.0, 20.0]}
    assert result.learned == {"a": True, "b": False}
    assert "% of what was learned" in result.summary()


def test_a_return_without_an_interval_has_no_share() -> None:
    result = result_of(20.0, 4.0)
    del result.rows["a"]["a"]["interval"]
    assert result.learned["a"] is False


def test_where_too_little_was_learned_the_page_says_so_in_place_of_percentages(copy: Path) -> None:
    training = read(changed(copy, earning(([1, 0, 0], [1, 50, 0], [-9, 51, 80]))))
    assert "Too little was learned on `s0` for percentages" in stages_words.caution(training)
    assert [row.cells[0].percent for row in returns(training)] == [""] * 5
    assert [row.cells[0].own for row in returns(training)] == [False, False, True, False, False]
    assert [one.kept for one in fates(training)] == ["not told", "102 %", "", ""]
    assert [one.forward for one in fates(training)[:3]] == ["", "0 (0 %)", "0 (0 %)"]
    assert "%" not in fates(training)[0].forgotten
    assert "%" not in fates(training)[-1].forgotten  # no average of shares without that of every task
    assert stages_words.tiles(training)[0].value == "102 %"


def test_curves_go_on_from_stage_to_stage_along_the_steps_of_all(finished: Path) -> None:
    panels = stages_figures.tasks(read(finished))
    assert [panel.title for panel in panels] == ["s0", "s1", "s2"]
    ends = [lines_of(finished / name, "train")[-1]["env_steps"] for name in ("s0", "s1", "s2")]
    firsts = [0, ends[0], ends[0] + ends[1]]
    for place, panel in enumerate(panels):
        named = list(zip(("s0", "s1", "s2"), firsts, strict=True))
        assert [(name, start) for name, start, _ in panel.stretches] == named
        wanted = [
            (first + one["env_steps"], one["returns"][panel.title])
            for name, first in named[place:]
            for one in lines_of(finished / name, "evaluation")
        ]
        series = {one.label: one for one in panel.series}
        drawn = series["policy, evaluated"]
        assert list(zip(drawn.x, drawn.mean, strict=True)) == wanted
        assert series["random policy"].mean[0] == told(finished)["random"][panel.title]
        learned = series["policy, in training"].x
        assert firsts[place] < min(learned) <= max(learned) <= firsts[place] + ends[place]
        if place < 2:
            level = [y for x, y in wanted if x <= firsts[place + 1]][-1]
            assert list(series["as after its own stage"].mean) == [level, level]
            assert list(series["as after its own stage"].x) == [firsts[place + 1], sum(ends)]
        else:
            assert "as after its own stage" not in series


def test_the_anchors_curves_are_those_of_the_metrics(finished: Path) -> None:
    distance, weight = stages_figures.anchors(read(finished))
    rounds, first = lines_of(finished / "s1", "train"), lines_of(finished / "s0", "train")[-1]["env_steps"]
    curves = {one.label: (list(one.x), list(one.mean)) for one in (*distance.series, *weight.series)}
    steps = [first + one["env_steps"] for one in rounds]
    keys = {"s0: visited states": "kl", "s0: stored states": "stored_kl", "s0": "weight"}
    assert curves == {name: (steps, [one[f"anchor/s0/{key}"] for one in rounds]) for name, key in keys.items()}


def test_an_anchor_of_two_stages_is_one_curve_with_a_gap(copy: Path) -> None:
    shutil.copy(copy / "s1" / "metrics.jsonl", copy / "s2" / "metrics.jsonl")
    (_, weight) = stages_figures.anchors(read(copy))
    (curve,) = weight.series
    rounds = len(lines_of(copy / "s1", "train"))
    assert [place for place, y in enumerate(curve.mean) if math.isnan(y)] == [rounds]
    assert len(curve.mean) == 2 * rounds + 1


def test_weights_that_stay_are_told_and_not_drawn(copy: Path) -> None:
    path = copy / "s1" / "metrics.jsonl"
    path.write_text(re.sub(r'"anchor/s0/weight": [\d.e-]+', '"anchor/s0/weight": 0.25', path.read_text()))
    (distance,) = stages_figures.anchors(read(copy))
    assert distance.figure.endswith("the weights stay: s0 0.25.")


def test_stages_are_told_apart_along_the_axis_by_lines_and_names() -> None:
    def painted(*names: str) -> Any:
        ends = [(name, 10.0 * k, 10.0 * (k + 1)) for k, name in enumerate(names)]
        axes = Figure().subplots()
        chart_painters.stretches(axes, Staged("", "", "", (), stretches=ends, own=names[0]))
        return axes

    axes = painted("one", "two", "three")
    assert [line.get_xdata()[0] for line in axes.lines] == [10, 20]
    assert [(one.get_x(), one.get_width()) for one in axes.patches] == [(0, 10)]
    (above,) = axes.child_axes
    assert [(label.get_text(), label.get_rotation()) for label in above.get_xticklabels()] == [
        ("one", 0), ("two", 0), ("three", 0)
    ]  # fmt: skip
    assert list(above.get_xticks()) == [5, 15, 25]
    long = painted(*(["a-name-of-many-letters"] * 3)).child_axes[0].get_xticklabels()
    assert {label.get_rotation() for label in long} == {90}
    assert not painted("alone").child_axes


def card(path: Path, name: str) -> tuple[Card, dict[str, str]]:
    found = next(one for one in cards(read(path)) if one.name == name)
    return found, dict(found.lines)


def test_each_stage_tells_what_it_was_told_and_what_came_of_it(finished: Path) -> None:
    facts = {one["stage"]: one for one in told(finished)["stages"]}
    one, lines = card(finished, "s1")
    assert lines["Task"] == "`CartPole-v1`, wrapped in `time-limit:50`"
    assert lines["Began from"] == "what `s0` left; a new critic, fitted for 2 rounds with the policy frozen"
    last = lines_of(finished / "s1", "train")[-1]["anchor/s0/stored_kl"]
    told_of, _, measured = lines["Anchored to"].partition(" states, ")
    assert told_of == "`s0` by `adaptive:0.1:0.02` x KL(anchor‖policy) on visited and stored"
    (kl,) = re.findall(r"([-\d.e]+) nats on stored states at the end", measured)
    assert float(kl) == pytest.approx(last, rel=0.01)
    assert lines["Budget"].startswith(f"{facts['s1']['env_steps']:,} of 768 environment steps")
    assert lines["Ended because"] == facts["s1"]["stopped_because"]
    before = told(finished)["rows"]["s0"]["s1"]["return"]
    assert float(lines["Return on its task"].partition("before the stage ")[2]) == pytest.approx(before, rel=0.01)
    assert one.commands[0] == f"understudy evaluate {finished / 's1'} --env CartPole-v1 --wrap none"
    assert one.commands[1] == f"understudy evaluate {finished / 's1'} --env CartPole-v1 --wrap time-limit:50"
    assert one.commands[-1] == f"understudy export {finished / 's1'} --format onnx"
    assert card(finished, "s0")[0].commands[0] == f"understudy evaluate {finished / 's0'} --env CartPole-v1"
    assert card(finished, "s0")[1]["Began from"] == "a new network, `mlp:8,8:tanh`"
    assert "Guard" not in card(finished, "s0")[1]
    criterion = card(finished, "s2")[1]["Criterion"]
    assert criterion.startswith("a return of 1,000,000 in two evaluations one after the other: missed, the last")


@pytest.mark.parametrize(("stage", "task"), [("s1", "s0"), ("s1", "s1"), ("s2", "s0"), ("s2", "s1")])
def test_a_stages_commands_play_what_stands_in_the_table(
    finished: Path, stage: str, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = card(finished, stage)[0].commands[int(task[1])].split()[1:]
    assert cli.main([*words, "--episodes", "4"]) == 0
    (mean,) = re.findall(r"Return +(-?[\d.]+)", capsys.readouterr().out)
    assert float(mean) == pytest.approx(told(finished)["rows"][stage][task]["return"], abs=0.01)


def anchored_to(policy: str, text: str) -> str:
    """A file of stages with another policy in its first anchor, which has no name of its own."""
    head, table, rest = text.partition("[[stage.anchors]]")
    return (
        head + table + rest.replace('policy = "s0"', f'policy = "{policy}"', 1).replace('name = "s0"', 'name = ""', 1)
    )


def test_an_anchor_from_a_file_tells_its_distance_on_each_head_that_it_holds(copy: Path) -> None:
    stages_file, metrics = copy / "stages.toml", copy / "s1" / "metrics.jsonl"
    stages_file.write_text(anchored_to("some/agent.zip", stages_file.read_text()))
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    other = {"anchor/agent/kl": 0.5, "anchor/agent (s0)/stored_kl": 0.25, "anchor/agentic/kl": 9.0}
    metrics.write_text("".join(json.dumps(row | (other if row["kind"] == "train" else {})) + "\n" for row in rows))
    told_of = card(copy, "s1")[1]["Anchored to"]
    assert told_of.startswith("`some/agent.zip` by ")
    assert "0.5 nats on visited states at the end, 0.25 nats on stored states (s0) at the end" in told_of
    assert "9 nats" not in told_of


def test_a_distillation_tells_what_it_took_beside_the_budget(copy: Path) -> None:
    stages_file = copy / "stages.toml"
    head, name, rest = stages_file.read_text().partition('name = "s1"')
    rest = rest.replace('distil = ""', 'distil = "mlp:4"', 1).replace("fit_rounds = 2", "fit_rounds = 1", 1)
    stages_file.write_text(head + name + rest)
    (copy / "s1" / "distilled").mkdir()
    (copy / "s1" / "distilled" / "result.json").write_text('{"recovered": 0.97, "env_steps": 8576}')
    assert card(copy, "s1")[1]["Began from"] == (
        "what `s0` left, distilled into a fresh `mlp:4` first, which kept 97 % of it, in 8,576 environment steps more; "
        "a new critic, fitted for 1 round with the policy frozen"
    )
    assert "in distillations" in stages_words.subject(read(copy))
    assert "8,576" in stages_words.subject(read(copy))


def test_the_guards_way_back_is_told(copy: Path) -> None:
    def change(result: dict[str, Any]) -> None:
        result["stages"][1]["returned"] = 2

    assert card(copy, "s1")[1]["Guard"] == "it saw no loss beyond chance in the first updates, and did not step in"
    assert "came back twice" in card(changed(copy, change), "s1")[1]["Guard"]


def test_peers_heads_and_a_gate_are_on_the_page(together: Path, tmp_path: Path) -> None:
    page = opened(report(together, out=tmp_path / "page.html"), tmp_path)
    assert page.console == page.resources == []
    assert len(page.images) == 3  # the tasks, the anchors, the peers
    facts = told(together)["stages"][1]
    one, lines = card(together, "s1")
    assert [peer.best for peer in one.peers].index(True) + 1 == facts["best_peer"]
    assert [float(peer.earned) for peer in one.peers] == pytest.approx([p["return"] for p in facts["peers"]], rel=0.01)
    assert f"right in {100 * facts['gate']['accuracy']:.1f}".removesuffix(".0") in lines["Gate"]
    assert "each peer to the others" in lines["Anchored to"]
    assert lines["Budget"].startswith(
        f"{facts['env_steps']:,} environment steps of all 2 peers together, with 768 for each; "
    )
    assert [words.split()[2] for words in one.commands[:2]] == [str(together / "s1" / "gated")] * 2
    assert one.commands[-1] == f"understudy export {together / 's1' / 'gated'} --format onnx"
    panels = stages_figures.peers(read(together))
    for panel, name in zip(panels, ("s0", "s1"), strict=True):
        for series, number in zip(panel.series, "12", strict=True):
            looks = lines_of(together / name / "peers" / number, "evaluation")
            assert list(series.mean) == [look["returns"][name] for look in looks]
    own = [lines_of(together / name, "train")[-1]["env_steps"] for name in ("s0", "s1")]
    assert [end for _, _, end in panels_of(together)] == [own[0], sum(own)]  # of one peer, not of both added up


def panels_of(path: Path) -> Sequence[tuple[str, float, float]]:
    return stages_figures.tasks(read(path))[0].stretches


def test_text_of_any_kind_stands_on_the_page_as_text(copy: Path, tmp_path: Path) -> None:
    nasty = "<script>missing()</script> & <b>more</b>"
    file = copy / "stages.toml"
    text = file.read_text().replace('env = "CartPole-v1"', f'env = "{nasty}"')
    file.write_text(anchored_to("<i>$x^$</i>", text))
    metrics = copy / "s1" / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace("anchor/s0/", "anchor/<i>$x^$</i>/"))

    def change(result: dict[str, Any]) -> None:
        result["stages"][0]["warnings"] = [nasty]
        result["stages"][0]["stopped_because"] = nasty

    page = opened(stages_page.write(changed(copy, change)), tmp_path)
    assert page.text.count("<script>missing()") >= 4
    assert "<i>$x^$</i>" in page.text
    assert page.console == page.resources == []


def test_a_stage_that_names_another_folder_is_refused(copy: Path) -> None:
    text = (copy / "result.json").read_text().replace('"s0"', '"../s0"')
    (copy / "result.json").write_text(text)
    (copy / "stages.toml").write_text((copy / "stages.toml").read_text().replace('name = "s0"', 'name = "../s0"'))
    with pytest.raises(RunError, match="no stage is called"):
        read(copy)


def test_warnings_stand_on_the_page_by_stage(seen: Opened) -> None:
    assert "s2: s2 missed its 1e+06: the budget ended before." in seen.text


def test_an_unfinished_training_is_refused_with_what_to_do(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "result.json").unlink()
    (copy / "s2" / "result.json").unlink()
    assert cli.main(["report", str(copy)]) == 2
    said = capsys.readouterr().err
    assert f"understudy stages --resume {copy}" in said
    assert "only s0, s1 are over" in said


def test_a_training_that_stopped_early_has_a_page_of_what_was_trained(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_stages(stages(out, {}, SHORT | MISSED | {"if_missed": "stop"}, {}), console=Silent())
    page = opened(report(out), tmp_path)
    assert "2 of 3 stages" in page.text
    assert "Not whole: the training ended before s2." in page.text
    assert len(Table(page.dom).rows) == 1 + 4
    assert page.console == []


def test_folders_without_newer_keys_have_a_page(copy: Path, tmp_path: Path) -> None:
    """As of an older version, and with little left beside the result."""
    facts = told(copy)
    for cell in facts["rows"]["(before)"].values():
        cell.pop("interval", None)
    newer = ("returned", "reached", "evaluation_seconds", "final_seconds", "total_seconds", "updates", "cpu_seconds")
    facts["stages"] = [{k: v for k, v in one.items() if k not in newer} for one in facts["stages"]]
    (copy / "result.json").write_text(json.dumps(facts))
    tables = [f'[[stage]]\nname = "{name}"\nenv = "CartPole-v1"\n' for name in ("s0", "s1", "s2")]
    (copy / "stages.toml").write_text("\n".join(tables))
    for name in ("s0/before.json", "s0/metrics.jsonl", "s1/metrics.jsonl", "s2/metrics.jsonl", "provenance.json"):
        (copy / name).unlink()
    page = opened(stages_page.write(copy), tmp_path)
    assert "has no record of the training" in page.text
    assert page.console == []


@pytest.mark.parametrize("spoilt", ['{"tasks": [', '{"tasks": ["s0"]}', "[]"])
def test_a_damaged_result_is_said_to_be_one(copy: Path, spoilt: str) -> None:
    (copy / "result.json").write_text(spoilt)
    with pytest.raises(RunError, match=r"result\.json is no result of staged training"):
        report(copy)


def test_a_damaged_configuration_is_said_to_be_one(copy: Path) -> None:
    (copy / "stages.toml").write_text("[[stage")
    with pytest.raises(RunError, match=r"stages\.toml cannot be read: Expected"):
        report(copy)


def test_a_result_of_other_rows_is_refused(copy: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        read(changed(copy, lambda result: result["rows"].pop("s1")))


def test_options_that_play_are_refused_and_out_is_taken(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"plays nothing; leave --env, --episodes out"):
        report(finished, env="CartPole-v1", episodes=4)
    out = tmp_path / "there" / "page.html"
    assert cli.main(["report", str(finished), "--out", str(out), "--quiet"]) == 0
    assert capsys.readouterr().out == f"Page         {out}\n"
    assert out.read_text() == (finished / "report.html").read_text()  # the same folder, the same bytes


def test_a_stages_own_folder_says_whose_page_it_is_on(finished: Path, together: Path) -> None:
    with pytest.raises(RunError, match=rf"`understudy report {re.escape(str(finished))}` writes the page"):
        report(finished / "s1")
    with pytest.raises(RunError, match=rf"`understudy report {re.escape(str(together))}` writes the page"):
        RunFolder.open(together / "s1" / "peers" / "2")


TINY = SMALL | {"evaluation_episodes": 2, "final_episodes": 2}


def test_training_in_stages_writes_its_page_unless_told_not_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = {"name": "alone", "env": "CartPole-v1", "steps": 128, "store": 0}
    result = understudy.train_stages([table], out=str(tmp_path / "python"), **TINY)
    assert (Path(result.path) / "report.html").is_file()
    understudy.train_stages([table], out=str(tmp_path / "without"), report=False, **TINY)
    assert not (tmp_path / "without" / "report.html").exists()
    file = tmp_path / "python" / "stages.toml"
    assert cli.main(["stages", str(file), "--out", str(tmp_path / "cli"), "--no-report"]) == 0
    assert "Page" not in capsys.readouterr().out
    assert not (tmp_path / "cli" / "report.html").exists()
    assert cli.main(["stages", "--resume", str(tmp_path / "python"), "--no-report"]) == 0
    assert "Page" not in capsys.readouterr().out
    file.write_text(file.read_text().replace("report = true\n", ""))  # as of an older version
    assert cli.main(["stages", "--resume", str(tmp_path / "python")]) == 0
    assert f"Page         {tmp_path / 'python' / 'report.html'}\n" in capsys.readouterr().out
