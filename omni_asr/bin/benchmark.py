"""Write the table of a benchmark beside the published figures, in Markdown and HTML.

Reads what the recipes of a benchmark left in RECIPES/<recipe>/{data/<set>,exp/NAME/decode_<set>}, scored in the regime
of the benchmark. egs/benchmark/run.sh does all of it.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omni_asr.analysis.benchmark import measure, read_found, read_plan
from omni_asr.analysis.benchmark_page import write
from omni_asr.bin import ArgumentParser, run_program


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table and print its figures."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--columns", required=True, help="file of the benchmark, such as conf/columns.yaml")
    parser.add_argument("--found", required=True, help="file that says where the corpora were found")
    parser.add_argument("--recipes", required=True, help="folder of the recipes that were run")
    parser.add_argument("--name", required=True, help="name of the model's experiment in each of them")
    parser.add_argument("--failed", action="append", default=[], metavar="RECIPE", help="recipe whose run failed")
    parser.add_argument("--note", default="", help="sentence that stands above the table")
    parser.add_argument("--out", type=Path, required=True, help="folder to write benchmark.md and benchmark.html into")
    options = parser.parse_args(argv)
    found = read_found(options.found)
    for recipe in options.failed:
        found[recipe] = replace(found[recipe], problem=f"egs/{recipe} failed")
    benchmark = measure(read_plan(options.columns), found, options.recipes, options.name, options.note)
    paths = write(benchmark, options.out)
    for column in benchmark.columns:
        figure = f"- ({column.problem})" if column.problem else f"{column.percent:.2f} {column.interval or ''}"
        partly = "" if column.problem or column.is_whole else " (of a part of the set)"
        print(f"{column.column.name}: {figure}".rstrip() + partly)
    if benchmark.is_complete:
        mean, sure = benchmark.mean()
        print(f"average of {len(benchmark.columns)}: {mean:.2f} {sure or ''}".rstrip())
    else:
        missing, columns = len(benchmark.columns) - len(benchmark.there), len(benchmark.columns)
        print(f"no average; columns missing: {missing} of {columns}")
    print(*paths, sep="\n")


if __name__ == "__main__":
    sys.exit(run_program(main))
