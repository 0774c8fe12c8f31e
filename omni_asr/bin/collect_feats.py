"""Join the filterbanks of all jobs into a data directory.

Reads OUT_PREFIX.1.scp ... OUT_PREFIX.<NJ>.scp and what make-fbank wrote beside them; writes feats.scp, utt2num_frames,
fbank.conf, and removed_utts: the utterances without features, each with its reason.

Example: omni-asr collect-feats data/train 4 fbank/train
"""

import sys
from collections.abc import Sequence

from omni_asr.audio.fbank_conf import read_fbank_conf
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.kaldi.features import collect_features, source_rates


def main(argv: Sequence[str] | None = None) -> None:
    """Join and print how many utterances were kept and removed, and how many were resampled."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", metavar="DATA_DIR", help="Kaldi data directory")
    parser.add_argument("jobs", metavar="NJ", type=int, help="number of jobs")
    parser.add_argument("prefix", metavar="OUT_PREFIX", help="prefix that the jobs wrote under, without the job number")
    parser.add_argument("--max-removed", type=float, default=0.05, metavar="SHARE", help="more without features: error")
    args = parser.parse_args(argv)
    kept, removed = collect_features(args.data_dir, args.jobs, args.prefix, args.max_removed)
    rate = read_fbank_conf(f"{args.data_dir}/fbank.conf").sample_rate
    for source, count in source_rates(args.jobs, args.prefix).items():
        if source != rate:
            how = "upsampled" if source < rate else "brought down"
            print(f"{args.data_dir}: audio of {count} of {kept} utterances was {how} from {source} to {rate} Hz")
    where = f" (see {args.data_dir}/removed_utts)" if removed else ""
    print(f"{args.data_dir}: features of {kept} utterances kept, {len(removed)} removed{where}")


if __name__ == "__main__":
    sys.exit(run_program(main))
