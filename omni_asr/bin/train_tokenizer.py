"""Make the output units from the training text.

Writes LANG_DIR/tokens.txt and, for sentencepiece units, LANG_DIR/spm.model.
"""

import logging
import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.tables import read_entries
from omni_asr.text.tokenizer import save_tokenizer, train_tokenizer


def main(argv: Sequence[str] | None = None) -> None:
    """Train and save a tokenizer."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--type", default="unigram", help="char, bpe or unigram")
    parser.add_argument("--size", type=int, default=500, help="number of units with the blank; ignored for char")
    parser.add_argument("text", help="Kaldi text file of the training set")
    parser.add_argument("lang_dir", help="folder to write")
    options = parser.parse_args(argv)
    texts = (text for _, _, text in read_entries(options.text, may_be_empty=True))
    tokenizer = train_tokenizer(options.type, options.size, texts)
    save_tokenizer(tokenizer, options.lang_dir)
    logging.getLogger("train-tokenizer").info("%d %s units in %s", tokenizer.size, options.type, options.lang_dir)


if __name__ == "__main__":
    sys.exit(run_program(main))
