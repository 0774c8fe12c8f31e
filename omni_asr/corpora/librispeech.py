"""LibriSpeech (OpenSLR 12), which more than one recipe reads: its parts, sets and archives.

A part is a folder ``dev-clean/`` and so on, with ``<reader>/<chapter>/<reader>-<chapter>-<n>.flac`` and a
``<reader>-<chapter>.trans.txt`` in each chapter. Words are lower-cased and nothing else: they have no punctuation, and
``O' TH'`` no quotes. Scoring ignores case.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from omni_asr.corpora.download import Archive, fetch_all, was_interrupted
from omni_asr.corpora.preparing import Preparation
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.kaldi.tables import split_line, stream_lines

PARTS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")
SETS = {part.replace("-", "_"): (part,) for part in PARTS} | {
    "train_460": PARTS[:2],
    "train_960": PARTS[:3],
    "dev": ("dev-clean", "dev-other"),
}
"""Parts of each set."""
URL = "https://www.openslr.org/resources/12"
ARCHIVES = {
    "dev-clean": (337926286, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
    "dev-other": (314305928, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
    "test-clean": (346663984, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
    "test-other": (328757843, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"),
    "train-clean-100": (6387309499, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"),
    "train-clean-360": (23049477885, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"),
    "train-other-500": (30593501606, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"),
}
"""Bytes and SHA-256 sum of the archive of each part."""
_AUDIO = "*/*/*.flac"
"""In the folder of a part."""


def part_folders(tree: CorpusTree, part: str) -> list[Path]:
    """The folders of a part that have audio: a part may lie in several places."""
    return [folder for folder in tree.find_all(part) if tree.inside(folder, _AUDIO)]


def write_set(preparation: Preparation, name: str) -> None:
    """Write one set.

    Raises:
        UserError: a part of it is not in the corpus, or a chapter has no transcripts.
    """
    chapters: dict[tuple[str, str], list[Path]] = {}
    for part in SETS[name]:
        folders = part_folders(preparation.tree, part)
        if not folders:
            preparation.tree.need(f"{part}/{_AUDIO}")
        for folder in folders:
            for chapter in filter(Path.is_dir, folder.glob("*/*")):
                chapters.setdefault((chapter.parent.name, chapter.name), []).append(chapter)
    with preparation.writer(name) as writer:
        for (reader, _), places in sorted(chapters.items()):
            _write_chapter(preparation.tree, reader, places, writer)


def _write_chapter(tree: CorpusTree, reader: str, places: Sequence[Path], writer: SetWriter) -> None:
    """Add the utterances of a chapter; of a file that lies in several places, the first is taken."""
    transcripts = _files(tree, places, "*.trans.txt")
    if not transcripts:
        raise UserError(f"{places[0]} has no *.trans.txt; the copy of the corpus is not complete")
    audio = {path.stem: path for path in reversed(_files(tree, places, "*.flac"))}
    listed = set()
    for line in stream_lines(transcripts[0]):
        name, words = split_line(line)
        if not name:
            continue
        listed.add(name)
        if name in audio:
            writer.utterance(name, reader, words.lower(), audio=str(audio[name]))
        else:
            writer.remove(name, f"has no audio file {places[0]}/{name}.flac")
    for name in sorted(audio.keys() - listed):
        writer.remove(name, "has no line in the transcript of its chapter")


def _files(tree: CorpusTree, folders: Iterable[Path], pattern: str) -> list[Path]:
    return [path for folder in folders for path in tree.files(folder, pattern)]


def fetch_sets(names: Sequence[str], folders: Sequence[Path], url: str = URL) -> None:
    """Fetch the parts of some sets of which no folder has audio into the first one, a folder ``LibriSpeech``.

    Raises:
        UserError: something must be fetched and that folder has another name, or fetching fails.
    """
    parts = dict.fromkeys(part for name in names for part in SETS[name])
    archives = {part: _archive(part, url) for part in parts}
    tree, target = CorpusTree.of_those_there(folders), folders[0]
    missing = [part for part in parts if not part_folders(tree, part) or was_interrupted(archives[part], target.parent)]
    if not missing:
        print(f"{', '.join(map(str, folders))}: {', '.join(parts)} are there, nothing to fetch")
        return
    if target.name != "LibriSpeech":  # the archives begin with this folder
        raise UserError(f"{target} lacks {', '.join(missing)}; to fetch them, name a folder LibriSpeech")
    fetch_all([archives[part] for part in missing], target.parent)


def _archive(part: str, url: str) -> Archive:
    size, sha256 = ARCHIVES[part]
    return Archive(f"{url}/{part}.tar.gz", size, sha256)
