"""Count errors of a decoded set with sclite's alignment, in words and characters.

Reads DATA_DIR/text, DATA_DIR/utt2spk and DECODE_DIR/text. Prints Kaldi's %WER line and writes into DECODE_DIR:
wer, cer, and scoring/ with ref.trn, hyp.trn, result.txt (sclite's tables and alignments), per_utt, per_spk and
missing_hyps. A reference without hypothesis counts as deleted words.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.scoring.score import score


def main(argv: Sequence[str] | None = None) -> None:
    """Score one decode directory."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", help="data directory with text and utt2spk")
    parser.add_argument("lang_dir", help="language directory, or - for none (words are compared as they are)")
    parser.add_argument("decode_dir", help="directory with the hypotheses in text")
    options = parser.parse_args(argv)
    if options.lang_dir != "-" and not Path(options.lang_dir).is_dir():
        raise UserError(f"{options.lang_dir} is no directory; give the language directory, or - for none")
    print(score(options.data_dir, options.decode_dir))


if __name__ == "__main__":
    sys.exit(run_program(main))
