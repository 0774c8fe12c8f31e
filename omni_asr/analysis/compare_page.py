"""The page of a comparison: one HTML file that needs nothing beside it, routers first, single runs below."""

import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from omni_asr.analysis import compare_plots, differences, page
from omni_asr.analysis.compare import Comparison
from omni_asr.analysis.conclusions import BASIS, QUESTION
from omni_asr.analysis.differences import Matrix, mark
from omni_asr.analysis.experiment import Experiment, Load
from omni_asr.analysis.groups import Group, Model
from omni_asr.analysis.plots import require_matplotlib
from omni_asr.analysis.routing_page import MEANS_NOTE, MEASURE_NOTES
from omni_asr.analysis.routing_plots import MEASURES
from omni_asr.files import atomic_write
from omni_asr.scoring.runs import mean_deviation, short_number

MEASURED = ("matched", "nmi")  # raw agreement says nothing of models whose layers number their experts arbitrarily


def write_page(comparison: Comparison, out: str | os.PathLike[str], runs: bool = False) -> Path:
    """Write the page and return its path; ``runs`` unfolds the part about single runs.

    Raises:
        UserError: matplotlib is not installed.
    """
    require_matplotlib()
    path = Path(out)
    with atomic_write(path) as file:
        file.write(render(comparison, runs))
    return path


def render(comparison: Comparison, runs: bool = False) -> str:
    """The whole page."""
    models, groups = comparison.models, comparison.groups
    first = [group.models[0] for group in groups]
    names = [group.name for group in groups] if comparison.has_routers else [model.label for model in models]
    title = f"{names[0]} and {names[1] if len(names) == 2 else f'{len(names) - 1} others'}"
    results = _routers(comparison) if comparison.has_routers else _models(comparison)
    sections = [
        ("results", "Word error rates", results),
        ("training", "Training", _training(groups)),
        ("agreement", "Agreement between layers", _of_first_seeds(comparison, _agreement(first))),
        ("load", "Load of the experts", _of_first_seeds(comparison, _load(first))),
        ("disturbed", "Disturbed decisions", _perturbations(groups)),
        ("runs", "Single runs", _single_runs(comparison, runs) if comparison.has_routers else ""),
    ]
    head = f'<p class="kicker">omni_asr comparison of experiments</p><h1>{page.escape(title)}</h1>{_answer(comparison)}'
    missing = page.missing([f"{model.label}: {sentence}" for model in models for sentence in model.experiment.missing])
    footer = "WER is counted with sclite's alignment."
    return page.document(f"{title} - omni_asr", head + missing, sections, footer)


def _answer(comparison: Comparison) -> str:
    """Whether the routers differ."""
    items = "".join(f"<li>{page.escape(sentence)}</li>" for sentence in comparison.conclusions)
    basis = f"<small>{page.escape(BASIS)}</small>" if comparison.has_routers else ""
    return f'<div class="answer"><b>{QUESTION}</b><ul>{items}</ul>{basis}</div>'


def _routers(comparison: Comparison) -> str:
    """A row for each router, and Welch's test of every pair."""
    groups, sets = comparison.groups, range(len(comparison.sets))
    rows = []
    for group in groups:
        info = group.models[0].experiment.info
        sizes = [short_number(info.get("params_total")), short_number(info.get("params_active"))]
        rates = [_mean_cell(group, comparison, index) for index in sets]
        cells = [page.named(group.colour, group.name), len(group.models), *rates, *(size or "–" for size in sizes)]
        rows.append(page.row(cells))
    names = _set_names(comparison)
    note = (
        '<p class="note">A row for each router: mean and standard deviation over its seeds of the WER in percent, the '
        f"lowest mean of each set underlined, and its relative difference to {page.escape(groups[0].name)}. Marks: "
        "Welch's t-test over seeds, * p &lt; 0.05, ** p &lt; 0.01, *** p &lt; 0.001, two-tailed, not corrected for the "
        "number of comparisons. A router with one seed cannot be tested.</p>"
    )
    table = page.table(["router", "seeds", *names, "params", "active"], rows, kind="compare")
    return note + table + _matrices(comparison.over_seeds, [])


def _set_names(comparison: Comparison) -> list[str]:
    """Heads of the columns of rates."""
    sets = range(len(comparison.sets))
    return [page.escape(differences.set_name(comparison.models, index)) for index in sets]


def _mean_cell(group: Group, comparison: Comparison, index: int) -> str:
    """Mean and deviation, relative difference to the first router, and mark of one router on one set."""
    means = {other.name: statistics.mean(rates) for other in comparison.groups if (rates := other.rates(index))}
    if group.name not in means:
        return "–"
    rates, mean = group.rates(index), means[group.name]
    text = f"<span{' class=best' if mean == min(means.values()) else ''}>{mean_deviation(rates)}</span>"
    seeds = f"<small>{len(rates)} of {len(group.models)} seeds</small>" if len(rates) < len(group.models) else ""
    first = comparison.groups[0].name
    if group.name == first or first not in means:
        return text + seeds
    matrix = comparison.over_seeds[index]
    difference = matrix.differences[0, matrix.names.index(group.name)]
    return text + seeds + _change(mean, means[first], difference.p)


def _change(rate: float, first: float, p: float | None) -> str:
    """Relative difference to the rate of the first, with its mark, on a line of its own."""
    relative = 100 * (rate / first - 1) if first else math.nan
    if not math.isfinite(relative):
        return ""
    tip = f' title="p = {p:.3g}"' if p is not None else ""
    return f'<span class="change"{tip}>{"−" if relative < 0 else "+"}{abs(relative):.1f} % <b>{mark(p)}</b></span>'


def _models(comparison: Comparison) -> str:
    """A row for each trained model, the tests of every pair, and facts about the models."""
    models, sets = comparison.models, range(len(comparison.sets))
    rows = []
    for model in models:
        marks = [comparison.marks.get((model.label, index)) for index in sets]
        cells = [_rate_cell(model, models, index, marks[index]) for index in sets]
        rows.append(page.row([page.named(model.colour, model.label), *cells]))
    names = _set_names(comparison)
    note = (
        '<p class="note">WER in percent, the lowest of each set underlined, and its relative difference to '
        f"{page.escape(models[0].label)}. Marks: matched-pairs test on segments (MAPSSWE), * p &lt; 0.05, ** p &lt; "
        "0.01, *** p &lt; 0.001, two-tailed, not corrected for the number of comparisons. It compares trained models: "
        "another seed may give other differences.</p>"
    )
    table = page.table(["experiment", *names], rows, kind="compare")
    matrices = _matrices(comparison.matrices, comparison.untested)
    return f"{note}{table}{matrices}<h3>Models</h3>{_facts(models)}"


def _rate_cell(model: Model, models: Sequence[Model], index: int, p: float | None) -> str:
    """WER, relative difference to the first model, and mark of one model on one set."""
    wer, first = (one.experiment.sets[index].wer for one in (model, models[0]))
    if not wer:
        return "–"
    known = [other.percent for one in models if (other := one.experiment.sets[index].wer)]
    text = f"{wer.percent:.2f}"
    if wer.percent == min(known):
        text = f'<span class="best">{text}</span>'
    if not first or model is models[0]:
        return text
    return text + _change(wer.percent, first.percent, p)


def _matrices(matrices: Sequence[Matrix], untested: Sequence[str]) -> str:
    """Every pair under every test, and the pairs that could not be tested."""
    sentences = "".join(f'<p class="note">{page.escape(sentence)}</p>' for sentence in untested)
    if not matrices:
        return sentences
    note = f'<p class="note">{page.escape(differences.KEY)}. {page.escape(differences.ARROWS)}.</p>'
    tables = "".join(matrix.html() for matrix in matrices)
    return f"<h3>Which differences are real</h3>{note}{tables}{sentences}"


def _facts(models: Sequence[Model]) -> str:
    rows = []
    for model in models:
        info = model.experiment.info
        numbers = [short_number(info.get("params_total")), short_number(info.get("params_active"))]
        counts = [info.get("steps"), info.get("epochs"), info.get("seed")]
        cells = [
            page.named(model.colour, model.label),
            page.tag(model.experiment.router),
            page.escape(str(info.get("experts") or "–")),
            *(number or "–" for number in numbers),
            *(f"{value:g}" if isinstance(value, (int, float)) else "–" for value in counts),
            page.duration(info.get("train_seconds")),
        ]
        rows.append(page.row(cells, numeric=3))
    heads = ["experiment", "router", "experts", "params", "active", "steps", "epochs", "seed", "training time"]
    return page.table(heads, rows, numeric=3, kind="compare")


def _single_runs(comparison: Comparison, unfolded: bool) -> str:
    """All that is known of the trained models one by one, folded unless asked for."""
    others = [model for group in comparison.groups for model in group.models[1:]]
    pictures = "".join(
        f"<h3>{title} of the further seeds</h3>{body}"
        for title, body in (("Agreement between layers", _agreement(others)), ("Load of the experts", _load(others)))
        if body
    )
    opened = " open" if unfolded else ""
    summary = f"{len(comparison.models)} runs one by one, and tests of every pair of them"
    return f"<details{opened}><summary>{summary}</summary>{_models(comparison)}{pictures}</details>"


def _training(groups: Sequence[Group]) -> str:
    pictures = compare_plots.training(groups)
    if not pictures:
        return ""
    several = any(len(group.models) > 1 for group in groups)
    note = (
        '<p class="note">Lines: means over seeds, over the steps that all of them have reached; bands: from the lowest '
        "seed to the highest.</p>"
    )
    names = page.legend((group.colour, group.name) for group in groups)
    return f"{note if several else ''}{names}{page.panels(pictures)}"


def _of_first_seeds(comparison: Comparison, body: str) -> str:
    """Pictures of one model of each router, with a note where the others are."""
    if not body or not comparison.has_routers:
        return body
    return f'<p class="note">One model of each router; <a href="#runs">the further seeds</a> follow below.</p>{body}'


def _agreement(models: Sequence[Model]) -> str:
    parts = []
    for name in MEASURED:
        picture = compare_plots.agreement(models, name) if models else ""
        if picture:
            note = f"{MEASURE_NOTES[name].capitalize()}. {MEANS_NOTE}"
            parts.append(f'<h4>{MEASURES[name]}</h4><p class="note">{note}</p>{page.figure(picture)}')
    return "".join(parts)


def _load(models: Sequence[Model]) -> str:
    found = [(model, _load_of(model.experiment)) for model in models]
    tables = [page.load_table(f"{model.label}, {where}", load) for model, (where, load) in found if load]
    return f'{page.load_legend()}<div class="row">{"".join(tables)}</div>' if tables else ""


def _load_of(experiment: Experiment) -> tuple[str, Load]:
    """The load over all analysed sets, else on the first set with one; and where it was measured."""
    if experiment.routing and experiment.routing.load:
        share = [[value or 0.0 for value in layer] for layer in experiment.routing.load["share"]]
        return ", ".join(experiment.routing.sets) or "analysed sets", share
    return next(((decoded.name, decoded.load) for decoded in experiment.sets if decoded.load), ("", []))


def _perturbations(groups: Sequence[Group]) -> str:
    picture = compare_plots.perturbations(groups)
    if not picture:
        return ""
    note = (
        "WER when a share of the frames goes to random experts in every layer, and (diamonds) when experts are "
        "permuted so that none keeps its frames. A flat curve means that the experts do the same."
    )
    names = [(group.colour, f"{group.name} ({_conditions(group)})") for group in groups if _conditions(group)]
    return f'<p class="note">{note}</p>{page.legend(names)}{page.panels([picture])}'


def _conditions(group: Group) -> str:
    """Sets and numbers of utterances on which the decisions of a router were disturbed."""
    routings = [model.experiment.routing for model in group.models]
    parts = [routing.perturbations for routing in routings if routing and routing.perturbations]
    return "; ".join(dict.fromkeys(f"{part['set']}, {part['utterances'] or '?'} utterances" for part in parts))
