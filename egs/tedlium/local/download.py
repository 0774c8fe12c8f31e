"""Fetch TED-LIUM release 3 (CC BY-NC-ND 3.0) from OpenSLR 51 unless --corpus-dir has the sets that are asked for.

It is one archive of some 50 GB. An interrupted download goes on where it stopped; what is there is not fetched again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import TALKS, find_split

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch_all, is_unpacked
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

URL = "https://www.openslr.org/resources/51"
NAME = "TEDLIUM_release-3"


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack the archive where something is missing."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--corpus-dir", type=Path, required=True, help=f"folder {NAME}, with legacy/ in it")
    parser.add_argument("--sets", action="append", metavar="SET", help="set to fetch; may be repeated; by default all")
    parser.add_argument("--url", default=URL, help="server, such as a mirror nearer by")
    options = parser.parse_args(argv)
    unknown = [name for name in options.sets or [] if name not in TALKS]
    if unknown:
        raise UserError(f"there is no set {unknown[0]}; there are {', '.join(TALKS)}")
    folder, archive = options.corpus_dir.parent, Archive(f"{options.url}/{NAME}.tgz")
    tree = CorpusTree([options.corpus_dir]) if options.corpus_dir.is_dir() else None
    missing = [name for name in options.sets or TALKS if not tree or not find_split(tree, name)]
    if not missing and is_unpacked(archive, folder, options.corpus_dir):
        print(f"{options.corpus_dir} has {', '.join(options.sets or TALKS)}: nothing to fetch")
        return
    if options.corpus_dir.name != NAME:  # the archive begins with this folder
        raise UserError(f"{options.corpus_dir} lacks {', '.join(missing)}; to fetch them, name a folder {NAME}")
    (folder / ".unpacked" / archive.name).unlink(missing_ok=True)  # what was unpacked is there no longer
    fetch_all([archive], folder)


if __name__ == "__main__":
    sys.exit(run_program(main))
