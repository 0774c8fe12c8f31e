"""Check that files which a finished stage of a recipe left can still be read.

Exits with status 3 and prints the first reason where one is missing or damaged; any other status but 0 is an error of
the check itself. It is cheap: of each archive that a table names, the first and the last matrix are looked at; of
wav.scp the end and, with --audio, whether the first and the last recording are there.

Example: omni-asr check-outputs data/train/feats.scp data/train/cmvn.ark data/lang_unigram500/tokens.txt
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.recipe_outputs import check_output

DAMAGED = 3
"""Exit status where a file is missing or damaged; programs that fail have 1, or 2 for their options."""


def main(argv: Sequence[str] | None = None) -> int:
    """Check file by file."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("paths", metavar="FILE", nargs="+", help="table, archive, tokens.txt, or another text file")
    parser.add_argument("--audio", action="store_true", help="look for the audio of wav.scp as well")
    args = parser.parse_args(argv)
    for path in args.paths:
        try:
            check_output(path, args.audio)
        except UserError as error:
            print(error)
            return DAMAGED
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
