"""Fetch what some sets need: manifests of Libriheavy, audio of Libri-Light, parts of LibriSpeech.

Each goes into the --corpus-dir of its name (librilight, libriheavy, LibriSpeech), or into a folder of that name in the
first one. An interrupted download goes on where it stopped; what preparation finds in any --corpus-dir is not fetched.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from libriheavy import SETS, audio_parts, find_audio, find_manifest, manifest

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora import librispeech
from omni_asr.corpora.download import ARCHIVES, Archive, fetch, fetch_all, was_interrupted
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

AUDIO_URL = "https://dl.fbaipublicfiles.com/librilight/data"
MANIFEST_URL = "https://huggingface.co/datasets/pkufool/libriheavy/resolve/main"
GIGABYTES = {"small": 35, "medium": 321, "large": 3050}
"""Of the archives, as announced; flac does not shrink in them."""


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack what is missing."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--corpus-dir", action="append", type=Path, required=True, help="folder; may be repeated")
    parser.add_argument(
        "--sets", action="append", metavar="SET", help="set to fetch; may be repeated; by default small"
    )
    parser.add_argument("--audio-url", default=AUDIO_URL, help="server of small.tar, medium.tar and large.tar")
    parser.add_argument("--manifest-url", default=MANIFEST_URL, help="server of libriheavy_cuts_small.jsonl.gz, ...")
    parser.add_argument("--librispeech-url", default=librispeech.URL, help="server of LibriSpeech's archives")
    options = parser.parse_args(argv)
    sets = options.sets or ["small", *(name for name in librispeech.SETS if not name.startswith("train"))]
    unknown = [name for name in sets if name not in SETS | librispeech.SETS]
    if unknown:
        raise UserError(f"there is no set {unknown[0]}; there are {', '.join(SETS | librispeech.SETS)}")
    heavy = [name for name in sets if name in SETS]
    read = [name for name in sets if name in librispeech.SETS]
    if read:
        folders = dict.fromkeys([place(options.corpus_dir, "LibriSpeech"), *options.corpus_dir])
        librispeech.fetch_sets(read, list(folders), options.librispeech_url)  # the first gets what none has
    tree = CorpusTree.of_those_there(options.corpus_dir)
    for part in dict.fromkeys(part for name in heavy for part in SETS[name]):
        if not find_manifest(tree, part):
            fetch(Archive(f"{options.manifest_url}/{manifest(part)}"), place(options.corpus_dir, "libriheavy"))
    parts = list(dict.fromkeys(part for name in heavy for part in audio_parts(name)))
    fetch_audio(tree, parts, place(options.corpus_dir, "librilight"), options.audio_url)


def place(folders: Sequence[Path], name: str) -> Path:
    """The folder of that name among those that are given, or else below the first."""
    return next((folder for folder in folders if folder.name.lower() == name.lower()), folders[0] / name)


def fetch_audio(tree: CorpusTree, parts: Sequence[str], folder: Path, url: str) -> None:
    """Fetch and unpack parts of Libri-Light that the tree lacks into a folder.

    Raises:
        UserError: the disk is too small, or fetching fails.
    """
    archives = {part: Archive(f"{url}/{part}.tar") for part in parts}
    missing = [part for part in parts if not find_audio(tree, part) or was_interrupted(archives[part], folder)]
    if not missing:
        if parts:
            print(f"Libri-Light's {', '.join(parts)} are there, nothing to fetch")
        return
    begun = folder / ARCHIVES
    there = sum(path.stat().st_size for path in begun.glob("*")) if begun.is_dir() else 0
    needed = (sum(GIGABYTES[part] for part in missing) + max(GIGABYTES[part] for part in missing)) * 10**9 - there
    exists = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(exists).free
    if needed > free:
        raise UserError(
            f"{', '.join(missing)} of Libri-Light need {needed / 1e9:,.0f} GB while they are unpacked, and {exists} "
            f"has {free / 1e9:,.0f} GB; name a place on a larger disk with --corpus_dir .../librilight"
        )
    fetch_all([archives[part] for part in missing], folder)


if __name__ == "__main__":
    sys.exit(run_program(main))
