"""The models of a comparison, grouped into routers: models that differ only in the seed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omni_asr.analysis.drawing import model_colours
from omni_asr.analysis.experiment import Experiment
from omni_asr.scoring.result_tables import Row
from omni_asr.scoring.runs import described, each_in_a_group


@dataclass(frozen=True)
class Model:
    """One experiment of a comparison, with its name on the page and the colour of its group."""

    experiment: Experiment
    label: str
    colour: str


@dataclass(frozen=True)
class Group:
    """A router with its configuration, trained with one seed or several."""

    name: str
    models: list[Model]
    """One for each seed."""

    @property
    def colour(self) -> str:
        """Colour of all its models."""
        return self.models[0].colour

    def rates(self, index: int) -> list[float]:
        """Word error rates of its models on the set of this number, of those that have one."""
        scored = [model.experiment.sets[index].wer for model in self.models]
        return [wer.percent for wer in scored if wer]


def group_models(experiments: Sequence[Experiment]) -> list[Group]:
    """Group experiments that differ only in the seed, in the order in which the groups begin.

    An experiment whose seed its group has already, such as a copy in another folder, begins a further group.
    """
    labels = distinct_labels([experiment.path for experiment in experiments])
    by_label = dict(zip(labels, experiments, strict=True))
    groups = each_in_a_group(_row(experiment, label) for label, experiment in by_label.items())
    found = []
    for rows, name, colour in zip(groups, _names(groups), model_colours(len(groups)), strict=True):
        models = [Model(by_label[row["exp"]], row["exp"], colour) for row in rows]
        found.append(Group(name, models))
    return found


def distinct_labels(paths: Sequence[Path]) -> list[str]:
    """Names of the folders, with as many parents as it takes to tell all apart."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        labels = [os.path.join(*path.parts[-depth:]) for path in paths]
        if len(set(labels)) == len(labels):
            break
    return labels


def _row(experiment: Experiment, label: str) -> Row:
    """The cells by which experiments are grouped; the results of one set agree in regime and protocol."""
    info = {"router": experiment.router, **experiment.info}
    return {**described(info, experiment.name), "exp": label, "set": "", "regime": "", "protocol": ""}


def _names(groups: Sequence[Sequence[Row]]) -> list[str]:
    """Router and configuration, the label of a model that is alone; with sizes or the first label where they repeat."""
    names = [_short_name(rows) for rows in groups]
    sized = [f"{name} ({rows[0]['params']}, {rows[0]['hours']} h)" for name, rows in zip(names, groups, strict=True)]
    told_apart = []
    for name, with_sizes, rows in zip(names, sized, groups, strict=True):
        if names.count(name) == 1:
            told_apart.append(name)
        elif sized.count(with_sizes) == 1:
            told_apart.append(with_sizes)
        else:
            told_apart.append(rows[0]["exp"])
    return told_apart


def _short_name(rows: Sequence[Row]) -> str:
    if len(rows) == 1:
        return rows[0]["exp"]
    return "_".join(part for part in (rows[0]["router"], rows[0]["config"]) if part)
