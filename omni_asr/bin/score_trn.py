"""Count word errors of one trn file against another, as sclite does with the same options.

Reads lines of words and (speaker-utterance). Alternations { a / b }, fragments- and optional (words) mean what they do
in sclite, the last two with --fragments (its -F) and --optional (-D). Speakers are, as for its -i rm, what stands
before the first "-" of an id, else before the first "_"; an id with neither belongs to the speaker of the line before.
Prints Kaldi's %WER line. A reference without hypothesis, which sclite skips, counts as deleted words.

OUT_DIR gets wer, result.txt (sclite's tables and alignments), per_utt, per_spk, ci (its 95 % interval), missing_hyps.

Example: omni-asr score-trn --optional --fragments ref.trn hyp.trn exp/other_system/scoring
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.scoring.markup import Markup
from omni_asr.scoring.score_trn import score_trn


def main(argv: Sequence[str] | None = None) -> None:
    """Score one pair of files."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--optional", action="store_true", help="(words) in parentheses may be left out")
    parser.add_argument("--fragments", action="store_true", help="fragments- match the beginning, -fragments the end")
    parser.add_argument("--case-sensitive", action="store_true", help="A and a differ (sclite -s)")
    parser.add_argument("reference", type=Path, metavar="REF.trn", help="what was said")
    parser.add_argument("hypothesis", type=Path, metavar="HYP.trn", help="what was recognised")
    parser.add_argument("out_dir", type=Path, nargs="?", metavar="OUT_DIR", help="directory for tables")
    options = parser.parse_args(argv)
    markup = Markup(options.optional, options.fragments, options.case_sensitive)
    print(score_trn(options.reference, options.hypothesis, markup, options.out_dir))


if __name__ == "__main__":
    sys.exit(run_program(main))
