"""What models cost: published sizes, and estimates against what is really kept."""

import pytest
import torch
from model_helpers import FEATURES, VOCABULARY, random_batch, small_config
from recipe_helpers import ROOT

from omni_asr.bin import model_info, run_program
from omni_asr.config import Config, FeaturesConfig, load_config
from omni_asr.models.asr_model import AsrModel, count_parameters
from omni_asr.models.size import model_size

PRESETS = ROOT / "egs/TEMPLATE/conf"


@pytest.mark.parametrize(
    ("preset", "vocab_size", "total", "active"),
    [
        ("84m", 4096, 84, 84),
        ("8x84m", 4096, 466, 84),
        ("140m", 1024, 140, 140),
        ("2x140m", 1024, 232, 140),
        ("210m", 8192, 210, 210),
    ],
)
@pytest.mark.parametrize("kind", ["", "_streaming"])
def test_presets_have_the_sizes_that_the_docs_give(preset, vocab_size, total, active, kind):
    config = load_config(PRESETS / f"{preset}{kind}.yaml")
    size = model_size(config, vocab_size)
    assert size.total / 1e6 == pytest.approx(total, rel=0.02)
    assert size.active / 1e6 == pytest.approx(active, rel=0.02)
    assert config.model.causal == bool(kind)
    assert config.model.hidden == 4 * config.model.dim


def test_every_preset_is_tested():
    names = {path.stem.removesuffix("_streaming") for path in PRESETS.glob("*.yaml")}
    assert names == {"84m", "8x84m", "140m", "2x140m", "210m"}


@pytest.mark.parametrize(
    "changes",
    [
        {"router": "dense"},
        {"router": "dense", "dropout": 0.1},
        {"router": "omni"},
        {"router": "omni", "dropout": 0.1},
        {"router": "switch", "top_k": 2},
        {"router": "omni", "experts": "2x1-2x4", "shared_experts": 1},
        {"router": "omni", "recompute": True},
    ],
    ids=str,
)
def test_what_a_step_keeps_is_estimated(changes):
    config = Config(
        model=small_config(**{"experts": "4x4", "dim": 64, "hidden": 256, "heads": 4, **changes}),
        features=FeaturesConfig(num_mel_bins=FEATURES),
    )
    batch, kept, alive = random_batch([400] * 4), {}, []
    model = AsrModel(config.model, FEATURES, VOCABULARY)
    model(batch)  # the self-test of the back end, out of the way

    def pack(tensor):
        alive.append(tensor)
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(batch)
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    measured = sum(size for pointer, size in kept.items() if pointer not in parameters) / 400
    assert model_size(config, VOCABULARY, seconds=4).frame_bytes == pytest.approx(measured, rel=0.2)


def test_arithmetic_counts_matrix_products():
    """FLOPs of the forward pass as PyTorch's counter sees them."""
    from torch.utils.flop_counter import FlopCounterMode

    config = Config(
        model=small_config(router="dense", dim=64, hidden=256), features=FeaturesConfig(num_mel_bins=FEATURES)
    )
    model, batch = AsrModel(config.model, FEATURES, VOCABULARY).eval(), random_batch([1500])
    plain = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)  # the one that the counter knows
    with FlopCounterMode(display=False) as counter, torch.no_grad(), plain:
        model.encode(batch.x_BTF, batch.lengths_B)
    assert model_size(config, VOCABULARY).flops * 15 == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_states_and_counts():
    config = Config(
        model=small_config(router="switch", experts="1x1-2x4"), features=FeaturesConfig(num_mel_bins=FEATURES)
    )
    size = model_size(config, VOCABULARY)
    assert (size.layers, size.moe_layers) == (3, 2)
    assert (size.total, size.active) == count_parameters(AsrModel(config.model, FEATURES, VOCABULARY))
    assert size.weight_bytes == 4 * size.total and size.state_bytes == 16 * size.total


def test_program(capsys):
    path = str(PRESETS / "8x84m.yaml")
    assert run_program(model_info.main, ["--config", path, "--vocab-size", "4096"]) == 0
    out = capsys.readouterr().out
    assert "26, 26 of them mixtures of experts (26x8)" in out and "466.3 M, 84.2 M active" in out
    assert run_program(model_info.main, ["--config", path, "--router", "dense", "--vocab-size", "4096"]) == 0
    assert "84.2 M, 84.2 M active" in capsys.readouterr().out
    assert run_program(model_info.main, ["--vocab-size", "1"]) == 1
    assert capsys.readouterr().err == "model-info: error: --vocab-size must be at least 2 and --seconds above 0\n"
