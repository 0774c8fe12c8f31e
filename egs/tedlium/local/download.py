"""Fetch TED-LIUM release 3 (CC BY-NC-ND 3.0) from OpenSLR 51 unless --corpus-dir has the sets that are asked for.

It is one archive of some 50 GB, whose SHA-256 sum is checked. An interrupted download goes on where it stopped; what is
there is not fetched again.
"""

import sys
from collections.abc import Sequence

from prepare import TALKS, find_split

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import MARKS, Archive, fetch_all, is_unpacked, was_interrupted
from omni_asr.corpora.preparing import add_fetching_options
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

URL = "https://www.openslr.org/resources/51"
NAME = "TEDLIUM_release-3"
SHA256 = "ad1e454d14d1ad550bc2564c462d87c7a7ec83d4dc2b9210f22ab4973b9eccdb"
"""Sum of the archive at :data:`URL` and its mirrors."""


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack the archive where something is missing."""
    parser = ArgumentParser(__doc__)
    add_fetching_options(parser, TALKS, URL)
    options = parser.parse_args(argv)
    target, archive = options.corpus_dir[0], Archive(f"{options.url}/{NAME}.tgz", sha256=SHA256)
    tree = CorpusTree.of_those_there(options.corpus_dir)
    wanted = options.sets or list(TALKS)
    missing = [name for name in wanted if was_interrupted(archive, target.parent) or not find_split(tree, name)]
    if not missing:
        print(f"{', '.join(map(str, options.corpus_dir))}: {', '.join(wanted)} are there, nothing to fetch")
        return
    if target.name != NAME:  # the archive begins with this folder
        raise UserError(f"{target} lacks {', '.join(missing)}; to fetch them, name a folder {NAME}")
    if is_unpacked(archive, target.parent):
        mark = target.parent / MARKS / archive.name
        raise UserError(f"{target} lacks {', '.join(missing)}, but was fetched; to fetch it again, remove {mark}")
    fetch_all([archive], target.parent)


if __name__ == "__main__":
    sys.exit(run_program(main))
