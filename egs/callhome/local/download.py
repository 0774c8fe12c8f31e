"""Say what to order where a package of CallHome is missing; nothing of it may be fetched."""

import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import BY_DEFAULT, TEST_SETS, find_calls

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.eval2000 import ORDER, find_eval2000
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
    tree = CorpusTree.of_those_there(options.corpus_dir)
    where = ", ".join(map(str, options.corpus_dir)) or "no --corpus_dir"
    for name in options.sets or BY_DEFAULT:
        if name in TEST_SETS and not find_eval2000(tree):
            raise UserError(f"{where}: no eval2000 in it; {ORDER}")
        for kind in ("sph", "txt"):
            if name not in TEST_SETS and not find_calls(tree, name, kind):
                raise UserError(f"{where}: no {name}/en_NNNN.{kind} in it; {ORDER_1997}")
    print(f"{where}: all packages are there")


if __name__ == "__main__":
    sys.exit(run_program(main))
