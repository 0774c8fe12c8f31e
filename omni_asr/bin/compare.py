"""Compare experiments on one page: error rates with significance, curves, agreement of layers, load, disturbances.

Writes one HTML file that needs nothing beside it. Differences and their significance are those to the experiment named
first. What omni-asr analyze-routing wrote is shown where it is there.

Example: omni-asr compare exp/dense_base exp/switch_base exp/omni_base --sets test test_noisy
"""

import sys
from collections.abc import Sequence

from omni_asr.analysis.compare import write_compare
from omni_asr.bin import ArgumentParser, run_program


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page and print where it is."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("exp_dirs", nargs="+", metavar="EXP", help="folders of experiments, two or more")
    parser.add_argument(
        "--sets", nargs="+", metavar="SET", help="test sets; by default those scored in all experiments"
    )
    parser.add_argument("--out", default="compare.html", help="file to write")
    parser.add_argument("--data-dir", default="data", help="folder with the data directories of the sets, for speakers")
    options = parser.parse_args(argv)
    print(write_compare(options.exp_dirs, options.sets, options.out, options.data_dir))


if __name__ == "__main__":
    sys.exit(run_program(main))
