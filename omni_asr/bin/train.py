"""Train a recogniser.

Writes EXP_DIR/{config.yaml,train.log,train.jsonl,checkpoints,model.pt}; removed_utts lists what cannot be trained on,
unknown_utts_{train,valid} and unknown_utts_test_<set> what the units cannot spell. Started again, it goes on from the
last checkpoint; when training is complete it says so. Started by torchrun, its processes train one model together.
"""

import argparse
import logging
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import Config, load_config
from omni_asr.data.corpora import corpora_of, describe
from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.features import check_features, features_of
from omni_asr.data.loading import STOPPING
from omni_asr.decoding.decode import check_text
from omni_asr.devices import choose_device
from omni_asr.errors import UserError
from omni_asr.features.cmvn import read_cmvn_stats
from omni_asr.jobs.torchrun import end_with_torchrun
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import start_from
from omni_asr.text.tokenizer import Tokenizer, load_tokenizer
from omni_asr.training.checkpoint import Checkpoints
from omni_asr.training.experiment import command_line, open_experiment, training_in
from omni_asr.training.failures import in_one_line, naming_what_is_too_large
from omni_asr.training.logging import logging_to
from omni_asr.training.ranks import Ranks, join_ranks, leave_ranks
from omni_asr.training.trainer import Trainer


def main(argv: Sequence[str] | None = None) -> None:
    """Join the other processes, if there are any, and train."""
    options = parse(argv)
    config = configure(options)
    exp_dir = Path(options.exp_dir)
    for number in STOPPING:  # until training has something to save
        signal.signal(number, _interrupt)
    end_with_torchrun()
    device = choose_device(options.ngpu, int(os.environ.get("LOCAL_RANK", "0")))
    with (
        join_ranks(device, config.train.timeout) as ranks,
        in_one_line(ranks, exp_dir, lambda: "before training"),
        training_in(exp_dir, ranks),
        logging_to(exp_dir, ranks),
    ):
        trainer = set_up(options, config, exp_dir, device, ranks)
        trainer.fit()


def set_up(options: argparse.Namespace, config: Config, exp_dir: Path, device: torch.device, ranks: Ranks) -> Trainer:
    """Read data, build the model, open the experiment."""
    tokenizer = load_tokenizer(options.lang_dir)
    with ranks.first_alone():  # to build the manifests that the others open
        train_set = UtteranceSet(options.train_dir, tokenizer, exp_dir / "manifest")
        valid_set = UtteranceSet(options.valid_dir, tokenizer, exp_dir / "manifest")
    config.tokens.type, config.tokens.size = tokenizer.type, tokenizer.size  # type: ignore[assignment]
    config.features = features_of(train_set)
    check_features(valid_set, config.features)
    valid_set.remove_wordless(config.model.stack)
    if config.train.threads:
        torch.set_num_threads(config.train.threads)

    torch.manual_seed(config.train.seed)
    model = AsrModel(config.model, config.features.num_mel_bins, tokenizer.size)
    mean_F, scale_F = read_cmvn_stats(options.cmvn)
    if len(mean_F) != config.features.num_mel_bins:
        bins = config.features.num_mel_bins
        raise UserError(f"{options.cmvn} is for {len(mean_F)} bins, the features have {bins}; run stage 2 again")
    model.set_cmvn(torch.from_numpy(mean_F), torch.from_numpy(scale_F))
    begins = ranks.any(ranks.first and not Checkpoints(exp_dir / "checkpoints").states())
    starts = bool(config.train.init) and begins
    if starts:
        start_from(model, config.train.init, tokenizer)
    train_set.check_archives(config.data.shards)
    train_set.remove_unusable(config.data, config.model.stack, exp_dir / "removed_utts" if ranks.first else None)
    if begins:  # a training that goes on has the same text and units
        refuse_unknown({"train": train_set, "valid": valid_set}, options.test_dir, tokenizer, config, ranks, exp_dir)
    corpora = corpora_of(train_set, config.data.weights)
    if ranks.first:
        open_experiment(exp_dir, config, command_line())
        for line in describe(train_set, corpora, config.features.frame_shift_ms):
            logging.getLogger("train").info(line)
    ranks.wait()
    if starts:
        logging.getLogger("train").info("weights start from %s", config.train.init)
    if config.train.compile:
        compile_encoder(model)
    with naming_what_is_too_large("the model", "model.dim, model.hidden or model.experts"):
        model = model.to(device)
    return Trainer(config, model, tokenizer, train_set, valid_set, exp_dir, ranks, options.profile)


def refuse_unknown(
    sets: dict[str, UtteranceSet],
    test_dirs: list[str],
    tokenizer: Tokenizer,
    config: Config,
    ranks: Ranks,
    exp_dir: Path,
) -> None:
    """Count and list the words that the units cannot spell; those of test sets as decoding would after training.

    Raises:
        UserError: they are too many.
    """
    for name, utterances in sets.items():
        listing = exp_dir / f"unknown_utts_{name}" if ranks.first else None
        utterances.refuse_unknown(tokenizer, config.data.max_unknown, listing)
    for data_dir in test_dirs:
        listing = exp_dir / f"unknown_utts_test_{Path(data_dir).name}" if ranks.first else None
        check_text(data_dir, tokenizer, config.decode, listing)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def compile_encoder(model: AsrModel) -> None:
    """Have torch.compile translate the encoder at its first step; names of parameters stay as they are.

    Raises:
        UserError: there is no C++ compiler, which torch.compile needs on every device.
    """
    compiler = os.environ.get("CXX") or "g++"
    if not shutil.which(compiler):
        raise UserError(
            f"train.compile needs a C++ compiler, and {compiler} is not here; install it or set compile false"
        )
    torch._dynamo.config.recompile_limit = 64  # a router is translated once for each layer that asks it
    model.encoder.compile(dynamic=True)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--config", help="YAML file with what differs from the defaults")
    parser.add_argument("--router", help="dense, switch, omni, ...; wins over model.router of the file")
    parser.add_argument("--seed", type=int, help="wins over train.seed of the file")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one option")
    parser.add_argument("--train-dir", required=True, help="data directory with feats.scp and text")
    parser.add_argument("--valid-dir", required=True, help="data directory for validation")
    parser.add_argument(
        "--test-dir",
        action="append",
        default=[],
        metavar="DIR",
        help="data directory that will be decoded: text that decoding would refuse ends training now; may be repeated",
    )
    parser.add_argument("--lang-dir", required=True, help="language directory with the output units")
    parser.add_argument("--cmvn", required=True, help="global CMVN statistics of the training features")
    parser.add_argument("--exp-dir", required=True, help="experiment directory to write")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs of this machine; 0 trains on the CPU")
    parser.add_argument("--profile", type=step_range, metavar="A:B", help="trace the steps A to B into EXP_DIR/profile")
    parser.add_pipes()
    return parser.parse_args(argv)


def step_range(text: str) -> tuple[int, int]:
    """Read ``A:B`` as the steps A to B, from 1."""
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of steps; write A:B with 1 <= A <= B, e.g. 20:25")
    return int(first), int(last)


def configure(options: argparse.Namespace) -> Config:
    """Put the configuration together: defaults, file, ``--set``, then ``--router`` and ``--seed``.

    Raises:
        UserError: ``--set`` names what has an option of its own on the same command line.
    """
    overrides = list(options.set)
    for name, key in (("router", "model.router"), ("seed", "train.seed")):
        value = getattr(options, name)
        if value is not None:
            if any(text.startswith(f"{key}=") for text in options.set):
                raise UserError(f"--set {key}=... contradicts --{name} {value}; use --{name} alone")
            overrides.append(f"{key}={value}")
    return load_config(options.config, overrides)


if __name__ == "__main__":
    status = run_program(main)
    leave_ranks(status)
    sys.exit(status)
