"""Fetch the MS-State transcripts of Switchboard (free, OpenSLR 5), and say what to order where the audio is missing.

Transcripts are fetched into --transcripts-dir unless a --corpus-dir has them, and only for sets to train on. An
interrupted download goes on where it stopped; what is there is not fetched again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import BY_DEFAULT, TEST_SETS, TRAIN_SETS, TRANSCRIPTS, find_calls, find_transcripts

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch_all, was_interrupted
from omni_asr.corpora.eval2000 import DEPTH, ORDER, find_eval2000
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

URL = "https://www.openslr.org/resources/5"
ARCHIVE = "switchboard_word_alignments.tar.gz"
ORDER_AUDIO = (
    "order LDC97S62 (Switchboard-1 release 2) from https://catalog.ldc.upenn.edu, and name its folder with --corpus_dir"
)


def main(argv: Sequence[str] | None = None) -> None:
    """See that what must be ordered is there, then fetch what is free."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--corpus-dir", action="append", default=[], type=Path, help="folder of a package")
    parser.add_argument("--transcripts-dir", type=Path, required=True, help=f"where {TRANSCRIPTS} is fetched to")
    parser.add_argument("--sets", action="append", metavar="SET", help="set that will be prepared; may be repeated")
    parser.add_argument("--url", default=URL, help="server, such as a mirror nearer by")
    options = parser.parse_args(argv)
    names = options.sets or BY_DEFAULT
    tree = CorpusTree.of_packages(options.corpus_dir, "LDC97S62, LDC2002S09 and LDC2002T43")
    where = ", ".join(map(str, options.corpus_dir)) or "no --corpus_dir"
    trains = any(name in TRAIN_SETS for name in names)
    if trains and not find_calls(tree):
        raise UserError(f"{where}: no audio sw0NNNN.sph in it; {ORDER_AUDIO}")
    if any(name in TEST_SETS for name in names) and not find_eval2000(tree):
        raise UserError(f"{where}: no eval2000 in it, down to {DEPTH} folders below; {ORDER}")
    if trains:
        fetch_transcripts(tree, options.transcripts_dir, options.url)


def fetch_transcripts(tree: CorpusTree, folder: Path, url: str) -> None:
    """Fetch and unpack the transcripts where they are missing."""
    archive = Archive(f"{url}/{ARCHIVE}")
    found = find_transcripts(tree, folder)
    if found and not was_interrupted(archive, folder):
        print(f"{found} is there: nothing to fetch")
        return
    fetch_all([archive], folder)
    if not (folder / TRANSCRIPTS).is_dir():
        raise UserError(f"{folder} has no {TRANSCRIPTS} after {ARCHIVE} was unpacked; remove it and start again")


if __name__ == "__main__":
    sys.exit(run_program(main))
