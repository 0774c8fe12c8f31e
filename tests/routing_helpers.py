"""A made-up ``routing.json``: what a model might do whose layers agree more or less."""

import json

import numpy as np

TOKENS = "▁the e s t ▁a n i o r ▁s d ▁t l ▁w u ing ▁p m ▁f c y ▁b g ▁to ▁m k er ▁nine ▁d p ▁h ▁c w ▁in ▁se ven".split()
FRAME_SECONDS = 0.04


def make_routing(
    experts=(8, 8, 8, 8, 8), groups=None, agree=0.7, wer=5.3, seed=0, perturbations=True, example=True, sets=("test",)
):
    """The content of ``routing.json``; ``experts`` of each layer, ``agree`` how alike neighbouring layers choose."""
    source = np.random.default_rng(seed)
    groups = list(groups or [0] * len(experts))
    share = [source.dirichlet(np.full(count, 6.0)) for count in experts]
    tokens = TOKENS[:35]
    depth = np.linspace(0.4, 1, len(experts))
    run = 60 + 90 * depth + source.normal(0, 6, len(experts))
    return {
        "router": "omni",
        "experts": ",".join(f"1x{count}" for count in experts),
        "sets": list(sets),
        "frames": 123456,
        "frame_seconds": FRAME_SECONDS,
        "layers": [{"group": group, "experts": count} for group, count in zip(groups, experts, strict=True)],
        "agreement": _agreement(source, experts, groups, agree),
        "load": {
            "share": [row.tolist() for row in share],
            "max_over_mean": [float(row.max() * len(row)) for row in share],
            "cv": [float(row.std() / row.mean()) for row in share],
            "dead": [[] for _ in share],
            "usage_entropy": [float(-(row * np.log2(row)).sum()) for row in share],
            "frame_entropy": [float(np.log2(count) * (0.7 - 0.5 * d)) for count, d in zip(experts, depth, strict=True)],
        },
        "time": {
            "run_ms": run.tolist(),
            "shuffled_run_ms": (44 + source.random(len(experts)) * 5).tolist(),
            "switches_per_s": (1000 / run).tolist(),
            "shuffled_switches_per_s": (1000 / (44 + source.random(len(experts)) * 5)).tolist(),
        },
        "paths": {
            "distinct": 900, "cover_50": 12, "cover_90": 210, "entropy_bits": 7.1, "complete": True,
            "possible": int(np.prod([float(count) for count in experts])),
        },
        "specialisation": {
            "sets": {"names": list(sets), "share": _shares(source, share, len(sets), 80)},
            "blank": {"names": ["blank", "spoken"], "share": _shares(source, share, 2, 12)},
            "tokens": {
                "names": tokens, "share": _shares(source, share, len(tokens), 0.6), "mi_bits": (1.4 * depth).tolist()
            },
            "speakers": {"number": 12, "mi_bits": (0.3 * (1 - 0.7 * depth)).tolist()},
        },
        "perturbations": _perturbations(source, experts, wer, agree) if perturbations else None,
        "example": _example(source, experts, agree) if example else None,
    }  # fmt: skip


def write_routing(exp, **changes):
    """Write a made-up ``routing.json`` into an experiment and return its content."""
    content = make_routing(**changes)
    (exp / "routing.json").write_text(json.dumps(content), encoding="utf-8")
    return content


def _agreement(source, experts, groups, agree):
    count = len(experts)
    distance = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    noise = source.normal(0, 0.03, (count, count))
    matched = np.clip(agree ** (0.4 * distance) + (noise + noise.T) * (distance > 0), 0.15, 1)
    raw = [
        [value if experts[a] == experts[b] else None for b, value in enumerate(row)] for a, row in enumerate(matched)
    ]
    nmi = np.where(distance > 0, matched**2 * 0.8, 1)
    pairs = [(a, b) for a in range(count) for b in range(a) if groups[a] == groups[b]]
    matrices = {"raw": raw, "matched": matched.tolist(), "nmi": nmi.tolist()}
    means = {
        name: float(np.mean([matrix[a][b] or 0 for a, b in pairs])) if pairs else None
        for name, matrix in matrices.items()
    }
    return {**matrices, "mean": means}


def _shares(source, load, names, concentration):
    return [[source.dirichlet(row * len(row) * concentration + 0.02).tolist() for _ in range(names)] for row in load]


def _perturbations(source, experts, wer, agree):
    rates = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    return {
        "set": "test", "utterances": 100, "words": 600, "wer": wer,
        "reroute": [{"rate": rate, "wer": wer + 110 * (1.1 - agree) * rate**1.5} for rate in rates],
        "permuted": 60 + 40 * (1 - agree),
        "removed": [[wer + float(source.exponential(1.5)) for _ in range(count)] for count in experts],
    }  # fmt: skip


def _example(source, experts, agree):
    """Tokens of three to six frames; each speaks for an expert, which layers follow more or less."""
    lengths = source.integers(3, 7, 31)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    frames = int(starts[-1])
    kinds = source.integers(0, len(TOKENS), len(lengths))
    kind_of_frame = np.repeat(kinds, lengths)
    rows, table = [], source.integers(0, 1 << 16, len(TOKENS))
    for count in experts:
        table = np.where(source.random(len(table)) < agree, table, source.integers(0, 1 << 16, len(table)))
        noise = source.random(frames) < 0.12
        rows.append(np.where(noise, source.integers(0, count, frames), table[kind_of_frame] % count).tolist())
    spectra = source.normal(8, 2.5, (len(TOKENS), 80))
    spectra = (spectra + np.roll(spectra, 1, 1) + np.roll(spectra, 2, 1)) / 3
    fbank = np.repeat(spectra[kind_of_frame], 4, axis=0) + source.normal(0, 0.5, (4 * frames, 80))
    return {
        "set": "test", "utt": "spk-001", "text": "".join(TOKENS[kind] for kind in kinds).replace("▁", " ").strip(),
        "experts": rows,
        "fbank": fbank.round(2).tolist(),
        "frame_seconds": FRAME_SECONDS,
        "tokens": [
            {"token": TOKENS[kind], "start": (first + 1) * FRAME_SECONDS, "end": (first + 2) * FRAME_SECONDS}
            for kind, first in zip(kinds, starts[:-1].tolist(), strict=True)
        ],
    }  # fmt: skip
