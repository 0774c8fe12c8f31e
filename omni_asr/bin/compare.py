"""Compare experiments on one page: error rates with significance, curves, agreement of layers, load, disturbances.

Prints which differences are real: for each set a matrix of all pairs under the tests of NIST's sc_stats, and, where
there are several seeds of one variant, their means, standard deviations and Welch's t-test over seeds. Writes one HTML
file that needs nothing beside it. Its first table gives differences to the experiment named first. What omni-asr
analyze-routing wrote is shown where it is there.

Example: omni-asr compare exp/dense_base exp/switch_base exp/omni_base --sets test test_noisy
"""

import sys
from collections.abc import Sequence

from omni_asr.analysis.compare import read_comparison, terminal, write_page
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.scoring.result_files import suffix_of
from omni_asr.scoring.significance import TESTS


def main(argv: Sequence[str] | None = None) -> None:
    """Print the matrices, write the page and print where it is."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("exp_dirs", nargs="+", metavar="EXP", help="folders of experiments, two or more")
    parser.add_argument(
        "--sets", nargs="+", metavar="SET", help="test sets; by default those scored in all experiments"
    )
    parser.add_argument(
        "--tests", nargs="+", choices=[*TESTS, "all"], default=["mapsswe"], help="tests of each pair, or all of them"
    )
    parser.add_argument("--regime", choices=["whisper"], help="results of this regime instead of the corpus's own")
    parser.add_argument("--out", default="compare.html", help="file to write")
    parser.add_argument("--data-dir", default="data", help="folder with the data directories of the sets, for speakers")
    options = parser.parse_args(argv)
    tests = list(TESTS) if "all" in options.tests else list(dict.fromkeys(options.tests))
    suffix = suffix_of(options.regime)
    comparison = read_comparison(options.exp_dirs, options.sets, options.data_dir, tests, suffix)
    print(terminal(comparison))
    print(write_page(comparison, options.out))


if __name__ == "__main__":
    sys.exit(run_program(main))
