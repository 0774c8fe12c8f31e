"""Rewrite the paths in tables after the folders that they are in were moved.

A path below an OLD folder becomes the same path below the NEW one, where its folder is there; others stay as they are,
and so do tables without such a path.

Example: omni-asr move-paths --moved /old/egs/mini=/new/egs/mini data/*/wav.scp data/*/feats.scp
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.moving import move_paths


def main(argv: Sequence[str] | None = None) -> None:
    """Rewrite and print how many tables were changed."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--moved", action="append", required=True, metavar="OLD=NEW", help="absolute paths of folders")
    parser.add_argument("tables", metavar="TABLE", nargs="+", help="file to rewrite in place")
    args = parser.parse_args(argv)
    moved: dict[str, str] = {}
    for text in args.moved:
        old, equals, new = text.partition("=")
        if not (equals and old.startswith("/") and new.startswith("/")):
            parser.error(f"--moved {text!r} is not OLD=NEW with two absolute paths")
        moved[old.rstrip("/")] = new.rstrip("/")
    changed = sum(move_paths(table, moved) > 0 for table in args.tables)
    print(f"paths in {changed} of {len(args.tables)} tables were rewritten")


if __name__ == "__main__":
    sys.exit(run_program(main))
