"""Several experiments side by side: read, grouped into routers, tested."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omni_asr.analysis import differences
from omni_asr.analysis.conclusions import BASIS, QUESTION, conclusions
from omni_asr.analysis.differences import Matrix
from omni_asr.analysis.experiment import Experiment, read_experiment
from omni_asr.analysis.groups import Group, Model, group_models
from omni_asr.errors import UserError
from omni_asr.scoring.result_files import ResultFiles
from omni_asr.scoring.results import read_rate


@dataclass
class Comparison:
    """Models, grouped into routers, the test sets, and which differences are real."""

    models: list[Model]
    """In the order in which they were named; the others are measured against the first."""
    groups: list[Group]
    sets: list[str]
    over_seeds: list[Matrix] = field(default_factory=list)
    """For each set Welch's test of the groups; empty where no group has several seeds."""
    matrices: list[Matrix] = field(default_factory=list)
    """For each set the tests of single models that were asked for."""
    marks: dict[tuple[str, int], float | None] = field(default_factory=dict)
    """The p of MAPSSWE of a model, by its label, and of a set, by its number, against the first model."""
    untested: list[str] = field(default_factory=list)
    """Pairs of models that could not be tested, a sentence each."""

    @property
    def has_routers(self) -> bool:
        """There are several routers, one of them with several seeds: otherwise there are only models to compare."""
        return len(self.groups) > 1 and bool(self.over_seeds)

    @property
    def conclusions(self) -> list[str]:
        """Sentences on whether the routers differ."""
        return conclusions(self.groups, self.over_seeds)


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
    groups = group_models(experiments)
    of_experiment = {model.experiment.path: model for group in groups for model in group.models}
    comparison = Comparison([of_experiment[experiment.path] for experiment in experiments], groups, chosen)
    if any(len(group.models) > 1 for group in groups):
        comparison.over_seeds = [differences.over_seeds(groups, index) for index in range(len(chosen))]
    for index in range(len(chosen)):
        _test_models(comparison, index, tests)
    return comparison


def _test_models(comparison: Comparison, index: int, tests: Sequence[str]) -> None:
    """Add the tests of single models on one set."""
    models = comparison.models
    found = {name: differences.pairwise(models, index, name) for name in dict.fromkeys(["mapsswe", *tests])}
    comparison.matrices.extend(found[name][0] for name in tests if len(found[name][0].names) > 1)
    for sentence in dict.fromkeys(sentence for _, untested in found.values() for sentence in untested):
        comparison.untested.append(sentence)
    first = found["mapsswe"][0]
    for (row, column), difference in first.differences.items():
        if row == 0 and first.names[0] == models[0].label:
            comparison.marks[first.names[column], index] = difference.p


def terminal(comparison: Comparison, runs: bool = False) -> str:
    """The answer and the matrices as text; those of single models too with ``runs`` or without several routers."""
    answer = [QUESTION, *(f"  {sentence}" for sentence in comparison.conclusions)]
    answer += [f"  {BASIS}"] if comparison.has_routers else []
    shown = [*comparison.over_seeds]
    details: list[str] = []
    if runs or not comparison.has_routers:
        shown += comparison.matrices
        details += [f"{sentence}\n" for sentence in comparison.untested]
    elif comparison.matrices:
        details.append("Single runs are tested on the page; --runs prints these tests too.\n")
    if shown:
        details.append(f"{differences.KEY}.\n{differences.ARROWS}.\n")
    return "\n".join(["\n".join(answer) + "\n", *(matrix.text() for matrix in shown), *details])


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
