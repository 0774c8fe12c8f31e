"""Say what to order where a package of CallHome is missing; nothing of it may be fetched."""

import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import BY_DEFAULT, TEST_SETS, TRANSCRIPT, WITHOUT_1997, find_calls

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import TELEPHONE
from omni_asr.corpora.eval2000 import DEPTH, ORDER, find_eval2000
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

ORDER_1997 = (
    "order LDC97S42 (speech) and LDC97T14 (transcripts) of CallHome American English from "
    "https://catalog.ldc.upenn.edu, and name their folders with --corpus_dir"
)


def main(argv: Sequence[str] | None = None) -> None:
    """See that what must be ordered is there."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--corpus-dir", action="append", default=[], type=Path, help="folder of a package")
    parser.add_argument("--sets", action="append", metavar="SET", help="set that will be prepared; may be repeated")
    options = parser.parse_args(argv)
    tree = CorpusTree.of_packages(options.corpus_dir, "LDC97S42, LDC97T14, LDC2002S09 and LDC2002T43")
    where = ", ".join(map(str, options.corpus_dir)) or "no --corpus_dir"
    for name in options.sets or BY_DEFAULT:
        if name in TEST_SETS and not find_eval2000(tree):
            raise UserError(f"{where}: no eval2000 in it, down to {DEPTH} folders below; {ORDER}")
        for kinds in (TELEPHONE, TRANSCRIPT):
            if name not in TEST_SETS and not find_calls(tree, name, kinds):
                otherwise = WITHOUT_1997 if name == "evltest" and find_eval2000(tree) else ""
                raise UserError(f"{where}: no {name}/en_NNNN{kinds[0]} in it; {ORDER_1997}{otherwise}")
    print(f"{where}: all packages are there")


if __name__ == "__main__":
    sys.exit(run_program(main))
