"""Figures of several models together, each returned as the text of an SVG, empty where nothing is known."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omni_asr.analysis.drawing import colour_bar, flat_style, page_figure
from omni_asr.analysis.experiment import Experiment
from omni_asr.analysis.perturbation_plots import perturbation_curves
from omni_asr.analysis.plots import STYLE, logarithmic_scale, points, require_matplotlib, running_mean, svg
from omni_asr.analysis.routing_plots import MEASURES, agreement_panel

SPREAD = 5  # values that differ by more than this factor are drawn on a logarithmic axis


@dataclass(frozen=True)
class Model:
    """One experiment of a comparison, with the name and the colour that stand for it on the page."""

    experiment: Experiment
    label: str
    colour: str


def training(models: Sequence[Model]) -> str:
    """Training and validation loss (CTC) and validation WER of all models over the steps."""
    panels = [
        ("CTC loss, training", "steps", "ctc"),
        ("CTC loss, validation", "valid", "ctc"),
        ("WER on the validation set, %", "valid", "wer"),
    ]
    if not any(model.experiment.steps or model.experiment.valid for model in models):
        return ""
    with require_matplotlib().rc_context({**STYLE, "text.parse_math": False}):
        figure = page_figure(3.5)
        for axis, (title, kind, key) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            axis.set_title(title)
            axis.set_xlabel("optimizer step")
            for model in models:
                _curve(axis, model, *points(getattr(model.experiment, kind), key))
            _vertical_scale(axis)
        _legend(figure, models)
        return svg(figure)


def _curve(axis: Any, model: Model, steps: Sequence[int], values: Sequence[float]) -> None:
    """One line; many points are drawn as their running mean."""
    if len(values) > 60:
        axis.plot(steps, running_mean(values, max(3, len(values) // 40)), color=model.colour, linewidth=1.5)
    elif values:
        axis.plot(steps, values, color=model.colour, linewidth=1.5, marker="o", markersize=2.6)


def _vertical_scale(axis: Any) -> None:
    values = [value for line in axis.lines for value in line.get_ydata()]
    if values and min(values) > 0 and max(values) > SPREAD * min(values):
        logarithmic_scale(axis)
    else:
        axis.set_ylim(bottom=0)


def agreement(models: Sequence[Model], name: str) -> str:
    """One measure of the agreement between layers, a matrix for each model that has two layers, on a scale to 1."""
    shown = [
        (model, routing)
        for model in models
        if (routing := model.experiment.routing) and routing.agreement and len(routing.experts) > 1
    ]
    if not shown:
        return ""
    columns = max(3, min(4, len(shown)))
    lines = -(-len(shown) // columns)
    with require_matplotlib().rc_context(flat_style()):
        figure = page_figure(
            lines * (9.6 / columns + 0.75 + 0.18 * (max(len(m.label) for m, _ in shown) * columns // 96))
        )
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for axis, (model, routing) in zip(axes, shown, strict=False):
            mesh = agreement_panel(axis, routing, name, textwrap.fill(model.label, 96 // columns))
        for axis in axes[len(shown) :]:
            axis.set_axis_off()
        for axis in axes[::columns]:
            axis.set_ylabel("layer")
        colour_bar(figure, mesh, list(axes), MEASURES[name].lower())
        return svg(figure)


def perturbations(models: Sequence[Model]) -> str:
    """WER against the rate of rerouting of all models that were disturbed."""
    curves = [
        (model.experiment.routing.perturbations, model.colour, model.label)
        for model in models
        if model.experiment.routing and model.experiment.routing.perturbations
    ]
    if not curves:
        return ""
    with require_matplotlib().rc_context(flat_style()):
        figure = page_figure(4.2)
        axis, beside = figure.subplots(1, 2, width_ratios=[1.5, 1])
        perturbation_curves(axis, curves)
        beside.set_axis_off()
        handles, labels = axis.get_legend_handles_labels()
        conditions = [f"{part['set']}, {part['utterances'] or '?'} utterances" for part, _, _ in curves]
        labels = [f"{label} ({condition})" for label, condition in zip(labels, conditions, strict=True)]
        beside.legend(handles, labels, loc="upper left", borderaxespad=0)
        return svg(figure)


def _legend(figure: Any, models: Sequence[Model]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=model.colour, linewidth=2.4, label=model.label) for model in models]
    longest = max(len(model.label) for model in models)
    columns = max(1, min(len(models), 140 // (longest + 7)))
    figure.legend(handles=lines, loc="outside upper left", ncols=columns, handlelength=1.6, columnspacing=1.6)
