"""Write a data directory with every utterance at several speeds.

Ids of utterances, speakers and recordings get the prefix sp<factor>-, except at factor 1. wav.scp gets a sox stage that
Kaldi can run; here it is done in the process, without sox.

Example: omni-asr perturb-speed data/train data/train_sp
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.rename import perturb_speed


def main(argv: Sequence[str] | None = None) -> None:
    """Write and print how many utterances there are."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("source", metavar="SRC_DIR", help="directory to perturb")
    parser.add_argument("out", metavar="DEST_DIR", help="directory to write")
    parser.add_argument("--factors", type=float, nargs="+", default=[0.9, 1.0, 1.1], metavar="F", help="speeds")
    args = parser.parse_args(argv)
    print(f"{args.out}: {perturb_speed(args.source, args.out, args.factors)} utterances, yet without features")


if __name__ == "__main__":
    sys.exit(run_program(main))
