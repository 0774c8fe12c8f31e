"""Fetch the recordings and the annotation of VoxPopuli (CC0) unless --corpus-dir has the sets that are asked for.

These are the official files: the annotation, and one tar file of recordings for each year in which the sets have
speeches. Some of their sessions have no English; they come with the tar files. An interrupted download goes on where
it stopped; what is there is not fetched again.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from copies import CutCopy, RawCopy, find_copy, read_annotation
from prepare import SETS

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch, fetch_all, is_unpacked
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

URL = "https://dl.fbaipublicfiles.com/voxpopuli"


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch what is missing."""
    parser = ArgumentParser(__doc__)
    parser.add_argument(
        "--corpus-dir", type=Path, required=True, help="folder that gets raw_audios/, transcribed_data/"
    )
    parser.add_argument("--sets", action="append", metavar="SET", help="set to fetch; may be repeated; by default all")
    parser.add_argument("--url", default=URL, help="server, such as a mirror nearer by")
    options = parser.parse_args(argv)
    unknown = [name for name in options.sets or [] if name not in SETS]
    if unknown:
        raise UserError(f"there is no set {unknown[0]}; there are {', '.join(SETS)}")
    wanted = [name for name in options.sets or SETS if not isinstance(copy_of(options, *SETS[name]), CutCopy)]
    if not wanted:
        print(f"{options.corpus_dir} has {', '.join(options.sets or SETS)}: nothing to fetch")
        return
    years = sorted({year for name in wanted for year in years_of(options, *SETS[name])})
    folder = options.corpus_dir / "raw_audios"  # the tar files begin with original/
    archives = {year: Archive(f"{options.url}/audios/original_{year}.tar") for year in years}
    missing = [tar for year, tar in archives.items() if not is_unpacked(tar, folder, folder / "original" / year)]
    fetch_all(missing, folder)
    print(f"{folder} has the recordings of {', '.join(years)}")


def copy_of(options: Namespace, language: str, split: str) -> CutCopy | RawCopy | None:
    """What is there of a split."""
    if not options.corpus_dir.is_dir():
        return None
    return find_copy(CorpusTree([options.corpus_dir]), language, split, options.corpus_dir)


def years_of(options: Namespace, language: str, split: str) -> set[str]:
    """Years in which a split has speeches, from the annotation, which is fetched where it is not there."""
    copy = copy_of(options, language, split)
    if isinstance(copy, RawCopy):
        path = copy.annotation
    else:
        folder = options.corpus_dir / "transcribed_data" / language
        path = fetch(Archive(f"{options.url}/annotations/asr/asr_{language}.tsv.gz"), folder)
    return {entry["session_id"][:4] for entry in read_annotation(path) if entry["split"] == split}


if __name__ == "__main__":
    sys.exit(run_program(main))
