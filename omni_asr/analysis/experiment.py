"""What an experiment folder holds, read for the report: missing parts are named, never fatal."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omni_asr.analysis.routing_file import RoutingResults, read_routing
from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_ids, read_table, to_number
from omni_asr.read_files import MALFORMED, read_json_lines
from omni_asr.scoring.bootstrap import Interval, read_interval
from omni_asr.scoring.per_utt import read_utterances
from omni_asr.scoring.result_files import ResultFiles, files_of, is_stale
from omni_asr.scoring.results import Rate, read_command, read_model_info, read_rate
from omni_asr.scoring.runs import experiment_order
from omni_asr.scoring.sclite import Utterance

Load = list[list[float]]
"""Share of frames per expert, for each mixture-of-experts layer."""


@dataclass
class DecodedSet:
    """One test set of an experiment; parts that are not there are None or empty."""

    name: str
    wer: Rate | None = None
    cer: Rate | None = None
    interval: Interval | None = None
    """Of the word error rate."""
    utterances: list[Utterance] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    """Log probability per frame of each utterance's hypothesis."""
    load: Load = field(default_factory=list)
    page: str = ""
    """Path of its page of errors from the experiment's folder, where it was written."""


@dataclass
class Experiment:
    """An experiment as the report shows it."""

    path: Path
    info: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    """Lines of ``train.jsonl`` of type step, by step."""
    valid: list[dict[str, Any]] = field(default_factory=list)
    """Lines of ``train.jsonl`` of type valid, by step."""
    sets: list[DecodedSet] = field(default_factory=list)
    routing: RoutingResults | None = None
    missing: list[str] = field(default_factory=list)
    """What could not be shown, a sentence each."""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def router(self) -> str:
        """The router, from the folder's name where ``model_info.json`` does not say."""
        return str(self.info.get("router") or self.name.split("_")[0])


def read_experiment(
    exp_dir: str | os.PathLike[str], data_dir: str | os.PathLike[str], sets: list[str], suffix: str = ""
) -> Experiment:
    """Read an experiment with all that the report shows.

    Sets are named ``SET`` or ``SET/SUBSET``; ``suffix`` is the regime of their error rates, one of SUFFIXES.

    Raises:
        UserError: there is no such folder.
    """
    path = Path(os.path.abspath(exp_dir))
    if not path.is_dir():
        raise UserError(f"{exp_dir} is no directory; give the folder of a trained experiment, such as exp/omni_base")
    experiment = Experiment(path, command=read_command(path))
    try:
        experiment.info = model_info(path, sets)
    except UserError as error:
        experiment.missing.append(_relative(error, path))
    if not experiment.command:
        experiment.missing.append("cmd.txt: the command is not known")
    _read_training(experiment)
    for name in sets:
        experiment.sets.append(_read_set(experiment, name, suffix))
    if experiment.router != "dense":
        data_dirs = " ".join(str(Path(data_dir, name)) for name in dict.fromkeys(n.partition("/")[0] for n in sets))
        command = f"omni-asr analyze-routing {exp_dir} {data_dirs}"
        experiment.routing, unread = read_routing(path / "routing.json", command)
        experiment.missing += unread
    return experiment


def siblings(experiment: Experiment, sets: list[str]) -> list[Experiment]:
    """All experiments of the same folder with a result on one of the sets, this one among them, sorted by router.

    What ``--force true`` put aside as ``<name>.before`` is left out, and so are rates that were scored in another way
    than those of this experiment. Only names, ``model_info.json`` and error rates are read.
    """
    found = []
    kinds = {one.name: one.wer.kind for one in experiment.sets if one.wer}
    for path in sorted(experiment.path.parent.iterdir()):
        if path.suffix == ".before" and path != experiment.path:
            continue
        rates = [_read_rates(name, files_of(path, name), missing=[]) for name in sets]
        decoded = [
            one if one.wer and one.wer.kind == kinds.setdefault(one.name, one.wer.kind) else DecodedSet(one.name)
            for one in rates
        ]
        if path == experiment.path or any(one.wer for one in decoded):
            other = Experiment(path, sets=decoded)
            try:
                other.info = model_info(path, sets)
            except UserError:
                other.info = {}
            found.append(other)
    return sorted(found, key=lambda one: experiment_order(one.router, one.name))


def model_info(exp_dir: Path, sets: list[str]) -> dict[str, Any]:
    """What is known of the model: from its training here, else from what it decoded (``--model``).

    Raises:
        UserError: neither is there.
    """
    folders = [exp_dir, *(files_of(exp_dir, name).decode_dir for name in sets)]
    return read_model_info(next((folder for folder in folders if (folder / "model_info.json").exists()), exp_dir))


def _relative(sentence: object, path: Path) -> str:
    return str(sentence).replace(f"{path}{os.sep}", "")


def _read_training(experiment: Experiment) -> None:
    """Lines of ``train.jsonl``; a step that was run again after a restart counts once, as it was last."""
    lines: dict[str, dict[int, dict[str, Any]]] = {"step": {}, "valid": {}}
    try:
        written = read_json_lines(experiment.path / "train.jsonl")
    except OSError:
        experiment.missing.append("train.jsonl does not exist: no curves, no load over training")
        return
    unreadable = 0
    for line in written:
        try:
            record = line.value or {}
            lines.get(record["type"], {})[int(record["step"])] = record
        except MALFORMED:
            unreadable += 1
    if unreadable:
        experiment.missing.append(f"train.jsonl: {unreadable} lines could not be read and are left out")
    experiment.steps, experiment.valid = ([lines[kind][step] for step in sorted(lines[kind])] for kind in lines)
    for kind, records in (("step", experiment.steps), ("valid", experiment.valid)):
        if not records:
            experiment.missing.append(f"train.jsonl has no lines of type {kind}")


def _read_rate(files: ResultFiles, unit: str) -> Rate | None:
    try:
        return read_rate(files.rate(unit))
    except UserError:
        return None


def _read_rates(name: str, files: ResultFiles, missing: list[str]) -> DecodedSet:
    """Rates in words and characters and the interval of the first, each where it can be read.

    A damaged interval is added to ``missing``.
    """
    decoded = DecodedSet(name, wer=_read_rate(files, "wer"), cer=_read_rate(files, "cer"))
    try:
        decoded.interval = read_interval(files.folder / "ci", files.subset or "all") if decoded.wer else None
    except UserError as error:
        missing.append(str(error))
    return decoded


def _read_set(experiment: Experiment, name: str, suffix: str) -> DecodedSet:
    files = files_of(experiment.path, name, suffix)
    folder = files.decode_dir
    if not folder.is_dir():
        experiment.missing.append(f"{folder.name} does not exist: decode this set (stage 4)")
        return DecodedSet(name)
    decoded, missing = read_decoded(name, files)
    experiment.missing += [_relative(sentence, experiment.path) for sentence in missing]
    decoded.load = _read_load(folder / "load.json")
    if not decoded.load and experiment.router != "dense":
        experiment.missing.append(f"{folder.name}/load.json: no load of the experts on this set")
    return decoded


def read_decoded(name: str, files: ResultFiles) -> tuple[DecodedSet, list[str]]:
    """Error rates and aligned utterances of a decoded and scored set, and what could not be read, a sentence each."""
    missing: list[str] = []
    folder, decoded = files.decode_dir, _read_rates(name, files, missing)
    if decoded.wer is None or decoded.cer is None:
        missing.append(f"{folder.name} has no {files.rate('wer').name} and cer: score this set (stage 5)")
    elif is_stale(folder, files.rate("wer")):
        missing.append(f"{folder.name} was decoded anew since it was scored: score this set (stage 5)")
    try:
        decoded.utterances = read_utterances(files.folder)
        if files.subset:
            members = set(read_ids(files.members))
            decoded.utterances = [utterance for utterance in decoded.utterances if utterance.id in members]
    except UserError as error:
        missing.append(f"{error}: no aligned utterances (stage 5)")
    decoded.scores = _read_scores(folder / "score")
    if (files.folder / "errors.html").exists() and not files.subset:
        decoded.page = f"{folder.name}/{files.folder.name}/errors.html"
    return decoded, missing


def _read_scores(path: Path) -> dict[str, float]:
    try:
        scores = ((utterance, value.split()[-1]) for utterance, value in read_table(path).items())
        return {utterance: to_number(score, f"{path}: {utterance}") for utterance, score in scores}
    except UserError:
        return {}


def _read_load(path: Path) -> Load:
    try:
        return checked_load(json.loads(path.read_text(encoding="utf-8")).get("load"))
    except (OSError, *MALFORMED):
        return []


def checked_load(load: Any) -> Load:
    """The load as lists of numbers, or nothing where it is something else."""
    try:
        return [[float(share) for share in layer] for layer in load if len(layer)]
    except MALFORMED:
        return []
