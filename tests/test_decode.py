"""Decoding a directory with a packed model."""

import json

import pytest
import torch
from training_helpers import BINS, write_corpus

from omni_asr.bin import decode as decode_program
from omni_asr.config import Config, FeaturesConfig, ModelConfig
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import load_package, pack, save_package
from omni_asr.text.tokenizer import train_tokenizer


@pytest.fixture
def model_path(tmp_path):
    torch.manual_seed(0)
    tokenizer = train_tokenizer("char", 0, ["a b c d e f"])
    config = Config(
        model=ModelConfig(experts="2x4", dim=16, hidden=32, heads=2), features=FeaturesConfig(num_mel_bins=BINS)
    )
    model = AsrModel(config.model, BINS, tokenizer.size)
    save_package(tmp_path / "model.pt", pack(model.state_dict(), config, tokenizer, {"router": "omni", "seed": 7}))
    return tmp_path / "model.pt"


def rows(path) -> dict[str, str]:
    return {line.split(" ", 1)[0]: line.partition(" ")[2] for line in path.read_text().splitlines()}


def test_every_utterance_comes_out_with_score_times_and_load(model_path, tmp_path, monkeypatch):
    data_dir = write_corpus(tmp_path / "data", 12, 1)
    monkeypatch.delenv("OMNI_ASR_COMMAND", raising=False)
    decode_program.main(["--model", str(model_path), str(data_dir), str(tmp_path / "out")])
    utts = sorted(rows(data_dir / "text"))
    assert sorted(rows(tmp_path / "out" / "text")) == utts
    assert all(float(score) < 0 for score in rows(tmp_path / "out" / "score").values())
    tokens = [json.loads(line) for line in (tmp_path / "out" / "tokens.jsonl").read_text().splitlines()]
    assert [row["utt"] for row in tokens] == utts
    for row in tokens:
        assert len(row["tokens"]) == len(row["start"]) == len(row["end"])
        assert all(start < end for start, end in zip(row["start"], row["end"], strict=True))
        assert all(round(start / 0.04, 6).is_integer() for start in row["start"])
    assert json.loads((tmp_path / "out" / "model_info.json").read_text()) == {"router": "omni", "seed": 7}
    load = json.loads((tmp_path / "out" / "load.json").read_text())
    assert len(load["load"]) == 2 and all(sum(layer) == pytest.approx(1) for layer in load["load"])


def test_the_recipe_s_command_is_noted(model_path, tmp_path, monkeypatch):
    data_dir = write_corpus(tmp_path / "data", 2, 1)
    monkeypatch.setenv("OMNI_ASR_COMMAND", "egs/mine/run.sh --model theirs.pt")
    decode_program.main(["--model", str(model_path), str(data_dir), str(tmp_path / "out")])
    info = json.loads((tmp_path / "out" / "model_info.json").read_text())
    assert info["command"] == "egs/mine/run.sh --model theirs.pt"


def test_the_batch_size_changes_nothing(model_path, tmp_path):
    data_dir = write_corpus(tmp_path / "data", 12, 1)
    for budget in ("1", "100000"):
        arguments = ["--model", str(model_path), "--set", f"decode.batch_frames={budget}"]
        decode_program.main([*arguments, str(data_dir), str(tmp_path / budget)])
    assert (tmp_path / "1" / "text").read_bytes() == (tmp_path / "100000" / "text").read_bytes()
    assert (tmp_path / "1" / "tokens.jsonl").read_bytes() == (tmp_path / "100000" / "tokens.jsonl").read_bytes()


def test_features_of_other_options_are_refused(model_path, tmp_path):
    data_dir = write_corpus(tmp_path / "data", 2, 1)
    (data_dir / "fbank.conf").write_text(f"--num-mel-bins={BINS}\n--frame-shift=5\n")
    with pytest.raises(UserError, match="frame_shift_ms 5.0, but the model wants 10.0"):
        decode_program.main(["--model", str(model_path), str(data_dir), str(tmp_path / "out")])


def test_what_is_not_a_model_is_refused(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="model.pt is a text file, not a model; name model.pt, or the experiment"):
        load_package(tmp_path, torch.device("cpu"))
    torch.save({"weights": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(UserError, match="not an omni_asr model; it must be one that training wrote"):
        load_package(tmp_path, torch.device("cpu"))
    with pytest.raises(UserError, match="stage 3"):
        load_package(tmp_path / "nowhere", torch.device("cpu"))


def test_options_that_are_not_of_decoding_are_refused(model_path, tmp_path):
    with pytest.raises(UserError, match="decode\\.\\* only"):
        decode_program.main(["--model", str(model_path), "--set", "model.dim=3", str(tmp_path), str(tmp_path / "out")])


def test_a_model_of_another_version_is_one_line(model_path):
    content = torch.load(model_path, weights_only=True)
    content["state"] = {name.replace("router.linears.0", "router.linear"): t for name, t in content["state"].items()}
    torch.save(content, model_path)
    with pytest.raises(
        UserError, match="was written by another version of omni_asr, train it again: .*router"
    ) as error:
        load_package(model_path, torch.device("cpu"))
    assert "\n" not in str(error.value)
