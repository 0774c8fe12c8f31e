#!/usr/bin/env python3
"""Fill the results tables of README.md from the recipes' RESULTS.md.

Between the marks ``<!-- results:NAME -->`` and ``<!-- /results -->`` stands the WER table of egs/NAME/RESULTS.md: one
row per router and configuration, one column per test set. Without that file the place stays empty.

usage: python tools/update_readme.py [--check]

  --check   write nothing; exit with status 1 if README.md is out of date
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- results:([\w-]+) -->\n).*?(<!-- /results -->)", re.DOTALL)
SUMMARY = re.compile(r"<!-- summary -->\n(.*?)<!-- /summary -->", re.DOTALL)
KEPT = ("router", "config", "params", "active", "hours", "seeds")


def updated(readme: str, recipes: Path) -> str:
    """The text of the README with every results block made anew from ``recipes/NAME/RESULTS.md``."""
    return BLOCK.sub(lambda block: block[1] + results_table(recipes / block[2] / "RESULTS.md") + block[3], readme)


def results_table(path: Path) -> str:
    """The summary of a RESULTS.md with test sets as columns, or nothing where there is none."""
    summary = SUMMARY.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    rows = parse_table(summary[1]) if summary else []
    if not rows:
        return ""
    for row in rows:  # figures of different regimes and protocols stand apart
        kind = [row["regime"]] if row["regime"] != "verbatim" else []
        kind += [f"by {row['protocol']}"] if row["protocol"] != "words" else []
        row["set"] += f" ({' '.join(kind)})" if kind else ""
    kept = [column for column in KEPT if column in rows[0]]
    sets = list(dict.fromkeys(row["set"] for row in rows))
    runs: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        runs.setdefault(tuple(row[column] for column in kept), {})[row["set"]] = row["WER"]
    lines = [[*kept, *sets], ["---", "---"] + ["---:"] * (len(kept) - 2 + len(sets))]
    lines += [[*run, *(rates.get(name, "") for name in sets)] for run, rates in runs.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def parse_table(text: str) -> list[dict[str, str]]:
    """Rows of Markdown tables by the names in their heading, which is the same in all."""
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    rows = [row for row in cells[2:] if row != cells[0] and not set("".join(row)) <= set("-:")]
    return [dict(zip(cells[0], row, strict=True)) for row in rows]


def main(arguments: list[str]) -> int:
    """Write README.md, or compare it."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = updated(old, ROOT / "egs")
    if old == new:
        print("update_readme: README.md is up to date")
    elif arguments:
        print("update_readme: README.md is out of date; run python tools/update_readme.py", file=sys.stderr)
        return 1
    else:
        readme.write_text(new, encoding="utf-8")
        print("update_readme: README.md is written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
