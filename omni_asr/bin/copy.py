"""Copy a Kaldi data directory, with prefixes or suffixes on its ids.

Example: omni-asr copy --utt-prefix=a- --spk-prefix=a- data/train data/train_a
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.rename import copy_data_dir


def main(argv: Sequence[str] | None = None) -> None:
    """Copy and print how many utterances there are."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("source", metavar="SRC_DIR", help="directory to copy")
    parser.add_argument("out", metavar="DEST_DIR", help="directory to write")
    for kind, what in (("utt", "utterances"), ("spk", "speakers")):
        parser.add_argument(f"--{kind}-prefix", default="", metavar="TEXT", help=f"goes before the ids of {what}")
        parser.add_argument(f"--{kind}-suffix", default="", metavar="TEXT", help=f"goes after the ids of {what}")
    args = parser.parse_args(argv)
    affixes = (args.utt_prefix, args.utt_suffix), (args.spk_prefix, args.spk_suffix)
    print(f"{args.out}: {copy_data_dir(args.source, args.out, *affixes)} utterances")


if __name__ == "__main__":
    sys.exit(run_program(main))
