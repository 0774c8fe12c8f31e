"""Make Kaldi data directories of VoxPopuli, English speech with transcripts.

--corpus-dir is a copy that the official tool has cut (transcribed_data/en/<year>/*.ogg and asr_<split>.tsv), one of the
dataset hub (data/en/ with asr_<split>.tsv and WAV, in tar files or not), or the recordings (raw_audios/original/<year>/
and asr_en.tsv.gz), from which utterances are cut into --audio-dir, once, as the official tool does.

`text` is normalized_text in plain words; of the sets that are scored, `text_verbatim` has its digits too, and
`text_whisper` is raw_text, or normalized_text where that has no words.

Sets: train, dev, test, en_accented.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from copies import find_copy
from rows import Row, safe_name

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.text.plain import lost_in_plain, plain_words, straight_quotes, written_words

SETS = {"train": ("en", "train"), "dev": ("en", "dev"), "test": ("en", "test"), "en_accented": ("en_accented", "test")}
"""Language and split of each set."""
NOBODY = ("", "none", "nan", "null", "-1")
DIGITS = 6
"""Of the number of a speaker, so that their order is that of their letters."""
_REMARK = re.compile(r"\(.*?\)|\[.*?\]|<.*?>")
"""What Whisper's normaliser takes out."""


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all that are there."""
    parser = ArgumentParser(__doc__)
    add_options(parser, SETS)
    parser.add_argument("--audio-dir", type=Path, default=Path("audio"), help="where utterances are cut or unpacked to")
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    found = 0
    for name, (language, split) in SETS.items():
        if not preparation.wants(name):
            continue
        copy = find_copy(preparation.tree, language, split, options.audio_dir.absolute())
        if copy:
            with preparation.writer(name, keep_empty=name != "train") as writer:
                for row in copy.rows(preparation):
                    write_row(writer, row, name == "train", split)
            found += 1
        elif options.sets:
            raise not_there(preparation, f"{language}/asr_{split}.tsv with its audio or asr_{language}.tsv.gz")
    if not found:
        raise not_there(preparation, "en/asr_*.tsv with its audio or asr_en.tsv.gz")


def not_there(preparation: Preparation, what: str) -> UserError:
    """That the corpus lacks something."""
    where = ", ".join(map(str, preparation.tree.roots))
    return UserError(f"{what} is not in {where}; is --corpus_dir the folder of this corpus?")


def write_row(writer: SetWriter, row: Row, is_train: bool, split: str) -> None:
    """Add a segment, or say why not."""
    name, speaker = ids(row)
    lost = lost_in_plain(row.normalized)
    if row.split != split:
        writer.exclude(name, f"is of the split '{row.split}'")
    elif row.missing:
        writer.remove(name, row.missing)
    elif not row.normalized.strip():
        writer.exclude(name, "has no normalized_text")
    elif is_train and lost:
        writer.exclude(name, f"has '{lost}' in its normalized_text, which training text does not have")
    else:
        tables = {} if is_train else scored(row)
        words = "" if lost else plain_words(row.normalized)
        writer.utterance(name, speaker, words, audio=row.audio, seconds=row.seconds, **tables)


def scored(row: Row) -> dict[str, str]:
    """What the regimes score; ``text``, for validation, is empty where it would lack words."""
    has_words = written_words(_REMARK.sub(" ", row.raw))
    return {
        "text_verbatim": written_words(row.normalized),
        "text_whisper": straight_quotes(row.raw.strip() if has_words else row.normalized),
    }


def ids(row: Row) -> tuple[str, str]:
    """Ids of the utterance and of its speaker; a segment whose speaker is unknown has one of its own."""
    segment = safe_name(row.id)
    if row.speaker.strip().lower() in NOBODY:
        return segment, segment
    speaker = safe_name(row.speaker.strip()).zfill(DIGITS)
    return f"{speaker}-{segment}", speaker


if __name__ == "__main__":
    sys.exit(run_program(main))
