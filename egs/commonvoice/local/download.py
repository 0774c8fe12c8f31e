"""Find Common Voice in --corpus-dir, or unpack its archive there. It cannot be fetched without registering."""

import sys
from collections.abc import Sequence
from pathlib import Path

from release import find_archives, find_releases

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import unpack_beside
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError


def main(argv: Sequence[str] | None = None) -> None:
    """Unpack an archive where there is no release yet."""
    parser = ArgumentParser(__doc__)
    parser.add_argument(
        "--corpus-dir",
        type=Path,
        action="append",
        required=True,
        help="cv-corpus-<release>-<date>, or its archive's folder; may be repeated",
    )
    folders = parser.parse_args(argv).corpus_dir
    tree = CorpusTree.of_those_there(folders)
    releases, archives = find_releases(tree), find_archives(tree)
    if not releases and len(archives) > 1:
        names = ", ".join(map(str, archives))
        raise UserError(f"there are several archives of Common Voice ({names}); leave one there")
    if not releases and archives:
        place = unpack_beside(archives[0], *folders)
        releases = find_releases(CorpusTree([place]))
        if not releases:
            raise UserError(f"{archives[0]} has no folder clips of English; is it an archive of Common Voice?")
    if not releases:
        raise UserError(
            "Common Voice has to be fetched by hand: register at https://datacollective.mozillafoundation.org (older "
            "ones: https://commonvoice.mozilla.org/datasets), take Scripted Speech, English (54 to 90 GB, no delta), "
            f"put the .tar.gz into {folders[0]}; start again; --corpus_dir names another place, or what it unpacks to"
        )
    for release in releases:
        print(f"{release.folder} has Common Voice, release {release.version or 'unknown'}: nothing to fetch")


if __name__ == "__main__":
    sys.exit(run_program(main))
