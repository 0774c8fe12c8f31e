"""Check that files which a finished stage of a recipe left can still be read.

Exits with status 1 and prints the first reason why not. It is cheap: of each archive that a table names, the first and
the last matrix are looked at; of wav.scp, whether the first and the last recording are there.

Example: omni-asr check-outputs data/train/feats.scp data/train/cmvn.ark data/lang_unigram500/tokens.txt
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.kaldi.outputs import check_output


def main(argv: Sequence[str] | None = None) -> int:
    """Check file by file."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("paths", metavar="FILE", nargs="+", help="table, archive, tokens.txt, or another text file")
    args = parser.parse_args(argv)
    for path in args.paths:
        try:
            check_output(path)
        except UserError as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
