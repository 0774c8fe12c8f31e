"""Write what was recognised with MM-HMM and UH-HUH as one word each, as the references of AMI have them.

Training texts of this toolkit have no hyphens, so a recogniser says them in two words, which the global map would take
for hesitations. Reads DECODE_DIR/text and tokens.jsonl; writes DECODE_DIR/plain/text and DECODE_DIR/plain/ctm.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.ctm import Token, write_ctm
from omni_asr.kaldi.tables import read_entries, write_table
from omni_asr.scoring.decoded import decoded_tokens
from omni_asr.scoring.segments import by_time

PAIRS = {("mm", "hmm"), ("uh", "huh")}
LONGEST_PAUSE = 0.5
"""Seconds between the two parts of one word; further apart, they are two."""
_PAIR = re.compile(rf"\b({'|'.join(' '.join(pair) for pair in sorted(PAIRS))})\b", re.IGNORECASE)


def main(argv: Sequence[str] | None = None) -> None:
    """Join the words of one decoded set."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", type=Path, help="data directory that was decoded")
    parser.add_argument("decode_dir", type=Path, help="directory with the hypotheses in text")
    options = parser.parse_args(argv)
    plain = options.decode_dir / "plain"
    plain.mkdir(exist_ok=True)
    entries = read_entries(options.decode_dir / "text", may_be_empty=True)
    write_table(plain / "text", ((name, _PAIR.sub(_hyphened, words)) for _, name, words in entries))
    write_ctm(plain / "ctm", joined(by_time(decoded_tokens(options.data_dir, options.decode_dir))))


def joined(tokens: Iterable[Token]) -> Iterator[Token]:
    """Words in the order of time, where pairs that follow each other closely become one."""
    last: Token | None = None
    for token in tokens:
        if last and _belong(last, token):
            duration = round(token.begin + token.duration - last.begin, 3)
            yield replace(last, word=f"{last.word}-{token.word}", duration=duration)
            last = None
            continue
        if last:
            yield last
        last = token
    if last:
        yield last


def _belong(first: Token, second: Token) -> bool:
    close = second.begin - (first.begin + first.duration) <= LONGEST_PAUSE
    same = (first.file, first.channel) == (second.file, second.channel)
    return same and close and (first.word.lower(), second.word.lower()) in PAIRS


def _hyphened(pair: re.Match[str]) -> str:
    return pair[0].replace(" ", "-")


if __name__ == "__main__":
    sys.exit(run_program(main))
