"""Rewrite the features of a data directory in shuffled archives, for training on more than fits into memory.

OUT_DIR becomes a plain data directory whose archives each hold utterances drawn from all of DATA_DIR; train on it with
--set data.shards=true. Started again, it goes on after the last complete archive.

Example: omni-asr shard data/train data/train_shards --utts-per-shard 5000
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.data.shard import write_shards


def main(argv: Sequence[str] | None = None) -> None:
    """Write the shards and print how many there are."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", metavar="DATA_DIR", help="data directory with features")
    parser.add_argument("out_dir", metavar="OUT_DIR", help="data directory to write")
    parser.add_argument("--utts-per-shard", type=int, default=5000, metavar="N", help="utterances in an archive")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="seed of the shuffling")
    parser.add_pipes()
    args = parser.parse_args(argv)
    if args.utts_per_shard < 1:
        parser.error(f"--utts-per-shard must be at least 1, not {args.utts_per_shard}")
    if args.seed < 0:
        parser.error(f"--seed must be at least 0, not {args.seed}")
    shards = write_shards(args.data_dir, args.out_dir, args.utts_per_shard, args.seed)
    print(f"{args.out_dir}: {shards} shards")


if __name__ == "__main__":
    sys.exit(run_program(main))
