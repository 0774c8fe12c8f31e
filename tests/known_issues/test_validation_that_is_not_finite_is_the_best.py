"""Training whose loss is nan, which ended as a success with a validation loss of 0.000, the best of all.

A loss of nan was taken for an utterance too short for its text, and left out.
"""

import json
import math

import numpy as np
import pytest
import torch
from model_helpers import small_model
from training_helpers import broken_forward, prepare, train_command, write_corpus

from omni_asr.bin import train as train_program
from omni_asr.config import Config
from omni_asr.decoding.decode import decode_directory
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import Package, load_package, pack, save_package
from omni_asr.text.tokenizer import CharTokenizer
from omni_asr.training.checkpoint import Checkpoints

FEW = ["train.epochs=1", "train.max_steps=6", "train.validate_every=2", "data.time_masks=0"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("corpus"))


def main(corpus, exp_dir, *changes):
    train_program.main(train_command(corpus, exp_dir, *FEW, *changes)[3:])


def records(exp_dir, kind):
    lines = [json.loads(line) for line in (exp_dir / "train.jsonl").read_text().splitlines()]
    return [line for line in lines if line["type"] == kind]


def encode_nan(monkeypatch, broken):
    """Make log-probabilities of the first utterance nan outside training, in the calls that are broken."""
    encode, calls = AsrModel.encode, []

    def broken_encode(self, x_BTF, lengths_B):
        logp_BSV, encoded = encode(self, x_BTF, lengths_B)
        if not self.training:
            calls.append(1)
            if broken(len(calls)):
                logp_BSV[0, 0] = math.nan
        return logp_BSV, encoded

    monkeypatch.setattr(AsrModel, "encode", broken_encode)


def test_training_that_skipped_all_steps_is_no_success(corpus, tmp_path, monkeypatch, caplog):
    """Fewer steps than those in a row that end it at once."""
    utterances = (line.split()[0] for line in open(f"{corpus[1]}/text"))
    monkeypatch.setattr(AsrModel, "forward", broken_forward(set(utterances)))
    for _ in range(2):  # started again, it is no success either
        with pytest.raises(UserError, match="all 6 steps were skipped, so there is no model; .*lower --set optim.lr"):
            main(corpus, tmp_path / "exp")
    assert not (tmp_path / "exp" / "model.pt").exists()
    assert "too short" not in caplog.text


@pytest.mark.parametrize("select_by", ["wer", "ctc"])
def test_a_validation_of_nan_is_neither_kept_nor_the_best(corpus, tmp_path, monkeypatch, caplog, select_by):
    """The second of three; the first two calls try the largest batch and validate once."""
    encode_nan(monkeypatch, lambda call: call == 3)
    main(corpus, tmp_path / "exp", f"train.select_by={select_by}")
    assert "the loss of 1 of 10 validation utterances is not finite" in caplog.text
    assert "too short" not in caplog.text
    assert [record["step"] for record in records(tmp_path / "exp", "valid")] == [2, 6]
    assert Checkpoints(tmp_path / "exp" / "checkpoints").steps_with_weights() == [2, 6]
    assert all(math.isfinite(record["ctc"]) for record in records(tmp_path / "exp", "average"))


def test_training_without_a_finite_validation_is_no_success(corpus, tmp_path, monkeypatch):
    encode_nan(monkeypatch, lambda call: True)
    with pytest.raises(UserError, match="no validation had a finite loss, so there is no model"):
        main(corpus, tmp_path / "exp")
    assert not (tmp_path / "exp" / "model.pt").exists()
    assert not records(tmp_path / "exp", "valid")


def test_a_set_in_which_nothing_can_be_validated_is_refused_before_training(corpus, tmp_path):
    """The loss of nothing was 0.000."""
    options = list(corpus)
    options[3] = str(write_corpus(tmp_path / "short", 3, 3, ["ab", "abc", "a"]))
    lines = [f"{line} {'abcdef' * 20}" for line in (tmp_path / "short" / "text").read_text().splitlines()]
    (tmp_path / "short" / "text").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="every utterance of .*short is too short for its text"):
        main(options, tmp_path / "exp")


def test_decoding_and_packages_refuse_what_is_not_finite(tmp_path, monkeypatch):
    data = write_corpus(tmp_path / "data", 6, 1)
    config = Config()
    model = small_model()
    config.model, config.features.num_mel_bins = model.config, 8
    tokenizer = CharTokenizer(["<blank>", "<unk>", "▁", *"abcdefgh"])
    save_package(tmp_path / "model.pt", pack(model.state_dict(), config, tokenizer, {}))
    package = load_package(tmp_path / "model.pt", torch.device("cpu"))
    with monkeypatch.context() as patch:
        encode_nan(patch, lambda call: True)
        with pytest.raises(UserError, match=r"log-probabilities of spk\d-\d+ are not finite"):
            decode_directory(package, data, tmp_path / "out")
    assert not (tmp_path / "out" / "text").exists()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["head.weight"][3, 2] = np.inf
    contents = pack(state, config, tokenizer, {})
    with pytest.raises(UserError, match=r"broken\.pt: weights are not finite \(head\.weight\)"):
        save_package(tmp_path / "broken.pt", contents)
    assert not (tmp_path / "broken.pt").exists()
    with pytest.raises(UserError, match=r"a model: weights are not finite \(head\.weight\)"):
        Package.of(contents, "a model", torch.device("cpu"))
