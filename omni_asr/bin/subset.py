"""Choose utterances of a Kaldi data directory.

    omni-asr subset [--seed 1] SRC_DIR N DEST_DIR     N utterances at random
    omni-asr subset --first|--last|--shortest|--speakers|--per-spk SRC_DIR N DEST_DIR
    omni-asr subset --utt-list FILE | --spk-list FILE SRC_DIR DEST_DIR

--speakers takes whole speakers until there are at least N utterances; --per-spk takes at most N of each speaker.
"""

import argparse
import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.kaldi import subset
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.tables import read_ids

MODES = {
    "first": "the first N",
    "last": "the last N",
    "shortest": "the N shortest",
    "speakers": "whole speakers with at least N utterances together",
    "per_spk": "at most N of each speaker",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Choose, write, and print how many utterances were taken."""
    parser = ArgumentParser(__doc__)
    parser.usage = "subset [options] SRC_DIR [N] DEST_DIR"
    parser.add_argument("arguments", metavar="SRC_DIR [N] DEST_DIR", nargs="+", help="directories, and how many")
    mode = parser.add_mutually_exclusive_group()
    for name, what in MODES.items():
        mode.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=what)
    mode.add_argument("--utt-list", metavar="FILE", help="utterances named in the first field of each line")
    mode.add_argument("--spk-list", metavar="FILE", help="utterances of the speakers named in each line")
    parser.add_argument("--seed", type=int, default=1, help="of random choices")
    parser.add_pipes()
    args = parser.parse_args(argv)
    by_list = args.utt_list or args.spk_list
    if len(args.arguments) != (2 if by_list else 3) or not (by_list or args.arguments[1].isdecimal()):
        parser.error("expected SRC_DIR DEST_DIR" if by_list else "expected SRC_DIR N DEST_DIR")
    data, out = DataDir(args.arguments[0]), args.arguments[-1]
    chosen = _by_list(data, args) if by_list else _by_number(data, args, int(args.arguments[1]))
    subset.write_subset(data, chosen, out)
    print(f"{out}: {len(chosen)} of {len(data.utterances)} utterances")


def _by_number(data: DataDir, args: argparse.Namespace, count: int) -> list[str]:
    if args.first:
        return subset.first(data, count)
    if args.last:
        return subset.last(data, count)
    if args.shortest:
        return subset.shortest(data, count)
    if args.speakers:
        return subset.whole_speakers(data, count, args.seed)
    if args.per_spk:
        return subset.per_speaker(data, count, args.seed)
    return subset.at_random(data, count, args.seed)


def _by_list(data: DataDir, args: argparse.Namespace) -> list[str]:
    path = args.utt_list or args.spk_list
    wanted = read_ids(path)
    known = set(data.utterances if args.utt_list else data.table("utt2spk").values())
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UserError(f"{path}: {len(unknown)} ids are not in {data.path}, the first is {unknown[0]!r}")
    return wanted if args.utt_list else subset.of_speakers(data, wanted)


if __name__ == "__main__":
    sys.exit(run_program(main))
