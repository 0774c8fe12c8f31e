"""Make Kaldi data directories of FLEURS, American English.

--corpus-dir is the folder with data/en_us or en_us (each <set>.tsv and audio/<set>/), or with metadata/en_us and en_us,
as lhotse leaves it; archives are unpacked where they are, or in the first --corpus-dir that can be written. Text is the
normalised transcription (column 4). Training has a to z and ' only; sentences with digits and other signs are left out
of it and listed. dev and test keep every sentence: text_verbatim is column 4 with its digits, text_whisper the raw
transcription (column 3), for Whisper's normaliser, and text nothing where training text would lose something:
validation leaves these out.

Sets: train, dev, test. No speakers are known: each take of a sentence is a speaker of its own.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from layout import SETS, need_part, unpack_older

from omni_asr.audio.source import AudioError
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import AudioFile, probe
from omni_asr.corpora.delimited import read_tsv
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.writer import SetWriter
from omni_asr.text.plain import lost_in_plain, plain_words, without_brackets, written_words

COLUMNS = ("id", "file", "raw", "normalised", "letters", "samples", "gender")
"""Of a TSV file; it has no header."""


@dataclass(frozen=True)
class Take:
    """A line of a TSV file: one recording of a sentence."""

    name: str
    speaker: str
    file: str
    raw: str
    words: str
    samples: int
    gender: str


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all."""
    parser = ArgumentParser(__doc__)
    add_options(parser, SETS)
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    folders = preparation.tree.roots
    tree = unpack_older(preparation.tree, folders)
    for name in SETS:
        if preparation.wants(name):
            table, audio = need_part(tree, name, folders)
            write_set(preparation, name, table, audio)


def write_set(preparation: Preparation, name: str, table: Path, audio: Path) -> None:
    """Write the set of a TSV file."""

    def look(take: Take) -> tuple[Take, AudioFile | AudioError]:
        try:
            return take, probe(audio / take.file)
        except AudioError as error:
            return take, error

    with preparation.writer(name, keep_empty=name != "train") as writer:
        for take, found in preparation.in_parallel(look, read_takes(table, writer)):
            if isinstance(found, AudioError):
                writer.remove(take.name, f"has audio that cannot be read: {found}")
                continue
            if round(found.seconds * found.rate) != take.samples:
                writer.notes["recordings whose length is not that of the list"] += 1
            add(writer, take, found, is_training=name == "train")


def add(writer: SetWriter, take: Take, audio: AudioFile, is_training: bool) -> None:
    """Add a take; of those for training, one whose sentence can be spelt with a to z."""
    value, seconds, lost = audio.value(), audio.seconds, lost_in_plain(take.words)
    text = "" if lost else plain_words(take.words)
    if not is_training:
        writer.utterance(
            take.name,
            take.speaker,
            text,
            audio=value,
            seconds=seconds,
            text_verbatim=written_words(take.words),
            text_whisper=without_brackets(take.raw),
            utt2gender=take.gender.lower() or "unknown",
        )
    elif lost:
        writer.exclude(take.name, f"has '{lost}', which text for training cannot hold")
    else:
        writer.utterance(take.name, take.speaker, text, audio=value, seconds=seconds)


def read_takes(path: Path, writer: SetWriter) -> Iterator[Take]:
    """Takes of a TSV file, numbered within their sentence, which has up to three.

    Rows that are no takes are listed by the writer, under the name of the file where that is known.
    """
    takes, names = Counter[str](), dict[str, tuple[str, str]]()
    for row in read_tsv(path, (), COLUMNS):
        fields = {name: value.strip() for name, value in row.fields.items()}
        sentence, file = fields["id"], fields.get("file", "").rsplit("/", 1)[-1]
        stem = file.removesuffix(".wav")  # 20 digits, which no integer of 64 bits holds
        if row.problem:
            writer.remove(stem if stem.isdecimal() else f"line{row.line}", row.problem)
            continue
        if not sentence.isdecimal() or not stem:
            writer.remove(f"line{row.line}", f"does not begin with a number and a file ({path.name}:{row.line})")
            continue
        if stem not in names:  # a line that comes twice keeps its name, and is found by it
            takes[sentence] += 1
            speaker = f"fleurs-{int(sentence):04d}-{takes[sentence]}"
            names[stem] = f"{speaker}-{stem}", speaker
        name, speaker = names[stem]
        samples = int(fields["samples"]) if fields["samples"].isdecimal() else -1
        yield Take(name, speaker, f"{stem}.wav", fields["raw"], fields["normalised"], samples, fields["gender"])


if __name__ == "__main__":
    sys.exit(run_program(main))
