"""The report of an experiment: one HTML file that needs nothing beside it."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from omni_asr.analysis import errors_page, page, routing_page
from omni_asr.analysis.experiment import Experiment, checked_load, read_experiment, siblings
from omni_asr.analysis.plots import load_over_training, require_matplotlib, training_curves
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.scoring.result_files import files_of


def write_report(
    exp_dir: str | os.PathLike[str], sets: Sequence[str], data_dir: str | os.PathLike[str] = "data"
) -> Path:
    """Write ``exp_dir/report/index.html`` about training and the decoded sets, and return its path.

    Raises:
        UserError: there is no such experiment, it has decoded other sets only, or matplotlib is not installed.
    """
    require_matplotlib()
    experiment = read_experiment(exp_dir, data_dir, list(sets))
    _check_sets(experiment, sets)
    path = Path(exp_dir, "report", "index.html")
    with atomic_write(path) as file:
        command = shlex.join(["omni-asr", "report", str(exp_dir), *sets, "--data-dir", str(data_dir)])
        file.write(render(experiment, siblings(experiment, list(sets)), list(sets), command))
    return path


def _check_sets(experiment: Experiment, sets: Sequence[str]) -> None:
    """Keep a report from being replaced by one of sets that are not there; an experiment under way has none yet."""
    decoded = sorted(path.name.removeprefix("decode_") for path in experiment.path.glob("decode_*") if path.is_dir())
    if decoded and not any(files_of(experiment.path, name).decode_dir.is_dir() for name in sets):
        raise UserError(f"{experiment.path} has decoded none of {', '.join(sets)}; there are {', '.join(decoded)}")


def render(experiment: Experiment, others: Sequence[Experiment], sets: Sequence[str], command: str) -> str:
    """The whole page; ``command`` writes it again."""
    beside = _comparison_section(experiment, others, sets, command)
    sections = [
        ("results", "Error rates beside the other experiments", beside),
        ("training", "Training", _training_section(experiment)),
        ("experts", "Load of the experts", _load_section(experiment)),
        ("routing", "Routing", routing_page.section(experiment.routing, experiment.router)),
        ("errors", "Errors", _error_section(experiment)),
    ]
    head = f"{page.header(experiment)}{page.cards(experiment.sets)}{page.missing(experiment.missing)}"
    footer = "WER is counted with sclite's alignment; CER counts the blank between words as a character."
    return page.document(f"{experiment.name} - omni_asr", head, sections, footer)


def _comparison_section(experiment: Experiment, others: Sequence[Experiment], sets: Sequence[str], command: str) -> str:
    if not any(decoded.wer for one in others for decoded in one.sets):
        return ""
    folder = page.escape(experiment.path.parent.name)
    counted = f"the {len(others)} experiments" if len(others) > 1 else "the only experiment"
    note = (
        f'<p class="note">WER in percent of {counted} in {folder}/ that had results on these '
        f"sets on {page.now()}, scored in the same way, with 95 % intervals by bootstrap; this one is shaded, the "
        "lowest WER of each set underlined. Experiments that are trained or scored later appear when this page is "
        f"written again: <code>{page.escape(command)}</code></p>"
    )
    return note + page.comparison(experiment, others, sets)


def _training_section(experiment: Experiment) -> str:
    return page.panels(training_curves(experiment))


def _load_section(experiment: Experiment) -> str:
    """Load on each set, on the validation set at the last step, and over training; nothing for a dense model."""
    tables = [page.load_table(decoded.name, decoded.load) for decoded in experiment.sets if decoded.load]
    last = next((load for r in reversed(experiment.valid) if (load := checked_load(r.get("load")))), None)
    if last:
        tables.append(page.load_table("validation set, end of training", last))
    strips = load_over_training(experiment)
    if not tables and not strips:
        if experiment.router == "dense":
            return '<p class="note">A dense model has no experts and no router.</p>'
        return ""
    parts = [page.load_legend(), f'<div class="row">{"".join(tables)}</div>'] if tables else []
    if strips:
        parts.append(f"<h3>Over training</h3>{page.figure(strips)}")
    return "".join(parts)


def _error_section(experiment: Experiment) -> str:
    bodies = [errors_page.error_section(decoded) for decoded in experiment.sets]
    if not any(bodies):
        return ""
    return errors_page.KEY + "".join(bodies)
