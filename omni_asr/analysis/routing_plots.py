"""Figures of the routing, each returned as the text of an SVG, empty where its part of ``routing.json`` is not there.

Layers run from the top down, numbered from 1 as the experts are; a colour stands for the same expert in every figure.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from omni_asr.analysis.drawing import (
    boundaries,
    colour_bar,
    expert_colours,
    expert_legend,
    flat_style,
    heat_map,
    ink_on,
    largest,
    number_ticks,
    page_figure,
    percent,
    short,
)
from omni_asr.analysis.plots import BLUE, GREEN, INK, ORANGE, SOFT, require_matplotlib, svg
from omni_asr.analysis.routing_file import RoutingResults

ANNOTATED_LAYERS, ANNOTATED_EXPERTS = 12, 8  # more cells beside each other have no room for numbers
MEASURES = {"raw": "Raw agreement", "matched": "Matched agreement", "nmi": "Normalised mutual information"}


def agreement(routing: RoutingResults) -> str:
    """Raw and matched agreement and normalised mutual information between layers, on one scale; needs two layers."""
    if not routing.agreement or len(routing.experts) < 2:
        return ""
    with require_matplotlib().rc_context(flat_style()):
        figure = page_figure(3.95)
        axes = figure.subplots(1, 3)
        for axis, (name, title) in zip(axes, MEASURES.items(), strict=True):
            mesh = agreement_panel(axis, routing, name, title)
        axes[0].set_ylabel("layer")
        colour_bar(figure, mesh, list(axes), "agreement, or information")
        return svg(figure)


def agreement_panel(axis: Any, routing: RoutingResults, name: str, title: str) -> Any:
    """One (L, L) matrix with its mean in the title; lines part layer groups. Returns what a colour bar needs."""
    part = routing.agreement or {}
    count = len(routing.experts)
    mesh = heat_map(axis, part[name], 0, 1, short if count <= ANNOTATED_LAYERS else None)
    axis.set_aspect("equal")
    for edge in boundaries(routing.groups):
        axis.axhline(edge, color=INK, linewidth=0.9)
        axis.axvline(edge, color=INK, linewidth=0.9)
    for which in "xy":
        number_ticks(axis, which, count, most=14)
    mean = part["mean"][name]
    axis.set_title(f"{title}\nmean {mean:.2f}" if mean is not None else f"{title}\n", linespacing=1.4)
    axis.set_xlabel("layer")
    return mesh


def load(routing: RoutingResults) -> str:
    """Share of the frames of each expert as stacked bars, and entropies, per layer."""
    if not routing.load:
        return ""
    with require_matplotlib().rc_context(flat_style()):
        figure, (bars, entropy) = _layer_figure(routing, [3.2, 1.6])
        _stacked_bars(bars, routing.load["share"])
        entropy.set_title("Entropy", pad=22)
        limits = np.log2(routing.experts)
        y = range(len(limits))
        entropy.plot(limits, y, "|", color=SOFT, markersize=9, label="most possible")
        _dots(entropy, routing.load["usage_entropy"], "usage", BLUE, "o")
        _dots(entropy, routing.load["frame_entropy"], "of a frame", ORANGE, "D")
        entropy.set_xlim(0, max(limits.max(), 0.1) * 1.06)
        entropy.set_xlabel("bits")
        _legend_above(entropy, 3)
        expert_legend(figure, max(routing.experts))
        return svg(figure)


def _stacked_bars(axis: Any, share: Sequence[Sequence[float | None]]) -> None:
    colours = expert_colours(max(map(len, share)))
    for y, row in enumerate(share):
        left = 0.0
        for expert, value in enumerate(row):
            width, colour = 100 * (value or 0.0), colours[expert]
            axis.barh(y, width, left=left, height=0.82, color=colour, edgecolor="white", linewidth=0.6)
            if width >= 4:
                middle = left + width / 2
                axis.text(middle, y, f"{width:.0f}", ha="center", va="center", fontsize=7, color=ink_on(colour))
            left += width
    axis.set_title("Share of the frames by expert", pad=22)
    axis.set_xlim(0, 100)
    axis.set_xlabel("% of frames")


def dynamics(routing: RoutingResults) -> str:
    """Run lengths and switches against the shuffled control, and mutual information of the experts, per layer."""
    found, special = routing.time, routing.specialisation
    if not found and not special:
        return ""
    with require_matplotlib().rc_context(flat_style()):
        figure, axes = _layer_figure(routing, [1] * (2 * bool(found) + bool(special)))
        if found:
            for axis, name, title, unit in (
                (axes[0], "run_ms", "Mean run on one expert", "ms"),
                (axes[1], "switches_per_s", "Changes of the expert", "per second"),
            ):
                _pairs(axis, found[f"shuffled_{name}"], found[name])
                _dots(axis, found[f"shuffled_{name}"], "frames shuffled", SOFT, "o", markerfacecolor="white")
                _dots(axis, found[name], "as spoken", BLUE, "o")
                _from_zero(axis, title, unit)
        if special:
            _dots(axes[-1], special["tokens"]["mi_bits"], "and token", GREEN, "s")
            _dots(axes[-1], special["speakers"]["mi_bits"], "and speaker", ORANGE, "D")
            _from_zero(axes[-1], "Mutual information of expert", "bits")
        return svg(figure)


def _pairs(axis: Any, control: Sequence[float | None], values: Sequence[float | None]) -> None:
    for y, (start, end) in enumerate(zip(control, values, strict=True)):
        if start is not None and end is not None:
            axis.plot([start, end], [y, y], color="#c9d0d8", linewidth=2.2, zorder=1, solid_capstyle="butt")


def _from_zero(axis: Any, title: str, unit: str) -> None:
    axis.set_title(title, pad=22)
    axis.set_xlabel(unit)
    axis.set_xlim(0, max(axis.get_xlim()[1], 1e-3))
    _legend_above(axis, 2)


def by_token(routing: RoutingResults) -> str:
    """Share of each token's frames by expert in the first, middle and last layer; tokens sorted by the middle one."""
    part = (routing.specialisation or {}).get("tokens")
    if not part or not part["names"]:
        return ""
    count = len(routing.experts)
    layers = sorted({0, count // 2, count - 1})
    middle = [np.nan_to_num(np.array(row, dtype=float)) for row in part["share"][count // 2]]
    order = sorted(range(len(middle)), key=lambda token: (int(middle[token].argmax()), -middle[token].max()))
    with require_matplotlib().rc_context(flat_style()):
        figure = page_figure(0.155 * len(order) + 1.0)
        axes = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
        for axis, layer in zip(axes, layers, strict=True):
            mesh = heat_map(axis, percent([part["share"][layer][token] for token in order]), 0, 100)
            number_ticks(axis, "x", routing.experts[layer], most=16)
            bits = part["mi_bits"][layer]
            axis.set_title(f"Layer {layer + 1}" + (f", {bits:.2f} bits" if bits is not None else ""))
            axis.set_xlabel("expert")
        axes[0].set_yticks(range(len(order)), [part["names"][token] for token in order])
        axes[0].set_ylabel("token")
        colour_bar(figure, mesh, list(axes), "% of the token's frames")
        return svg(figure)


def by_kind(routing: RoutingResults) -> str:
    """Share of the frames by layer and expert, for blank and spoken frames and for each set, on one scale."""
    part = routing.specialisation or {}
    panels = [
        (title.format(name), percent([layer[index] for layer in part[kind]["share"]]))
        for kind, title in (("blank", "{} frames"), ("sets", "set {}"))
        if kind in part
        for index, name in enumerate(part[kind]["names"])
    ]
    if not panels:
        return ""
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    widest = max(routing.experts)
    high = max(largest(rows) for _, rows in panels)
    with require_matplotlib().rc_context(flat_style()):
        figure = page_figure(lines * (max(0.19 * len(routing.experts), 0.9) + 0.75))
        axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
        for axis, (title, rows) in zip(axes, panels, strict=False):
            mesh = heat_map(axis, rows, 0, high, "{:.0f}".format if widest <= ANNOTATED_EXPERTS else None)
            number_ticks(axis, "x", widest, most=16)
            number_ticks(axis, "y", len(rows))
            axis.set_title(title[:32])
            axis.set_xlabel("expert")
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis in axes[::columns]:
            axis.set_ylabel("layer")
        colour_bar(figure, mesh, list(axes), "% of the frames")
        return svg(figure)


def _layer_figure(routing: RoutingResults, widths: Sequence[float]) -> tuple[Any, Any]:
    """A figure of panels beside each other whose vertical axis is the layer."""
    figure = page_figure(0.215 * len(routing.experts) + 1.35)
    figure.get_layout_engine().set(wspace=0.04)
    axes = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
    count = len(routing.experts)
    axes[0].set_ylim(count - 0.4, -0.6)
    axes[0].set_ylabel("layer")
    number_ticks(axes[0], "y", count)
    for axis in axes:
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.set_axisbelow(True)
        axis.locator_params(axis="x", nbins=6)
        axis.grid(axis="x")
    return figure, axes


def _dots(axis: Any, values: Sequence[float | None], label: str, colour: str, marker: str, **style: Any) -> None:
    numbers = np.array(values, dtype=float)
    axis.plot(numbers, range(len(numbers)), marker, color=colour, markersize=5, label=label, **style)


def _legend_above(axis: Any, columns: int) -> None:
    axis.legend(
        loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0, ncols=columns, handletextpad=0.3,
        columnspacing=1.2,
    )  # fmt: skip
