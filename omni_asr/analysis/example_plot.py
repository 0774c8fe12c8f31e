"""The example utterance: what was heard, where every frame went, and what was recognised."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from omni_asr.analysis.drawing import WIDTH, expert_colours, expert_legend, flat_style, number_ticks, page_figure
from omni_asr.analysis.plots import INK, require_matplotlib, svg
from omni_asr.analysis.routing_file import RoutingResults

TOKEN_SIZE = 7.5


def example(routing: RoutingResults) -> str:
    """The example: log-mel spectrogram, the expert of every frame in each layer, and the tokens, over seconds."""
    part = routing.example
    if not part:
        return ""
    chosen = np.array(part["experts"])
    seconds = chosen.shape[1] * part["frame_seconds"]
    places, lines = _place_tokens(part["tokens"], seconds)
    strips = max(0.9, 0.17 * len(chosen))
    heights = [1.35] * bool(part["fbank"]) + [strips] + [0.2 + 0.15 * lines] * bool(places)
    with require_matplotlib().rc_context(flat_style()):
        figure = page_figure(sum(heights) + 0.85)
        axes = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        if part["fbank"]:
            # An encoder frame is a stack of so many filterbank frames, the last one perhaps not full.
            stack = max(1, round(len(part["fbank"]) / chosen.shape[1]))
            shift = part["frame_seconds"] / stack
            _spectrogram(axes.pop(0), np.array(part["fbank"], dtype=float).T, shift)
        _strips(axes.pop(0), chosen, seconds, expert_colours(max(routing.experts)))
        if places:
            _tokens(axes.pop(0), places, lines)
        last = figure.axes[-1]
        last.set_xlim(0, seconds)
        last.set_xlabel("time, s")
        expert_legend(figure, max(routing.experts))
        return svg(figure)


def _spectrogram(axis: Any, mel: Any, shift: float) -> None:
    finite = mel[np.isfinite(mel)]
    low, high = np.percentile(finite, [3, 99.7]) if finite.size else (0, 1)
    extent = (0, mel.shape[1] * shift, 0.5, mel.shape[0] + 0.5)
    axis.imshow(
        mel, origin="lower", aspect="auto", extent=extent, cmap="Greys", vmin=low, vmax=high, interpolation="nearest"
    )
    axis.set_yticks([1, mel.shape[0] // 2, mel.shape[0]])
    axis.set_ylabel("mel filter")
    axis.tick_params(axis="x", length=0)


def _strips(axis: Any, chosen: Any, seconds: float, colours: Sequence[Any]) -> None:
    """Rows of ``chosen`` (L, T) in the colours of the experts, parted by white lines."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    norm = BoundaryNorm(np.arange(len(colours) + 1) - 0.5, len(colours))
    axis.imshow(
        chosen, aspect="auto", extent=(0, seconds, len(chosen) - 0.5, -0.5), cmap=ListedColormap(colours), norm=norm,
        interpolation="nearest",
    )  # fmt: skip
    for edge in range(len(chosen) - 1):
        axis.axhline(edge + 0.5, color="white", linewidth=1.4)
    number_ticks(axis, "y", len(chosen))
    axis.set_ylabel("layer")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _place_tokens(tokens: Sequence[tuple[str, float, float]], seconds: float) -> tuple[list[Any], int]:
    """A line for each token, the first where it does not touch the one before; returns the number of lines too."""
    ends: list[float] = []
    places = []
    for token, start, end in sorted(tokens, key=lambda token: token[1]):
        # A sign is about 0.62 of the font's size wide; the axis takes some nine tenths of the figure.
        width = (0.62 * len(token) + 0.5) * TOKEN_SIZE / 72 / (0.93 * WIDTH) * seconds
        middle = min(max((start + end) / 2, width / 2), seconds - width / 2)
        line = next((index for index, taken in enumerate(ends) if taken <= middle - width / 2), len(ends))
        ends[line : line + 1] = [middle + width / 2]
        places.append((token, start, end, middle, line))
    return places, len(ends)


def _tokens(axis: Any, places: Sequence[Any], lines: int) -> None:
    for token, start, end, middle, line in places:
        axis.axvspan(start, end, ymin=1 - 0.09 / (0.2 + 0.15 * lines), facecolor=INK, edgecolor="white", linewidth=0.7)
        axis.plot([middle, middle], [0, line + 0.35], color="#c9d0d8", linewidth=0.6, zorder=0)
        axis.text(
            middle, line + 0.85, token, ha="center", va="center", fontsize=TOKEN_SIZE, color=INK, clip_on=True,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axis.set_ylim(lines + 0.4, -0.9)
    axis.set_yticks([])
    axis.set_ylabel("tokens", rotation=0, ha="right", va="center")
    axis.spines["left"].set_visible(False)
