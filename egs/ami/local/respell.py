"""Spell what was recognised as the references of AMI are spelt: MM-HMM and UH-HUH in one word, letters without a point.

Training texts of this toolkit have no hyphens, so a recogniser says backchannels in two words. Reads DECODE_DIR/text
and tokens.jsonl; writes DECODE_DIR/plain/text and DECODE_DIR/plain/ctm, where all backchannels are one word.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spelling import KALDIS, joined, unpointed

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.ctm import write_ctm
from omni_asr.kaldi.tables import read_entries, write_table
from omni_asr.scoring.decoded import decoded_tokens
from omni_asr.scoring.hypotheses import joined_backchannels
from omni_asr.scoring.segments import by_time


def main(argv: Sequence[str] | None = None) -> None:
    """Spell the words of one decoded set."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", type=Path, help="data directory that was decoded")
    parser.add_argument("decode_dir", type=Path, help="directory with the hypotheses in text")
    options = parser.parse_args(argv)
    plain = options.decode_dir / "plain"
    plain.mkdir(exist_ok=True)
    entries = read_entries(options.decode_dir / "text", may_be_empty=True)
    write_table(plain / "text", ((name, joined(unpointed(words), KALDIS)) for _, name, words in entries))
    tokens = by_time(decoded_tokens(options.data_dir, options.decode_dir))
    write_ctm(plain / "ctm", joined_backchannels(replace(token, word=unpointed(token.word)) for token in tokens))


if __name__ == "__main__":
    sys.exit(run_program(main))
