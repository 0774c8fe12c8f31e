"""Do these routers differ? A sentence for each set, from Welch's test over seeds."""

from collections.abc import Sequence

from omni_asr.analysis.differences import ROW, Matrix, mark, probability, set_name
from omni_asr.analysis.groups import Group
from omni_asr.scoring.significance import LEVEL

QUESTION = "Do these routers differ?"
BASIS = (
    "By Welch's t-test over seeds. p is not corrected for the number of comparisons: "
    f"of {1 / LEVEL:.0f} pairs of equal routers, one differs at {100 * LEVEL:g} % by chance."
)
MANY = 4  # pairs that may be chance; more are counted instead of named
ONE_SEED_EACH = (
    "Unknown: there is one run of each, and another seed may turn a difference round. The tests of single runs tell "
    "these trained models apart, not their routers. Train each with three seeds or more (--seed 2 --tag s2) and "
    "compare all."
)
ONE_ROUTER = "These runs are of one router and differ only in the seed; there is no other router to compare it with."


def conclusions(groups: Sequence[Group], matrices: Sequence[Matrix]) -> list[str]:
    """Sentences that answer the question; ``matrices`` are those over seeds, one for each set."""
    if len(groups) == 1:
        return [ONE_ROUTER]
    if all(len(group.models) == 1 for group in groups):
        return [ONE_SEED_EACH]
    models = [model for group in groups for model in group.models]
    return [
        f"{set_name(models, index)}: {_conclusion(groups, index, matrix)}." for index, matrix in enumerate(matrices)
    ]


def _conclusion(groups: Sequence[Group], index: int, matrix: Matrix) -> str:
    worse: dict[str, list[str]] = {}
    chance, constant = [], []
    single = [group.name for group in groups if len(group.rates(index)) == 1]
    for (row, column), difference in matrix.differences.items():
        one, other = matrix.names[row], matrix.names[column]
        if difference.p is None:
            constant += [f"{one} and {other}"] if not {one, other} & set(single) else []
        elif mark(difference.p):
            better, lost = (one, other) if difference.better == ROW else (other, one)
            worse.setdefault(better, []).append(f"{lost} (p = {probability(difference.p)})")
        else:
            chance.append(f"{one} and {other} (p = {probability(difference.p)})")
    parts = [f"{better} is better than {_listed(lost)}" for better, lost in worse.items()]
    if chance:
        named = ", ".join(chance) if len(chance) <= MANY else f"{len(chance)} pairs"
        parts.append(f"no difference is shown at {100 * LEVEL:g} % between {named}")
    parts += [f"not tested, since their rates do not vary: {_listed(constant)}"] if constant else []
    parts += [f"not tested for want of a second seed: {_listed(single)}"] if single else []
    return "; ".join(parts) or "no results"


def _listed(names: Sequence[str]) -> str:
    """Names in a row: ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
