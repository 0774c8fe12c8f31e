"""Make Kaldi data directories of the Wall Street Journal corpus (LDC93S6B and LDC94S13B, or LDC93S6A and LDC94S13A).

--corpus-dir is a package with its discs (11-1.1, 13-34.1, ...), a disc, or a copy that was flattened to wsj0/ and
wsj1/; repeat it for several. Only the first microphone (.wv1) is used.

Sets: train_si84, train_si284, test_dev93, test_eval92, test_eval93, test_dev93_5k, test_eval92_5k, test_eval93_5k.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from dot import official_words, scored_words, training_words

from omni_asr.audio.source import AudioError
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import AudioFile, probe
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.text.plain import unspoken

WSJ0_TRAIN = ("wsj0/doc/indices/train/tr_s_wv1.ndx",)
WSJ1_TRAIN = ("13?34?1/wsj1/doc/indices/si_tr_s.ndx", "wsj1/doc/indices/si_tr_s.ndx")
SETS: dict[str, tuple[tuple[str, ...], ...]] = {
    "train_si84": (WSJ0_TRAIN,),
    "train_si284": (WSJ1_TRAIN, WSJ0_TRAIN),
    "test_dev93": (("13?34?1/wsj1/doc/indices/h1_p0.ndx", "wsj1/doc/indices/h1_p0.ndx"),),
    "test_eval92": (("wsj0/doc/indices/test/nvp/si_et_20.ndx",),),
    "test_eval93": (("wsj1/doc/indices/wsj1/eval/h1_p0.ndx",),),
    "test_dev93_5k": (("13?34?1/wsj1/doc/indices/h2_p0.ndx", "wsj1/doc/indices/h2_p0.ndx"),),
    "test_eval92_5k": (("wsj0/doc/indices/test/nvp/si_et_05.ndx",),),
    "test_eval93_5k": (("wsj1/doc/indices/wsj1/eval/h2_p0.ndx",),),
}
"""Indices of each set, each with the places where it may be, the best first."""
ENTRY = re.compile(r"[^:]*:\s*/?(wsj[01]/\S+/\w{8})(\.wv1)?")
"""A line of an index: disc, path, and in some indices the suffix."""
LEFT_OUT = "wsj0/si_tr_s/401/"
END_OF_FILE = "\x1a"
"""What files that passed through DOS end in."""
SUFFIXES = (".wv1", ".wav", ".flac")
"""What the audio of an utterance may be called: as on the discs, or as a copy was converted."""


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all whose indices are there."""
    parser = ArgumentParser(__doc__)
    add_options(parser, SETS)
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    corpus = Corpus(preparation.tree)
    for name, indices in SETS.items():
        if preparation.wants(name) and (options.sets or all(corpus.tree.find(*index) for index in indices)):
            is_test = name.startswith("test")
            with preparation.writer(name, keep_empty=is_test) as writer:
                for index in indices:
                    write_index(preparation, corpus, corpus.tree.need(*index), writer, is_test)


def write_index(preparation: Preparation, corpus: "Corpus", index: Path, writer: SetWriter, is_test: bool) -> None:
    """Add the utterances that an index lists."""
    for path, audio in preparation.in_parallel(corpus.look, read_index(index)):
        name = PurePosixPath(path).name
        if path.startswith(LEFT_OUT):
            writer.exclude(name, "is of speaker 401, whom the official training set leaves out")
            continue
        transcript = corpus.transcript(name)
        if isinstance(audio, str):
            writer.remove(name, audio)
        elif transcript is None:
            writer.remove(name, f"has no transcript in a file {session(name)}.dot")
        else:
            add(writer, name, official_words(transcript), audio, is_test)


def add(writer: SetWriter, name: str, words: list[str], audio: AudioFile, is_test: bool) -> None:
    """Add an utterance; one for training must be written as it is spoken."""
    official = " ".join(words)
    if not is_test and (lost := unspoken(official)):
        writer.remove(name, f"is not written as it is spoken, but with '{lost}'")
        return
    tables = {"text_verbatim": scored_words(words), "text_whisper": official} if is_test else {}
    writer.utterance(name, name[:3], training_words(words), audio=audio.value(), seconds=audio.seconds, **tables)


def read_index(index: Path) -> Iterator[str]:
    """Paths that an index lists, in lower case, from ``wsj0/`` or ``wsj1/`` on, without their suffix.

    Discs are left out, since those that an index names need not be those that the audio is on.
    """
    for number, line in enumerate(decoded(index), 1):
        entry = line.strip().lower()
        if not entry or entry.startswith(";"):
            continue
        match = ENTRY.fullmatch(entry)
        if match is None:
            raise UserError(
                f"{index}:{number}: expected '<disc>:wsj0/<set>/<speaker>/<utterance>', not '{line.strip()}'"
            )
        yield match[1]


def session(name: str) -> str:
    """What the transcript of an utterance is called: speaker, type and session, then 00."""
    return f"{name[:6]}00"


class Corpus:
    """Audio and transcripts, wherever the discs are."""

    def __init__(self, tree: CorpusTree) -> None:
        self.tree = tree
        self._dots: dict[str, list[Path]] | None = None
        self._folders = lru_cache(lambda top: list(tree.find_all(top)))
        self._transcripts = lru_cache(1000)(read_dot)

    def look(self, path: str) -> tuple[str, AudioFile | str]:
        """A path of an index with its audio, or with why there is none."""
        parts = PurePosixPath(path).parts
        top, below = "/".join(parts[:2]), "/".join(parts[2:])
        for folder in self._folders(top):  # the same folder is on several discs
            for suffix in SUFFIXES:
                if found := self.tree.inside(folder, below + suffix):
                    try:
                        return path, probe(found)
                    except AudioError as error:
                        return path, f"{error} ({found})"
        return path, f"has no audio file {path}.wv1 on any disc"

    def transcript(self, name: str) -> str | None:
        """What was said, with all marks; None where nothing says it."""
        if self._dots is None:  # they are beside the audio, or on discs of their own
            self._dots = {}
            for path in self.tree.search("*.dot"):
                self._dots.setdefault(path.stem.lower(), []).append(path)
        found = (self._transcripts(path).get(name) for path in self._dots.get(session(name), ()))
        return next((words for words in found if words is not None), None)


def read_dot(path: Path) -> dict[str, str]:
    """Transcripts of a session: lines of words and ``(utterance)``; the first of an utterance counts."""
    transcripts: dict[str, str] = {}
    for number, line in enumerate(decoded(path), 1):
        if not line.strip():
            continue
        words, bracket, name = line.strip().rpartition("(")
        if not bracket or not name.endswith(")"):
            raise UserError(f"{path}:{number}: expected the words and '(utterance)', not '{line.strip()}'")
        transcripts.setdefault(name[:-1].strip().lower(), words)
    return transcripts


def decoded(path: Path) -> Iterator[str]:
    """Lines of a file of the discs: ASCII, but some copies passed through a word processor."""
    with open(path, "rb") as file:
        for line in file:
            try:
                yield line.decode("utf-8-sig").replace(END_OF_FILE, "")
            except UnicodeDecodeError:
                yield line.decode("cp1252", "replace").replace(END_OF_FILE, "")


if __name__ == "__main__":
    sys.exit(run_program(main))
