"""The pieces of the report's page as HTML; whatever comes from files is escaped here."""

import contextlib
import html
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from omni_asr import __version__
from omni_asr.analysis.experiment import DecodedSet, Experiment, Load
from omni_asr.analysis.style import LOAD_HIGH, LOAD_LOW, STYLE_SHEET
from omni_asr.errors import UserError
from omni_asr.scoring.result_tables import Row
from omni_asr.scoring.results import experiment_row
from omni_asr.scoring.runs import ROUTERS, SIZES, described, short_number, summary

MANY_EXPERTS = 12  # beyond this a cell of the load has no room for its number

escape = html.escape


def document(
    title: str, head: str, sections: Sequence[tuple[str, str, str]], footer: str, style: str = "", script: str = ""
) -> str:
    """A page of ready pieces but for its title; sections are (id, title, body), those without a body left out.

    The footer begins with the program and the time: a page shows what its files held then.
    """
    shown = [(name, heading, body) for name, heading, body in sections if body]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in shown)
    bodies = "".join(f'<section id="{name}"><h2>{heading}</h2>{body}</section>' for name, heading, body in shown)
    run = f"<script>{script}</script>" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE_SHEET}{style}</style></head><body><main>"
        f"{head}<nav>{links}</nav>{bodies}"
        f"<footer>Written by omni_asr {escape(__version__)} on {now()}. {footer}</footer>"
        f"</main>{run}</body></html>\n"
    )


def now() -> str:
    """Date and time of this moment, with the time zone."""
    return escape(datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"))


def figure(picture: str) -> str:
    """An SVG across the page, which scrolls where the page is narrow; nothing without one."""
    return f'<figure class="wide scroll">{picture}</figure>' if picture else ""


def panels(pictures: Sequence[str]) -> str:
    """SVGs of :func:`~omni_asr.analysis.plots.panel_figure`, as many beside each other as the page is wide."""
    return f'<figure class="panels">{"".join(pictures)}</figure>' if pictures else ""


def named(colour: str, name: str) -> str:
    """A name after a patch of the colour that stands for it in figures."""
    return f'<span class="swatch" style="background:{colour}"></span>{escape(name)}'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Colours and names of what a figure shows."""
    return f'<p class="note key-line">{" ".join(f"<span>{named(*entry)}</span>" for entry in entries)}</p>'


def tag(router: str) -> str:
    """The router's name on its colour."""
    return f'<span class="tag {escape(router) if router in ROUTERS else ""}">{escape(router)}</span>'


def table(columns: Sequence[str], rows: Iterable[str], numeric: int = 1, kind: str = "") -> str:
    """A table of ready rows; columns from number ``numeric`` on hold numbers."""
    heads = "".join(f"<th{' class=n' if i >= numeric else ''}>{head}</th>" for i, head in enumerate(columns))
    body = "".join(rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def row(cells: Sequence[Any], numeric: int = 1, kind: str = "") -> str:
    """A row of ready cells."""
    tags = "".join(f"<td{' class=n' if i >= numeric else ''}>{cell}</td>" for i, cell in enumerate(cells))
    return f'<tr class="{kind}">{tags}</tr>' if kind else f"<tr>{tags}</tr>"


def header(experiment: Experiment) -> str:
    """Name, what was trained, and the command."""
    info = experiment.info
    parameters = short_number(info.get("params_total")) or "unknown"
    active = short_number(info.get("params_active"))
    facts = [
        ("Router", tag(experiment.router)),
        ("Configuration", _text(described({"router": experiment.router, **info}, experiment.name)["config"])),
        ("Layers x experts", _text(info.get("experts"))),
        ("Parameters", parameters + (f", {active} active" if active else "")),
        ("Output units", _text(info.get("tokens"))),
        ("Training audio", _text(_decimal(info.get("hours"), 1, " h"))),
        ("Steps / epochs", f"{_text(info.get('steps'))} / {_text(info.get('epochs'))}"),
        ("Training time", duration(info.get("train_seconds"))),
        ("Seed", _text(info.get("seed"))),
        ("Commit", f"<span class=mono>{_text(str(info.get('commit') or '')[:12])}</span>"),
    ]
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    command = f'<pre class="command">{escape(experiment.command)}</pre>' if experiment.command else ""
    return (
        f'<p class="kicker">omni_asr experiment report</p><h1>{escape(experiment.name)}</h1>'
        f'<dl class="facts">{items}</dl>{command}'
    )


def cards(sets: Sequence[DecodedSet]) -> str:
    """The error rates of each set, large."""
    found = "".join(rate_card(one.name, one) for one in sets)
    return f'<div class="cards">{found}</div>' if found else ""


def rate_card(title: str, decoded: DecodedSet) -> str:
    """The error rates of a set under a title; nothing where they are not known."""
    if not decoded.wer:
        return ""
    w, sure = decoded.wer, decoded.interval
    lines = [f"95 %: {sure}, over {sure.blocks} {sure.unit}"] if sure else []
    lines += [f"CER {decoded.cer.percent:.2f} %"] if decoded.cer else []
    lines += [f"{w.errors:,} errors in {w.words:,} words"]
    lines += [f"{w.substitutions} sub, {w.deletions} del, {w.insertions} ins"]
    return card(title, f"{w.percent:.2f}", "% WER", lines)


def card(title: str, number: str, unit: str, lines: Iterable[str]) -> str:
    """A number, large, with what it counts; a title and lines below."""
    return (
        f'<div class="card"><div class="set">{escape(title)}</div>'
        f'<div class="rate">{number}<small> {unit}</small></div><div class="detail">{"<br>".join(lines)}</div></div>'
    )


def missing(sentences: Sequence[str], where: str = "in this report") -> str:
    """What the page lacks."""
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<aside class="missing"><b>Not {where}</b><ul>{items}</ul></aside>'


def comparison(experiment: Experiment, others: Sequence[Experiment], sets: Sequence[str]) -> str:
    """Error rates of all experiments of the folder on the sets, and their means over seeds."""
    rates = [
        [decoded.wer.percent for decoded in column if decoded.wer]
        for column in zip(*(o.sets for o in others), strict=True)
    ]
    best = [min(column, default=None) for column in rates]
    rows = []
    for one in others:
        numbers = [short_number(one.info.get("params_total")), short_number(one.info.get("params_active"))]
        cells = [
            escape(one.name),
            *(_rate_cell(decoded, best[index]) for index, decoded in enumerate(one.sets)),
            _text(one.info.get("seed"), ""),
            *numbers,
            _text(one.info.get("experts")),
            tag(one.router),
        ]
        rows.append(row(cells, kind="this" if one.path == experiment.path else ""))
    heads = ["experiment", *map(escape, sets), "seed", "params", "active", "experts", "router"]
    text = table(heads, rows, kind="compare")
    means = _means(others, sets)
    if means:
        note = '<p class="note">omni-asr compare tests whether these routers differ.</p>'
        text += f"<h3>Mean and standard deviation over seeds</h3>{note}{means}"
    return text


def _rate_cell(decoded: DecodedSet, best: float | None) -> str:
    if not decoded.wer:
        return "–"
    text = f"{decoded.wer.percent:.2f}"
    if decoded.wer.percent == best:
        text = f'<span class="best">{text}</span>'
    details = [str(decoded.interval)] if decoded.interval else []
    details += [f"CER {decoded.cer.percent:.2f}"] if decoded.cer else []
    return wrapped(text, *(f"<small>{detail}</small>" for detail in details))


def wrapped(*pieces: str) -> str:
    """Pieces of a cell, beside each other where there is room, else below each other."""
    return f'<span class="wrap">{" ".join(pieces)}</span>'


def _means(others: Sequence[Experiment], sets: Sequence[str]) -> str:
    """The summary over seeds; empty where no group has more than one."""
    decoded_sets = [(one.path, decoded) for one in others if one.info for decoded in one.sets]
    rows: list[Row] = []
    for path, decoded in decoded_sets:
        if decoded.wer and decoded.cer:
            with contextlib.suppress(UserError):  # such as rates of hypotheses that are gone; "missing" names them
                rows.append(experiment_row(path, decoded.name, with_interval=False))
    groups: dict[tuple[str, ...], dict[str, Row]] = {}
    for entry in summary(rows):
        groups.setdefault(tuple(entry[name] for name in ("router", "config", *SIZES)), {})[entry["set"]] = entry
    if not any(int(entry["seeds"]) > 1 for group in groups.values() for entry in group.values()):
        return ""
    lines = []
    for (router, config, *_), group in groups.items():
        first = next(iter(group.values()))
        rates = [group[name]["WER"] if name in group else "–" for name in sets]
        seeds = max(int(entry["seeds"]) for entry in group.values())
        lines.append(row([tag(router), *rates, seeds, first["active"], escape(config)]))
    heads = ["router", *map(escape, sets), "seeds", "active", "configuration"]
    return table(heads, lines, kind="compare")


def load_table(title: str, load: Load) -> str:
    """Share of frames per expert (columns) and layer (rows) on the colour scale, with the effective number."""
    widest = max(map(len, load))
    heads = "".join(f"<th>{number + 1}</th>" for number in range(widest))
    rows = []
    for number, layer in enumerate(load):
        cells = "".join(_load_cell(share, len(layer)) for share in layer) + "<td></td>" * (widest - len(layer))
        effective = f'<td class="effective">{effective_experts(layer):.1f}</td>'
        rows.append(f"<tr><th>layer {number + 1}</th>{cells}{effective}</tr>")
    many = " many" if widest > MANY_EXPERTS else ""
    body = f"<thead><tr><th></th>{heads}<th>effective</th></tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><h4>{escape(title)}</h4><table class="load{many}">{body}</table></div>'


def _load_cell(share: float, experts: int) -> str:
    colour = scale(share * experts)
    return f'<td style="background:{colour}" title="{100 * share:.1f} %">{100 * share:.0f}</td>'


def scale(relative: float) -> str:
    """Colour of a load relative to an even one: orange below 1, white at 1, violet from 1 to 2 and above."""
    amount = min(1.0, abs(relative - 1.0)) if math.isfinite(relative) else 0.0
    end = LOAD_HIGH if relative > 1 else LOAD_LOW
    red, green, blue = (round(255 + (channel - 255) * amount) for channel in end)
    return f"rgb({red},{green},{blue})"


def load_legend() -> str:
    """The colour scale in words and steps."""
    steps = "".join(f'<i style="background:{scale(level / 4)}"></i>' for level in range(9))
    return (
        f'<p class="note">unused<span class="legend">{steps}</span>twice an even share or more. Numbers are percent of '
        'frames; "effective" is how many evenly loaded experts would have the same entropy.</p>'
    )


def effective_experts(layer: Sequence[float]) -> float:
    """The exponential of the entropy of the shares."""
    total = sum(layer)
    shares = [share / total for share in layer if share > 0] if total > 0 else []
    return math.exp(-sum(share * math.log(share) for share in shares)) if shares else 0.0


def duration(seconds: Any) -> str:
    """Seconds in words: ``2 h 05 min``, ``9 min 30 s``."""
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _decimal(value: Any, digits: int, unit: str) -> str | None:
    return f"{value:.{digits}f}{unit}" if isinstance(value, (int, float)) else None


def _text(value: Any, otherwise: str = "unknown") -> str:
    return otherwise if value is None or value == "" else escape(str(value))
