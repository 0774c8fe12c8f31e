"""What disturbed decisions cost: WER against rerouted frames, permuted experts and removed experts."""

from collections.abc import Sequence
from typing import Any

from omni_asr.analysis.drawing import colour_bar, flat_style, heat_map, largest, number_ticks, page_figure
from omni_asr.analysis.plots import BLUE, INK, require_matplotlib, svg
from omni_asr.analysis.routing_file import Part, RoutingResults

PERMUTED = 1.22  # where the permuted experts stand on the axis of rates
ANNOTATED_EXPERTS = 16  # more cells beside each other have no room for numbers


def perturbations(routing: RoutingResults) -> str:
    """WER against the rate of rerouted frames, and WER with one expert removed."""
    part = routing.perturbations
    if not part:
        return ""
    with require_matplotlib().rc_context(flat_style()):
        rows = part["removed"]
        figure = page_figure(max(3.5, 0.21 * len(rows or []) + 1.1))
        axes = figure.subplots(1, 2, width_ratios=[1, 1.15]) if rows else [figure.subplots()]
        perturbation_curves(axes[0], [(part, BLUE, "rerouted")])
        axes[0].axhline(part["wer"], color=INK, linewidth=0.9, linestyle=(0, (5, 3)))
        axes[0].annotate(
            f"undisturbed {part['wer']:.1f}", (0.99, part["wer"]), xycoords=("axes fraction", "data"), ha="right",
            va="bottom", xytext=(0, 3), textcoords="offset points", color=INK,
        )  # fmt: skip
        if rows:
            _removed(figure, axes[1], rows, part["wer"])
        return svg(figure)


def perturbation_curves(axis: Any, curves: Sequence[tuple[Part, str, str]]) -> None:
    """Lines of (perturbations, colour, label), from the undisturbed WER on; beside them the WER of permuted experts."""
    for number, (part, colour, label) in enumerate(curves):
        points = [(0.0, part["wer"]), *(point for point in part["reroute"] if point[0] > 0)]
        axis.plot(*zip(*points, strict=True), color=colour, linewidth=1.6, marker="o", markersize=3.5, label=label)
        if part["permuted"] is not None:
            place = PERMUTED + 0.15 * ((number + 0.5) / len(curves) - 0.5)  # beside each other where they are equal
            axis.plot(place, part["permuted"], "D", color=colour, markersize=5.5, clip_on=False)
            if len(curves) == 1:
                axis.annotate(
                    f"{part['permuted']:.1f}", (PERMUTED, part["permuted"]), ha="center", xytext=(0, 7),
                    textcoords="offset points", color=INK,
                )  # fmt: skip
    ticks = [0, 0.25, 0.5, 0.75, 1]
    labels = [f"{100 * tick:.0f}" for tick in ticks]
    if any(part["permuted"] is not None for part, _, _ in curves):
        axis.axvline((1 + PERMUTED) / 2, color="#c9d0d8", linewidth=0.8)
        ticks, labels = [*ticks, PERMUTED], [*labels, "permuted"]
    axis.set_xticks(ticks, labels)
    axis.set_xlim(-0.03, ticks[-1] + 0.12)
    axis.set_ylim(0, axis.get_ylim()[1] * 1.04)
    axis.grid(axis="y")
    axis.set_title("WER when frames go to a random expert")
    axis.set_xlabel("frames rerouted in every layer, %", loc="left")
    axis.set_ylabel("WER, %")
    axis.set_box_aspect(0.68)
    axis.set_anchor("N")


def _removed(figure: Any, axis: Any, rows: Sequence[Sequence[float | None]], wer: float) -> None:
    low = min([wer, *(value for row in rows for value in row if value is not None)])
    widest = max(map(len, rows))
    mesh = heat_map(axis, rows, low, largest(rows), "{:.1f}".format if widest <= ANNOTATED_EXPERTS else None)
    number_ticks(axis, "x", widest)
    number_ticks(axis, "y", len(rows))
    axis.set_title("WER without one expert")
    axis.set_xlabel("removed expert")
    axis.set_ylabel("layer")
    colour_bar(figure, mesh, axis, "WER, %")
