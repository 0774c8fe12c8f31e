"""Fetch the recordings and the annotation of VoxPopuli (CC0) unless --corpus-dir has the sets that are asked for.

These are the official files: the annotation, and one tar file of recordings for each year in which the sets have
speeches. Sessions of other languages come with them. An interrupted download goes on where it stopped; what is there is
not fetched again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from copies import CutCopy, RawCopy, Sessions, find_copy
from prepare import SETS
from rows import read_annotation

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch, fetch_all, was_interrupted
from omni_asr.corpora.preparing import add_fetching_options
from omni_asr.corpora.tree import CorpusTree

URL = "https://dl.fbaipublicfiles.com/voxpopuli"


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch what is missing."""
    parser = ArgumentParser(__doc__)
    add_fetching_options(parser, SETS, URL)
    options = parser.parse_args(argv)
    tree = CorpusTree.of_those_there(options.corpus_dir)
    target, years = options.corpus_dir[0], set()
    for name in options.sets or SETS:
        copy = find_copy(tree, *SETS[name], target)
        if not isinstance(copy, CutCopy):
            years |= years_of(copy, options.url, target, *SETS[name])
    folder, sessions = target / "raw_audios", Sessions(tree)  # the tar files begin with original/
    archives = {year: Archive(f"{options.url}/audios/original_{year}.tar") for year in sorted(years)}
    missing = [tar for year, tar in archives.items() if was_interrupted(tar, folder) or not sessions.has_year(year)]
    if not missing:
        print(f"{', '.join(map(str, options.corpus_dir))}: all sets that are asked for are there, nothing to fetch")
        return
    fetch_all(missing, folder)


def years_of(copy: RawCopy | None, url: str, target: Path, language: str, split: str) -> set[str]:
    """Years in which a split has speeches, from the annotation, which is fetched where it is not there."""
    if copy:
        path = copy.annotation
    else:
        path = fetch(Archive(f"{url}/annotations/asr/asr_{language}.tsv.gz"), target / "transcribed_data" / language)
    return {entry["session_id"][:4] for entry in read_annotation(path, split) if entry["session_id"]}


if __name__ == "__main__":
    sys.exit(run_program(main))
