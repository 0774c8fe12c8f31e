"""Make Kaldi data directories of the mini corpus: <data-dir>/{train,dev,test,test_noisy,test_phone,test_fast}."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.delimited import read_tsv
from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import write_data_dir

SETS = ("train", "dev", "test", "test_noisy", "test_phone", "test_fast")
log = logging.getLogger("prepare")


def read_transcripts(corpus: Path, part: str) -> list[dict[str, str]]:
    """Rows of ``transcripts.tsv``, each with its audio file as ``path``.

    Raises:
        UserError: the set, or an audio file of it, is missing, or a row has another number of columns than the header.
    """
    table = corpus / part / "transcripts.tsv"
    if not table.is_file():
        raise UserError(f"{table} is missing: run stage 0 (local/download.sh), or point --corpus_dir at a mini corpus")
    suffix = "wav" if part == "test_phone" else "flac"
    rows = []
    for found in read_tsv(table, ("utterance", "speaker", "seconds", "text")):
        if found.problem:
            raise UserError(f"a row of {table} {found.problem}; remove {corpus} and run stage 0 again")
        row = found.fields
        path = corpus / part / row["speaker"] / f"{row['utterance']}.{suffix}"
        if not path.is_file():
            raise UserError(f"{path} is missing: remove {corpus} and run stage 0 (local/download.sh) again")
        rows.append({**row, "path": str(path)})
    return rows


def prepare(corpus: Path, part: str, data: Path) -> None:
    """Write ``<data>/<part>`` and print what is in it."""
    rows = read_transcripts(corpus, part)
    columns = {"wav.scp": "path", "text": "text", "utt2spk": "speaker", "utt2dur": "seconds"}
    write_data_dir(
        data / part, {name: {row["utterance"]: row[column] for row in rows} for name, column in columns.items()}
    )
    words = sum(len(row["text"].split()) for row in rows)
    hours = sum(float(row["seconds"]) for row in rows) / 3600
    speakers = len({row["speaker"] for row in rows})
    log.info("%-11s %5d utterances %6d words %6.3f hours %4d speakers", part, len(rows), words, hours, speakers)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options and prepare every set."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--corpus-dir", type=Path, default=Path("corpus"), help="the corpus that stage 0 made")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the data directories go")
    args = parser.parse_args(argv)
    for part in SETS:
        prepare(args.corpus_dir.absolute(), part, args.data_dir)
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
