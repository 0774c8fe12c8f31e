"""Figures of several models together, each returned as the text of an SVG, empty where nothing is known."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from omni_asr.analysis.drawing import colour_bar, flat_style, page_figure
from omni_asr.analysis.groups import Group, Model
from omni_asr.analysis.perturbation_plots import perturbation_curves
from omni_asr.analysis.plots import (
    STYLE,
    logarithmic_scale,
    panel_figure,
    points,
    require_matplotlib,
    running_mean,
    svg,
)
from omni_asr.analysis.routing_plots import MEASURES, agreement_panel

SPREAD = 5  # values that differ by more than this factor are drawn on a logarithmic axis
MANY_POINTS = 60  # more are drawn as their running mean, without marks


def training(groups: Sequence[Group]) -> list[str]:
    """Training and validation loss (CTC) and validation WER over the steps: a line and a band for each group."""
    panels = [
        ("CTC loss, training", "steps", "ctc"),
        ("CTC loss, validation", "valid", "ctc"),
        ("WER on the validation set, %", "valid", "wer"),
    ]
    experiments = [model.experiment for group in groups for model in group.models]
    if not any(experiment.steps or experiment.valid for experiment in experiments):
        return []
    with require_matplotlib().rc_context({**STYLE, "text.parse_math": False}):
        return [_training_panel(groups, *panel) for panel in panels]


def _training_panel(groups: Sequence[Group], title: str, kind: str, key: str) -> str:
    figure = panel_figure()
    axis = figure.subplots()
    axis.set_title(title)
    axis.set_xlabel("optimizer step")
    for group in groups:
        curves = [points(getattr(model.experiment, kind), key) for model in group.models]
        _line_and_band(axis, group.colour, [_smoothed(*curve) for curve in curves if curve[0]])
    _vertical_scale(axis)
    return svg(figure)


def _smoothed(steps: list[int], values: list[float]) -> tuple[list[int], list[float]]:
    """Many points as their running mean."""
    return (steps, running_mean(values, max(3, len(values) // 40))) if len(values) > MANY_POINTS else (steps, values)


def _line_and_band(axis: Any, colour: str, curves: Sequence[tuple[list[int], list[float]]]) -> None:
    """The mean of curves over the steps that all have reached, and a band from the lowest to the highest."""
    if not curves:
        return
    first = max(steps[0] for steps, _ in curves)
    last = min(steps[-1] for steps, _ in curves)
    grid = sorted({step for steps, _ in curves for step in steps if first <= step <= last})
    if not grid:
        return
    values = np.array([np.interp(grid, *curve) for curve in curves])
    marks = {} if len(grid) > MANY_POINTS else {"marker": "o", "markersize": 2.6}
    axis.plot(grid, values.mean(axis=0), color=colour, linewidth=1.5, **marks)
    if len(curves) > 1:
        axis.fill_between(grid, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)


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


def perturbations(groups: Sequence[Group]) -> str:
    """WER against the rate of rerouting of all models that were disturbed, in the colours of their groups."""
    curves = [
        (model.experiment.routing.perturbations, model.colour, model.label)
        for group in groups
        for model in group.models
        if model.experiment.routing and model.experiment.routing.perturbations
    ]
    if not curves:
        return ""
    with require_matplotlib().rc_context(flat_style()):
        figure = panel_figure()
        perturbation_curves(figure.subplots(), curves)
        return svg(figure)
