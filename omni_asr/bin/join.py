"""Join data directories of several corpora for training, with their features.

Ids of utterances, speakers and recordings become NAME-<id>; texts are put into plain words (a-z and '). OUT_DIR/corpora
lists the names, which data.weights of a training may give weights.

Example: omni-asr join data/both librispeech=../librispeech/data/train_960 commonvoice=../commonvoice/data/train
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.join import join_corpora


def main(argv: Sequence[str] | None = None) -> None:
    """Join and print how many utterances each corpus has."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("out", metavar="OUT_DIR", help="directory to write")
    parser.add_argument("sources", metavar="NAME=DATA_DIR", nargs="+", help="name of a corpus, and its directory")
    args = parser.parse_args(argv)
    sources: dict[str, str] = {}
    for text in args.sources:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder) or name in sources:
            parser.error(f"{text!r} is not NAME=DATA_DIR with a name of its own")
        sources[name] = folder
    counts = join_corpora(args.out, sources)
    print(f"{args.out}: {', '.join(f'{count} utterances of {name}' for name, count in counts.items())}")


if __name__ == "__main__":
    sys.exit(run_program(main))
