"""Join Kaldi data directories into one.

Files that some directory lacks are left out, with a note, and so are glm, release and other files for a whole directory
that are not the same in all. An utterance that occurs twice is an error, and so are features of different options.

Example: omni-asr combine data/train_all data/train_a data/train_b
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.combine import combine


def _seconds(value: str) -> float:
    """Length of a recording, by opening it; needed only where directories with and without segments meet."""
    from omni_asr.audio.source import AudioError, Recording
    from omni_asr.errors import UserError

    try:
        recording = Recording(value)
    except AudioError as error:
        raise UserError(f"{value}: {error}; its length is needed for segments") from None
    seconds = recording.frames / (recording.rate * recording.speed)
    recording.close()
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Join and print how many utterances there are."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("out", metavar="OUT_DIR", help="directory to write")
    parser.add_argument("sources", metavar="DATA_DIR", nargs="+", help="directories to join")
    parser.add_pipes()
    args = parser.parse_args(argv)
    print(f"{args.out}: {combine(args.out, args.sources, _seconds)} utterances of {len(args.sources)} directories")


if __name__ == "__main__":
    sys.exit(run_program(main))
