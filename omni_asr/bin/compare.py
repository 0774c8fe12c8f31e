"""Compare routers on one page: error rates with significance, curves, agreement of layers, load, disturbances.

Experiments that differ only in the seed are one router. Says which routers differ: means and standard deviations over
seeds, and Welch's t-test of every pair. Single runs are tested by NIST's sc_stats on the page, and in print with --runs
or where each router was trained once; these tests tell trained models apart, not routers. Writes one HTML file that
needs nothing beside it. Differences are to the first experiment, or its router. What omni-asr analyze-routing wrote is
shown where it is there.

Example: omni-asr compare exp/{dense,switch,omni}_base{,_s2,_s3} --sets test test_noisy
"""

import sys
from collections.abc import Sequence

from omni_asr.analysis.compare import read_comparison, terminal
from omni_asr.analysis.compare_page import write_page
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.scoring.result_files import suffix_of
from omni_asr.scoring.significance import TESTS


def main(argv: Sequence[str] | None = None) -> None:
    """Print the answer and the matrices, write the page and print where it is."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("exp_dirs", nargs="+", metavar="EXP", help="folders of experiments, two or more")
    parser.add_argument(
        "--sets", nargs="+", metavar="SET", help="test sets; by default those scored in all experiments"
    )
    parser.add_argument(
        "--tests", nargs="+", choices=[*TESTS, "all"], help="tests of each pair of single runs, or all of them; mapsswe"
    )
    parser.add_argument(
        "--runs", action="store_true", help="print and unfold the tests of single runs; --tests does too"
    )
    parser.add_argument("--regime", choices=["whisper"], help="results of this regime instead of the corpus's own")
    parser.add_argument("--out", default="compare.html", help="file to write")
    parser.add_argument("--data-dir", default="data", help="folder with the data directories of the sets, for speakers")
    options = parser.parse_args(argv)
    asked = options.tests or ["mapsswe"]
    tests = list(TESTS) if "all" in asked else list(dict.fromkeys(asked))
    runs = options.runs or bool(options.tests)
    suffix = suffix_of(options.regime)
    comparison = read_comparison(options.exp_dirs, options.sets, options.data_dir, tests, suffix)
    print(terminal(comparison, runs))
    print(write_page(comparison, options.out, runs))


if __name__ == "__main__":
    sys.exit(run_program(main))
