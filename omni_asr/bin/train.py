"""Train a recogniser.

Writes EXP_DIR/{config.yaml,train.log,train.jsonl,checkpoints,model.pt}. Started again, it goes on from the last
checkpoint; when training is complete it says so.
"""

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import Config, load_config
from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.features import check_features, features_of
from omni_asr.devices import choose_device
from omni_asr.errors import UserError
from omni_asr.kaldi.cmvn import read_cmvn_stats
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import start_from
from omni_asr.text.tokenizer import load_tokenizer
from omni_asr.training.checkpoint import Checkpoints
from omni_asr.training.experiment import command_line, open_experiment
from omni_asr.training.logging import logging_to
from omni_asr.training.trainer import Trainer


def main(argv: Sequence[str] | None = None) -> None:
    """Read data and options, build the model, train it."""
    options = parse(argv)
    config = configure(options)
    tokenizer = load_tokenizer(options.lang_dir)
    manifests = Path(options.exp_dir, "manifest")
    train_set = UtteranceSet(options.train_dir, tokenizer, manifests)
    valid_set = UtteranceSet(options.valid_dir, tokenizer, manifests)
    config.tokens.type, config.tokens.size = tokenizer.type, tokenizer.size  # type: ignore[assignment]
    config.features = features_of(train_set)
    check_features(valid_set, config.features)
    device = choose_device(options.ngpu)
    if config.train.threads:
        torch.set_num_threads(config.train.threads)

    torch.manual_seed(config.train.seed)
    model = AsrModel(config.model, config.features.num_mel_bins, tokenizer.size)
    mean_F, scale_F = read_cmvn_stats(options.cmvn)
    if len(mean_F) != config.features.num_mel_bins:
        bins = config.features.num_mel_bins
        raise UserError(f"{options.cmvn} is for {len(mean_F)} bins, the features have {bins}; run stage 2 again")
    model.set_cmvn(torch.from_numpy(mean_F), torch.from_numpy(scale_F))
    exp_dir = Path(options.exp_dir)
    starts = bool(config.train.init) and not Checkpoints(exp_dir / "checkpoints").states()
    if starts:
        start_from(model, config.train.init, tokenizer)
    with logging_to(exp_dir / "train.log"):
        train_set.remove_unusable(config.data, config.model.stack, exp_dir / "removed_utts")
        open_experiment(exp_dir, config, command_line())
        if starts:
            logging.getLogger("train").info("weights start from %s", config.train.init)
        if config.train.compile:
            compile_encoder(model)
        Trainer(config, model.to(device), tokenizer, train_set, valid_set, exp_dir).fit()


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
    parser.add_argument("--lang-dir", required=True, help="language directory with the output units")
    parser.add_argument("--cmvn", required=True, help="global CMVN statistics of the training features")
    parser.add_argument("--exp-dir", required=True, help="experiment directory to write")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs to use; 0 trains on the CPU")
    return parser.parse_args(argv)


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
    sys.exit(run_program(main))
