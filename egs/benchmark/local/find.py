"""Find the corpora of a benchmark, by the patterns of its file, and say what is not there.

A corpus that is neither named nor found is taken from where --earlier says that it was, if the recipe scored it there
and the folders still exist. Writes where they are into --found, and prints a line for each recipe whose corpus is
complete: its name, its sets (separated by blanks) and the folders of the corpus, with tabs between them.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from omni_asr.analysis.benchmark import Found, Plan, read_found, read_plan
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.scoring.regimes import SUFFIXES

DEPTH = 2  # folders between --corpora-root and a corpus, such as speech/LDC/


def main(argv: Sequence[str] | None = None) -> None:
    """Look for all of them."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--columns", required=True, help="file of the benchmark")
    parser.add_argument("--corpora-root", help="folder that the corpora are in, or in its folders, two deep")
    parser.add_argument("--dir", action="append", default=[], metavar="RECIPE=DIR", help="folder of a recipe's corpus")
    parser.add_argument("--recipes", type=Path, required=True, help="folder with the recipes")
    parser.add_argument("--found", type=Path, help="file to write, if any")
    parser.add_argument(
        "--earlier", type=Path, help="such a file of an earlier run with the same model, if there is one"
    )
    parser.add_argument("--scored", default="data/{}", help="where a recipe, the {} in it, has scored the model's sets")
    options = parser.parse_args(argv)
    plan = read_plan(options.columns)
    given: dict[str, list[str]] = {}
    for text in options.dir:
        recipe, _, folder = text.partition("=")
        given.setdefault(recipe, []).append(folder)
    recipes = list(dict.fromkeys(column.recipe for column in plan.columns))
    for recipe in given:
        if recipe not in recipes:
            raise UserError(f"--{recipe}_dir: {options.columns} has no column of the recipe {recipe}")
    tree = CorpusTree([options.corpora_root] if options.corpora_root else [])
    found = {recipe: find(plan, recipe, tree, given.get(recipe, []), options.recipes) for recipe in recipes}
    if options.earlier and options.earlier.exists():
        for recipe, one in read_found(options.earlier).items():
            if recipe in found and found[recipe].problem and is_scored(plan, recipe, one, options.scored):
                found[recipe] = one
    if options.found:
        with atomic_write(options.found) as file:
            json.dump({recipe: asdict(one) for recipe, one in found.items()}, file, indent=1)
            file.write("\n")
    for recipe, one in found.items():
        if not one.problem:
            print(recipe, " ".join(plan.sets(recipe)), *one.folders, sep="\t")


def find(plan: Plan, recipe: str, tree: CorpusTree, given: Sequence[str], recipes: Path) -> Found:
    """Where the corpus of a recipe is."""
    if not (recipes / recipe / "run.sh").exists():
        return Found(problem=f"there is no recipe egs/{recipe}")
    if given:
        folders = [Path(folder).absolute() for folder in given]
        return Found(tuple(map(str, folders)), _release(folders))
    packages = plan.corpora.get(recipe, {})
    there, absent = _packages(packages.get("needs", {}), tree)
    more, _ = _packages(packages.get("takes", {}), tree)
    folders = list(dict.fromkeys([*there.values(), *more.values()]))
    if absent or not folders:
        problem = f"{' and '.join(absent) or recipe} not named"
        if tree.roots:
            lacking = [f"{name}: no {_told(packages['needs'][name])}" for name in absent]
            where = f"looked down to {DEPTH} folders below {tree.roots[0]}"
            problem = "; ".join([*(lacking or [f"{recipe} not found"]), where])
        return Found(problem=f"{problem}; --{recipe}_dir names its place")
    return Found(tuple(map(str, folders)), _release(folders))


def is_scored(plan: Plan, recipe: str, earlier: Found, scored: str) -> bool:
    """Whether a corpus is where it was, and all sets of its recipe were scored."""
    rates = [Path(scored.format(recipe), f"decode_{name}", f"wer{SUFFIXES[plan.regime]}") for name in plan.sets(recipe)]
    there = not earlier.problem and all(Path(folder).is_dir() for folder in earlier.folders)
    return there and all(rate.exists() for rate in rates)


def _packages(packages: Mapping[str, Sequence[str]], tree: CorpusTree) -> tuple[dict[str, Path], list[str]]:
    """Folders of packages by their names, and those that are not there."""
    found = {name: _first(patterns, tree) for name, patterns in packages.items()}
    return {name: path for name, path in found.items() if path}, [name for name, path in found.items() if not path]


def _told(patterns: Sequence[str]) -> str:
    return " or ".join(re.sub(r"(/\.\.)+$", "", pattern) for pattern in patterns)


def _first(patterns: Sequence[str], tree: CorpusTree) -> Path | None:
    """The folder that the first pattern fits; of several releases the last."""
    for pattern in patterns:
        inner, up = re.sub(r"(/\.\.)+$", "", pattern), pattern.count("/..")
        folders = {[path, *path.parents][up] for path in tree.find_all(inner, DEPTH) if up or path.is_dir()}
        if folders:
            nearest = min(len(path.parts) for path in folders)
            chosen = max((path for path in folders if len(path.parts) == nearest), key=_by_number)
            if len(folders) > 1:
                print(f"find: {len(folders)} folders fit {pattern}; {chosen} is used", file=sys.stderr)
            return chosen
    return None


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Key that sorts releases by their numbers: 9.0 before 17.0."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _release(folders: Sequence[Path]) -> str:
    return " + ".join(dict.fromkeys(path.name for path in folders))


if __name__ == "__main__":
    sys.exit(run_program(main))
