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

ROUTERS = ["dense", "switch", "omni"]
LENGTHS = [83, 40, 61, 5]


@pytest.mark.parametrize("router", ROUTERS)
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


@pytest.mark.parametrize("router", ROUTERS)
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
        results.append((losses, [p.grad.clone() for p in model.parameters()]))
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
    assert [int(routing.counts_E().sum()) for routing in encoded.routings] == [22, 22, 22]


@pytest.mark.parametrize("router", ROUTERS)
def test_gradients_against_finite_differences(router):
    model = small_model(router=router, experts="2x2", dim=8, hidden=12, cape_global_shift=0.0, cape_local_shift=0.0)
    model = model.double()
    batch = random_batch([36, 22], dtype=torch.float64)
    model(batch).total.backward()
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
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


@pytest.mark.parametrize("router", ROUTERS)
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
