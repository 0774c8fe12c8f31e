"""Say what to order where the indices of a set of the Wall Street Journal are missing; nothing of it may be fetched."""

import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import SETS

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

PACKAGES = {"wsj0": "LDC93S6B (WSJ0)", "wsj1": "LDC94S13B (WSJ1)"}


def main(argv: Sequence[str] | None = None) -> None:
    """See that what must be ordered is there."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--corpus-dir", action="append", default=[], type=Path, help="folder of a package")
    parser.add_argument("--sets", action="append", metavar="SET", help="set that will be prepared; may be repeated")
    options = parser.parse_args(argv)
    tree = CorpusTree.of_packages(options.corpus_dir, " and ".join(PACKAGES.values()))
    where = ", ".join(map(str, options.corpus_dir)) or "no --corpus_dir"
    indices = [index for name in options.sets or SETS for index in SETS.get(name, ())]
    for places in indices:
        if not tree.find(*places):
            place = places[-1]
            lacking = [name for name in options.sets or SETS if places in SETS.get(name, ())]
            raise UserError(
                f"{where}: no {place} in it, needed for {', '.join(lacking)}; order {PACKAGES[place[:4]]} from "
                "https://catalog.ldc.upenn.edu and name its folder with --corpus_dir (WSJ0 alone is enough for --model "
                "with --test_sets test_eval92)"
            )
    print(f"{where}: the indices of all sets are there")


if __name__ == "__main__":
    sys.exit(run_program(main))
