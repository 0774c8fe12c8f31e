"""Mend Kaldi data directories in place.

Sorts every table and keeps the utterances that utt2spk, segments or wav.scp, feats.scp, text and utt2lang know, where
they are there; writes spk2utt again. Other tables are filtered, and dropped where they lack something that stays; files
such as text.old or utt2spk.bak are no tables. What was removed is appended with reasons to DATA_DIR/removed_by_fix; the
old files are kept in DATA_DIR/.backup, those of later fixes in .backup.1, .backup.2 and so on. Where nothing changes,
neither is written.

Example: omni-asr fix data/train data/dev
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.kaldi.fix import REMOVED_LIST, Fixed, fix


def main(argv: Sequence[str] | None = None) -> int:
    """Mend each directory and print how much was kept and removed."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dirs", metavar="DATA_DIR", nargs="+", help="Kaldi data directory")
    parser.add_argument("--remove-empty-text", action="store_true", help="remove utterances without a word")
    args = parser.parse_args(argv)
    failed = 0
    for data_dir in args.data_dirs:
        try:
            _report(data_dir, fix(data_dir, args.remove_empty_text))
        except UserError as error:
            print(f"fix: error: {error}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _report(data_dir: str, fixed: Fixed) -> None:
    cleaned = f", odd white space mended in {fixed.cleaned} lines" if fixed.cleaned else ""
    where = f" (see {data_dir}/{REMOVED_LIST})" if fixed.removed else ""
    kept = f"{fixed.kept} of {fixed.total} utterances kept"
    print(f"{data_dir}: {kept}, {len(fixed.removed)} ids or lines removed{where}{cleaned}")


if __name__ == "__main__":
    sys.exit(run_program(main))
