"""Check a Kaldi data directory.

Exits with status 1 and one line that names the first violation (file:line): sorting by LC_ALL=C, unique ids, consistent
sets of ids, speakers in the order of utterances, spk2utt against utt2spk, segments, UTF-8 without odd white space,
features that are there, of one width (that of fbank.conf), of the length in utt2num_frames, and finite. Of compressed
features only the headers are read.
Utterances that do not begin with their speaker are a warning; those listed in removed_utts may lack features. Files
such as text.old or utt2spk.bak are no tables. With --audio every recording is read to its end, and everything that
cannot be read is listed.

Example: omni-asr validate --no-feats data/train
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.stored_features import check_matrices
from omni_asr.kaldi.validate import validate


def main(argv: Sequence[str] | None = None) -> None:
    """Check and print what was counted."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", metavar="DATA_DIR", help="Kaldi data directory")
    parser.add_argument("--no-feats", action="store_true", help="without features; matrices are not read")
    parser.add_argument("--no-text", action="store_true", help="text need not be there")
    parser.add_argument("--no-wav", action="store_true", help="wav.scp need not be there")
    parser.add_argument("--audio", action="store_true", help="read every recording to its end as well")
    parser.add_pipes()
    args = parser.parse_args(argv)
    counts = validate(args.data_dir, not args.no_feats, not args.no_text, not args.no_wav)
    if not args.no_feats:
        check_matrices(args.data_dir)
    print(f"{args.data_dir}: valid, {counts['utt']} utterances, {counts['spk']} speakers, {counts['reco']} recordings")
    if args.audio:
        check_audio(args.data_dir)


def check_audio(data_dir: str) -> None:
    """Read every recording to its end, and print what cannot be read.

    Raises:
        UserError: something cannot be read.
    """
    from omni_asr.audio.reader import AudioReader
    from omni_asr.errors import UserError

    failures = 0
    for failure in AudioReader(data_dir).check():
        print(f"{data_dir}: {failure.utterance}: {failure.reason}")
        failures += 1
    if failures:
        raise UserError(f"{data_dir}: recordings or utterances that cannot be read, listed above: {failures}")
    print(f"{data_dir}: every recording can be read to its end")


if __name__ == "__main__":
    sys.exit(run_program(main))
