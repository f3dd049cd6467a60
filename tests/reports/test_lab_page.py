"""Pages of the lab: complete, self-contained, the same every time, and safe with any text."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sample_findings import CLAIMS, NASTY, sample

from understudy.errors import RunError
from understudy.methods import METHODS, term_text
from understudy.reports import lab_page

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Read(HTMLParser):
    """Tags with attributes, visible text, and whether every element is closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] not in (["style"], ["script"]) else ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "control"
    path.mkdir()
    sample().write(path)
    lab_page.write(path)
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Read:
    return Read((folder / "page.html").read_text(encoding="utf-8"))


def words(text: str) -> str:
    return " ".join(text.split())


def test_every_claim_is_on_the_page_with_its_verdict_and_all_its_effects(page: Read) -> None:
    text = words(page.text)
    for claim, verdict in zip(CLAIMS, ("reproduced", "partly", "not reproduced"), strict=True):
        assert text.count(f"{claim.number}. {claim.title}") == 2  # in the table and in full
        assert words(claim.paper) in text
        assert words(claim.found) in text
        assert (
            f"{claim.number}. {claim.title} {({'reproduced': '✔', 'partly': '◐'}).get(verdict, '✘')} {verdict}" in text
        )
        assert all(effect.name in text for effect in claim.effects)
    assert "3.12 [2.87, 3.41] times (claimed: above 1)" in text
    assert "What was tried Twice the iterations gave the same." in text


def test_the_page_is_well_formed_and_its_links_lead_to_places_on_it(page: Read) -> None:
    assert page.open == []
    names = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    inner = [link["href"] for link in page.all("a") if link["href"].startswith("#")]
    assert len(inner) == len(CLAIMS)
    assert all(link[1:] in names for link in inner)


def test_figures_are_images_within_the_page_with_a_description_and_a_caption(page: Read) -> None:
    images = page.all("img")
    assert len(images) == 3
    kinds, contents = zip(*(image["src"].split(";base64,") for image in images), strict=True)
    assert kinds == ("data:image/svg+xml", "data:image/svg+xml", "data:image/png")
    for content in contents[:2]:
        assert ElementTree.fromstring(base64.b64decode(content)).tag == "{http://www.w3.org/2000/svg}svg"
    assert base64.b64decode(contents[2]).startswith(b"\x89PNG")
    assert (
        "temperature 0: return: return against iterations; at the right end: student 5, teacher 5" in images[0]["alt"]
    )
    assert [f"Figure {k}." in page.text for k in (1, 2, 3, 4)] == [True, True, True, False]
    assert "As Fig. 3. Shaded bands are 95 % intervals, where nothing else is said. Dashed black lines" in words(
        page.text
    )


def test_the_page_loads_nothing_from_elsewhere(folder: Path, page: Read) -> None:
    sources = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert [source for source in sources if "//" in source.partition("base64,")[0]] == []
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert not re.search(r"@import|url\(", (folder / "page.html").read_text(encoding="utf-8"))


def test_text_is_text_in_html_whatever_it_says(folder: Path, page: Read) -> None:
    assert words(page.text).count(words(NASTY)) == 4  # found, a note, a cell; and in the settings, as JSON
    assert "<script" not in (folder / "page.html").read_text(encoding="utf-8")


def test_text_is_text_in_markdown_whatever_it_says(folder: Path) -> None:
    markdown = (folder / "page.md").read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    assert r"\<script\>alert('x')\</script\> & a\|b \*c\* \[d\](http" in prose
    assert "<script" not in prose.replace(r"\<", "")
    assert "](http" not in prose.replace(r"\](", "")


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head(folder: Path) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", (folder / "page.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(tables) == 1 + 1 + len(CLAIMS) + 1
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
        assert re.fullmatch(r"\|(-+\|)+", table.splitlines()[1])


def test_markdown_shows_the_images_that_lie_beside_it(folder: Path) -> None:
    shown = re.findall(r"^!\[.+\]\((.+)\)$", (folder / "page.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert shown == ["figure-1.png", "figure-2.png", "figure-3.png"]
    assert sorted(path.name for path in folder.glob("*.png")) == shown
    for name in shown:
        content = (folder / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 200_000


def test_settings_command_and_words_are_there_for_who_has_never_seen_the_project(page: Read) -> None:
    text = words(page.text)
    assert "understudy lab control --mdps 1000 --iterations 30000 --seed 7" in text
    assert words(json.dumps(sample().settings, indent=2)) in text
    for word in ("Return", "Recovered", "KL under a visitation", "Verdict", "95 % interval"):
        assert word in text


def test_the_rows_that_are_named_are_explained_in_symbols_and_no_others(page: Read) -> None:
    text = words(page.text)
    part = text[text.index("Methods on this page") : text.index("r is the task's reward")]
    shown = [word for word in part.split() if word in METHODS]
    assert shown == [name for name in METHODS if name in shown]
    assert set(shown) == {"teacher-distill", "on-policy-distill", "n-distill+r", "on-policy-distill+r"}
    row = METHODS["n-distill+r"]
    assert f"n-distill+r student {term_text(row.loss)} {term_text(row.reward)}" in text


def test_the_same_findings_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    sample().write(tmp_path)
    lab_page.write(tmp_path)
    names = ["page.html", "page.md", *(f"figure-{k}.png" for k in (1, 2, 3))]
    assert [name for name in names if (tmp_path / name).read_bytes() != (folder / name).read_bytes()] == []


def test_figures_of_an_earlier_page_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "figure-9.png").write_bytes(b"old")
    replace(sample(), figures=()).write(tmp_path)
    lab_page.write(tmp_path)
    assert not (tmp_path / "figure-9.png").exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "does not exist"),
        ("{", "cannot be read as JSON"),
        ("[]", "not a file of findings"),
        ('{"claims": []}', "the key 'figures' is missing"),
        ('{"claims": [], "figures": [{"kind": "cake"}]}', "got 'cake'"),
        ('{"claims": [], "figures": []}', "experiment"),
        ('{"claims": [{"number": "1"}], "figures": []}', "the key 'effects' is missing"),
    ],
)
def test_findings_that_cannot_be_read_are_named_with_what_to_do(content: str | None, what: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "findings.json").write_text(content)
    with pytest.raises(RunError, match="understudy lab") as caught:
        lab_page.write(tmp_path)
    assert what in str(caught.value)
    assert str(tmp_path / "findings.json") in str(caught.value)
    assert list(tmp_path.glob("page.*")) == []


def test_the_index_lists_all_verdicts_by_number_with_links(folder: Path) -> None:
    out = folder.parent
    other = out / "cycle"
    other.mkdir(exist_ok=True)
    sample("cycle").write(other)
    page = lab_page.write_index(out)
    index = Read(page.read_text(encoding="utf-8"))
    body = lab_page.verdict_table(out, "docs/lab/").splitlines()[2:]
    assert [line[2 : line.index(".")] for line in body] == ["5", "5", "6, networks", "6, networks", "10", "10"]
    assert "[cycle](docs/lab/cycle/page.md)" in body[0]
    assert "[control](docs/lab/control/page.md)" in body[1]
    assert "✘ not reproduced" in body[2]
    assert {link["href"] for link in index.all("a")} == {"control/page.html", "cycle/page.html"}
    assert "(control/page.md)" in (out / "index.md").read_text(encoding="utf-8")
    assert index.open == []


def test_an_index_of_nothing_says_what_writes_findings(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no findings: .* `understudy lab all"):
        lab_page.write_index(tmp_path)
