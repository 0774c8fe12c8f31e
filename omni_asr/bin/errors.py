"""Write a page to read and hear what went wrong on a scored set: one HTML file that needs nothing beside it.

Shows the error rate with its interval, the tables that omni-asr score --by wrote, frequent confusions, deletions and
insertions, the hardest speakers, and the utterances with the most errors: reference over hypothesis, and their audio.
A click on a recognised word plays from there, where the decoding left times (tokens.jsonl). The page holds speech of
the corpus: give it only to those who may have that.

Example: omni-asr errors data/test exp/omni_base/decode_test
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.analysis.errors_page import write_errors
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.scoring.result_files import ResultFiles, suffix_of


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page and print where it is."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--most", type=int, default=30, help="utterances to show")
    parser.add_argument("--no-audio", action="store_true", help="leave the audio out")
    parser.add_argument("--regime", choices=["whisper"], help="results of this regime instead of the corpus's own")
    parser.add_argument("--out", type=Path, help="file to write; by default errors.html in the folder of the results")
    parser.add_argument("data_dir", type=Path, help="data directory with wav.scp, or segments, and utt2spk")
    parser.add_argument("decode_dir", type=Path, help="directory that omni-asr score wrote into")
    parser.add_pipes()
    options = parser.parse_args(argv)
    if options.most < 1:
        raise UserError(f"--most {options.most}: at least one utterance was expected")
    suffix = suffix_of(options.regime)
    out = options.out or ResultFiles(options.decode_dir, suffix).folder / "errors.html"
    print(write_errors(options.data_dir, options.decode_dir, out, options.most, not options.no_audio, suffix))


if __name__ == "__main__":
    sys.exit(run_program(main))
