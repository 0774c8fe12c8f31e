"""Make Kaldi data directories of LibriSpeech.

--corpus-dir is the folder with dev-clean/, test-clean/ and so on, each <reader>/<chapter>/<reader>-<chapter>-<n>.flac
with a <reader>-<chapter>.trans.txt. Words are lower-cased and nothing else; scoring ignores case.

Sets: train_clean_100, train_clean_360, train_other_500, train_460, train_960, dev_clean, dev_other, dev (both),
test_clean, test_other.
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.librispeech import PARTS, SETS, part_folders, write_set
from omni_asr.corpora.preparing import Preparation, add_options


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all whose parts are there."""
    parser = ArgumentParser(__doc__)
    add_options(parser, SETS)
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    wanted = options.sets
    if not wanted:
        there = {part for part in PARTS if part_folders(preparation.tree, part)}
        wanted = [name for name, parts in SETS.items() if there.issuperset(parts)]
    if not wanted:
        preparation.tree.need(*(f"{part}/*/*/*.flac" for part in PARTS))
    for name in dict.fromkeys(wanted):
        write_set(preparation, name)


if __name__ == "__main__":
    sys.exit(run_program(main))
