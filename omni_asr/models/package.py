"""A model in one file: weights, configuration, tokenizer and normalisation. Decoding needs nothing else."""

import os
import pickle
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omni_asr.config import Config, ModelConfig, config_from_dict, config_to_dict
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.models.asr_model import AsrModel
from omni_asr.read_files import MALFORMED, reason_of
from omni_asr.text.tokenizer import Tokenizer, tokenizer_from_state

FORMAT = "omni_asr-model-1"
TRAINING_ONLY = {
    "dropout", "layer_drop", "cape_global_shift", "cape_local_shift", "cape_max_scale", "balance_weight", "bias_rate",
    "z_loss_weight", "router_jitter", "capacity_factor", "backend", "recompute",
}  # fmt: skip
"""Options of ``model`` that change nothing in what given weights compute outside training."""
Info = dict[str, str | int | float]


Contents = dict[str, Any]
"""What a model's file holds: format, config, tokenizer, state and info, all of them plain values and tensors."""


@dataclass
class Package:
    """A trained model and what it was trained with."""

    model: AsrModel
    config: Config
    tokenizer: Tokenizer
    info: Info
    """Sizes, amounts and origin of the training, which tables of results quote."""

    @classmethod
    def of(cls, contents: Contents, where: str, device: torch.device) -> "Package":
        """Build the model, in evaluation mode; ``where`` names its origin in an error.

        Raises:
            UserError: the contents are not what this version writes, or a weight is not finite.
        """
        try:
            config = config_from_dict(contents["config"], where)
            tokenizer = tokenizer_from_state(contents["tokenizer"])
            model = AsrModel(config.model, config.features.num_mel_bins, tokenizer.size)
            check_finite(contents["state"], where)
            model.load_state_dict(contents["state"])
            info = dict(contents["info"])
        except (*MALFORMED, RuntimeError) as error:
            reason = reason_of(error)
            raise UserError(f"{where} was written by another version of omni_asr, train it again: {reason}") from None
        return cls(model.to(device).eval(), config, tokenizer, info)


def pack(state: dict[str, Tensor], config: Config, tokenizer: Tokenizer, info: Info) -> Contents:
    """What a model's file holds, from a state of :class:`AsrModel`."""
    parts = {"config": config_to_dict(config), "tokenizer": tokenizer.state(), "state": state, "info": info}
    return {"format": FORMAT, **parts}


def check_finite(state: dict[str, Tensor], where: str) -> None:
    """Refuse weights with which every result would be nan.

    Raises:
        UserError: names the first tensor with a number that is not finite.
    """
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise UserError(f"{where}: weights are not finite ({name}); train the model again, with a lower optim.lr")


def save_package(path: str | os.PathLike[str], contents: Contents) -> None:
    """Write ``model.pt`` from what :func:`pack` returns.

    Raises:
        UserError: a weight is not finite.
    """
    check_finite(contents["state"], str(path))
    with atomic_write(path, "wb") as file:
        torch.save(contents, file)


def open_package(path: str | os.PathLike[str]) -> Contents:
    """Read a model's file.

    Raises:
        UserError: it is not a model of this toolkit.
    """
    path = Path(path)
    kind = other_kind(path)
    if kind:
        raise UserError(f"{path} is {kind}, not a model; name model.pt, or the experiment directory that holds it")
    reason = damage(path)
    if reason:
        raise UserError(f"{path} is damaged ({reason}); copy it again, or train again")
    contents: Contents = load_tensors(path)
    if contents.get("format") != FORMAT:
        raise UserError(f"{path} is not an omni_asr model; it must be one that training wrote")
    return contents


def other_kind(path: Path) -> str:
    """Name of what a file is that PyTorch did not write; empty where PyTorch may have, even if it is damaged."""
    with open(path, "rb") as file:
        start = file.read(4096)
    if start.startswith(b"PK") or not start:
        return ""
    if path.suffix in (".yaml", ".yml"):
        return "a configuration"
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else the end of the piece cuts a character
            return "some binary file"
    return "a text file" if b"\0" not in start else "some binary file"


def load_tensors(path: Path, mmap: bool = False) -> dict[str, Any]:
    """Dictionary that ``torch.save`` wrote, of plain values and tensors alone: nothing in it is run.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except (OSError, MemoryError) as error:
        raise UserError(f"cannot read {path}: {reason_of(error)}") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, *MALFORMED):
        contents = None
    if not isinstance(contents, dict):
        raise UserError(f"{path} does not hold plain values and tensors; only what training wrote is read")
    return contents


def damage(path: Path) -> str:
    """What is wrong with a file that PyTorch wrote; empty where the checksum of every part is right.

    Raises:
        UserError: it cannot be read, which is no damage of the file.
    """
    try:
        with zipfile.ZipFile(path) as file:
            bad = file.testzip()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; mend that and start again") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError):
        return "it is torn"
    return f"the checksum of its part {bad} does not match" if bad else ""


def load_package(path: str | os.PathLike[str], device: torch.device) -> Package:
    """Read ``model.pt``, or the one in an experiment directory, in evaluation mode.

    Raises:
        UserError: there is no such file, or it is not a model of this toolkit.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "model.pt"
    if not path.exists():
        raise UserError(f"{path} does not exist; name a trained experiment (stage 3 of a recipe) or a model file")
    return Package.of(open_package(path), str(path), device)


def start_from(model: AsrModel, path: str | os.PathLike[str], tokenizer: Tokenizer) -> None:
    """Copy the weights of a packed model, its normalisation with them, into a model that is about to be trained.

    Raises:
        UserError: see :func:`load_package`; or the two models have other units or other tensors.
    """
    package = load_package(path, torch.device("cpu"))
    if package.tokenizer.units != tokenizer.units:
        raise UserError(f"train.init: {path} has other output units than the training data; use its language directory")
    changed = differing(package.config.model, model.config, TRAINING_ONLY)
    if changed:
        values = f"{getattr(package.config.model, changed)!r} there, {getattr(model.config, changed)!r} here"
        raise UserError(f"train.init: {path} was made with another model.{changed} ({values}); give the same")
    theirs = package.model.state_dict()
    if any(theirs[name].shape != tensor.shape for name, tensor in model.state_dict().items()):
        raise UserError(f"train.init: {path} is for features of another size than the training data")
    model.load_state_dict(theirs)


def differing(a: ModelConfig, b: ModelConfig, free: set[str]) -> str | None:
    """Name of the first option in which two models differ, apart from the ``free`` ones."""
    return next((name for name, value in vars(a).items() if name not in free and value != getattr(b, name)), None)
