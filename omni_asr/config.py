"""Every option of features, model, training and decoding, once.

A configuration is one tree of dataclasses. YAML files under ``conf/`` hold only what differs from the defaults here,
and ``--set section.key=value`` overrides any field. An unknown key is an error that names the nearest one.
"""

import dataclasses
import difflib
import math
import os
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import yaml

from omni_asr.errors import UserError
from omni_asr.read_files import shortened
from omni_asr.yaml_files import parse_yaml, read_yaml, yaml_reason


class Bounds(NamedTuple):
    """Least and largest value of a field; either may be infinite. With ``below`` the largest itself is refused."""

    low: float
    high: float = float("inf")
    below: bool = False


Count = Annotated[int, Bounds(0)]
Positive = Annotated[int, Bounds(1)]
Amount = Annotated[float, Bounds(0)]
Share = Annotated[float, Bounds(0, 1)]
PartialShare = Annotated[float, Bounds(0, 1, below=True)]


@dataclass
class FeaturesConfig:
    """Log-mel filterbanks by Kaldi's definition. Read from the data directory, not from the training YAML."""

    sample_rate: int = 16000
    """Rate of the model in Hz; audio of a higher rate is resampled, of a lower one only with --allow_upsample."""
    num_mel_bins: int = 80
    """Number of mel bands."""
    frame_length_ms: float = 25.0
    """Length of a frame in milliseconds."""
    frame_shift_ms: float = 10.0
    """Step from frame to frame in milliseconds."""
    window_type: str = "povey"
    """Window: povey, hamming, hanning, blackman or rectangular."""
    preemphasis_coefficient: float = 0.97
    """Coefficient of the first-order pre-emphasis."""
    dither: float = 0.0
    """Standard deviation of the noise added to each sample; 0 keeps features deterministic."""
    low_freq: float = 20.0
    """Lower edge of the lowest band in Hz."""
    high_freq: float = 0.0
    """Upper edge of the highest band in Hz; 0 or less counts down from half the sample rate."""
    snip_edges: bool = True
    """Only frames that lie wholly inside the audio, as in Kaldi."""


@dataclass
class TokensConfig:
    """Output units. Read from the language directory that stage 2 made, not from the training YAML."""

    type: Literal["char", "bpe", "unigram"] = "unigram"
    """Characters, or sentencepiece units of either kind."""
    size: int = 0
    """Number of units with the blank."""


@dataclass
class DataConfig:
    """Batches and augmentation of the training data."""

    batch_frames: Positive = 20000
    """Budget of a batch in padded frames of the filterbank: utterances x longest."""
    max_utterances: Positive = 512
    """Most utterances in a batch."""
    min_frames: Positive = 10
    """Shorter utterances are removed and listed."""
    max_frames: Positive = 4000
    """Longer utterances are removed and listed."""
    max_removed: Share = 0.05
    """Share of the training utterances that filters may remove before training refuses to start."""
    max_unknown: Share = 0.01
    """Share of the words of training and validation text that units may fail to spell before training refuses."""
    workers: Count = 0
    """Processes that load batches; 0 loads in the training process."""
    shards: bool = False
    """Walk through archives that omni-asr shard shuffled, pool by pool, instead of reading all over the set."""
    shards_per_pool: Positive = 4
    """Archives whose utterances are mixed in batches; each batch of a step (ranks x accumulate) has such a pool."""
    weights: str = ""
    """How often an epoch sees the utterances of each corpus of a joined directory: ``librispeech=1 commonvoice=0.5``
    has every second one of Common Voice, drawn anew in each epoch; corpora that are not named have 1."""
    time_masks: Count = 2
    """SpecAugment: time masks per utterance; 0 for none."""
    time_mask_frames: Count = 40
    """SpecAugment: most frames of one time mask."""
    time_mask_share: Share = 0.05
    """SpecAugment: most of an utterance that one time mask covers, as a share of its length."""
    frequency_masks: Count = 2
    """SpecAugment: frequency masks per utterance; 0 for none."""
    frequency_mask_bins: Count = 15
    """SpecAugment: most bins of one frequency mask."""


@dataclass
class ModelConfig:
    """The encoder and its mixture-of-experts blocks."""

    router: str = "omni"
    """dense: one feed-forward block; switch: a router in every layer; omni: one router for the layers of a group;
    omni_lowrank, decision, hash, random: see docs/moe.md."""
    experts: str = "4x4"
    """Layer groups as layers x experts, joined by dashes, e.g. 4x2-4x4-4x8. A count of 1 or 0 makes dense layers."""
    dim: Positive = 256
    """Width D of the encoder."""
    hidden: Positive = 1024
    """Width H of one feed-forward block or expert."""
    heads: Positive = 4
    """Attention heads."""
    stack: Positive = 4
    """Filterbank frames concatenated into one encoder frame."""
    dropout: Annotated[float, Bounds(0, 0.95)] = 0.1
    """Dropout on the input, on attention weights, in feed-forward blocks and on both residual branches."""
    layer_drop: PartialShare = 0.0
    """Probability that a layer is skipped in a training step."""
    cape_global_shift: Amount = 5.0
    """CAPE: range of the position shift of an utterance, in encoder frames."""
    cape_local_shift: Amount = 0.5
    """CAPE: range of the position shift of each frame, in encoder frames."""
    cape_max_scale: Annotated[float, Bounds(1)] = 1.0
    """CAPE: largest factor by which positions are stretched; 1 for none."""
    top_k: Positive = 1
    """Experts per frame; the gates of more than one are divided by their sum."""
    shared_experts: Count = 0
    """Experts that work on every frame beside the routed ones."""
    score: Literal["softmax", "sigmoid", "cosine"] = "softmax"
    """How logits become scores; cosine is a softmax of scaled cosines."""
    router_block: Count = 0
    """omni: consecutive layers that share a router; 0 for all of the group."""
    router_rank: Count = 4
    """omni_lowrank: rank of each layer's correction; 0 is omni."""
    balance: Literal["aux", "bias", "none"] = "aux"
    """What evens out the load: a loss, a bias on the choice that follows the load, or nothing."""
    balance_weight: Amount = 0.01
    """aux: weight of the load-balance loss, which is a mean over the mixture-of-experts layers."""
    bias_rate: Amount = 1e-3
    """bias: how far the bias of an expert moves after each step."""
    z_loss_weight: Amount = 0.0
    """Weight of the mean squared log-partition of the router's logits."""
    router_jitter: Amount = 0.0
    """Standard deviation of Gaussian noise on the router's logits in training."""
    capacity_factor: Amount = 0.0
    """Most frames of an expert in training, times its even share; what comes later is dropped. 0 drops nothing."""
    force_balanced: bool = False
    """For speed tests: send frames to the experts in turn, whatever the router says."""
    backend: Literal["auto", "loop", "fused", "grouped", "bmm"] = "auto"
    """How experts are computed; auto takes the fastest that works on the device."""
    recompute: bool = False
    """Compute activations a second time in the backward pass instead of keeping them: less memory, more time."""
    causal: bool = False
    """A frame sees nothing that comes later, so that the model can stream."""


@dataclass
class OptimConfig:
    """AdamW and its schedule."""

    lr: Amount = 1e-3
    """Peak learning rate."""
    warmup_steps: Count = 500
    """Steps of linear warm-up."""
    hold_steps: Count = 0
    """Steps at the peak before the rate decays."""
    schedule: Literal["linear", "cosine", "step", "constant"] = "linear"
    """How the rate falls from the peak: to final_lr at the last step, or by decay_factor every decay_steps."""
    decay_steps: Positive = 1000
    """Steps between two falls of the schedule step."""
    decay_factor: Share = 0.5
    """Factor of each fall of the schedule step."""
    final_lr: Amount = 1e-5
    """Lowest learning rate after the peak."""
    betas: tuple[PartialShare, PartialShare] = (0.9, 0.98)
    """Decay of AdamW's first and second moments."""
    eps: Amount = 1e-8
    """AdamW's denominator offset."""
    weight_decay: Amount = 0.01
    """Decoupled weight decay, on matrices only."""
    clip_norm: Amount = 1.0
    """Largest norm of the gradient; a larger one is scaled down. 0 leaves gradients as they are."""
    accumulate: Positive = 1
    """Batches whose gradients make one step."""


@dataclass
class TrainConfig:
    """Length of training and what is kept."""

    epochs: Positive = 30
    """Passes over the training data."""
    max_steps: Count = 0
    """Optimizer steps; 0 means all of the epochs."""
    init: str = ""
    """Model (file or experiment) whose weights training starts from, such as what ``omni-asr upcycle`` made."""
    seed: Count = 1
    """Seed of weights, order, dropout and augmentation."""
    log_every: Positive = 50
    """Steps between lines in train.log."""
    validate_every: Count = 0
    """Steps between validations and checkpoints; 0 means once an epoch."""
    save_every: Positive = 1000
    """Most steps between two saved states; one is saved at every validation, too."""
    running_average: bool = True
    """Keep the mean of the weights over the steps since the last validation (--checkpoint running)."""
    ema: PartialShare = 0.0
    """Decay of an exponential moving average of the weights (--checkpoint ema), less at the start; 0 for none."""
    average: Positive = 5
    """How many of the best checkpoints are averaged into model.pt."""
    select_by: Literal["wer", "ctc"] = "wer"
    """Validation figure that makes a checkpoint the best."""
    threads: Count = 0
    """CPU threads; 0 leaves PyTorch's choice."""
    parallel: Literal["ddp", "fsdp", "expert"] = "ddp"
    """Several processes: the whole model in each (ddp), a slice of everything (fsdp), or of the experts (expert)."""
    timeout: Annotated[float, Bounds(0.01)] = 30.0
    """Minutes without news after which a process gives up on the others, and training on a process that loads data."""
    compile: bool = False
    """Compile the encoder with torch.compile: minutes at the start for faster steps; wants a C++ compiler."""


@dataclass
class DecodeConfig:
    """From a model to words."""

    batch_frames: Positive = 60000
    """Budget of a batch in padded frames of the filterbank."""
    max_unknown: Share = 0.01
    """Share of the words of the set's text that the model's units may fail to spell before decoding refuses."""


@dataclass
class Config:
    """The whole tree."""

    data: DataConfig = field(default_factory=DataConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    tokens: TokensConfig = field(default_factory=TokensConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)


READ_FROM_DATA = {
    "features": "conf/fbank.conf, used by stage 2",
    "tokens": "the recipe's --token_type and --vocab_size, used by stage 2",
}


def load_config(path: str | os.PathLike[str] | None, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file over the defaults, then apply ``section.key=value`` overrides.

    Raises:
        UserError: the file is missing or not YAML, a key is unknown or given twice, or a value has the wrong type.
    """
    tree = None if path is None else read_yaml(path)
    tree = {} if tree is None else tree
    where = str(path or "--set")
    if not isinstance(tree, dict):
        raise UserError(f"{where}: expected sections such as 'model:', found {type(tree).__name__}")
    overrides = list(overrides)
    for section, source in READ_FROM_DATA.items():
        if section in tree:
            raise UserError(f"{where}: section {section!r} is not set here; it comes from {source}")
        for text in overrides:
            if text.startswith(f"{section}."):
                raise UserError(f"--set {text}: section {section!r} is not set here; it comes from {source}")
    return override(config_from_dict(tree, where), overrides)


def override(config: Config, overrides: Iterable[str]) -> Config:
    """Return a copy with ``section.key=value`` overrides applied; see :func:`load_config` for the errors."""
    tree = config_to_dict(config)
    _apply(tree, overrides)
    return config_from_dict(tree, "--set")


def _apply(tree: dict[str, Any], overrides: Iterable[str]) -> None:
    for text in overrides:
        name, equals, value = text.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot and key):
            raise UserError(f"--set {text!r}: write section.key=value, e.g. --set optim.lr=2e-3")
        try:
            tree.setdefault(section, {})[key] = parse_yaml(value)
        except yaml.YAMLError as error:
            raise UserError(f"--set {shortened(text)}: the value is not valid YAML: {yaml_reason(error)}") from None


def config_from_dict(tree: Mapping[str, Any], where: str = "configuration") -> Config:
    """Build the tree from nested dictionaries; see :func:`load_config` for the errors."""
    return _build(Config, tree, where, "")


def config_to_dict(config: Config) -> dict[str, Any]:
    """The complete tree as nested dictionaries of plain values, ready for YAML."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


def _build(cls: type, tree: Mapping[str, Any], where: str, prefix: str) -> Any:
    hints = typing.get_type_hints(cls, include_extras=True)
    values = {}
    for key, value in tree.items():
        if key not in hints:
            nearest = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"did you mean {prefix}{nearest[0]}?" if nearest else f"known: {', '.join(hints)}"
            raise UserError(f"{where}: unknown key {prefix}{key}; {hint}")
        if dataclasses.is_dataclass(hints[key]):
            if value is not None and not isinstance(value, Mapping):
                raise UserError(f"{where}: section {prefix}{key} must hold keys, not {shortened(value)}")
            values[key] = _build(typing.cast(type, hints[key]), value or {}, where, f"{prefix}{key}.")
        else:
            values[key] = _convert(value, hints[key], f"{where}: {prefix}{key}")
    return cls(**values)


def _convert(value: Any, hint: Any, name: str) -> Any:
    """Check a scalar against its type hint; integers pass as floats, and so do YAML's ``1e-3`` strings."""
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value in choices:
            return value
        nearest = difflib.get_close_matches(str(value), map(str, choices), n=1)
        hint_text = f"; did you mean {nearest[0]}?" if nearest else ""
        raise UserError(f"{name} is {shortened(value)}, but must be one of {', '.join(map(str, choices))}{hint_text}")
    if origin is tuple:
        if isinstance(value, (list, tuple)) and len(value) == len(choices):
            return tuple(_convert(item, choice, name) for item, choice in zip(value, choices, strict=True))
        raise UserError(f"{name} must be a list of {len(choices)} values, not {shortened(value)}")
    if origin is Annotated:
        return _bounded(_convert(value, choices[0], name), hint.__metadata__[0], name)
    if hint is float and not isinstance(value, bool):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise UserError(f"{name} must be a finite number, not {shortened(value)}")
        return number
    if type(value) is hint:
        return value
    raise UserError(f"{name} must be of type {hint.__name__}, not {shortened(value)}")


def _bounded(value: float, bounds: Bounds, name: str) -> float:
    if bounds.low <= value <= bounds.high and not (bounds.below and value == bounds.high):
        return value
    limits = f"from {bounds.low:g} to {'below ' if bounds.below else ''}{bounds.high:g}"
    if bounds.high == float("inf"):
        limits = f"at least {bounds.low:g}"
    raise UserError(f"{name} must be {limits}, not {shortened(value)}")
