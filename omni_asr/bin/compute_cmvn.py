"""Compute the global mean and variance statistics of a data directory.

Writes a Kaldi archive with one matrix under the key "global": sums and count, sums of squares and 0.

Example: omni-asr compute-cmvn data/train data/train/cmvn.ark
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.features.cmvn import compute_cmvn


def main(argv: Sequence[str] | None = None) -> None:
    """Compute and print what was counted."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", metavar="DATA_DIR", help="Kaldi data directory with feats.scp")
    parser.add_argument("out", metavar="OUT.ark", help="archive to write")
    parser.add_pipes()
    args = parser.parse_args(argv)
    utterances, frames = compute_cmvn(args.data_dir, args.out)
    print(f"{args.out}: statistics of {utterances} utterances, {frames} frames")


if __name__ == "__main__":
    sys.exit(run_program(main))
