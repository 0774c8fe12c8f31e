"""``routing.json`` of an experiment, read part by part: what is malformed is named and left out, never fatal."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni_asr.read_files import MALFORMED, reason_of

Table = list[list[float | None]]
"""Rows of numbers, None where there is none; rows may differ in length."""
Part = dict[str, Any]


@dataclass
class RoutingResults:
    """How a model routed its frames; shapes: L MoE layers in order of depth, E experts of a layer.

    A part that is malformed, or was not computed, is None. Experts are numbered from 0.
    """

    experts: list[int]
    """Number of experts of each layer."""
    groups: list[int]
    """Number of each layer's group."""
    sets: list[str]
    frames: int | None
    agreement: Part | None = None
    """``raw``, ``matched``, ``nmi``: (L, L) from 0 to 1; ``mean`` of each over different layers of one group."""
    load: Part | None = None
    """``share``: (L, E); ``max_over_mean``, ``usage_entropy`` and ``frame_entropy`` in bits: (L,); ``dead``."""
    time: Part | None = None
    """``run_ms``, ``shuffled_run_ms``, ``switches_per_s``, ``shuffled_switches_per_s``: (L,)."""
    paths: Part | None = None
    """``distinct``, ``cover_50``, ``cover_90``, ``entropy_bits``, ``possible``, ``complete``."""
    specialisation: Part | None = None
    """``sets``, ``blank``, ``tokens``: ``names`` and ``share`` (L, names, E); ``mi_bits`` and ``control_bits``
    of tokens and speakers."""
    perturbations: Part | None = None
    """``wer`` as it is; ``reroute``: (rate, WER) pairs; ``permuted``; ``removed``: (L, E)."""
    example: Part | None = None
    """``experts``: (L, T); ``fbank``: (filterbank frames, filters); ``tokens``: (text, start, end) in seconds."""


def read_routing(path: Path, command: str) -> tuple[RoutingResults | None, list[str]]:
    """Read ``routing.json``; returns what could be read, and a sentence for each thing that could not.

    ``command`` is what writes the file, for the advice in the sentences.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None, [f"{path.name} does not exist: no pictures of the routing; run {command}"]
    except (ValueError, RecursionError) as error:
        return None, [f"{path.name} is not JSON ({error}): no pictures of the routing; run again: {command}"]
    try:
        layers = content["layers"]
        routing = RoutingResults(
            experts=[int(layer["experts"]) for layer in layers],
            groups=[int(layer["group"]) for layer in layers],
            sets=[printable(name) for name in content.get("sets", [])],
            frames=_whole(content.get("frames")),
        )
        if not layers or min(routing.experts) < 1:
            raise ValueError("no layers with experts")
    except MALFORMED as error:
        return None, [
            f"{path.name}: layers cannot be read ({reason_of(error)}): no pictures of the routing; run again: {command}"
        ]
    unread = []
    for name, parse in PARTS.items():
        try:
            if not (content.get(name) is None and name in OPTIONAL):
                setattr(routing, name, parse(content[name], routing.experts))
        except MALFORMED as error:
            unread.append(
                f"{path.name}: {name} cannot be read ({reason_of(error)}) and is left out; run again: {command}"
            )
    return routing, unread


def printable(value: Any) -> str:
    """Text without line ends and other signs that cannot be drawn; a blank is made visible."""
    text = "".join(sign if sign.isprintable() else "·" for sign in str(value))
    return text if text.strip() else "␣" * len(text)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and value == value and abs(value) != float("inf") else None


def _number(value: Any) -> float | None:
    """A number, or None where there is none or it is not finite."""
    number = None if value is None else float(value)
    return number if number is not None and abs(number) < float("inf") else None


def _finite(value: Any, name: str) -> float:
    number = _number(value)
    if number is None:
        raise ValueError(f"{name} is {value}")
    return number


def _list(values: Any, length: int, name: str) -> list[float | None]:
    if len(values) != length:
        raise ValueError(f"{name} has {len(values)} entries, not {length}")
    return [_number(value) for value in values]


def _table(rows: Any, widths: Sequence[int], name: str) -> Table:
    if len(rows) != len(widths):
        raise ValueError(f"{name} has {len(rows)} rows, not {len(widths)}")
    return [_list(row, width, name) for row, width in zip(rows, widths, strict=True)]


def _agreement(part: Part, experts: list[int]) -> Part:
    names = ("raw", "matched", "nmi")
    widths = [len(experts)] * len(experts)
    mean = {name: _number(part["mean"].get(name)) for name in names}
    chance = {name: _number(part.get("chance", {}).get(name)) for name in ("raw", "matched")}
    return {name: _table(part[name], widths, name) for name in names} | {"mean": mean, "chance": chance}


def _load(part: Part, experts: list[int]) -> Part:
    lists = ("max_over_mean", "usage_entropy", "frame_entropy")
    dead = [[int(expert) for expert in layer] for layer in part["dead"]]
    share = _table(part["share"], experts, "share")
    return {"share": share, "dead": dead} | {name: _list(part[name], len(experts), name) for name in lists}


def _time(part: Part, experts: list[int]) -> Part:
    names = ("run_ms", "shuffled_run_ms", "switches_per_s", "shuffled_switches_per_s")
    return {name: _list(part[name], len(experts), name) for name in names}


def _paths(part: Part, experts: list[int]) -> Part:
    names = ("distinct", "cover_50", "cover_90", "entropy_bits", "possible")
    return {name: _number(part[name]) for name in names} | {"complete": bool(part.get("complete", True))}


def _specialisation(part: Part, experts: list[int]) -> Part:
    found: Part = {}
    for kind in ("sets", "blank", "tokens"):
        names = [printable(name) for name in part[kind]["names"]]
        layers = zip(part[kind]["share"], experts, strict=True)
        found[kind] = {"names": names, "share": [_table(layer, [e] * len(names), kind) for layer, e in layers]}
    for kind in ("tokens", "speakers"):
        for name in ("mi_bits", "control_bits"):
            values = part[kind].get(name, [None] * len(experts))
            found.setdefault(kind, {})[name] = _list(values, len(experts), f"{kind} {name}")
    found["speakers"]["number"] = _whole(part["speakers"].get("number"))
    return found


def _perturbations(part: Part, experts: list[int]) -> Part:
    pairs = [(_finite(point["rate"], "rate"), _number(point["wer"])) for point in part["reroute"]]
    return {
        "set": printable(part["set"]),
        "utterances": _whole(part.get("utterances")),
        "words": _whole(part.get("words")),
        "wer": _finite(part["wer"], "wer"),
        "reroute": sorted((rate, wer) for rate, wer in pairs if wer is not None),
        "permuted": _number(part.get("permuted")),
        "removed": _table(part["removed"], experts, "removed") if part.get("removed") else None,
    }


def _example(part: Part, experts: list[int]) -> Part:
    chosen = [[int(expert) for expert in layer] for layer in part["experts"]]
    if [len(layer) for layer in chosen] != [len(chosen[0])] * len(experts) or not chosen[0]:
        raise ValueError(f"experts has {len(chosen)} rows, not {len(experts)} of the same length")
    if any(not 0 <= expert < count for layer, count in zip(chosen, experts, strict=True) for expert in layer):
        raise ValueError("an expert's number is out of range")
    fbank = part["fbank"]
    seconds = _finite(part["frame_seconds"], "frame_seconds")
    if seconds <= 0:
        raise ValueError(f"frame_seconds is {seconds}")
    return {
        "set": printable(part["set"]),
        "utt": printable(part["utt"]),
        "text": printable(part.get("text") or ""),
        "experts": chosen,
        "fbank": _table(fbank, [len(fbank[0])] * len(fbank), "fbank") if fbank else [],
        "frame_seconds": seconds,
        "tokens": [(printable(t["token"]), *(_finite(t[k], k) for k in ("start", "end"))) for t in part["tokens"]],
    }


OPTIONAL = ("perturbations", "example")
"""Parts that may be null: they take longer to compute."""
PARTS: dict[str, Callable[[Part, list[int]], Part]] = {
    "agreement": _agreement,
    "load": _load,
    "time": _time,
    "paths": _paths,
    "specialisation": _specialisation,
    "perturbations": _perturbations,
    "example": _example,
}
