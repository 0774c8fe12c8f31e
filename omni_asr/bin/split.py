"""Split a data directory into parts for parallel jobs.

Writes DATA_DIR/split<N>/1 ... DATA_DIR/split<N>/<N>. Speakers stay whole, as with Kaldi's utils/split_data.sh, unless
--per-utt is given or there are fewer speakers than parts.

Example: omni-asr split data/train 4
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.split import split_data_dir


def main(argv: Sequence[str] | None = None) -> None:
    """Split."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", metavar="DATA_DIR", help="Kaldi data directory")
    parser.add_argument("parts", metavar="N", type=int, help="number of parts")
    parser.add_argument("--per-utt", action="store_true", help="split speakers too")
    args = parser.parse_args(argv)
    split_data_dir(args.data_dir, args.parts, args.per_utt)


if __name__ == "__main__":
    sys.exit(run_program(main))
