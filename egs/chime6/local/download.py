"""Fetch the archives of CHiME-6 (CC BY-SA 4.0) that some sets need, from OpenSLR 150, where --corpus-dir lacks them.

An interrupted download goes on where it stopped, and what is there is not fetched again. Archives hold the arrays of
microphones too: 97 GB for train, 11 GB for dev, 12 GB for eval, and as much again unpacked; they are removed then.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import SETS

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch_all
from omni_asr.corpora.preparing import add_fetching_options
from omni_asr.corpora.tree import CorpusTree

URL = "https://www.openslr.org/resources/150"


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack what is missing."""
    parser = ArgumentParser(__doc__)
    add_fetching_options(parser, SETS, URL)
    options = parser.parse_args(argv)
    sets = list(dict.fromkeys(options.sets or SETS))
    archives = [Archive(f"{options.url}/CHiME6_{name}.tar.gz") for name in missing(options.corpus_dir, sets)]
    if not archives:
        print(f"{options.corpus_dir[0]} has {', '.join(sets)}: nothing to fetch")
    fetch_all(archives, options.corpus_dir[0])


def missing(folders: Sequence[Path], sets: Sequence[str]) -> list[str]:
    """Archives, by what differs in their names, of which a session is not there, or that are half unpacked."""
    tree = CorpusTree.of_those_there(folders)

    def lacks(archive: str, path: str, names: Sequence[str]) -> bool:
        half = folders[0] / ".archives" / f"CHiME6_{archive}.tar.gz"  # an archive is removed when all of it is there
        return half.exists() or any(not tree.find(path.format(session)) for name in names for session in SETS[name])

    names = [name for name in sets if lacks(name, "audio/*/{}_P*.wav", [name])]
    return names + ["transcriptions"] * lacks("transcriptions", "transcriptions/*/{}.json", sets)


if __name__ == "__main__":
    sys.exit(run_program(main))
