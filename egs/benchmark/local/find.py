"""Find the corpora of a benchmark, by the patterns of its file, and say what is not there.

Writes where they are into --found, and prints a line for each recipe whose corpus is complete: its name, its sets
(separated by blanks) and the folders of the corpus, with tabs between them.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from omni_asr.analysis.benchmark import Found, Plan, read_plan
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError
from omni_asr.files import atomic_write

DEPTH = 2  # folders between --corpora-root and a corpus, such as speech/LDC/


def main(argv: Sequence[str] | None = None) -> None:
    """Look for all of them."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--columns", required=True, help="file of the benchmark")
    parser.add_argument("--corpora-root", help="folder that the corpora are in, or in its folders, two deep")
    parser.add_argument("--dir", action="append", default=[], metavar="RECIPE=DIR", help="folder of a recipe's corpus")
    parser.add_argument("--recipes", type=Path, required=True, help="folder with the recipes")
    parser.add_argument("--found", type=Path, help="file to write, if any")
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
        where = f"not found below {tree.roots[0]}" if tree.roots else "not named"
        return Found(problem=f"{' and '.join(absent) or recipe} {where}; --{recipe}_dir names its place")
    return Found(tuple(map(str, folders)), _release(folders))


def _packages(packages: Mapping[str, Sequence[str]], tree: CorpusTree) -> tuple[dict[str, Path], list[str]]:
    """Folders of packages by their names, and those that are not there."""
    found = {name: _first(patterns, tree) for name, patterns in packages.items()}
    return {name: path for name, path in found.items() if path}, [name for name, path in found.items() if not path]


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
