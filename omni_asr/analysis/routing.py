"""How a trained model routes: statistics over data sets, what happens when decisions are disturbed, one example.

Shapes: B utterances, S encoder frames, N valid encoder frames, L MoE layers, V vocabulary.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from omni_asr.analysis.interventions import Intervention, Permute, Remove, Reroute, intervene
from omni_asr.analysis.routing_stats import Decisions, RoutingStatistics
from omni_asr.data.batch import Batch
from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.features import check_features
from omni_asr.data.sampler import plan_batches
from omni_asr.data.table_walk import TableWalk, unique_entries
from omni_asr.decoding.greedy import greedy_decode
from omni_asr.devices import autocast
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.models.encoder import EncoderOutput
from omni_asr.models.package import Package
from omni_asr.models.routers import Routing
from omni_asr.scoring.align import Counts, align_all

log = logging.getLogger(__name__)

RATES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the frames that are rerouted at random."""
EXAMPLE_SECONDS = 6.0
"""The example is the longest utterance of the first set below this."""


def analyze_routing(
    package: Package, data_dirs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], disturbed: int = 100
) -> dict[str, Any]:
    """Write ``routing.json`` (statistics of method, section by section: agreement, load, time, paths, specialisation,
    perturbations, example) about the decisions of a model on data directories with features.

    Statistics cover all sets. Perturbations are measured on ``disturbed`` utterances of the first set that has a
    transcript, spread evenly over it; 0 leaves them out. Of each utterance memory holds some numbers, of the longest
    set, and no text.

    Raises:
        UserError: the model has no router, two sets have one name, or features do not fit the model.
    """
    routers = package.model.encoder.routers()
    if not routers:
        raise UserError("this model has no router, so there is no routing to analyse")
    names = [Path(data_dir).resolve().name for data_dir in data_dirs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two data directories are called {twice!r}; sets are told apart by name")
    sets = {name: UtteranceSet(data_dir, tokenizer=None) for name, data_dir in zip(names, data_dirs, strict=True)}
    for utterances in sets.values():
        check_features(utterances, package.config.features)
    groups = [group for group, router in enumerate(routers) for _ in range(router.layers)]
    experts = [router.experts for router in routers for _ in range(router.layers)]
    seconds = package.config.model.stack * package.config.features.frame_shift_ms / 1000
    statistics = RoutingStatistics(groups, experts, package.tokenizer.units, seconds)
    for name, utterances in sets.items():
        speakers = Speakers(utterances)
        for indices, _, logp_BSV, encoded in _encode(package, utterances, np.arange(len(utterances)), name):
            statistics.add(_decisions(logp_BSV, encoded, speakers.of(indices)), name)
    first = next(iter(sets))
    result = {
        "router": package.config.model.router,
        "experts": package.config.model.experts,
        "sets": names,
        **statistics.result(),
        "perturbations": _perturbations(package, sets, disturbed) if disturbed else None,
        "example": _example(package, first, sets[first], seconds),
    }
    with atomic_write(out) as file:
        json.dump(result, file)
    return result


class Speakers:
    """Speakers of a set by index of the utterance: their names once, and four bytes an utterance."""

    def __init__(self, utterances: UtteranceSet) -> None:
        path = utterances.data_dir / "utt2spk"
        walk = TableWalk(path) if path.exists() else None
        numbers: dict[str | None, int] = {}
        found = (walk.value_of(utt) if walk is not None else None for utt in utterances.utts)
        self.number_N = np.fromiter((numbers.setdefault(name, len(numbers)) for name in found), np.int32)
        self.names = list(numbers)

    def of(self, indices: NDArray) -> list[str | None]:
        """The speaker of each utterance; None where the set has no ``utt2spk``, or that has no line for it."""
        return [self.names[number] for number in self.number_N[indices].tolist()]


@torch.inference_mode()
def _encode(
    package: Package, utterances: UtteranceSet, chosen: NDArray, what: str
) -> Iterator[tuple[NDArray, Batch, Tensor, EncoderOutput]]:
    """Indices, batch and the model's output for some utterances, batch by batch; ``what`` is shown beside progress."""
    dataset, device = BatchDataset(utterances), next(package.model.parameters()).device
    batches = plan_batches(utterances.frames[chosen], package.config.decode.batch_frames, 1 << 30)
    for positions in tqdm(batches, desc=f"routing of {what}", unit="batch", disable=None if what else True):
        batch = dataset[0, chosen[positions]].to(device)
        with autocast(device):
            logp_BSV, encoded = package.model.encode(batch.x_BTF, batch.lengths_B)
        yield chosen[positions], batch, logp_BSV, encoded


def _ran(encoded: EncoderOutput) -> list[Routing]:
    return [routing for routing in encoded.routings if routing is not None]


def _decisions(logp_BSV: Tensor, encoded: EncoderOutput, speakers: list[str | None]) -> Decisions:
    routings = _ran(encoded)
    entropies = [-(r.probs_NE.clamp(min=1e-30).log2() * r.probs_NE).sum() for r in routings]
    return Decisions(
        torch.stack([routing.expert_NK[:, 0] for routing in routings]).cpu().numpy(),
        torch.cat([routing.counts_E for routing in routings]).cpu().numpy(),
        torch.stack(entropies).double().cpu().numpy(),
        encoded.packing.lengths_B.numpy(),
        speakers,
        encoded.packing.pack(logp_BSV).argmax(1).cpu().numpy(),
    )


def _perturbations(package: Package, sets: dict[str, UtteranceSet], most: int) -> dict[str, Any] | None:
    """WER when decisions are disturbed; None where no set has a transcript."""
    name = next((name for name, utterances in sets.items() if (utterances.data_dir / "text").exists()), None)
    if name is None:
        log.warning("no set has a text, so nothing is disturbed")
        return None
    utterances = sets[name]
    indices, texts = spoken(utterances, most)
    layers = [(layer, router) for router in package.model.encoder.routers() for layer in range(router.layers)]
    total = 2 + len(RATES) + sum(router.experts for _, router in layers)
    with tqdm(total=total, desc="disturbed routing", unit="decoding", disable=None) as bar:

        def wer(disturbance: AbstractContextManager[None]) -> float:
            with disturbance:
                counts = _count_errors(package, utterances, indices, texts)
            bar.update()
            return counts.percent

        words = sum(len(text.split()) for text in texts.values())
        result: dict[str, Any] = {"set": name, "utterances": len(indices), "words": words, "wer": wer(nullcontext())}
        result["reroute"] = [{"rate": rate, "wer": wer(_all(package, Reroute(rate)))} for rate in RATES]
        result["permuted"] = wer(_all(package, Permute()))
        result["removed"] = [
            [wer(_removed(package, number, expert)) for expert in range(router.experts)]
            for number, (_, router) in enumerate(layers)
        ]
    return result


def spoken(utterances: UtteranceSet, most: int) -> tuple[NDArray, dict[str, str]]:
    """Indices of at most ``most`` utterances with a text, spread evenly over the set, and their texts by id."""
    path = utterances.data_dir / "text"
    walk = TableWalk(path, may_be_empty=True)
    known = np.flatnonzero(np.fromiter((bool(walk.value_of(utt)) for utt in utterances.utts), bool))
    if len(known) > most:
        known = known[np.arange(most) * len(known) // most]
    chosen = {utterances.utts[index] for index in known.tolist()}
    return known, {utt: text for utt, text in unique_entries(path, may_be_empty=True) if utt in chosen}


def _all(package: Package, intervention: Intervention) -> AbstractContextManager[None]:
    return intervene(package.model, lambda first: intervention)


def _removed(package: Package, number: int, expert: int) -> AbstractContextManager[None]:
    """Without one expert of MoE layer ``number`` of the model."""
    return intervene(package.model, lambda first: Remove(number - first, expert))


def _count_errors(package: Package, utterances: UtteranceSet, indices: NDArray, texts: dict[str, str]) -> Counts:
    references, hypotheses = [], []
    for _, batch, logp_BSV, encoded in _encode(package, utterances, indices, ""):
        decoded = greedy_decode(logp_BSV, encoded.packing.lengths_B, batch.utts)
        hypotheses += [package.tokenizer.decode(hypothesis.ids).split() for hypothesis in decoded]
        references += [texts[utt].split() for utt in batch.utts]
    return sum((Counts.of(operations) for operations in align_all(references, hypotheses)), Counts())


def _example(package: Package, name: str, utterances: UtteranceSet, seconds: float) -> dict[str, Any]:
    """One utterance: its features, its units in time, and where each frame went in each layer."""
    limit = EXAMPLE_SECONDS * 1000 / package.config.features.frame_shift_ms
    index = max(
        range(len(utterances)), key=lambda i: (utterances.frames[i] <= limit, -abs(utterances.frames[i] - limit))
    )
    _, batch, logp_BSV, encoded = next(_encode(package, utterances, np.array([index]), ""))
    hypothesis = greedy_decode(logp_BSV, encoded.packing.lengths_B, batch.utts)[0]
    units = package.tokenizer.units
    spans = zip(hypothesis.ids, hypothesis.starts, hypothesis.ends, strict=True)
    return {
        "set": name,
        "utt": batch.utts[0],
        "text": package.tokenizer.decode(hypothesis.ids),
        "experts": [routing.expert_NK[:, 0].tolist() for routing in _ran(encoded)],
        "fbank": np.round(batch.x_BTF[0].cpu().numpy(), 2).astype(float).tolist(),
        "frame_seconds": seconds,
        "tokens": [
            {"token": units[unit], "start": round(start * seconds, 3), "end": round(end * seconds, 3)}
            for unit, start, end in spans
        ],
    }
