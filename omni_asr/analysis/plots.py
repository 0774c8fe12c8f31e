"""Plots of the report, each returned as the text of an SVG."""

import io
import math
from collections.abc import Sequence
from typing import Any

from omni_asr.analysis.experiment import Experiment, Load, checked_load
from omni_asr.analysis.style import LOAD_HIGH, LOAD_LOW
from omni_asr.errors import UserError

INK, SOFT, BLUE, ORANGE, GREEN = "#1d2733", "#6a7685", "#1f5fa8", "#c2621a", "#2c7a5b"
PANEL = (3.6, 2.75)  # inches
MOST_COLUMNS = 240  # of the load over training: more could not be told apart on the page
MOST_STRIPS = 80  # strips of one expert that are thick enough for its number
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": "#b9c1cb",
    "axes.labelcolor": SOFT,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6eaef",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "omni_asr",
}


def require_matplotlib() -> Any:
    """The matplotlib module.

    Raises:
        UserError: it is not installed; says what to type.
    """
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError:
        raise UserError(
            "the report draws with matplotlib, which is not installed; type: pip install matplotlib"
        ) from None
    return matplotlib


def training_curves(experiment: Experiment) -> list[str]:
    """Losses, validation WER, learning rate and gradient norm over the steps; empty where nothing is known."""
    if not (experiment.steps or experiment.valid):
        return []
    steps, valid = experiment.steps, experiment.valid
    routed = [] if experiment.router == "dense" else steps
    with require_matplotlib().rc_context(STYLE):
        return [
            _curve("CTC loss", [("training", steps, "ctc", BLUE), ("validation", valid, "ctc", ORANGE)]),
            _curve("WER on the validation set, %", [("validation", valid, "wer", ORANGE)], best=True),
            _curve("Total loss", [("training", steps, "loss", BLUE)]),
            _curve("Load balance loss", [("training", routed, "balance", GREEN)]),
            _curve("Gradient norm before clipping", [("training", steps, "grad_norm", BLUE)], logarithmic=True),
            _curve("Learning rate", [("training", steps, "lr", INK)]),
        ]


def panel_figure() -> Any:
    """A figure of one panel: as wide as a third of the page, so that it fits on a narrow screen as it is."""
    return require_matplotlib().figure.Figure(figsize=PANEL, layout="constrained")


def load_over_training(experiment: Experiment) -> str:
    """Share of each expert over the steps, a strip per layer; empty where no load is known."""
    records = [(int(r["step"]), checked_load(r.get("load"))) for r in experiment.steps]
    records = [(step, load) for step, load in records if load]
    if len(records) < 2:
        records = [(int(r["step"]), checked_load(r.get("load"))) for r in experiment.valid]
        records = [(step, load) for step, load in records if load]
    shape = [len(layer) for layer in records[-1][1]] if records else []
    records = [(step, load) for step, load in records if [len(layer) for layer in load] == shape]
    if len(records) < 2:
        return ""
    records = records[:: math.ceil(len(records) / MOST_COLUMNS)]
    matplotlib = require_matplotlib()
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        thick, gap = (0.14, 0.28) if sum(shape) <= MOST_STRIPS else (0.06, 0.12)
        height = sum(thick * experts + gap for experts in shape) + 0.7
        figure = matplotlib.figure.Figure(figsize=(11, height), layout="constrained")
        axes = figure.subplots(len(shape), 1, sharex=True, squeeze=False, height_ratios=shape)[:, 0]
        _strips(figure, axes, records)
        return svg(figure)


def _strips(figure: Any, axes: Sequence[Any], records: Sequence[tuple[int, Load]]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    ends = [[channel / 255 for channel in colour] for colour in (LOAD_LOW, (255, 255, 255), LOAD_HIGH)]
    colours = LinearSegmentedColormap.from_list("load", ends)
    steps = [step for step, _ in records]
    edges = [steps[0], *((a + b) / 2 for a, b in zip(steps, steps[1:], strict=False)), steps[-1]]
    numbered = sum(len(layer) for layer in records[0][1]) <= MOST_STRIPS
    for index, axis in enumerate(axes):
        experts = len(records[0][1][index])
        relative = [[load[index][expert] * experts for _, load in records] for expert in range(experts)]
        mesh = axis.pcolormesh(
            edges, range(experts + 1), relative, cmap=colours, vmin=0, vmax=2, rasterized=True, shading="flat"
        )
        shown = range(experts) if numbered else []
        axis.set_yticks([expert + 0.5 for expert in shown], [str(expert + 1) for expert in shown])
        axis.tick_params(axis="y", length=0, labelsize=6.5 if experts > 8 else 7.5)
        axis.tick_params(axis="x", length=3 if index == len(axes) - 1 else 0)
        axis.invert_yaxis()
        axis.set_ylabel(f"layer {index + 1}", rotation=0, ha="right", va="center")
    axes[-1].set_xlabel("optimizer step")
    bar = figure.colorbar(mesh, ax=list(axes), aspect=8 * figure.get_figheight(), pad=0.01, ticks=[0, 0.5, 1, 1.5, 2])
    bar.set_label("share, times that of an even load")
    bar.outline.set_visible(False)


def points(records: Sequence[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Steps and finite values of one quantity."""
    found = [(int(r["step"]), float(r[key])) for r in records if isinstance(r.get(key), (int, float))]
    found = [(step, value) for step, value in found if math.isfinite(value)]
    return [step for step, _ in found], [value for _, value in found]


def _curve(
    title: str, lines: Sequence[tuple[str, Any, str, str]], logarithmic: bool = False, best: bool = False
) -> str:
    """Draw lines of (label, records, key, colour); many points are drawn pale under their running mean."""
    figure = panel_figure()
    axis = figure.subplots()
    axis.set_title(title)
    axis.set_xlabel("optimizer step")
    drawn = 0
    for label, records, key, colour in lines:
        steps, values = points(records, key)
        if not steps:
            continue
        drawn += 1
        if len(steps) > 60:
            axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axis.plot(steps, running_mean(values, max(3, len(values) // 40)), color=colour, linewidth=1.6, label=label)
        else:
            axis.plot(steps, values, color=colour, linewidth=1.6, marker="o", markersize=2.6, label=label)
        if best:
            lowest = min(range(len(values)), key=values.__getitem__)
            axis.plot(steps[lowest], values[lowest], "o", color=colour, markersize=6, fillstyle="none")
            axis.annotate(
                f"best {values[lowest]:.2f} at {steps[lowest]}", (0.98, 0.94), xycoords="axes fraction", ha="right",
                va="top", color=INK,
            )  # fmt: skip
    if drawn > 1:
        axis.legend(loc="upper right")
    if not drawn:
        axis.grid(False)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.annotate("not recorded", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=SOFT)
    elif logarithmic and all(value > 0 for _, records, key, _ in lines for value in points(records, key)[1]):
        logarithmic_scale(axis)
    else:
        axis.set_ylim(bottom=0)
    return svg(figure)


def logarithmic_scale(axis: Any) -> None:
    """Count the vertical axis in powers of ten, with plain numbers at 1, 2 and 5."""
    axis.set_yscale("log")
    axis.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("")


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """Mean over a window that is centred and cut off at both ends."""
    half = width // 2
    windows = [values[max(0, index - half) : index + half + 1] for index in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def svg(figure: Any) -> str:
    """The figure as an ``<svg>`` element that scales with the page; images in it have 200 dots per inch."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True, dpi=200)
    text = buffer.getvalue()
    return text[text.index("<svg") :].strip()
