"""Fetch the parts of LibriSpeech (CC BY 4.0) that some sets need, from OpenSLR 12, where --corpus-dir lacks them.

An interrupted download goes on where it stopped; sizes are checked; what is there is not fetched again.
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.librispeech import SETS, URL, fetch_sets
from omni_asr.corpora.preparing import add_fetching_options


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack what is missing."""
    parser = ArgumentParser(__doc__)
    add_fetching_options(parser, SETS, URL)
    options = parser.parse_args(argv)
    fetch_sets(options.sets or list(SETS), options.corpus_dir, options.url)


if __name__ == "__main__":
    sys.exit(run_program(main))
