"""Which differences between models are real: matrices of tests, as text for the terminal and as HTML for the page."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from omni_asr.analysis import page
from omni_asr.analysis.compare_plots import Model
from omni_asr.errors import UserError
from omni_asr.scoring.regimes import unusual
from omni_asr.scoring.result_tables import Row
from omni_asr.scoring.runs import by_seed, described
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
        number = f"{self.p:.3f}" if self.p >= 0.001 else f"{self.p:.0e}"
        return " ".join(part for part in (self.better, number, mark(self.p)) if part)


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


def over_seeds(models: Sequence[Model], index: int) -> Matrix | None:
    """Means over seeds of what differs in nothing else, tested by Welch's test; None where nothing has two seeds."""
    rows: list[Row] = []
    for model in models:
        info, wer = model.experiment.info, model.experiment.sets[index].wer
        if wer and isinstance(info.get("seed"), int):
            alike = described({"router": model.experiment.router, **info}, model.experiment.name)
            kind = {"set": "", "regime": wer.regime, "protocol": wer.protocol}
            rows.append({**alike, **kind, "exp": model.label, "WER": f"{wer.percent}"})
    groups = by_seed(rows)
    if not any(len(group) > 1 for group in groups):
        return None
    rates = [[float(row["WER"]) for row in group] for group in groups]
    differences = {}
    for row, column in combinations(range(len(rates)), 2):
        p = welch(rates[row], rates[column])
        better = ROW if statistics.mean(rates[row]) < statistics.mean(rates[column]) else COLUMN
        differences[row, column] = Difference(p, better if mark(p) else "")
    title = f"{set_name(models, index)}: means and standard deviations over seeds, Welch's t-test"
    names = ["_".join(part for part in (group[0]["router"], group[0]["config"]) if part) for group in groups]
    told = [  # models of one name that differ in size or corpus
        f"{name} ({group[0]['params']}, {group[0]['hours']} h)" if names.count(name) > 1 else name
        for name, group in zip(names, groups, strict=True)
    ]
    return Matrix(title, told, [_spread(values) for values in rates], differences)


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread} ({len(values)})"
