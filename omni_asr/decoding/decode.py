"""Decode a data directory: words, scores, unit times and the load of the experts.

Shapes: L MoE layers, E experts.
"""

import json
import logging
import os
import time
from pathlib import Path

import torch
from tqdm import tqdm

from omni_asr.config import DecodeConfig
from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.features import check_features
from omni_asr.data.sampler import plan_batches
from omni_asr.decoding.greedy import Hypothesis, greedy_decode
from omni_asr.devices import autocast
from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import read_entries
from omni_asr.models.package import Package
from omni_asr.models.routers import LoadCounter
from omni_asr.scoring.align import both_cases
from omni_asr.scoring.markup import bare_words
from omni_asr.text.tokenizer import Tokenizer
from omni_asr.text.unknown import count_unknown, refuse_unknown

log = logging.getLogger(__name__)


def decode_directory(package: Package, data_dir: str | os.PathLike[str], out_dir: str | os.PathLike[str]) -> None:
    """Decode every utterance of ``data_dir`` greedily.

    Where there is a ``text``, ``unknown_utts`` lists the utterances with words in it that the units cannot spell.

    Writes ``score`` (log-probability of the best path per frame), ``tokens.jsonl`` (units with start and end in
    seconds), ``load.json`` (share of frames of each expert of each MoE layer), ``model_info.json`` (what the model says
    of itself) and, last, ``text``.

    Raises:
        UserError: features are missing or were made with other options than the model's; more words of the text than
            ``decode.max_unknown`` cannot be spelled; log-probabilities are not finite.
    """
    utterances = UtteranceSet(data_dir, tokenizer=None, fallback=Path(out_dir, "manifest"))
    check_features(utterances, package.config.features)
    check_text(data_dir, package.tokenizer, package.config.decode, Path(out_dir, "unknown_utts"))
    dataset = BatchDataset(utterances)
    device = next(package.model.parameters()).device
    config = package.config.decode
    hypotheses: dict[str, Hypothesis] = {}
    load, frames, started = LoadCounter(package.model.encoder.experts_of_layers()), 0, time.monotonic()
    batches = plan_batches(utterances.frames, config.batch_frames, 1 << 30)
    for indices in tqdm(batches, desc=f"decode {Path(data_dir).name}", unit="batch", disable=None):
        batch = dataset[0, indices].to(device)
        with torch.inference_mode(), autocast(device):
            logp_BSV, encoded = package.model.encode(batch.x_BTF, batch.lengths_B)
        decoded = greedy_decode(logp_BSV, encoded.packing.lengths_B, batch.utts)
        hypotheses.update(zip(batch.utts, decoded, strict=True))
        load.add(encoded.routings)
        frames += len(encoded.x_ND)
    loads = {"load": load.shares(), "frames": frames}
    _write(package, hypotheses, loads, Path(out_dir), sorted(utterances.utts))
    elapsed = time.monotonic() - started
    hours = utterances.hours(package.config.features.frame_shift_ms)
    log.info(
        "%d utterances, %.2f h in %.1f s: %.0f x real time", len(utterances), hours, elapsed, hours * 3600 / elapsed
    )


def check_text(
    data_dir: str | os.PathLike[str], tokenizer: Tokenizer, config: DecodeConfig, listing: Path | None
) -> None:
    """Count the words of the references, if there are any, that the units cannot spell: scoring takes them for errors.

    Their utterances are listed in ``listing``, if one is given.

    Raises:
        UserError: they are more than the share ``decode.max_unknown``.
    """
    text = Path(data_dir, "text")
    if not text.is_file():
        return
    texts = ((utt, bare_words(value)) for _, utt, value in read_entries(text, may_be_empty=True))
    counts = count_unknown(texts, tokenizer, listing, both_cases)
    refuse_unknown(counts, tokenizer, str(text), listing, config.max_unknown, "decode.max_unknown")


def _write(package: Package, hypotheses: dict[str, Hypothesis], load: dict, out_dir: Path, order: list[str]) -> None:
    seconds = package.config.model.stack * package.config.features.frame_shift_ms / 1000
    tokenizer = package.tokenizer
    with atomic_write(out_dir / "score") as file:
        file.writelines(f"{utt} {hypotheses[utt].score:.4f}\n" for utt in order)
    with atomic_write(out_dir / "tokens.jsonl") as file:
        for utt in order:
            hypothesis = hypotheses[utt]
            row = {
                "utt": utt,
                "tokens": [tokenizer.units[index] for index in hypothesis.ids],
                "start": [round(frame * seconds, 3) for frame in hypothesis.starts],
                "end": [round(frame * seconds, 3) for frame in hypothesis.ends],
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    with atomic_write(out_dir / "load.json") as file:
        json.dump(load, file)
    with atomic_write(out_dir / "model_info.json") as file:
        json.dump(package.info, file, indent=1)
    with atomic_write(out_dir / "text") as file:
        file.writelines(f"{utt} {tokenizer.decode(hypotheses[utt].ids)}".rstrip() + "\n" for utt in order)
