"""Which differences between models are real: matrices of tests, as text for the terminal and as HTML for the page."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from omni_asr.analysis import page
from omni_asr.analysis.groups import Group, Model
from omni_asr.errors import UserError
from omni_asr.scoring.regimes import unusual
from omni_asr.scoring.runs import mean_deviation
from omni_asr.scoring.seeds import welch
from omni_asr.scoring.significance import LEVEL, TESTS

LEVELS = ((0.001, "***"), (0.01, "**"), (LEVEL, "*"))
"""p values below which a difference gets its mark."""
TITLES = {
    "mapsswe": "matched pairs of segments (MAPSSWE)",
    "sign": "sign test over speakers",
    "wilcoxon": "Wilcoxon's test over speakers",
    "mcnemar": "McNemar's test of sentences",
}
KEY = "Cells are p, two-tailed, not corrected for the number of comparisons; " + ", ".join(
    f"{mark} p < {level}" for level, mark in reversed(LEVELS)
)
ROW, COLUMN = "←", "↑"
ARROWS = (
    f"{ROW} and {COLUMN} point at the better one where the difference is real at {100 * LEVEL:g} %; "
    "- stands where nothing could be tested"
)


@dataclass(frozen=True)
class Difference:
    """What a test says of a pair."""

    p: float | None
    """None where nothing could be tested."""
    better: str = ""
    """ROW or COLUMN, or nothing where the difference may be chance."""

    def __str__(self) -> str:
        if self.p is None:
            return "-"
        return " ".join(part for part in (self.better, probability(self.p), mark(self.p)) if part)


@dataclass(frozen=True)
class Matrix:
    """Every pair of some systems on one set under one test."""

    title: str
    names: list[str]
    rates: list[str]
    differences: dict[tuple[int, int], Difference]
    """By the numbers of a row and of a column after it."""

    def cells(self) -> Iterator[list[str]]:
        """Rows of name, rate and differences to the systems from the second one on."""
        for row, (name, rate) in enumerate(zip(self.names, self.rates, strict=True)):
            columns = range(1, len(self.names))
            found = (self.differences.get((row, column), Difference(None)) for column in columns)
            yield [name, rate, *(str(d) if column > row else "" for column, d in zip(columns, found, strict=True))]

    def text(self) -> str:
        """For the terminal."""
        rows = [["", "WER", *self.names[1:]], *self.cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([self.title, *(f"  {line}".rstrip() for line in lines)]) + "\n"

    def html(self) -> str:
        """For the page."""
        heads = ["", "WER", *map(page.escape, self.names[1:])]
        rows = [page.row([page.escape(cell) for cell in cells]) for cells in self.cells()]
        return f"<h4>{page.escape(self.title)}</h4>" + page.table(heads, rows, kind="compare")


def probability(p: float) -> str:
    """A p value in a few digits."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def mark(p: float | None) -> str:
    """Stars for a p value, none where it may be chance."""
    return next((stars for level, stars in LEVELS if p is not None and p < level), "")


def pairwise(models: Sequence[Model], index: int, test: str) -> tuple[Matrix, list[str]]:
    """All models with results on the set of this number, and a sentence for each pair that could not be tested."""
    scored = [model for model in models if model.experiment.sets[index].wer]
    differences, untested = {}, []
    for row, column in combinations(range(len(scored)), 2):
        a, b = scored[row], scored[column]
        try:
            differences[row, column] = _tested(a, b, index, test)
        except UserError as error:
            name = models[0].experiment.sets[index].name
            reason = str(error).replace("system a", a.label).replace("system b", b.label)
            untested.append(f"{a.label} and {b.label} were not tested on {name}: {reason}")
    title = f"{set_name(models, index)}: {TITLES[test]}"
    return Matrix(title, [model.label for model in scored], [_rate(m, index) for m in scored], differences), untested


def _tested(a: Model, b: Model, index: int, test: str) -> Difference:
    one, other = (model.experiment.sets[index].utterances for model in (a, b))
    if not one or not other:
        raise UserError("no aligned utterances (decode_SET/scoring/per_utt)")
    result = TESTS[test](one, other)
    return Difference(result.p, {"a": ROW, "b": COLUMN, None: ""}[result.better])


def set_name(models: Sequence[Model], index: int) -> str:
    """A set with its regime and protocol, which are the same for all models, where they are not the plain ones."""
    kinds = [wer.kind for model in models if (wer := model.experiment.sets[index].wer)]
    name, special = models[0].experiment.sets[index].name, unusual(*kinds[0]) if kinds else ""
    return f"{name} ({special})" if special else name


def _rate(model: Model, index: int) -> str:
    decoded = model.experiment.sets[index]
    assert decoded.wer
    return f"{decoded.wer.percent:.2f}" + (f" {decoded.interval}" if decoded.interval else "")


def over_seeds(groups: Sequence[Group], index: int) -> Matrix:
    """Means over seeds of the groups with results on the set of this number, tested by Welch's test."""
    scored = [group for group in groups if group.rates(index)]
    differences = {}
    for row, column in combinations(range(len(scored)), 2):
        a, b = scored[row].rates(index), scored[column].rates(index)
        p = welch(a, b)
        better = ROW if statistics.mean(a) < statistics.mean(b) else COLUMN
        differences[row, column] = Difference(p, better if mark(p) else "")
    models = [model for group in groups for model in group.models]
    title = f"{set_name(models, index)}: means and standard deviations over seeds, Welch's t-test"
    rates = [group.rates(index) for group in scored]
    spreads = [f"{mean_deviation(values)} ({len(values)})" for values in rates]
    return Matrix(title, [group.name for group in scored], spreads, differences)
