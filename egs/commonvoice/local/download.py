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
        "--corpus-dir", type=Path, required=True, help="cv-corpus-<release>-<date>, or its archive's folder"
    )
    folder = parser.parse_args(argv).corpus_dir
    tree = CorpusTree([folder] if folder.exists() else [])
    releases, archives = find_releases(tree), find_archives(tree)
    if not releases and len(archives) > 1:
        names = ", ".join(path.name for path in archives)
        raise UserError(f"{folder} has several archives of Common Voice ({names}); leave one there")
    if not releases and archives:
        unpack_beside(archives[0])
        releases = find_releases(CorpusTree([folder]))
    if not releases:
        raise UserError(
            "Common Voice has to be fetched by hand: register at https://datacollective.mozillafoundation.org (older "
            "releases: https://commonvoice.mozilla.org/datasets), take Scripted Speech, English (54 to 90 GB), put the "
            f".tar.gz into {folder}, and start again; --corpus_dir names another place, or what it unpacks to"
        )
    for release in releases:
        print(f"{release.folder} has Common Voice, release {release.version or 'unknown'}: nothing to fetch")


if __name__ == "__main__":
    sys.exit(run_program(main))
