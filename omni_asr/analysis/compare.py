"""Several experiments side by side: one HTML file that needs nothing beside it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omni_asr import __version__
from omni_asr.analysis import compare_plots, differences, page
from omni_asr.analysis.compare_plots import Model
from omni_asr.analysis.differences import Matrix, mark
from omni_asr.analysis.drawing import model_colours
from omni_asr.analysis.experiment import Experiment, Load, read_experiment
from omni_asr.analysis.plots import require_matplotlib
from omni_asr.analysis.routing_page import MEANS_NOTE, MEASURE_NOTES
from omni_asr.analysis.routing_plots import MEASURES
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.scoring.result_files import ResultFiles
from omni_asr.scoring.results import read_rate
from omni_asr.scoring.runs import short_number

MEASURED = ("matched", "nmi")  # raw agreement says nothing of models whose layers number their experts arbitrarily


@dataclass(frozen=True)
class Comparison:
    """Models, the first of which the others are measured against, the test sets, and which differences are real."""

    models: list[Model]
    sets: list[str]
    matrices: list[Matrix]
    """For each set the tests that were asked for, then, where there are several, the seeds."""
    marks: dict[tuple[str, int], float | None]
    """The p of MAPSSWE of a model, by its label, and of a set, by its number, against the first model."""
    untested: list[str]
    """Pairs that could not be tested, a sentence each."""


def read_comparison(
    exp_dirs: Sequence[str | os.PathLike[str]],
    sets: Sequence[str] | None = None,
    data_dir: str | os.PathLike[str] = "data",
    tests: Sequence[str] = ("mapsswe",),
    suffix: str = "",
) -> Comparison:
    """Read experiments and test each pair on ``sets`` (by default those scored in all of them).

    Sets are ``SET`` or ``SET/SUBSET``; ``suffix`` is the regime of the results, one of SUFFIXES.

    Raises:
        UserError: fewer than two experiments, one given twice, a folder that is none, no set in common, a set that
            was scored in none, or in several regimes or by several protocols.
    """
    paths = _experiment_paths(exp_dirs)
    chosen = _sets(paths, sets, suffix)
    experiments = [read_experiment(path, data_dir, chosen, suffix) for path in paths]
    _check_kinds(experiments)
    labels = _labels([experiment.path for experiment in experiments])
    models = [
        Model(experiment, label, colour)
        for experiment, label, colour in zip(experiments, labels, model_colours(len(labels)), strict=True)
    ]
    comparison = Comparison(models, chosen, [], {}, [])
    for index in range(len(chosen)):
        _test(comparison, index, tests)
    return comparison


def _test(comparison: Comparison, index: int, tests: Sequence[str]) -> None:
    """Add the tests of one set."""
    models = comparison.models
    found = {name: differences.pairwise(models, index, name) for name in dict.fromkeys(["mapsswe", *tests])}
    comparison.matrices.extend(found[name][0] for name in tests if len(found[name][0].names) > 1)
    seeds = differences.over_seeds(models, index)
    comparison.matrices.extend([seeds] if seeds else [])
    for sentence in dict.fromkeys(sentence for _, untested in found.values() for sentence in untested):
        comparison.untested.append(sentence)
    first = found["mapsswe"][0]
    for (row, column), difference in first.differences.items():
        if row == 0 and first.names[0] == models[0].label:
            comparison.marks[first.names[column], index] = difference.p


def terminal(comparison: Comparison) -> str:
    """The matrices as text."""
    parts = [*(matrix.text() for matrix in comparison.matrices), *(f"{line}\n" for line in comparison.untested)]
    legend = f"{differences.KEY}.\n{differences.ARROWS}.\n"
    return "\n".join([*parts, legend] if comparison.matrices else parts)


def write_page(comparison: Comparison, out: str | os.PathLike[str]) -> Path:
    """Write the page and return its path.

    Raises:
        UserError: matplotlib is not installed.
    """
    require_matplotlib()
    path = Path(out)
    with atomic_write(path) as file:
        file.write(render(comparison))
    return path


def _experiment_paths(exp_dirs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    paths = [Path(exp_dir) for exp_dir in exp_dirs]
    if len(paths) < 2:
        raise UserError("give two experiments or more to compare, such as exp/dense_base exp/omni_base")
    real = [path.resolve() for path in paths]
    for index, path in enumerate(paths):
        if not path.is_dir():
            raise UserError(f"{path} is no directory; give folders of trained experiments, such as exp/omni_base")
        if not any((path / name).exists() for name in ("model_info.json", "train.jsonl")) and not _scored(path):
            raise UserError(f"{path} is no experiment: it has no model_info.json, no train.jsonl and no decode_SET/wer")
        if real[index] in real[:index]:
            raise UserError(f"{path} is given twice; name each experiment once")
    return paths


def _check_kinds(experiments: Sequence[Experiment]) -> None:
    """Figures of different regimes or protocols must not stand in one column."""
    for decoded in zip(*(experiment.sets for experiment in experiments), strict=True):
        kinds = {one.wer.kind: e for one, e in zip(decoded, experiments, strict=True) if one.wer}
        if len(kinds) > 1:
            told = "; ".join(f"{e.name} {regime} by {protocol}" for (regime, protocol), e in kinds.items())
            raise UserError(f"{decoded[0].name} was scored in different ways ({told}); score all in one (stage 5)")


def _scored(path: Path, suffix: str = "") -> list[str]:
    """Sets of an experiment that have a readable error rate, by name; after each its subsets."""
    found = []
    for folder in sorted(path.glob("decode_*")):
        files = ResultFiles(folder, suffix)
        try:
            read_rate(files.rate("wer"))
        except UserError:
            continue
        name = folder.name.removeprefix("decode_")
        found += [name, *(f"{name}/{subset}" for subset in files.subsets)]
    return found


def _sets(paths: Sequence[Path], asked: Sequence[str] | None, suffix: str) -> list[str]:
    scored = [_scored(path, suffix) for path in paths]
    if asked:
        for name in asked:
            if not any(name in found for found in scored):
                raise UserError(f"set {name} is scored in none of the experiments (no decode_{name}/wer); see --sets")
        return list(dict.fromkeys(asked))
    common = [name for name in scored[0] if all(name in found for found in scored)]
    if not common:
        raise UserError(
            "the experiments have no scored set in common; decode and score one in all, or name sets with --sets"
        )
    return common


def _labels(paths: Sequence[Path]) -> list[str]:
    """Names of the folders, with as many parents as it takes to tell all apart."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        labels = [os.path.join(*path.parts[-depth:]) for path in paths]
        if len(set(labels)) == len(labels):
            break
    return labels


def render(comparison: Comparison) -> str:
    """The whole page."""
    models = comparison.models
    rest = models[1].label if len(models) == 2 else f"{len(models) - 1} others"
    title = f"{models[0].label} and {rest}"
    sections = [
        ("models", "Models", _facts(models)),
        ("results", "Word error rates", _rates(comparison)),
        ("training", "Training", _figure(compare_plots.training(models))),
        ("agreement", "Agreement between layers", _agreement(models)),
        ("load", "Load of the experts", _load(models)),
        ("disturbed", "Disturbed decisions", _perturbations(models)),
    ]
    missing = page.missing([f"{model.label}: {sentence}" for model in models for sentence in model.experiment.missing])
    head = f'<p class="kicker">omni_asr comparison of experiments</p><h1>{page.escape(title)}</h1>{missing}'
    footer = f"Written by omni_asr {page.escape(__version__)}. WER is counted with sclite's alignment."
    return page.document(f"{title} - omni_asr", head, sections, footer)


def _name(model: Model) -> str:
    return f'<span class="swatch" style="background:{model.colour}"></span>{page.escape(model.label)}'


def _facts(models: Sequence[Model]) -> str:
    rows = []
    for model in models:
        info = model.experiment.info
        numbers = [short_number(info.get("params_total")), short_number(info.get("params_active"))]
        counts = [info.get("steps"), info.get("epochs"), info.get("seed")]
        cells = [
            _name(model),
            page.tag(model.experiment.router),
            page.escape(str(info.get("experts") or "–")),
            *(number or "–" for number in numbers),
            *(f"{value:g}" if isinstance(value, (int, float)) else "–" for value in counts),
            page.duration(info.get("train_seconds")),
        ]
        rows.append(page.row(cells, numeric=3))
    heads = ["experiment", "router", "experts", "params", "active", "steps", "epochs", "seed", "training time"]
    return page.table(heads, rows, numeric=3, kind="compare")


def _rates(comparison: Comparison) -> str:
    models, sets = comparison.models, comparison.sets
    rows = []
    for model in models:
        cells = [
            _rate_cell(model, models, index, comparison.marks.get((model.label, index))) for index in range(len(sets))
        ]
        rows.append(page.row([_name(model), *cells]))
    names = [page.escape(differences.set_name(models, index)) for index in range(len(sets))]
    heads = ["experiment", *(f'{name}<span class="change"></span>' for name in names)]
    first = page.escape(models[0].label)
    note = (
        f'<p class="note">WER in percent, the lowest of each set underlined, and its relative difference to {first}. '
        "Marks: matched-pairs test on segments (MAPSSWE), * p &lt; 0.05, ** p &lt; 0.01, *** p &lt; 0.001, two-tailed, "
        "not corrected for the number of comparisons.</p>"
    )
    return note + page.table(heads, rows, kind="compare") + _matrices(comparison)


def _matrices(comparison: Comparison) -> str:
    """Every pair under every test, and the pairs that could not be tested."""
    untested = "".join(f'<p class="note">{page.escape(sentence)}</p>' for sentence in comparison.untested)
    if not comparison.matrices:
        return untested
    note = f'<p class="note">{page.escape(differences.KEY)}. {page.escape(differences.ARROWS)}.</p>'
    tables = "".join(matrix.html() for matrix in comparison.matrices)
    return f"<h3>Which differences are real</h3>{note}{tables}{untested}"


def _rate_cell(model: Model, models: Sequence[Model], index: int, p: float | None) -> str:
    """WER, relative difference to the first model, and mark of one model on one set."""
    wer, first = (one.experiment.sets[index].wer for one in (model, models[0]))
    if not wer:
        return "–"
    known = [other.percent for one in models if (other := one.experiment.sets[index].wer)]
    text = f"{wer.percent:.2f}"
    if wer.percent == min(known):
        text = f'<span class="best">{text}</span>'
    change = ""
    if model is not models[0] and first and first.percent > 0:
        relative = 100 * (wer.percent / first.percent - 1)
        change = f"{'−' if relative < 0 else '+'}{abs(relative):.1f} %"
    tip = f' title="p = {p:.3g}"' if p is not None else ""
    return f'{text}<span class="change"{tip}>{change} <b>{mark(p)}</b></span>'


def _agreement(models: Sequence[Model]) -> str:
    parts = []
    for name in MEASURED:
        picture = compare_plots.agreement(models, name)
        if picture:
            note = f"{MEASURE_NOTES[name].capitalize()}. {MEANS_NOTE}"
            parts.append(f'<h3>{MEASURES[name]}</h3><p class="note">{note}</p>{_figure(picture)}')
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


def _perturbations(models: Sequence[Model]) -> str:
    picture = compare_plots.perturbations(models)
    if not picture:
        return ""
    note = (
        "WER when a share of the frames goes to random experts in every layer, and (diamonds) when experts are "
        "permuted so that none keeps its frames. A flat curve means that the experts do the same."
    )
    return f'<p class="note">{note}</p>{_figure(picture)}'


def _figure(picture: str) -> str:
    return f"<figure>{picture}</figure>" if picture else ""
