"""Which runs are alike but for the seed, and what they reach over seeds."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from omni_asr.scoring.result_tables import Row
from omni_asr.scoring.seeds import mean_interval

SIZES = ["params", "active", "hours"]
"""In these runs of one corpus and model agree, whatever their seeds; a model from elsewhere (--model) need not."""
SHARED = ["set", "regime", "protocol", "config", "router", *SIZES]
"""In these the rows of a group agree, which differ in the seed."""
SUMMARY_COLUMNS = ["router", "config", "set", "regime", "protocol", "seeds", "WER", "WER 95 %", "CER", *SIZES]
ROUTERS = ["dense", "switch", "omni", "omni_lowrank", "decision", "hash", "random"]
"""Order of the rows of tables; models/routers.py has the routers themselves. Names that are not here come last."""


def described(info: Mapping[str, Any], name: str) -> Row:
    """The cells that say which runs are alike: router, configuration, SIZES and seed of a model in a folder.

    The configuration is what the name ``<router>_<config>[_<tag>][_<checkpoint>]`` has beside the router, without the
    model's own seed: ``omni_base_s2`` is ``base`` if its seed is 2, and ``base_s2`` if 2 is something else.
    """
    router, seed = str(info.get("router", "")), number(info.get("seed"), "d")
    config = name.removeprefix(f"{router}_")
    config = re.sub(rf"[_-]s(?:eed)?[_-]?0*{seed}(?=[_-]|$)", "", config) if seed else config
    counts = [short_number(info.get("params_total")), short_number(info.get("params_active"))]
    sizes = dict(zip(SIZES, [*counts, number(info.get("hours"), ".1f")], strict=True))
    return {"router": router, "config": config, **sizes, "seed": seed}


def short_number(value: Any) -> str:
    """A count in thousands or millions: ``2.41 M``."""
    if not isinstance(value, (int, float)):
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"


def number(value: Any, form: str) -> str:
    """A number by Python's rules of formatting; nothing where it is none or not finite."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    return format(int(value) if form == "d" else value, form)


def by_seed(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows that agree in all columns of SHARED, one for each seed: of several with one seed the first.

    A seed that is there twice, such as one experiment in two folders, is no further seed. A row without one is alone.
    """
    return [groups[0] for groups in _alike(rows)]


def each_in_a_group(rows: Iterable[Row]) -> list[list[Row]]:
    """The groups of :func:`by_seed`, with further groups for the rows whose seed is in theirs already."""
    return [group for groups in _alike(rows) for group in groups]


def _alike(rows: Iterable[Row]) -> list[list[list[Row]]]:
    """Rows that agree in all columns of SHARED, in groups in which no seed is there twice."""
    alike: dict[tuple[str, ...], list[list[Row]]] = {}
    for row in rows:
        alone = "" if row["seed"] else row["exp"]
        groups = alike.setdefault((*(row[column] for column in SHARED), alone), [])
        for group in groups:
            if row["seed"] not in [other["seed"] for other in group]:
                group.append(row)
                break
        else:
            groups.append([row])
    return list(alike.values())


def summary(rows: Iterable[Row]) -> list[Row]:
    """Mean and standard deviation over seeds of each group of :func:`by_seed`.

    The interval is that of the mean over seeds (:func:`omni_asr.scoring.seeds.mean_interval`), and that of the set
    where there is one seed.
    """
    groups = by_seed(rows)
    groups.sort(key=lambda group: [_rank(group[0][name]) if name == "router" else group[0][name] for name in SHARED])
    return [
        {
            **{column: group[0][column] for column in SHARED},
            "seeds": str(len(group)),
            "WER": mean_deviation([float(row["WER"]) for row in group]),
            "WER 95 %": _mean_interval(group),
            "CER": mean_deviation([float(row["CER"]) for row in group]),
        }
        for group in groups
    ]


def mean_deviation(values: Sequence[float]) -> str:
    """Mean and, of several values, standard deviation: ``13.22 ± 0.51``."""
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 and math.isfinite(sum(values)) else mean


def _mean_interval(group: Sequence[Row]) -> str:
    if len(group) == 1:
        return group[0]["WER 95 %"]
    return str(mean_interval([float(row["WER"]) for row in group]) or "-")


def experiment_order(router: str, name: str) -> list[Any]:
    """Key that sorts experiments by router, then by name with numbers by value (seed2 before seed10)."""
    parts = [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
    return [_rank(router), *parts]


def _rank(router: str) -> tuple[int, str]:
    return (ROUTERS.index(router), "") if router in ROUTERS else (len(ROUTERS), router)
