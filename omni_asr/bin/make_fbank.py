"""Compute the filterbanks of a data directory (one job).

Writes OUT_PREFIX.ark and .scp, .utt2num_frames, .conf (the options used), and .failed (the utterances without features,
each with its reason), .rates (how many utterances are of which sample rate). Audio of a lower rate than the features is
refused unless --allow-upsample or the options allow it, as in Kaldi.

Example: omni-asr make-fbank --conf conf/fbank.conf data/train/split4/1 fbank/train.1
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import FeaturesConfig


def main(argv: Sequence[str] | None = None) -> None:
    """Compute, with one thread."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("data_dir", metavar="DATA_DIR", help="Kaldi data directory, or a part of one")
    parser.add_argument("prefix", metavar="OUT_PREFIX", help="start of the names of the files to write")
    parser.add_argument("--conf", metavar="FILE", help="Kaldi options, e.g. --num-mel-bins=80, one a line")
    parser.add_argument("--channel", type=_channel, metavar="N", help="channel to take of audio with several, from 0")
    parser.add_argument("--no-compress", action="store_true", help="store floats instead of compressed matrices")
    parser.add_argument("--allow-upsample", action="store_true", help="take audio of a lower rate than the features")
    parser.add_pipes()
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that pipes end and temporary files go

    import torch

    from omni_asr.audio.fbank_conf import may_upsample, read_fbank_conf
    from omni_asr.audio.make_fbank import make_fbank

    torch.set_num_threads(1)
    config = read_fbank_conf(args.conf) if args.conf else FeaturesConfig()
    upsample = args.allow_upsample or bool(args.conf) and may_upsample(args.conf)
    make_fbank(args.data_dir, args.prefix, config, args.channel, not args.no_compress, upsample)


def _channel(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a channel, which count from 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(run_program(main))
