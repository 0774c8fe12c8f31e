"""Small models and batches for tests."""

import torch

from omni_asr.config import ModelConfig
from omni_asr.data.batch import Batch
from omni_asr.models.asr_model import AsrModel

FEATURES, VOCABULARY = 8, 11


def small_config(**changes) -> ModelConfig:
    values = {"experts": "3x4", "dim": 16, "hidden": 32, "heads": 2, "stack": 4, "dropout": 0.0, **changes}
    return ModelConfig(**values)


def small_model(seed: int = 0, **changes) -> AsrModel:
    torch.manual_seed(seed)
    return AsrModel(small_config(**changes), FEATURES, VOCABULARY)


def random_batch(lengths: list[int], seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x_BTF = torch.zeros(len(lengths), max(lengths), FEATURES, dtype=dtype)
    for row, length in enumerate(lengths):
        x_BTF[row, :length] = torch.randn(length, FEATURES, generator=generator, dtype=dtype)
    token_lengths = torch.tensor([max(1, length // 12) for length in lengths])
    tokens_BU = torch.randint(1, VOCABULARY, (len(lengths), int(token_lengths.max())), generator=generator)
    return Batch([f"utt{i}" for i in range(len(lengths))], x_BTF, torch.tensor(lengths), tokens_BU, token_lengths)
