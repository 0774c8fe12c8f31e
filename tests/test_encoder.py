"""The encoder: padding, batching, gradients, shapes."""

import math

import pytest
import torch
from model_helpers import VOCABULARY, random_batch, small_config, small_model

from omni_asr.data.batch import Batch
from omni_asr.errors import UserError
from omni_asr.models.encoder import parse_groups
from omni_asr.models.packing import Packing
from omni_asr.models.positions import Cape
from omni_asr.models.routers import ROUTERS

ALL_ROUTERS = ["dense", *ROUTERS]
LENGTHS = [83, 40, 61, 5]


@pytest.mark.parametrize("router", ALL_ROUTERS)
def test_an_utterance_alone_gives_the_same_logits_as_in_a_batch(router):
    model = small_model(router=router).eval()
    batch = random_batch(LENGTHS)
    together, encoded = model.encode(batch.x_BTF, batch.lengths_B)
    assert encoded.packing.lengths_B.tolist() == [math.ceil(length / 4) for length in LENGTHS]
    for row, length in enumerate(LENGTHS):
        alone, _ = model.encode(batch.x_BTF[row : row + 1, :length], batch.lengths_B[row : row + 1])
        frames = math.ceil(length / 4)
        assert alone.shape == (1, frames, VOCABULARY)
        assert torch.allclose(together[row, :frames], alone[0], atol=1e-5)


@pytest.mark.parametrize("router", ALL_ROUTERS)
def test_padding_changes_nothing(router):
    """More padding, even filled with garbage, leaves loss, statistics and gradients as they are."""
    model = small_model(router=router, balance_weight=0.1, cape_global_shift=0.0, cape_local_shift=0.0)
    batch = random_batch(LENGTHS)
    padded = torch.cat([batch.x_BTF, torch.zeros(len(LENGTHS), 50, batch.x_BTF.shape[2])], 1)
    for row, length in enumerate(LENGTHS):
        padded[row, length:] = 1e3
    noisy = Batch(batch.utts, padded, batch.lengths_B, batch.tokens_BU, batch.token_lengths_B)
    results = []
    for one in (batch, noisy):
        model.zero_grad()
        losses = model(one)
        losses.total.backward()
        results.append((losses, [p.grad.clone() for p in model.parameters() if p.requires_grad]))
    (first, gradients), (second, noisy_gradients) = results
    assert torch.allclose(first.total, second.total, atol=1e-5)
    assert torch.allclose(first.balance, second.balance, atol=1e-6)
    assert len(first.load_LE) == (0 if router == "dense" else 3)
    for layer, load_E in first.load_LE.items():
        assert torch.equal(load_E, second.load_LE[layer])
    for a, b in zip(gradients, noisy_gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("router", ["switch", "omni"])
def test_loads_count_valid_frames_only(router):
    model = small_model(router=router).eval()
    batch = random_batch([80, 8])
    _, encoded = model.encode(batch.x_BTF, batch.lengths_B)
    assert [int(routing.counts_E.sum()) for routing in encoded.routings] == [22, 22, 22]


@pytest.mark.parametrize("router", ALL_ROUTERS)
def test_gradients_against_finite_differences(router):
    model = small_model(router=router, experts="2x2", dim=8, hidden=12, cape_global_shift=0.0, cape_local_shift=0.0)
    model = model.double()
    batch = random_batch([36, 22], dtype=torch.float64)
    model(batch).total.backward()
    generator = torch.Generator().manual_seed(3)
    for name, parameter in ((name, p) for name, p in model.named_parameters() if p.requires_grad):
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for index in torch.randint(len(flat), (3,), generator=generator).tolist():
            kept, step = flat[index].item(), 1e-6
            values = []
            for sign in (1, -1):
                flat[index] = kept + sign * step
                values.append(model(batch).total.item())
            flat[index] = kept
            numeric = (values[0] - values[1]) / (2 * step)
            assert gradient[index].item() == pytest.approx(numeric, rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize("router", ["dense", "switch", "omni"])
def test_one_step_reaches_every_parameter(router):
    model = small_model(router=router)
    model(random_batch([80, 70, 90, 64])).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    routers = [p for name, p in model.named_parameters() if ".router." in name and name.endswith("weight")]
    assert len(routers) == {"dense": 0, "switch": 3, "omni": 1}[router]
    assert all(weight.grad.abs().sum() > 0 for weight in routers)


def test_losses_add_up():
    model = small_model(router="omni", balance_weight=0.3, z_loss_weight=0.2)
    losses = model(random_batch([80, 64]))
    expected = losses.ctc + 0.3 * losses.balance + 0.2 * losses.z_loss
    assert torch.allclose(losses.total.detach(), expected)


def test_cape_is_centred_and_augmented_in_training_only():
    cape = Cape(small_config())
    packing = Packing.from_lengths(torch.tensor([5, 3]), torch.device("cpu"))
    cape.eval()
    plain = cape(packing)
    assert plain.shape == (8, 16)
    assert torch.allclose(plain[2], torch.sin(cape.phase_D), atol=1e-6)  # the middle of five frames has position 0
    assert torch.allclose(plain[1], plain[5], atol=1e-6)  # position -1 in both utterances
    frequency = 10000 ** (-2 / 16)
    assert plain[0, 2].item() == pytest.approx(math.sin(-2 * frequency), abs=1e-6)
    assert plain[0, 3].item() == pytest.approx(math.sin(-2 * frequency + math.pi / 2), abs=1e-6)
    cape.train()
    assert not torch.allclose(cape(packing), cape(packing))


def test_layer_drop_skips_layers_and_their_statistics():
    model = small_model(router="omni", layer_drop=0.999)
    assert model(random_batch([40])).load_LE == {}
    model.eval()
    assert len(model(random_batch([40])).load_LE) == 3


def test_layer_groups():
    assert parse_groups("4x2-4x4-4x8") == [(4, 2), (4, 4), (4, 8)]
    for bad in ("4", "0x4", "4x", "4x2,4x4", "x"):
        with pytest.raises(UserError, match="write layers x experts"):
            parse_groups(bad)


def test_width_must_suit_the_heads():
    with pytest.raises(UserError, match="model.dim"):
        small_model(dim=18, heads=4)


# --- streaming ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("router", ALL_ROUTERS)
def test_a_causal_model_sees_nothing_that_comes_later(router):
    model = small_model(router=router, causal=True).eval()
    batch = random_batch([80])
    whole, _ = model.encode(batch.x_BTF, batch.lengths_B)
    changed = batch.x_BTF.clone()
    changed[:, 44:] += 1.0
    other, _ = model.encode(changed, batch.lengths_B)
    assert torch.allclose(whole[:, :11], other[:, :11], atol=1e-6)
    assert not torch.allclose(whole[:, 11:], other[:, 11:], atol=1e-3)


@pytest.mark.parametrize("router", ALL_ROUTERS)
@pytest.mark.parametrize("chunks", [[4] * 21, [12, 40, 4, 24, 3], [80, 3], [83]], ids=str)
def test_chunks_give_what_the_whole_utterance_gives(router, chunks):
    model = small_model(router=router, causal=True, experts="2x4-1x1-2x3").eval()
    model.set_cmvn(torch.full((8,), 0.3), torch.full((8,), 1.7))
    x_TF = random_batch([83]).x_BTF[0]
    with torch.inference_mode():
        whole, _ = model.encode(x_TF[None], torch.tensor([83]))
        state = model.encoder.open_stream()
        parts = [model.stream(chunk_TF, state) for chunk_TF in x_TF.split(chunks if sum(chunks) == 83 else 4)]
    assert state.frames == 21
    assert torch.allclose(torch.cat(parts), whole[0], atol=1e-5)


def test_streaming_is_refused_with_the_reason(monkeypatch):
    with pytest.raises(UserError, match=r"train one with model\.causal: true to stream"):
        small_model().eval().encoder.open_stream()
    monkeypatch.setattr(ROUTERS["omni"], "streams", False)
    with pytest.raises(UserError, match="OmniRouter decides by more than the frames so far"):
        small_model(causal=True).eval().encoder.open_stream()
    monkeypatch.undo()
    with pytest.raises(UserError, match="cannot stream"):
        small_model(causal=True, force_balanced=True).eval().encoder.open_stream()
    monkeypatch.undo()
    with pytest.raises(UserError, match="streams in evaluation mode"):
        small_model(causal=True).encoder.open_stream()


def test_a_chunk_that_is_no_whole_number_of_stacks_ends_the_stream():
    model = small_model(causal=True).eval()
    state, x_TF = model.encoder.open_stream(), torch.randn(9, 8)
    assert model.stream(x_TF[:0], state).shape == (0, VOCABULARY)
    assert len(model.stream(x_TF[:6], state)) == 2
    with pytest.raises(UserError, match="the chunk before was no multiple of model.stack frames"):
        model.stream(x_TF[6:], state)


def test_positions_of_a_causal_model_count_from_the_start_in_training_too():
    packing = Packing.from_lengths(torch.tensor([5, 3]), torch.device("cpu"))
    cape = Cape(small_config(causal=True))
    assert torch.equal(cape(packing), cape.eval()(packing))
    later = Packing.from_lengths(torch.tensor([3]), torch.device("cpu"))
    assert torch.equal(cape(later, offset=2), cape(packing)[2:5])


def test_a_stream_keeps_no_graph():
    model = small_model(causal=True).eval()
    state = model.encoder.open_stream()
    assert not model.stream(torch.randn(8, 8), state).requires_grad
    assert not any(cache.k_BAPK.requires_grad for cache in state.caches.values())


def test_the_residual_stream_is_float32_under_autocast():
    model, entering = small_model(), []
    for block in [block for group in model.encoder.layer_groups() for block in group.blocks]:
        block.register_forward_pre_hook(lambda block, arguments: entering.append(arguments[0].dtype))
    model.encoder.norm.register_forward_pre_hook(lambda norm, arguments: entering.append(arguments[0].dtype))
    batch = random_batch([80, 61])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model.encode(batch.x_BTF, batch.lengths_B)
    assert entering == [torch.float32] * 4


# --- torch.compile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("router", ["dense", "omni", "decision"])
def test_a_compiled_encoder_computes_the_same(router):
    model = small_model(router=router, top_k=2).eval()
    batch = random_batch([80, 61])
    expected, _ = model.encode(batch.x_BTF, batch.lengths_B)
    model.encoder = torch.compile(model.encoder, backend="aot_eager")
    got, encoded = model.encode(batch.x_BTF, batch.lengths_B)
    assert torch.allclose(got, expected, atol=1e-5)
    assert len(encoded.routings) == (0 if router == "dense" else 3)
