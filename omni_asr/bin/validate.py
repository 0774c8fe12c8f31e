"""Check Kaldi data directories.

Prints every violation of a rule as file:line, the first ten of each kind and the number of the others, and exits with
status 1 where there is one. Rules: sorting by LC_ALL=C, unique ids, consistent sets of ids, speakers in the order of
utterances, spk2utt against utt2spk, segments, UTF-8 without odd white space. Where the tables keep them, features must
be there, of one width (that of fbank.conf) and of the length in utt2num_frames; their headers are read, which bound the
values of compressed features. With --feats the values of all others are read as well, and must be finite; with --audio
every recording is read to its end. Utterances that do not begin with their speaker are a warning; those listed in
removed_utts may lack features. Files such as text.old or utt2spk.bak are not tables.

Example: omni-asr validate data/train data/dev
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.features.check import matrix_faults
from omni_asr.kaldi.validate import FEATURE_TABLES, Validation, Violation

MOST = 10
"""Violations of one kind that are printed."""
AUDIO_TABLES = {"wav.scp", "segments", "utt2spk", "reco2file_and_channel", "utt2dur"}
"""Tables that reading the audio starts from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Check each directory and print the violations, or what was counted."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dirs", metavar="DATA_DIR", nargs="+", help="Kaldi data directory")
    features = parser.add_mutually_exclusive_group()
    features.add_argument(
        "--feats", action="store_true", help="feats.scp must be there, and the values of all matrices are read"
    )
    features.add_argument("--no-feats", action="store_true", help="leave out features and the tables about them")
    parser.add_argument("--no-text", action="store_true", help="text need not be there")
    parser.add_argument("--no-wav", action="store_true", help="wav.scp need not be there")
    parser.add_argument("--audio", action="store_true", help="read every recording to its end as well")
    parser.add_pipes()
    args = parser.parse_args(argv)
    broken = 0
    for data_dir in args.data_dirs:
        try:
            without = FEATURE_TABLES if args.no_feats else ()
            validation = Validation(data_dir, args.feats, not args.no_text, not args.no_wav, without)
        except UserError as error:
            _print_error(str(error))
            broken += 1
            continue
        if _print_faults(validation, args):
            broken += 1
            continue
        utterances, speakers, recordings = (validation.counts[kind] for kind in ("utt", "spk", "reco"))
        readable = ", all of which can be read to their end" if args.audio else ""
        counted = f"{utterances} utterances, {speakers} speakers, {recordings} recordings{readable}"
        print(f"{data_dir}: valid, {counted}")
    return 1 if broken else 0


def _print_faults(validation: Validation, args: argparse.Namespace) -> int:
    """Print what is wrong with tables, matrices and audio; return how many faults there are.

    Matrices and audio are checked unless the tables that name them are broken.
    """
    checks: list[Callable[[], int]] = [lambda: _print_violations(validation.violations())]
    if not args.no_feats:
        checks.append(lambda: _print_violations(_matrices(validation, args.feats)))
    if args.audio:
        checks.append(lambda: _print_unreadable(validation))
    faults = 0
    for check in checks:
        try:
            faults += check()
        except UserError as error:
            _print_error(str(error))
            faults += 1
    return faults


def _matrices(validation: Validation, values: bool) -> Iterator[Violation]:
    """Wrong matrices, where there are features and their tables can be read."""
    scp = validation.data.path / "feats.scp"
    if scp.is_file() and not validation.broken & {"feats.scp", "utt2num_frames"}:
        for fault in matrix_faults(validation.data.path, values):
            yield Violation(f"{scp}: wrong matrices", fault)


def _print_violations(violations: Iterable[Violation]) -> int:
    """Print the first violations of each kind and the number of the others; return how many there are."""
    counts: Counter[str] = Counter()
    for violation in violations:
        counts[violation.kind] += 1
        if counts[violation.kind] <= MOST:
            _print_error(violation.message)
    for kind, count in counts.items():
        if count > MOST:
            _print_error(f"{kind}: {count - MOST} more")
    return counts.total()


def _print_unreadable(validation: Validation) -> int:
    """Read every recording to its end, print all that cannot be read, and return how many there are.

    Nothing is read where the tables that name recordings and utterances are broken.
    """
    if validation.broken & AUDIO_TABLES:
        return 0
    from omni_asr.audio.reader import AudioReader

    failures = 0
    for failure in AudioReader(validation.data.path).check():
        _print_error(f"{validation.data.path}: {failure.utterance}: {failure.reason}")
        failures += 1
    return failures


def _print_error(message: str) -> None:
    print(f"validate: error: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_program(main))
