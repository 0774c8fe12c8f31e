"""A dense model that becomes a mixture of experts: same outputs, then it learns."""

import pytest
import torch
from model_helpers import FEATURES, VOCABULARY, random_batch, small_model

from omni_asr.bin import run_program
from omni_asr.bin import upcycle as program
from omni_asr.config import Config, FeaturesConfig
from omni_asr.errors import UserError
from omni_asr.models.package import Package, load_package, pack, save_package, start_from
from omni_asr.models.routers import ROUTERS
from omni_asr.models.upcycle import upcycle
from omni_asr.text.tokenizer import CharTokenizer

UNITS = CharTokenizer(["<blank>", *"abcdefghij"])


def dense_package(**changes) -> Package:
    model = small_model(router="dense", experts="4x1", **changes)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    model.set_cmvn(torch.full((FEATURES,), 0.2), torch.full((FEATURES,), 1.1))
    config = Config(model=model.config, features=FeaturesConfig(num_mel_bins=FEATURES))
    return Package(model.eval(), config, UNITS, {"seed": 1})


def logp(model) -> torch.Tensor:
    batch = random_batch([80, 61])
    with torch.inference_mode():
        return model.eval().encode(batch.x_BTF, batch.lengths_B)[0]


@pytest.mark.parametrize("router", list(ROUTERS))
@pytest.mark.parametrize(
    "options",
    [[], ["top_k=2"], ["experts=1x0-1x2-2x4"], ["shared_experts=1"], ["score=sigmoid"], ["score=cosine"]],
    ids=str,
)
def test_outputs_are_those_of_the_dense_model(router, options):
    package = dense_package()
    changes = [f"model.router={router}", "model.experts=4x4", *(f"model.{option}" for option in options)]
    try:
        model, config = upcycle(package, changes)
    except UserError as error:
        refused = "never learns" if router == "random" else "contradict"
        assert refused in str(error) and router in ("hash", "omni_lowrank", "random")
        return
    assert config.model.router == router
    assert torch.allclose(logp(model), logp(package.model), atol=5e-3)
    experts = {int(e) for routing in encode(model).routings for e in routing.expert_NK.flatten()}
    assert len(experts) > 1, "frames go to several experts from the start"


def encode(model):
    batch = random_batch([80, 61])
    return model.eval().encode(batch.x_BTF, batch.lengths_B)[1]


def test_experts_drift_apart_in_training():
    model, _ = upcycle(dense_package(), ["model.router=omni", "model.experts=4x4"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()(random_batch([80, 61])).total.backward()
    optimizer.step()
    w = model.encoder.groups[0].blocks[1].ffn.experts.w_in_EHD
    assert not torch.equal(w[0], w[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["model.router=dense"], "give a dense model again"),
        (
            ["model.router=omni", "model.experts=4x4", "model.dim=32"],
            "feed-forward blocks alone; model.dim must",
        ),
        (["model.router=omni", "model.experts=4x4", "model.heads=4"], "alone; model.heads must stay"),
        (["model.router=omni", "model.experts=4x4", "model.causal=true"], "alone; model.causal must stay"),
        (["model.router=omni", "model.experts=4x4", "model.balance=bias"], "bias moves further in a step"),
        (["model.router=random", "model.experts=4x4"], "never learns"),
        (["model.router=omni", "model.experts=4x4", "model.hidden=64"], "alone; model.hidden must stay"),
        (["model.router=omni", "model.experts=5x4"], "they have 4 and 5 layers"),
    ],
)
def test_what_cannot_be_upcycled_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        upcycle(dense_package(), options)


def test_a_mixture_is_not_upcycled_again():
    package = dense_package()
    package.model = small_model(router="omni")
    with pytest.raises(UserError, match="must be dense; this one has routers already"):
        upcycle(package, ["model.experts=3x4"])


def test_program_writes_a_model_that_training_can_start_from(tmp_path, capsys):
    package = dense_package()
    save_package(tmp_path / "dense.pt", pack(package.model.state_dict(), package.config, UNITS, package.info))
    arguments = [str(tmp_path / "dense.pt"), str(tmp_path / "moe.pt"), "--experts", "4x4"]
    assert run_program(program.main, arguments) == 0
    assert "the outputs are the dense model's" in capsys.readouterr().out
    assert run_program(program.main, arguments) == 1
    assert "moe.pt is there already; name a new file" in capsys.readouterr().err
    made = load_package(tmp_path / "moe.pt", torch.device("cpu"))
    assert made.info["router"] == "omni" and made.info["params_total"] > made.info["params_active"]
    model = small_model(seed=5, router="omni", experts="4x4")
    start_from(model, tmp_path / "moe.pt", UNITS)
    assert torch.equal(logp(model), logp(made.model)) and logp(model).shape[2] == VOCABULARY


@pytest.mark.parametrize(
    ("units", "changes", "message"),
    [
        (CharTokenizer(["<blank>", *"jihgfedcba"]), {}, "has other output units than the training data"),
        (UNITS, {"hidden": 64}, r"another model\.hidden \(32 there, 64 here\)"),
        (UNITS, {"heads": 4}, r"another model\.heads"),
        (UNITS, {"router": "omni"}, r"another model\.router \('dense' there, 'omni' here\)"),
    ],
)
def test_a_start_from_another_kind_of_model_is_refused(tmp_path, units, changes, message):
    package = dense_package()
    save_package(tmp_path / "dense.pt", pack(package.model.state_dict(), package.config, UNITS, package.info))
    model = small_model(**{"router": "dense", "experts": "4x4" if "router" in changes else "4x1", **changes})
    with pytest.raises(UserError, match=message):
        start_from(model, tmp_path / "dense.pt", units)
