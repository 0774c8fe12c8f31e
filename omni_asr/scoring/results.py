"""RESULTS.md: a row per experiment, test set and regime, from the files of the experiment, and a summary over seeds.

Only what stands between the marks ``<!-- results -->`` and ``<!-- /results -->``, and between those of the summary, is
rewritten; the rest of the file belongs to whoever writes it.
"""

import contextlib
import fcntl
import json
import math
import os
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.scoring.bootstrap import read_interval
from omni_asr.scoring.regimes import PLAIN, REGIMES, SUFFIXES
from omni_asr.scoring.result_files import files_of

COLUMNS = [
    "exp", "router", "config", "set", "regime", "WER", "WER 95 %", "CER", "S / D / I", "errors / words", "params",
    "active", "hours", "steps", "seed", "commit", "command",
]  # fmt: skip
TEXT_COLUMNS = {"exp", "router", "config", "set", "regime", "sets", "commit", "command"}
SIZES = ["params", "active", "hours"]
"""In these runs of one corpus and model agree, whatever their seeds; a model from elsewhere (--model) need not."""
SUMMARY_COLUMNS = ["router", "config", "set", "regime", "seeds", "WER", "WER 95 %", "CER", *SIZES]
ROUTING_COLUMNS = [
    "exp", "router", "config", "sets", "seed", "raw", "matched", "NMI", "run, ms", "shuffled, ms", "paths for 50 %",
    "largest load", "bits on unit",
]  # fmt: skip
ROUTERS = ["dense", "switch", "omni", "omni_lowrank", "decision", "hash", "random"]
NEW_FILE = "# Results\n\nThe tables are written by `omni-asr results`; text outside the marks is kept.\n"

_RATE = re.compile(r"^%(?:WER|CER) (\S+) \[ (\d+) / (\d+), (\d+) ins, (\d+) del, (\d+) sub \]", re.MULTILINE)
_REGIME = re.compile(r"^Scoring regime: (\S+)$", re.MULTILINE)
_PROTOCOL = re.compile(r"^Protocol: (.+)$", re.MULTILINE)
_SEED_TAG = re.compile(r"(?:^|[_-])s(?:eed)?[_-]?\d+(?=[_-]|$)")

Row = dict[str, str]


@dataclass(frozen=True)
class Rate:
    """An error rate as it stands in ``wer`` or ``cer``."""

    percent: float
    errors: int
    words: int
    insertions: int
    deletions: int
    substitutions: int
    regime: str
    """How the words were normalised before they were compared."""
    protocol: str
    """What else decided about the counts."""

    @property
    def kind(self) -> tuple[str, str]:
        """Regime and protocol: only rates of one kind may stand in one column."""
        return self.regime, self.protocol


def read_rate(path: str | os.PathLike[str]) -> Rate:
    """Read the ``%WER`` or ``%CER`` line of a file, and how it was scored: verbatim by words where it says nothing.

    Raises:
        UserError: the file is missing, has no such line or names a regime that there is not.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"{path} does not exist; score this set first (stage 5)") from None
    match, regime, protocol = (pattern.search(text) for pattern in (_RATE, _REGIME, _PROTOCOL))
    if not match:
        raise UserError(f"{path} has no %WER or %CER line; score this set again (stage 5)")
    errors, words, insertions, deletions, substitutions = map(int, match.groups()[1:])
    kind = (regime[1] if regime else "verbatim", protocol[1] if protocol else PLAIN)
    if kind[0] not in REGIMES:
        raise UserError(f"{path} names the regime {kind[0]!r}, which there is not; score this set again (stage 5)")
    return Rate(float(match[1]), errors, words, insertions, deletions, substitutions, *kind)


def read_model_info(exp_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Read ``model_info.json`` of an experiment.

    Raises:
        UserError: it is missing or not JSON.
    """
    path = Path(exp_dir, "model_info.json")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{path} does not exist; training has not finished (stage 3)") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); train this experiment again (stage 3)") from None
    if not isinstance(info, dict):
        raise UserError(f"{path} holds no names and values; train this experiment again (stage 3)")
    return info


def read_command(exp_dir: str | os.PathLike[str]) -> str:
    """The last command in ``cmd.txt`` on one line, or nothing where there is none."""
    try:
        lines = Path(exp_dir, "cmd.txt").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    except OSError:
        return ""
    commands = [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]
    return commands[-1] if commands else ""


def experiment_rows(exp_dir: str | os.PathLike[str], test_set: str) -> list[Row]:
    """The rows of one experiment and test set: each regime that it was scored in, in each the set and its subsets.

    Raises:
        UserError: see :func:`experiment_row`.
    """
    whole = [files_of(exp_dir, test_set, suffix) for suffix in SUFFIXES.values()]
    scored = [files for files in dict.fromkeys(whole) if files.rate("wer").exists()] or whole[:1]
    names = {files: [test_set, *(f"{test_set}/{subset}" for subset in files.subsets)] for files in scored}
    return [experiment_row(exp_dir, name, files.suffix) for files in scored for name in names[files]]


def experiment_row(exp_dir: str | os.PathLike[str], test_set: str, suffix: str = "") -> Row:
    """The row of one experiment and test set or ``SET/SUBSET``; every value is the text of its cell.

    ``suffix`` is what the names of its rates end in, one of SUFFIXES.

    Raises:
        UserError: the experiment is not trained, or the set not scored, or decoded anew since then.
    """
    files = files_of(exp_dir, test_set, suffix)
    # A model from elsewhere (--model) was not trained in this folder; what it says of itself stands with its words.
    foreign = not Path(exp_dir, "model_info.json").exists() and Path(files.decode_dir, "model_info.json").exists()
    info = read_model_info(files.decode_dir if foreign else exp_dir)
    wer, cer = (read_rate(files.rate(unit)) for unit in ("wer", "cer"))
    files.check()
    name = Path(os.path.abspath(exp_dir)).name
    return {
        "exp": name,
        "router": str(info.get("router", "")),
        "config": variant(info, name),
        "set": test_set,
        "regime": wer.regime,
        "WER": f"{wer.percent:.2f}",
        "WER 95 %": str(read_interval(files.folder / "ci", files.subset or "all") or "-"),
        "CER": f"{cer.percent:.2f}",
        "S / D / I": f"{wer.substitutions} / {wer.deletions} / {wer.insertions}",
        "errors / words": f"{wer.errors} / {wer.words}",
        **sizes(info),
        "steps": _number(info.get("steps"), "d"),
        "seed": _number(info.get("seed"), "d"),
        "commit": re.sub(r"^([0-9a-f]{8})[0-9a-f]+", r"\1", str(info.get("commit") or "")),
        "command": read_command(exp_dir) or str(info.get("command", "")),
    }


def variant(info: Mapping[str, Any], name: str) -> str:
    """What makes runs comparable: configuration and tag, without a seed in the tag (``_s2``, ``seed2``).

    They are taken from the name of the experiment, ``<router>_<config>[_<tag>]``, where ``model_info.json`` has none.
    """
    config, tag = Path(str(info.get("config") or "")).stem, str(info.get("tag") or "")
    if not config:
        config, tag = "", name.removeprefix(f"{info.get('router')}_")
    return "_".join(part for part in (config, _SEED_TAG.sub("", tag).strip("_-")) if part)


def sizes(info: Mapping[str, Any]) -> Row:
    """The cells of SIZES: parameters, those that are active, and hours of the training corpus."""
    counts = [short_number(info.get("params_total")), short_number(info.get("params_active"))]
    return dict(zip(SIZES, [*counts, _number(info.get("hours"), ".1f")], strict=True))


def short_number(value: Any) -> str:
    """A count in thousands or millions: ``2.41 M``."""
    if not isinstance(value, (int, float)):
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"


def _number(value: Any, form: str) -> str:
    if not isinstance(value, (int, float)):
        return ""
    return format(int(value) if form == "d" else value, form)


def update(results: str | os.PathLike[str], exp_dir: str | os.PathLike[str], test_sets: Iterable[str]) -> list[Row]:
    """Write the rows of an experiment into the file, in place of older ones, and the summary; returns the new rows.

    Several processes may do so at once. The file is made when it is not there.

    Raises:
        UserError: the experiment is not trained or a set not scored (nothing is written), or the marks are damaged.
    """
    new = [row for test_set in test_sets for row in experiment_rows(exp_dir, test_set)]
    path = Path(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        text = path.read_text(encoding="utf-8") or NEW_FILE
        known = _parse(_block(text, "results", path), COLUMNS)
        # One row in the corpus's own regime: where the protocol changed, the new row takes the old one's place.
        rows = {(row["exp"], row["set"], SUFFIXES.get(row["regime"])): row for row in [*known, *new]}
        ordered = sorted(rows.values(), key=_order)
        text = _with_block(text, "summary", _tables(SUMMARY_COLUMNS, summary(ordered)), path)
        text = _with_block(text, "results", _tables(COLUMNS, ordered), path)
        with atomic_write(path) as file:
            file.write(text)
    return new


def routing_row(exp_dir: str | os.PathLike[str]) -> Row:
    """The row of one experiment in the table of routing, from its ``routing.json``; figures are means over layers.

    Raises:
        UserError: the experiment is not trained, or its routing not analysed.
    """
    path = Path(exp_dir, "routing.json")
    try:
        routing = json.loads(path.read_text(encoding="utf-8"))
        mean, load = routing["agreement"]["mean"], routing["load"]["max_over_mean"]
        runs, control = routing["time"]["run_ms"], routing["time"]["shuffled_run_ms"]
        paths, bits = routing["paths"], routing["specialisation"]["tokens"]["mi_bits"]
    except OSError:
        raise UserError(f"{path} does not exist; analyse the routing first (stage 6)") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is not what omni-asr analyze-routing writes; run it again") from None
    info, name = read_model_info(exp_dir), Path(os.path.abspath(exp_dir)).name
    return {
        "exp": name,
        "router": str(info.get("router", "")),
        "config": variant(info, name),
        "sets": " ".join(map(str, routing.get("sets", []))),
        "seed": _number(info.get("seed"), "d"),
        "raw": _number(mean["raw"], ".3f"),
        "matched": _number(mean["matched"], ".3f"),
        "NMI": _number(mean["nmi"], ".3f"),
        "run, ms": f"{statistics.mean(runs):.0f}",
        "shuffled, ms": f"{statistics.mean(control):.0f}",
        "paths for 50 %": f"{paths['cover_50'] or 'more'} of {paths['distinct']}",
        "largest load": f"{max(load):.2f}",
        "bits on unit": f"{statistics.mean(bits):.2f}",
    }


def update_routing(results: str | os.PathLike[str], exp_dir: str | os.PathLike[str]) -> Row:
    """Write an experiment's row into the table of routing, in place of an older one; see :func:`update`."""
    new, path = routing_row(exp_dir), Path(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        text = path.read_text(encoding="utf-8") or NEW_FILE
        old = [row for row in _parse(_block(text, "routing", path), ROUTING_COLUMNS) if row["exp"] != new["exp"]]
        rows = sorted([*old, new], key=lambda row: experiment_order(row["router"], row["exp"]))
        text = _with_block(text, "routing", _table(ROUTING_COLUMNS, rows), path)
        with atomic_write(path) as file:
            file.write(text)
    return new


def summary(rows: Sequence[Row]) -> list[Row]:
    """Mean and standard deviation over seeds for each router, configuration, test set and regime.

    Models of other sizes or another corpus (SIZES) have rows of their own. Of one seed there is the interval instead.
    """
    shared = ["set", "regime", "config", "router", *SIZES]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in shared), []).append(row)
    return [
        {
            **dict(zip(shared, key, strict=True)),
            "seeds": str(len(group)),
            "WER": _mean_deviation([row["WER"] for row in group]),
            "WER 95 %": group[0]["WER 95 %"] if len(group) == 1 else "",
            "CER": _mean_deviation([row["CER"] for row in group]),
        }
        for key, group in sorted(groups.items(), key=lambda item: (*item[0][:3], _rank(item[0][3]), *item[0][4:]))
    ]


def _mean_deviation(cells: Sequence[str]) -> str:
    values = [float(cell) for cell in cells if cell]
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return cells[0]
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def _order(row: Row) -> tuple[str, str, list[Any]]:
    return row["set"], row["regime"], experiment_order(row["router"], row["exp"])


def experiment_order(router: str, name: str) -> list[Any]:
    """Key that sorts experiments by router, then by name with numbers by value (seed2 before seed10)."""
    parts = [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
    return [_rank(router), *parts]


def _rank(router: str) -> tuple[int, str]:
    return (ROUTERS.index(router), "") if router in ROUTERS else (len(ROUTERS), router)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock. A writer replaces the file, so whoever waited must look whether it is still the same."""
    while True:
        with open(path, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                yield
                return


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def _block(text: str, name: str, path: Path) -> str:
    """What stands between the marks, or nothing where there are none."""
    start, end = _marks(name)
    if (text.count(start), text.count(end)) == (0, 0):
        return ""
    if (text.count(start), text.count(end)) != (1, 1) or text.index(end) < text.index(start):
        raise UserError(f"{path}: {start} and {end} must each stand there once, in this order; mend the file")
    return text[text.index(start) + len(start) : text.index(end)]


def _with_block(text: str, name: str, content: str, path: Path) -> str:
    """Replace what stands between the marks; without marks, add them at the end."""
    start, end = _marks(name)
    if start not in text:
        text = text.rstrip("\n") + f"\n\n{start}{end}\n"
    old = _block(text, name, path)
    return text.replace(f"{start}{old}{end}", f"{start}\n{content}{end}")


def _tables(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A table for each regime, since their figures must not stand in one column."""
    regimes = sorted({row["regime"] for row in rows}, key=[*REGIMES].index)
    own = {regime: [row for row in rows if row["regime"] == regime] for regime in regimes}
    if len(own) < 2:
        return _table(columns, rows)
    return "\n".join(f"Regime {name}: {REGIMES[name]}.\n\n{_table(columns, some)}" for name, some in own.items())


def _table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    rules = ["---" if column in TEXT_COLUMNS else "---:" for column in columns]
    lines = [list(columns), rules, *([_cell(column, row.get(column, "")) for column in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(column: str, value: str) -> str:
    value = value.replace("|", "\\|")
    return f"`{value}`" if column == "command" and value else value


def _parse(table: str, columns: Sequence[str]) -> Iterator[Row]:
    """Rows of the tables that :func:`_tables` wrote, under whatever columns their headings name."""
    lines = [line.strip() for line in table.splitlines() if line.strip().startswith("|")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    for row in cells:
        if row == cells[0] or set("".join(row)) <= set("-:"):
            continue
        values = dict(zip(cells[0], row, strict=False))
        if all(name in values for name in ("exp", "set") if name in columns):
            values["command"] = values.get("command", "").strip("`")
            yield {column: values.get(column, "-" if column == "WER 95 %" else "") for column in columns}
