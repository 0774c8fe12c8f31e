"""Train a recogniser.

Writes EXP_DIR/{config.yaml,train.log,train.jsonl,checkpoints,model.pt}. Started again, it goes on from the last
checkpoint; when training is complete it says so.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import load_config
from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.features import check_features, features_of, read_cmvn
from omni_asr.devices import choose_device
from omni_asr.models.asr_model import AsrModel
from omni_asr.text.tokenizer import load_tokenizer
from omni_asr.training.experiment import command_line, open_experiment
from omni_asr.training.trainer import Trainer


def main(argv: Sequence[str] | None = None) -> None:
    """Read data and options, build the model, train it."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--config", help="YAML file with what differs from the defaults")
    parser.add_argument("--router", help="dense, switch or omni; overrides model.router")
    parser.add_argument("--seed", type=int, help="overrides train.seed")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one option")
    parser.add_argument("--train-dir", required=True, help="data directory with feats.scp and text")
    parser.add_argument("--valid-dir", required=True, help="data directory for validation")
    parser.add_argument("--lang-dir", required=True, help="language directory with the output units")
    parser.add_argument("--cmvn", required=True, help="global CMVN statistics of the training features")
    parser.add_argument("--exp-dir", required=True, help="experiment directory to write")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs to use; 0 trains on the CPU")
    options = parser.parse_args(argv)

    overrides = list(options.set)
    overrides += [f"model.router={options.router}"] if options.router else []
    overrides += [f"train.seed={options.seed}"] if options.seed is not None else []
    config = load_config(options.config, overrides)
    tokenizer = load_tokenizer(options.lang_dir)
    config.tokens.type, config.tokens.size = tokenizer.type, tokenizer.size  # type: ignore[assignment]
    train_set = UtteranceSet(options.train_dir, tokenizer)
    valid_set = UtteranceSet(options.valid_dir, tokenizer)
    config.features = features_of(train_set)
    check_features(valid_set, config.features)
    device = choose_device(options.ngpu)
    if config.train.threads:
        torch.set_num_threads(config.train.threads)

    exp_dir = Path(options.exp_dir)
    open_experiment(exp_dir, config, command_line())
    train_set.remove_unusable(config.data, config.model.stack, exp_dir / "removed_utts")

    torch.manual_seed(config.train.seed)
    model = AsrModel(config.model, config.features.num_mel_bins, tokenizer.size)
    model.set_cmvn(*read_cmvn(options.cmvn))
    Trainer(config, model.to(device), tokenizer, train_set, valid_set, exp_dir).fit()


if __name__ == "__main__":
    sys.exit(run_program(main))
