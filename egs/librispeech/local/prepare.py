"""Make Kaldi data directories of LibriSpeech.

--corpus-dir is the folder with dev-clean/, test-clean/ and so on, each <reader>/<chapter>/<reader>-<chapter>-<n>.flac
with a <reader>-<chapter>.trans.txt. Words are lower-cased, which is all that training needs; scoring ignores case.

Sets: train_clean_100, train_clean_360, train_other_500, train_460, train_960, dev_clean, dev_other, dev (both),
test_clean, test_other.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.bin import run_program
from omni_asr.corpora.preparing import Preparation, PreparationParser
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


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all whose parts are there."""
    parser = PreparationParser(__doc__)
    options = parser.parse_args(argv)
    for name in options.sets or []:
        if name not in SETS:
            parser.error(f"--sets: there is no set {name}; there are {', '.join(SETS)}")
    preparation = Preparation(options)
    wanted = options.sets or [name for name, parts in SETS.items() if all(map(preparation.tree.find, parts))]
    if not wanted:
        preparation.tree.need(*PARTS)
    for name in dict.fromkeys(wanted):
        folders = [preparation.tree.need(part) for part in SETS[name]]
        with preparation.writer(name) as writer:
            for folder in folders:
                write_part(preparation, folder, writer)


def write_part(preparation: Preparation, folder: Path, writer: SetWriter) -> None:
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


if __name__ == "__main__":
    sys.exit(run_program(main))
