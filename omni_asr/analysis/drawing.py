"""What several figures share: colours that tell experts or models apart, heat maps, and figures as SVG."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from omni_asr.analysis.plots import INK, STYLE, require_matplotlib

CATEGORIES = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#4a4a4a",
    "#7845e6", "#45c64b", "#d9c7a0", "#451b59", "#802626", "#788026", "#e645cc", "#a7e0e0",
]  # fmt: skip
"""The first eight are told apart without colour vision (after Okabe and Ito); the others keep far from them in Lab."""
PALE = {"#f0e442", "#d9c7a0", "#a7e0e0"}  # too pale for lines on white
SEQUENTIAL = ["#fafcfe", "#d3e4f4", "#8fbce3", "#3f83c4", "#1a4f8f", "#0b2545"]
ABSENT, HATCH = "#edf0f3", "#b4bcc6"
FALLBACK_FONTS = [
    "Noto Sans CJK SC", "Noto Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK JP",
    "Noto Sans CJK KR", "Noto Sans Devanagari", "Arial Unicode MS",
]  # fmt: skip
"""For tokens in scripts that DejaVu Sans does not have; those that are installed are used."""

MOST_VECTORS = 400  # cells of a heat map; more are drawn as an image, which is smaller
WIDTH = 11  # inches, which is the width of the page

Cells = Sequence[Sequence[float | None]]


def flat_style() -> dict[str, Any]:
    """Style of figures without a grid, with names from files in them."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    fonts = [STYLE["font.family"], *(name for name in FALLBACK_FONTS if name in installed)]
    return {**STYLE, "axes.grid": False, "text.parse_math": False, "hatch.linewidth": 0.6, "font.family": fonts}


def expert_colours(number: int) -> list[Any]:
    """Colours of so many experts; beyond 16 they come from a continuous scale and can only be told apart roughly."""
    return CATEGORIES[:number] if number <= len(CATEGORIES) else _spread(number)


def model_colours(number: int) -> list[Any]:
    """Colours of the lines of so many models, no two alike."""
    dark = [colour for colour in CATEGORIES if colour not in PALE]
    return dark[:number] if number <= len(dark) else _spread(number)


def _spread(number: int) -> list[Any]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps["turbo"](np.linspace(0.03, 0.97, number))]


def sequential() -> Any:
    """Colour map from nearly white to dark blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("sequential", SEQUENTIAL)


def ink_on(colour: Any) -> str:
    """Ink that is legible on a colour."""
    from matplotlib.colors import to_rgb

    return "white" if np.dot(to_rgb(colour), (0.3, 0.59, 0.11)) < 0.55 else INK


def heat_map(axis: Any, rows: Cells, low: float, high: float, form: Callable[[float], str] | None = None) -> Any:
    """Draw rows from the top down and return what a colour bar needs.

    None is a grey hatched cell; what a short row lacks stays white. ``form`` makes the text to write into a cell.
    """
    from matplotlib.patches import Rectangle

    values = np.full((len(rows), max(map(len, rows))), np.nan)
    for y, row in enumerate(rows):
        values[y, : len(row)] = np.array(row, dtype=float)
        for x in np.flatnonzero(np.isnan(values[y, : len(row)])):
            cell = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=ABSENT, edgecolor=HATCH, hatch="/////", linewidth=0)
            axis.add_patch(cell)
    height, width = values.shape
    mesh = axis.pcolormesh(
        np.arange(width + 1) - 0.5, np.arange(height + 1) - 0.5, np.ma.masked_invalid(values), cmap=sequential(),
        vmin=low, vmax=high if high > low else low + 1, edgecolors="white", linewidth=0.5,
        rasterized=values.size > MOST_VECTORS,
    )  # fmt: skip
    if form:
        for y, x in zip(*np.nonzero(~np.isnan(values)), strict=True):
            colour = ink_on(mesh.to_rgba(values[y, x]))
            axis.text(x, y, form(values[y, x]), ha="center", va="center", fontsize=7, color=colour)
    axis.set_ylim(height - 0.5, -0.5)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return mesh


def number_ticks(axis: Any, which: str, count: int, most: int = 30) -> None:
    """Number cells from 1; where there are more than ``most``, only the first and round numbers."""
    step = next(step for step in (1, 5, 10, 20, 50, 100, 1000, count) if count <= most * step)
    shown = range(count) if step == 1 else [0, *range(step - 1, count, step)]
    getattr(axis, f"set_{which}ticks")(list(shown), [str(number + 1) for number in shown])


def boundaries(groups: Sequence[int]) -> list[float]:
    """Where a layer group ends and the next begins, in cells."""
    return [index + 0.5 for index in range(len(groups) - 1) if groups[index] != groups[index + 1]]


def colour_bar(figure: Any, mesh: Any, axes: Any, label: str) -> None:
    """A colour bar beside the axes, a tenth of an inch wide."""
    bar = figure.colorbar(mesh, ax=axes, pad=0.012, aspect=8 * figure.get_figheight(), shrink=0.92)
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)


def short(value: float) -> str:
    """A number from 0 to 1 in two digits: ``.52``."""
    return "1" if value > 0.995 else f"{value:.2f}".lstrip("0")


def percent(cells: Cells) -> Cells:
    """Shares in percent."""
    return [[None if value is None else 100 * value for value in row] for row in cells]


def largest(cells: Cells) -> float:
    """The largest number of the cells, 0 where there is none."""
    return max((value for row in cells for value in row if value is not None and math.isfinite(value)), default=0.0)


def page_figure(height: float) -> Any:
    """A figure as wide as the page; ``height`` in inches."""
    return require_matplotlib().figure.Figure(figsize=(WIDTH, height), layout="constrained")


def expert_legend(figure: Any, number: int) -> None:
    """The experts' colours in one line; where they are many, only some."""
    from matplotlib.patches import Patch

    colours = expert_colours(number)
    shown = range(number) if number <= 16 else np.linspace(0, number - 1, 16).round().astype(int)
    name = Patch(color="none", label="expert")
    patches = [Patch(color=colours[expert], label=str(expert + 1)) for expert in shown]
    figure.legend(
        handles=[name, *patches], loc="outside upper right", ncols=len(patches) + 1, handlelength=1.1, handleheight=1.0,
        columnspacing=0.9, handletextpad=0.4,
    )  # fmt: skip
