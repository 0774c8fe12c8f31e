"""A benchmark as Markdown and as HTML: the table, what each figure was measured on, and what is not there."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from omni_asr.analysis import page
from omni_asr.analysis.benchmark import Benchmark, Measured
from omni_asr.analysis.page import escape
from omni_asr.files import atomic_write
from omni_asr.scoring.bootstrap import Interval
from omni_asr.scoring.regimes import REGIMES, unusual
from omni_asr.scoring.runs import short_number

NONE, PARTIAL = "–", "*"
COLOURS = ("#0072b2", "#e69f00", "#6b7480", "#cc79a7", "#009e73")
"""Of the model, and of published systems; told apart without colour vision."""
STYLE = """
main { max-width: 1380px; }
table.benchmark { width: 100%; }
table.benchmark td, table.benchmark th { padding-left: 0; padding-right: 11px; }
table.benchmark th { white-space: normal; line-height: 1.25; vertical-align: bottom; max-width: 88px; font-size: 12px; }
table.benchmark th:last-child, table.benchmark td:last-child { border-left: 1px solid var(--line); padding-left: 11px; }
table.benchmark td:first-child { padding-left: 10px; white-space: normal; min-width: 150px; }
table.benchmark small { display: block; margin: 0; white-space: nowrap; }
table.details td:nth-child(5) { white-space: normal; min-width: 260px; }
.banner { background: #fde9e7; border: 1px solid #efb9b3; border-radius: 4px; padding: 9px 14px; color: #7d1d14;
          font-weight: 600; margin: 16px 0; max-width: none; }
"""


def write(benchmark: Benchmark, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``benchmark.md`` and ``benchmark.html`` into a folder and return their paths."""
    paths = [Path(folder, f"benchmark.{kind}") for kind in ("md", "html")]
    for path, text in zip(paths, (markdown(benchmark), html(benchmark)), strict=True):
        with atomic_write(path) as file:
            file.write(text)
    return paths


def markdown(benchmark: Benchmark) -> str:
    """The table for a README or a paper's draft."""
    heads, rows = _table(benchmark)
    plain = [[re.sub(r"\n(.*)", r" (\1)", cell) for cell in row] for row in rows]
    mine, published = plain[0], plain[1:]
    absent = benchmark.absent()
    own = [f"**{benchmark.model}**", *mine]
    systems = benchmark.plan.systems
    theirs = [[name, *row] for name, row in zip(systems, published, strict=True)]
    parts = [
        f"# Benchmark of {benchmark.model}\n",
        *([f"**{benchmark.note}**\n"] if benchmark.note else []),
        f"{_introduction(benchmark)}\n",
        _lines(["WER, %", *heads], [own, *theirs], 1),
        *(["Not in the table:\n\n" + "".join(f"- {line}\n" for line in absent)] if absent else []),
        "## What was measured\n",
    ]
    return "\n".join([*parts, _lines(DETAILS, _details(benchmark), WORDY)])


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: int) -> str:
    rules = ["---" if index < numeric else "---:" for index in range(len(heads))]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in [list(heads), rules, *cells])


def _introduction(benchmark: Benchmark) -> str:
    regime = benchmark.plan.regime
    source = f" Published: {benchmark.plan.source}." if benchmark.plan.source else ""
    mean = "The average is the plain mean of the columns."
    if not benchmark.is_complete:
        there, all_of_them = len(benchmark.there), len(benchmark.columns)
        mean = (
            f"**Columns missing: {all_of_them - there} of {all_of_them}, so there is no average.** The last column "
            f"is the plain mean of the {there} that are there, for every system."
        )
    partly = (
        ""
        if all(column.is_whole for column in benchmark.there)
        else (f" {PARTIAL}: not as many utterances or words as the official set has, so not to be compared.")
    )
    regime = f"regime {regime} ({REGIMES[regime]})"
    return f"Word error rates in percent with 95 % intervals, {regime}. {mean}{partly}{source}"


def _table(benchmark: Benchmark) -> tuple[list[str], list[list[str]]]:
    """Heads of the columns, and the cells of the model and of each published system."""
    heads = [column.column.name for column in benchmark.columns]
    rows = [[_cell(column) for column in benchmark.columns]]
    rows += [
        [_number(column.column.published[system]) for column in benchmark.columns]
        for system in range(len(benchmark.plan.systems))
    ]
    mean, sure = benchmark.mean()
    ours = f"{mean:.2f}" + _sure(sure)
    count = len(benchmark.columns)
    heads.append(f"Average of {count}")
    rows[0].append(ours if benchmark.is_complete else NONE)
    for system, row in enumerate(rows[1:]):
        row.append(_number(benchmark.published_mean(system, partly=False), 2))
    if not benchmark.is_complete:
        heads.append(f"Mean of the {len(benchmark.there)} here")
        rows[0].append(ours)
        for system, row in enumerate(rows[1:]):
            row.append(_number(benchmark.published_mean(system, partly=True), 2))
    return heads, rows


def _cell(measured: Measured) -> str:
    if measured.problem:
        return NONE
    return f"{measured.percent:.2f}{'' if measured.is_whole else PARTIAL}" + _sure(measured.interval)


def _sure(interval: Interval | None) -> str:
    """The interval with one digit less than the rate, on a line of its own."""
    return f"\n{interval.low:.1f} to {interval.high:.1f}" if interval else ""


def _number(value: float | None, digits: int = 1) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


DETAILS = ["column", "release", "set", "regime", "remark", "intervals drawn from", "utterances", "words", "WER", "95 %"]
WORDY = 6
"""So many of them hold words; the others numbers."""


def _details(benchmark: Benchmark) -> list[list[str]]:
    """What each figure was measured on."""
    rows = []
    for one in benchmark.there:
        column, sure = one.column, one.interval
        size = f"{one.here.utterances:,}" + (f" of {one.official.utterances:,}" if one.official.utterances else "")
        remarks = [column.note] if column.note else []
        remarks += [] if one.is_known else ["what the official set has is not known"]
        if not one.is_whole and one.official.words:
            remarks += [f"{one.here.words:,} of {one.official.words:,} words in {one.official.table}"]
        remarks += [f"{one.dropped} without a word after normalisation"] if one.dropped else []
        rows.append(
            [
                column.name,
                one.release,
                f"{column.set}, {column.subset}*" if column.subset else column.set,
                unusual(benchmark.plan.regime, one.protocol) or benchmark.plan.regime,
                "; ".join(remarks) or NONE,
                f"{sure.blocks:,} {sure.unit}" if sure else NONE,
                size,
                f"{one.words:,}",
                f"{one.percent:.2f}",
                str(sure or NONE),
            ]
        )
    return rows


def html(benchmark: Benchmark) -> str:
    """The whole page."""
    facts = [
        ("Router", page.tag(str(benchmark.info["router"])) if benchmark.info.get("router") else "unknown"),
        ("Parameters", short_number(benchmark.info.get("params_total")) or "unknown"),
        ("Active", short_number(benchmark.info.get("params_active")) or "unknown"),
        ("Columns", f"{len(benchmark.there)} of {len(benchmark.columns)}"),
        ("Regime", escape(benchmark.plan.regime)),
    ]
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    banner = f'<p class="banner">{escape(benchmark.note)}</p>' if benchmark.note else ""
    head = (
        f'<p class="kicker">omni_asr benchmark</p><h1>{escape(benchmark.model)}</h1>{banner}'
        f'<dl class="facts">{items}</dl>{page.missing(benchmark.absent(), "in the table")}'
    )
    introduction = escape(_introduction(benchmark)).replace("**", "")
    sections = [
        ("table", "Word error rates", f'<p class="note">{introduction}</p>{_rates(benchmark)}'),
        ("figure", "Beside what is published", _figure(benchmark)),
        ("sets", "What was measured", _measured(benchmark)),
    ]
    footer = "Intervals: bootstrap over speakers or utterances."
    return page.document(f"Benchmark of {benchmark.model} - omni_asr", head, sections, footer, STYLE)


def _rates(benchmark: Benchmark) -> str:
    heads, rows = _table(benchmark)
    names = [page.named(*system) for system in _systems(benchmark)]
    lines = []
    for index, (name, cells) in enumerate(zip(names, rows, strict=True)):
        shown = []
        for place, cell in enumerate(cells):
            rate, _, sure = cell.partition("\n")
            best = rate != NONE and rows[0][place] != NONE and _value(rate) == _least(rows, place)
            text = f'<span class="best">{rate}</span>' if best else rate
            shown.append(text + (f"<small>{sure}</small>" if sure else ""))
        lines.append(page.row([name, *shown], kind="this" if index == 0 else ""))
    return page.table(["", *(escape(head).replace("-", "&#8209;") for head in heads)], lines, kind="benchmark")


def _value(cell: str) -> float:
    return float(cell.partition("\n")[0].rstrip(PARTIAL))


def _least(rows: Sequence[Sequence[str]], place: int) -> float:
    return min(_value(row[place]) for row in rows if row[place] != NONE)


def _systems(benchmark: Benchmark) -> list[tuple[str, str]]:
    """Colour and name of the model and of each published system."""
    names = [benchmark.model, *benchmark.plan.systems]
    return [(COLOURS[index % len(COLOURS)], name) for index, name in enumerate(names)]


def _measured(benchmark: Benchmark) -> str:
    rows = [page.row([escape(cell) for cell in row], numeric=WORDY) for row in _details(benchmark)]
    return page.table(DETAILS, rows, numeric=WORDY, kind="details")


def _figure(benchmark: Benchmark) -> str:
    """A line for each column: the model's rate with its interval, and the published ones."""
    there = benchmark.there
    rates = [[column.percent, *(rate or 0.0 for rate in column.column.published)] for column in there]
    highs = [column.interval.high if column.interval else column.percent for column in there]
    widest = 1.05 * max(*(max(row) for row in rates), *highs, 1.0)
    left, right, step = 140, 1160, 30
    height = step * len(there) + 34

    def at(rate: float) -> float:
        return left + (right - left) * rate / widest

    grid = "".join(
        f'<line x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="4" y2="{height - 28}" stroke="#dde2e8"/>'
        f'<text x="{at(tick):.1f}" y="{height - 10}" text-anchor="middle" fill="#5d6977">{tick:g}</text>'
        for tick in _ticks(widest)
    )
    drawn = []
    for number, (column, row) in enumerate(zip(there, rates, strict=True)):
        y = 18 + step * number
        drawn.append(f'<text x="{left - 14}" y="{y + 4}" text-anchor="end">{escape(column.column.name)}</text>')
        if column.interval:
            low, high = at(column.interval.low), at(column.interval.high)
            drawn.append(
                f'<rect x="{low:.1f}" y="{y - 6}" width="{high - low:.1f}" height="12" rx="3" '
                f'fill="{COLOURS[0]}" opacity="0.22"/>'
            )
        known = [(0, row[0]), *((i, r) for i, r in enumerate(column.column.published, 1) if r is not None)]
        for index, rate in reversed(known):
            colour = COLOURS[index % len(COLOURS)]
            radius = 5.5 if index == 0 else 4.5
            drawn.append(
                f'<circle cx="{at(rate):.1f}" cy="{y}" r="{radius}" fill="{colour}" stroke="#fff">'
                f"<title>{escape([benchmark.model, *benchmark.plan.systems][index])}: {rate:.2f}</title></circle>"
            )
    key = page.legend(_systems(benchmark))
    note = f'<p class="note">WER in percent; the band is the 95 % interval of {escape(benchmark.model)}.</p>'
    picture = (
        f'<svg viewBox="0 0 1180 {height}" role="img" font-size="12.5" font-family="inherit" fill="#1d2733">'
        f"{grid}{''.join(drawn)}</svg>"
    )
    return f"{note}{key}{page.figure(picture)}"


def _ticks(widest: float) -> list[float]:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if widest / step <= 12)
    return [step * number for number in range(int(widest / step) + 1)]
