"""Habits of the whole repository: sizes, names, links, pages, pins."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest

import understudy
from understudy.lab.experiment import Measured
from understudy.methods import METHODS, from_toml

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "understudy").rglob("*.py"))
SCRIPTS = sorted(
    path for folder in ("examples", "scripts", "benchmarks", "teachers") for path in (ROOT / folder).rglob("*.py")
)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FILE_LINES, FUNCTION_LINES = 400, 40
BANNED = {"utils", "util", "base", "manager", "common", "helpers", "misc"}
OPTIONAL = {
    "ale_py", "cv2", "envpool", "huggingface_hub", "imageio_ffmpeg", "minari", "minatar", "numba", "onnx",
    "onnxruntime", "onnxscript", "ray", "sb3_contrib", "stable_baselines3", "tensorboard",
}  # fmt: skip
HEAVY = {"torch", "gymnasium", "matplotlib", "rich", "tyro"}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_of(node: ast.AST) -> int:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return (node.end_lineno or node.lineno) - node.lineno + 1


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def imports(path: Path) -> dict[str, bool]:
    """Top-level packages that a file imports, and whether each import is inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(node) for function in functions_of(tree) for node in ast.walk(function)}
    found: dict[str, bool] = {}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            package = name.partition(".")[0]
            found[package] = found.get(package, True) and id(node) in inside
    return found


def functions_of(tree: ast.AST) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_source_file_is_longer_than_400_lines() -> None:
    long = {
        named(path): n for path in SOURCES if (n := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES
    }
    assert long == {}


def test_no_function_is_longer_than_40_lines() -> None:
    long = {
        f"{named(path)}:{f.name}": n for path in SOURCES for f in functions(path) if (n := lines_of(f)) > FUNCTION_LINES
    }
    assert long == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [named(path) for path in SOURCES if BANNED & {path.stem, *path.stem.split("_")}] == []


def test_every_module_says_what_it_is_for() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCES}
    assert [
        named(path) for path, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))
    ] == []


@pytest.mark.parametrize("package", sorted(OPTIONAL))
def test_an_optional_package_is_imported_in_one_file_at_most_and_inside_a_function(package: str) -> None:
    importers = {named(path): inside for path in SOURCES for name, inside in imports(path).items() if name == package}
    assert len(importers) <= 1
    assert all(importers.values())


def test_git_ignores_no_file_that_belongs_to_the_project() -> None:
    files = [named(path) for path in [*SOURCES, *SCRIPTS, *sorted((ROOT / "tests").rglob("*.py"))]]
    done = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 128:
        pytest.skip("not in a git repository")
    assert done.stdout == ""


def test_old_gym_is_never_imported() -> None:
    assert [named(path) for path in [*SOURCES, *SCRIPTS] if "gym" in imports(path)] == []


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, understudy.cli; understudy.cli.main(['--help']); print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage" in done.stdout
    assert HEAVY & {name.partition(".")[0] for name in done.stderr.split()} == set()


def test_every_public_name_can_be_imported() -> None:
    assert all(callable(getattr(understudy, name)) for name in understudy.__all__)


def test_the_version_is_told_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == understudy.__version__
    assert f"## {understudy.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_package_that_the_project_asks_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    wanted = {canonical(re.split(r"[\[<>=;! ]", one, maxsplit=1)[0]) for one in asked} - {"understudy"}
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line[:1] not in ("#", "")
    ]
    pins = {canonical(line.partition("==")[0]): line for line in lines}
    assert wanted - set(pins) == set()
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines)
    assert pins["torch"] == "torch==2.13.0"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def method_pages() -> Any:
    spec = importlib.util.spec_from_file_location("method_pages", ROOT / "scripts" / "method_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["method_pages"] = module  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


def test_the_method_pages_say_what_the_catalogue_says(method_pages: Any) -> None:
    assert [named(page) for page in method_pages.stale()] == []


@pytest.mark.parametrize("name", METHODS)
def test_the_toml_on_a_rows_page_is_that_row(name: str, method_pages: Any, tmp_path: Path) -> None:
    row = METHODS[name]
    page = method_pages.group_of(row).file
    text = (ROOT / "docs" / "methods" / page).read_text(encoding="utf-8").partition(f"\n## {name}\n")[2]
    block = re.search(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert block is not None
    (tmp_path / "rows.toml").write_text(block[1], encoding="utf-8")
    read = from_toml(tmp_path / "rows.toml")[name]
    assert (read.control, read.loss, read.reward) == (row.control, row.loss, row.reward)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Those that GitHub gives a page's headings."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_example_is_told_apart_by_its_docstring_and_uses_the_public_interface() -> None:
    examples = sorted((ROOT / "examples").glob("*.py"))
    assert len(examples) >= 4
    for path in examples:
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), named(path)
        inner = re.findall(r"from understudy\.(\w+)", text)
        assert set(inner) <= {"methods", "errors"}, named(path)


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_python_on_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = run_python(page, tmp_path, monkeypatch)
    assert getattr(scope["result"], "recovered") >= 0.9  # noqa: B009 - its type is not known here


def test_the_python_on_the_page_of_the_lab_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = cast(Measured, run_python("docs/lab.md", tmp_path, monkeypatch)["measured"])
    assert measured.metrics["return"].shape == (20, len(measured.iterations))
    assert (measured.metrics["kl-teacher"][:, -1] < measured.metrics["kl-teacher"][:, 0]).all()  # it was trained


def run_python(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the page's blocks leave, run one after another in an empty folder beside the published teachers."""
    (tmp_path / "teachers").symlink_to(ROOT / "teachers")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), scope)
    return scope
