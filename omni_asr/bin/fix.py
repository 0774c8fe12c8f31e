"""Mend a Kaldi data directory in place.

Sorts every table and keeps the utterances that utt2spk, segments or wav.scp, feats.scp, text and utt2lang know, where
they are there; makes spk2utt anew. Other tables are filtered, and dropped where they lack something that stays; files
such as text.old or utt2spk.bak are no tables. What was removed is listed with reasons in DATA_DIR/removed_by_fix; the
old files are kept in DATA_DIR/.backup.

Example: omni-asr fix data/train
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.fix import REMOVED_LIST, fix


def main(argv: Sequence[str] | None = None) -> None:
    """Mend and print how much was kept and removed."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", metavar="DATA_DIR", help="Kaldi data directory")
    parser.add_argument("--remove-empty-text", action="store_true", help="remove utterances without a word")
    args = parser.parse_args(argv)
    fixed = fix(args.data_dir, args.remove_empty_text)
    cleaned = f", odd white space mended in {fixed.cleaned} lines" if fixed.cleaned else ""
    where = f" (see {args.data_dir}/{REMOVED_LIST})" if fixed.removed else ""
    kept = f"{fixed.kept} of {fixed.total} utterances kept"
    print(f"{args.data_dir}: {kept}, {len(fixed.removed)} ids or lines removed{where}{cleaned}")


if __name__ == "__main__":
    sys.exit(run_program(main))
