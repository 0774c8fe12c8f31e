"""Analysing a model's routing: over real batches, under disturbances, into routing.json."""

import json
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from model_helpers import random_batch, small_model
from training_helpers import BINS, write_corpus

from omni_asr.analysis.interventions import Permute, Remove, Reroute, intervene
from omni_asr.analysis.routing import Speakers, spoken
from omni_asr.bin import analyze_routing, run_program
from omni_asr.config import Config, FeaturesConfig, ModelConfig
from omni_asr.kaldi.tables import write_table
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import pack, save_package
from omni_asr.models.routers import Intervention
from omni_asr.text.tokenizer import train_tokenizer


@pytest.fixture
def experiment(tmp_path):
    """Folder of an untrained model, and a function that makes another one beside it."""

    def make(name="exp", **changes):
        torch.manual_seed(0)
        tokenizer = train_tokenizer("char", 0, ["a b c d e f"])
        options = {"experts": "2x3-2x4", "dim": 16, "hidden": 32, "heads": 2, **changes}
        config = Config(model=ModelConfig(**options), features=FeaturesConfig(num_mel_bins=BINS))
        model = AsrModel(config.model, BINS, tokenizer.size)
        (tmp_path / name).mkdir()
        save_package(tmp_path / name / "model.pt", pack(model.state_dict(), config, tokenizer, {"router": "omni"}))
        return tmp_path / name

    return make


def encode(model):
    batch = random_batch([80, 61])
    return model.encode(batch.x_BTF, batch.lengths_B)[1].routings


@pytest.mark.parametrize("router", ["omni", "switch", "decision", "hash"])
def test_program_writes_every_section(experiment, tmp_path, router, capsys):
    exp = experiment(router=router)
    sets = [write_corpus(tmp_path / name, 9, seed) for name, seed in (("test", 1), ("far", 2))]
    (sets[0] / "utt2spk").write_text("".join(f"spk{n % 3}-{n:03d} spk{n % 3}\n" for n in range(9)))
    assert run_program(analyze_routing.main, [str(exp), *map(str, sets), "--disturb", "4"]) == 0
    result = json.loads((exp / "routing.json").read_text())
    frames = sum(-(-int(line.split()[1]) // 4) for path in sets for line in open(path / "utt2num_frames"))
    assert result["frames"] == frames and result["sets"] == ["test", "far"] and result["router"] == router
    assert [layer["experts"] for layer in result["layers"]] == [3, 3, 4, 4]
    assert [layer["group"] for layer in result["layers"]] == [0, 0, 1, 1]
    assert all(sum(share) == pytest.approx(1) for share in result["load"]["share"])
    assert all(0 <= entropy <= 2 for entropy in result["load"]["frame_entropy"])
    assert result["specialisation"]["speakers"]["number"] == 3, "the other set has no utt2spk"
    disturbed = result["perturbations"]
    assert disturbed["utterances"] == 4 and disturbed["set"] == "test" and disturbed["words"] > 0
    assert [len(row) for row in disturbed["removed"]] == [3, 3, 4, 4]
    assert disturbed["reroute"][-1]["rate"] == 1
    example = result["example"]
    assert len({len(layer) for layer in example["experts"]}) == 1
    assert len(example["experts"][0]) == -(-len(example["fbank"]) // 4) and len(example["fbank"][0]) == BINS
    if router in ("decision", "hash"):
        assert result["agreement"]["mean"]["raw"] == 1
    out = capsys.readouterr().out
    assert f"{frames} frames of 2 sets, 4 MoE layers" in out and "agreement between layers: raw" in out


def test_figures_are_those_of_the_model(experiment, tmp_path):
    """Load and decisions against the model asked directly, utterance by utterance."""
    from omni_asr.data.dataset import UtteranceSet
    from omni_asr.models.package import load_package

    exp, data_dir = experiment(), write_corpus(tmp_path / "test", 5, 1)
    assert run_program(analyze_routing.main, [str(exp), str(data_dir), "--disturb", "0"]) == 0
    result = json.loads((exp / "routing.json").read_text())
    model, utterances = load_package(exp, torch.device("cpu")).model, UtteranceSet(data_dir, None)
    chosen = [[] for _ in range(4)]
    for index in range(5):
        x_TF = torch.from_numpy(utterances.load(index))
        _, encoded = model.encode(x_TF[None], torch.tensor([len(x_TF)]))
        for layer, routing in enumerate(encoded.routings):
            chosen[layer] += routing.expert_NK[:, 0].tolist()
    for layer, experts in enumerate(result["load"]["share"]):
        expected = [chosen[layer].count(expert) / len(chosen[layer]) for expert in range(len(experts))]
        assert experts == pytest.approx(expected)
    same = sum(a == b for a, b in zip(chosen[2], chosen[3], strict=True)) / len(chosen[2])
    assert result["agreement"]["raw"][2][3] == pytest.approx(same) and result["agreement"]["raw"][1][2] is None
    assert result["perturbations"] is None


def test_of_tables_only_what_is_needed_is_in_memory(tmp_path):
    utts = [f"spk{number // 1000}-{number:05d}" for number in range(5000)]
    write_table(tmp_path / "utt2spk", {utt: utt.partition("-")[0] for utt in utts})
    write_table(
        tmp_path / "text", {utt: f"{number} word" * 100 if number % 2 else "" for number, utt in enumerate(utts)}
    )
    table_size = (tmp_path / "text").stat().st_size
    utterances = SimpleNamespace(data_dir=tmp_path, utts=utts)
    tracemalloc.start()
    try:
        indices, texts = spoken(utterances, 10)
        speakers = Speakers(utterances)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < table_size / 4
    assert indices.tolist() == [2 * (position * 2500 // 10) + 1 for position in range(10)]
    assert texts == {utts[index]: f"{index} word" * 100 for index in indices.tolist()}
    assert speakers.of(np.array([4000, 999, 0])) == ["spk4", "spk0", "spk0"]
    (tmp_path / "utt2spk").unlink()
    assert Speakers(utterances).of(np.array([8, 6])) == [None, None]


def test_dense_models_and_mistakes_end_in_one_line(experiment, tmp_path, capsys):
    test, other = write_corpus(tmp_path / "test", 3, 1), write_corpus(tmp_path / "other/test", 3, 1)
    dense, omni = experiment("dense", router="dense"), experiment("omni")
    assert run_program(analyze_routing.main, [str(dense), str(test)]) == 0
    assert "a dense model has no router" in capsys.readouterr().out and not (dense / "routing.json").exists()
    for arguments, message in [
        ([str(omni), str(test), str(other)], "two data directories are called 'test'"),
        ([str(omni / "model.pt"), str(test)], "is no experiment directory; say with --out"),
        ([str(omni), str(tmp_path / "none")], "none/feats.scp is missing; stage 2 makes it"),
        ([str(omni), str(test), "--disturb", "-1"], "--disturb must be at least 0"),
    ]:
        assert run_program(analyze_routing.main, arguments) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert message in error and error.startswith("analyze-routing: error: ")
    assert (
        run_program(analyze_routing.main, [str(omni / "model.pt"), str(test), "--out", str(tmp_path / "r.json")]) == 0
    )


def test_a_set_without_text_disturbs_nothing(experiment, tmp_path):
    exp, data_dir = experiment(), write_corpus(tmp_path / "test", 3, 1)
    (data_dir / "text").unlink()
    assert run_program(analyze_routing.main, [str(exp), str(data_dir)]) == 0
    assert json.loads((exp / "routing.json").read_text())["perturbations"] is None


# --- interventions ------------------------------------------------------------------------------------------------


def test_interventions_end_with_their_block():
    model = small_model(experts="2x4-1x3").eval()
    before = encode(model)
    with pytest.raises(RuntimeError), intervene(model, lambda first: Permute()):
        moved = encode(model)
        raise RuntimeError
    assert not torch.equal(moved[0].expert_NK, before[0].expert_NK)
    assert all(type(router.intervention) is Intervention for router in model.encoder.routers())
    for a, b in zip(before, encode(model), strict=True):
        assert torch.equal(a.expert_NK, b.expert_NK)


def test_rerouting_moves_the_share_that_is_asked_for():
    expert_NK = torch.zeros(20000, 1, dtype=torch.int64)
    for rate in (0.0, 0.3, 1.0):
        moved = Reroute(rate).experts(expert_NK, 4, 0)
        assert (moved != 0).float().mean().item() == pytest.approx(rate * 3 / 4, abs=0.02)


def test_permuting_keeps_frames_together_and_no_expert_at_home():
    model = small_model(router="switch").eval()
    with intervene(model, lambda first: Permute()):
        routing = encode(model)[0]
    chosen = routing.probs_NE.argmax(1, keepdim=True)
    assert (routing.expert_NK != chosen).all()
    assert len({(int(a), int(b)) for a, b in zip(chosen, routing.expert_NK, strict=True)}) == len(
        set(chosen.flatten().tolist())
    )
    assert torch.equal(routing.gate_NK, routing.probs_NE.gather(1, chosen)), "the gates stay"


@pytest.mark.parametrize(
    "changes", [{}, {"balance": "bias"}, {"score": "sigmoid"}, {"router": "hash"}, {"router": "decision"}], ids=str
)
def test_a_removed_expert_gets_nothing_in_its_layer_alone(changes):
    model = small_model(experts="2x4-3x3", **changes).eval()
    for router in model.encoder.routers():
        if router.bias_LE is not None:
            router.bias_LE += torch.tensor([5.0, 0.0, 0.0, 0.0])[: router.experts]
    before = encode(model)
    busiest = int(before[3].counts_E.argmax())
    with intervene(model, lambda first: Remove(3 - first, busiest)):
        after = encode(model)
    assert after[3].counts_E[busiest] == 0 and before[3].counts_E[busiest] > 0
    assert after[4].counts_E[busiest] > 0, "the layer after it keeps the expert"
    assert after[3].counts_E.sum() == before[3].counts_E.sum()
    stayed_N = before[3].expert_NK[:, 0] != busiest
    assert torch.equal(after[3].gate_NK[stayed_N], before[3].gate_NK[stayed_N]), "other frames keep their gates"
    assert torch.equal(after[0].expert_NK, before[0].expert_NK) and torch.equal(after[1].expert_NK, before[1].expert_NK)
