"""What a model costs: parameters, arithmetic, memory for training; computed from its configuration alone.

Shapes: D model, H hidden, K experts per frame, V vocabulary, X features of a stacked input frame.
"""

from dataclasses import dataclass

import torch

from omni_asr.config import Config
from omni_asr.models.asr_model import AsrModel, count_parameters
from omni_asr.models.encoder import parse_groups


@dataclass
class Size:
    """What a model costs."""

    layers: int
    moe_layers: int
    total: int
    """Parameters."""
    active: int
    """Parameters that a frame meets."""
    flops: float
    """Floating-point operations of the forward pass per second of audio; training needs three times as many."""
    weight_bytes: float
    """Weights in float32."""
    state_bytes: float
    """Weights, gradients and AdamW's two moments in float32."""
    frame_bytes: float
    """What a training step keeps for the backward pass per encoder frame, in float32."""


def model_size(config: Config, vocab_size: int, seconds: float = 15.0) -> Size:
    """Size of the model that a configuration describes; no weight is allocated.

    ``seconds`` is the length of an utterance, since attention costs more in longer ones.

    Raises:
        UserError: the configuration gives no model.
    """
    model_config, features = config.model, config.features
    with torch.device("meta"):
        model = AsrModel(model_config, features.num_mel_bins, vocab_size)
    total, active = count_parameters(model)
    groups = parse_groups(model_config.experts)
    layers = sum(count for count, _ in groups)
    moe_layers = sum(count for count, experts in groups if experts > 1) if model_config.router != "dense" else 0
    frames_per_second = 1000 / features.frame_shift_ms / model_config.stack
    # Every active parameter but biases, norms and the like meets a frame in one multiplication and one addition;
    # attention multiplies each query with every key, and each weight with every value.
    attention = layers * 4 * seconds * frames_per_second * model_config.dim
    return Size(
        layers,
        moe_layers,
        total,
        active,
        flops=(2 * active + attention) * frames_per_second,
        weight_bytes=4.0 * total,
        state_bytes=16.0 * total,
        frame_bytes=4.0 * _kept_per_frame(config, vocab_size, layers, moe_layers, seconds),
    )


def _kept_per_frame(config: Config, vocab_size: int, layers: int, moe_layers: int, seconds: float) -> float:
    """Numbers kept for the backward pass per encoder frame, as PyTorch keeps them on a CPU."""
    model = config.model
    D, H, X = model.dim, model.hidden, model.stack * config.features.num_mel_bins
    ends = X + 2 * D + 2 * vocab_size  # stacked input, last norm, head
    if model.recompute:
        return ends + layers * D
    # Input and output of both norms, output of attention; then its queries, keys, values and result.
    block, dense = 5.0 * D + 4 * D, float(H)
    if model.dropout:  # keeps what it drew, and turns attention into plain products whose weights are kept
        frames = seconds * 1000 / config.features.frame_shift_ms / model.stack
        block += D + 3 * model.heads * frames
        dense = 3.0 * H
    moe = model.top_k * (H + D) + model.shared_experts * dense
    return ends + layers * block + (layers - moe_layers) * dense + moe_layers * moe
