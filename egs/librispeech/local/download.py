"""Fetch the parts of LibriSpeech (CC BY 4.0) that some sets need, from OpenSLR 12, where --corpus-dir lacks them.

An interrupted download goes on where it stopped; sizes are checked; what is there is not fetched again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import SETS

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch_all, was_interrupted
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

URL = "https://www.openslr.org/resources/12"
SIZES = {
    "dev-clean": 337926286,
    "dev-other": 314305928,
    "test-clean": 346663984,
    "test-other": 328757843,
    "train-clean-100": 6387309499,
    "train-clean-360": 23049477885,
    "train-other-500": 30593501606,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack what is missing."""
    parser = ArgumentParser(__doc__)
    parser.add_argument(
        "--corpus-dir", action="append", type=Path, required=True, help="folder LibriSpeech; may be repeated"
    )
    parser.add_argument("--sets", action="append", metavar="SET", help="set to fetch; may be repeated; by default all")
    parser.add_argument("--url", default=URL, help="server, such as a mirror nearer by")
    options = parser.parse_args(argv)
    for name in options.sets or []:
        if name not in SETS:
            parser.error(f"--sets: there is no set {name}; there are {', '.join(SETS)}")
    parts = dict.fromkeys(part for name in options.sets or SETS for part in SETS[name])
    archives = {part: Archive(f"{options.url}/{part}.tar.gz", SIZES[part]) for part in parts}
    tree = CorpusTree([folder for folder in options.corpus_dir if folder.is_dir()])
    target = options.corpus_dir[-1]
    missing = [part for part in parts if not tree.find(part) or was_interrupted(archives[part], target.parent)]
    if not missing:
        print(f"{', '.join(map(str, options.corpus_dir))}: {', '.join(parts)} are there, nothing to fetch")
        return
    if target.name != "LibriSpeech":  # the archives begin with this folder
        raise UserError(f"{target} lacks {', '.join(missing)}; to fetch them, name a folder LibriSpeech")
    fetch_all([archives[part] for part in missing], target.parent)


if __name__ == "__main__":
    sys.exit(run_program(main))
