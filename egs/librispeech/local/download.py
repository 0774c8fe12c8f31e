"""Fetch the parts of LibriSpeech (CC BY 4.0) that some sets need, from OpenSLR 12, where --corpus-dir lacks them.

An interrupted download goes on where it stopped; sizes are checked; what is there is not fetched again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.librispeech import SETS, URL, fetch_sets


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack what is missing."""
    parser = ArgumentParser(__doc__)
    parser.add_argument(
        "--corpus-dir", action="append", type=Path, required=True, help="folder LibriSpeech; may be repeated"
    )
    parser.add_argument("--sets", action="append", metavar="SET", help="set to fetch; may be repeated; by default all")
    parser.add_argument("--url", default=URL, help="server, such as a mirror nearer by")
    options = parser.parse_args(argv)
    for name in options.sets or []:
        if name not in SETS:
            parser.error(f"--sets: there is no set {name}; there are {', '.join(SETS)}")
    fetch_sets(options.sets or list(SETS), options.corpus_dir, options.url)


if __name__ == "__main__":
    sys.exit(run_program(main))
