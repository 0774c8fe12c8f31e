"""Count errors of a decoded set with sclite's alignment, in words and characters.

Reads DATA_DIR/text, DATA_DIR/utt2spk and DECODE_DIR/text. Prints Kaldi's %WER line and writes into DECODE_DIR: wer,
cer, scoring_kaldi/best_wer, and scoring/ with ref.trn, hyp.trn, result.txt (sclite's tables and alignments), result.md,
ci (its 95 % interval), per_utt, per_spk and missing_hyps. A reference without hypothesis counts as deleted words.

Also in scoring/: errors (all confusions, deleted and inserted words with counts), by_length.md for --by length,
by_utt2snr.md for --by utt2snr, and oov, the words that the training text lacks, for --train-text FILE.

With --stm, references are segments with times, and so are hypotheses: those of --ctm, or the decoded words at the times
in DECODE_DIR/tokens.jsonl. A word counts in the segment where its middle lies; optional (words) may be left out and
fragments- match their beginnings, as in hubscr.pl. --glm applies a global map to both sides first; without --stm, to
DATA_DIR/text_glm, if there, or DATA_DIR/text, and DECODE_DIR/text.

Every result names its regime, wer and cer also the protocol (words or stm, glm, filters). Whisper's (--regime whisper)
has files of its own: wer_whisper, scoring_whisper/.

Example: omni-asr score --stm data/eval2000/stm --glm data/eval2000/glm --subset swbd=sw_ --subset callhm=en_ \\
             data/eval2000 - exp/omni_base/decode_eval2000
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.scoring.hypotheses import HYPOTHESIS_FILTERS
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.regimes import REGIMES
from omni_asr.scoring.score import score


def main(argv: Sequence[str] | None = None) -> None:
    """Score one decode directory."""
    parser = ArgumentParser(__doc__)
    regimes = "; ".join(f"{name}: {what}" for name, what in REGIMES.items())
    parser.add_argument("--regime", choices=list(REGIMES), help=f"{regimes}. Default: glm with --glm, else verbatim")
    parser.add_argument("--stm", type=Path, help="references with times, instead of DATA_DIR/text")
    parser.add_argument("--ctm", type=Path, help="recognised words with times, instead of the decoded ones")
    parser.add_argument("--glm", type=Path, help="global map applied to both sides")
    parser.add_argument(
        "--hyp-filter",
        choices=list(HYPOTHESIS_FILTERS),
        default="",
        help="what the protocol does to recognised words: hub5 drops hesitations, fragments and events; needs --stm",
    )
    parser.add_argument(
        "--join-hyphens",
        action="store_true",
        help="count half-built as one word where a reference has it: 'half built' is joined where it stands for that "
        "word, and the global map parts no words; not in Whisper's regime, whose normaliser parts them",
    )
    parser.add_argument(
        "--subset",
        action="append",
        default=[],
        metavar="NAME=PREFIX",
        help="score also the files that begin with PREFIX (without --stm: utterances); may be repeated",
    )
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="TABLE",
        help="break results down by length, or by a utt2* or spk2* table of DATA_DIR or with its path (numbers in five "
        "bins, other values as they are); may be repeated",
    )
    parser.add_argument(
        "--bootstrap",
        choices=["speakers", "utterances"],
        default="",
        help="what is drawn for the 95%% intervals; by default speakers where there are several",
    )
    parser.add_argument("--train-text", type=Path, help="text of the training data, to list words that it lacks")
    parser.add_argument("data_dir", help="data directory with text and utt2spk")
    parser.add_argument("lang_dir", help="language directory, or - for none (words are compared as they are)")
    parser.add_argument("decode_dir", help="directory with the hypotheses in text")
    options = parser.parse_args(argv)
    if options.lang_dir != "-" and not Path(options.lang_dir).is_dir():
        raise UserError(f"{options.lang_dir} is no directory; give the language directory, or - for none")
    subsets = dict(text.partition("=")[::2] for text in options.subset)
    if not all(subsets.values()):
        raise UserError("--subset takes NAME=PREFIX, such as swbd=sw_")
    if len(subsets) < len(options.subset):
        raise UserError(f"--subset: a name is given twice in {' '.join(options.subset)}")
    regime = options.regime or ("glm" if options.glm else "verbatim")
    given = (options.stm, options.ctm, options.glm, subsets, options.by, options.train_text, options.bootstrap)
    joins = options.join_hyphens and regime != "whisper"
    print(score(options.data_dir, options.decode_dir, Protocol(regime, *given, options.hyp_filter, joins)), regime)


if __name__ == "__main__":
    sys.exit(run_program(main))
