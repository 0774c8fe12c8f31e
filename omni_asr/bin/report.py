"""Write the report of an experiment: EXP_DIR/report/index.html, one file with curves, tables and errors.

Shows what was trained, the curves of training, the error rates beside the other experiments of the same folder, the
load of the experts, how they are chosen (from routing.json, which omni-asr analyze-routing writes), and the worst
utterances of each set. Parts whose files are missing are named in the report. It shows the experiments of the time at
which it was written, which it says; for those that are trained later, write it again.
"""

import sys
from collections.abc import Sequence

from omni_asr.analysis.report import write_report
from omni_asr.bin import ArgumentParser, run_program


def main(argv: Sequence[str] | None = None) -> None:
    """Write the report and print where it is."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("exp_dir", help="folder of the experiment")
    parser.add_argument("sets", nargs="+", metavar="SET", help="test sets, decoded in EXP_DIR/decode_SET")
    parser.add_argument("--data-dir", default="data", help="folder with the data directories of the sets, for speakers")
    options = parser.parse_args(argv)
    print(write_report(options.exp_dir, options.sets, options.data_dir))


if __name__ == "__main__":
    sys.exit(run_program(main))
