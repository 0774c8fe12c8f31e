"""LibriSpeech (OpenSLR 12), which more than one recipe reads: its parts, sets and archives.

A part is a folder ``dev-clean/`` and so on, with ``<reader>/<chapter>/<reader>-<chapter>-<n>.flac`` and a
``<reader>-<chapter>.trans.txt`` in each chapter. Words are lower-cased, which is all that training needs; scoring
ignores case.
"""

from collections.abc import Sequence
from pathlib import Path

from omni_asr.corpora.download import Archive, fetch_all, was_interrupted
from omni_asr.corpora.preparing import Preparation
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.kaldi.tables import split_line, stream_lines
from omni_asr.text.plain import plain_words

PARTS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")
SETS = {part.replace("-", "_"): (part,) for part in PARTS} | {
    "train_460": PARTS[:2],
    "train_960": PARTS[:3],
    "dev": ("dev-clean", "dev-other"),
}
"""Parts of each set."""
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
"""Bytes of the archive of each part."""


def write_set(preparation: Preparation, name: str) -> None:
    """Write one set.

    Raises:
        UserError: a part of it is not in the corpus, or a chapter has no transcripts.
    """
    folders = [preparation.tree.need(part) for part in SETS[name]]
    with preparation.writer(name) as writer:
        for folder in folders:
            _write_part(preparation, folder, writer)


def _write_part(preparation: Preparation, folder: Path, writer: SetWriter) -> None:
    """Add every chapter of a part."""
    for chapter in sorted(folder.glob("*/*")):
        if not chapter.is_dir():
            continue
        transcripts = preparation.tree.files(chapter, "*.trans.txt")
        if not transcripts:
            raise UserError(f"{chapter} has no *.trans.txt; the copy of the corpus is not complete")
        audio = {path.stem: path for path in preparation.tree.files(chapter, "*.flac")}
        reader, listed = chapter.parent.name, set()
        for line in stream_lines(transcripts[0]):
            name, words = split_line(line)
            if not name:
                continue
            listed.add(name)
            if name in audio:
                writer.utterance(name, reader, plain_words(words), audio=str(audio[name]))
            else:
                writer.remove(name, f"has no audio file {chapter}/{name}.flac")
        for name in sorted(audio.keys() - listed):
            writer.remove(name, "has no line in the transcript of its chapter")


def fetch_sets(names: Sequence[str], folders: Sequence[Path], url: str = URL) -> None:
    """Fetch the parts of some sets that none of some folders has into the first one, a folder ``LibriSpeech``.

    Raises:
        UserError: something must be fetched and that folder has another name, or fetching fails.
    """
    parts = dict.fromkeys(part for name in names for part in SETS[name])
    archives = {part: Archive(f"{url}/{part}.tar.gz", SIZES[part]) for part in parts}
    tree, target = CorpusTree.of_those_there(folders), folders[0]
    missing = [part for part in parts if not tree.find(part) or was_interrupted(archives[part], target.parent)]
    if not missing:
        print(f"{', '.join(map(str, folders))}: {', '.join(parts)} are there, nothing to fetch")
        return
    if target.name != "LibriSpeech":  # the archives begin with this folder
        raise UserError(f"{target} lacks {', '.join(missing)}; to fetch them, name a folder LibriSpeech")
    fetch_all([archives[part] for part in missing], target.parent)
