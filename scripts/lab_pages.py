"""Take the pages and data of a run of the lab into docs/lab, and its verdicts into the README.

python scripts/lab_pages.py OUT      from the folder that `understudy lab all --out OUT` wrote
python scripts/lab_pages.py --check  exits with 1 where the README says something else than docs/lab
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from understudy.reports.lab_page import verdict_table

ROOT = Path(__file__).resolve().parent.parent
PAGES, README = ROOT / "docs" / "lab", ROOT / "README.md"
KEPT = ("findings.json", "page.md", "figure-*.png")
BEGIN, END = "<!-- verdicts -->\n", "<!-- end of verdicts -->\n"


def take(out: Path) -> None:
    """Replace docs/lab by what ``out`` holds, without chunks and without the HTML, which shows the same."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for found in sorted(out.glob("*/findings.json")):
        folder = PAGES / found.parent.name
        folder.mkdir(parents=True)
        for file in sorted(file for pattern in KEPT for file in found.parent.glob(pattern)):
            shutil.copy2(file, folder / file.name)
    shutil.copy2(out / "index.md", PAGES / "index.md")


def with_verdicts(text: str) -> str:
    """The README with the table of docs/lab between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + verdict_table(PAGES, "docs/lab/") + "\n" + END + after


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", help="the folder of a run of all experiments")
    parser.add_argument("--check", action="store_true", help="change nothing, but say whether the README is right")
    options = parser.parse_args(arguments)
    if options.out is None and not options.check:
        parser.error("name the folder of a run, or --check")
    text = README.read_text(encoding="utf-8")
    if options.check:
        right = with_verdicts(text) == text
        print("README.md has the verdicts of docs/lab" if right else "README.md is not of docs/lab: run lab_pages.py")
        return 0 if right else 1
    take(options.out)
    README.write_text(with_verdicts(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
