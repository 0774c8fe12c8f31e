"""Fetch the parts of LibriSpeech (CC BY 4.0) that some sets need, from OpenSLR 12, where --corpus-dir lacks them.

An interrupted download goes on where it stopped; sizes are checked; what is there is not fetched again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import SETS

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch_all
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
    parser.add_argument("--corpus-dir", type=Path, required=True, help="folder LibriSpeech that the parts are in")
    parser.add_argument("--sets", action="append", metavar="SET", help="set to fetch; may be repeated; by default all")
    parser.add_argument("--url", default=URL, help="server, such as a mirror nearer by")
    options = parser.parse_args(argv)
    unknown = [name for name in options.sets or [] if name not in SETS]
    if unknown:
        raise UserError(f"there is no set {unknown[0]}; there are {', '.join(SETS)}")
    parts = dict.fromkeys(part for name in options.sets or SETS for part in SETS[name])
    missing = [part for part in parts if not (options.corpus_dir / part).is_dir()]
    if not missing:
        print(f"{options.corpus_dir} has {', '.join(parts)}: nothing to fetch")
        return
    if options.corpus_dir.name != "LibriSpeech":  # the archives begin with this folder
        raise UserError(f"{options.corpus_dir} lacks {', '.join(missing)}; to fetch them, name a folder LibriSpeech")
    fetch_all([Archive(f"{options.url}/{part}.tar.gz", SIZES[part]) for part in missing], options.corpus_dir.parent)


if __name__ == "__main__":
    sys.exit(run_program(main))
