"""RESULTS.md: a row per experiment, test set, regime and protocol, from the files of the experiment, and a summary.

An experiment is called by its path from the folder ``exp`` that RESULTS.md lies beside, or in: ``omni_base`` is
``exp/omni_base``. What was decoded by other weights than its own (``--checkpoint``, ``--model``) is an experiment too.
"""

import os
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni_asr.errors import UserError
from omni_asr.read_files import read_json, read_text, well_formed
from omni_asr.scoring.bootstrap import read_interval
from omni_asr.scoring.regimes import PLAIN, REGIMES, SUFFIXES
from omni_asr.scoring.result_files import files_of
from omni_asr.scoring.result_tables import ResultTables, Row, changing, table
from omni_asr.scoring.runs import SUMMARY_COLUMNS, described, experiment_order, number, summary

COLUMNS = [
    "exp", "router", "config", "set", "regime", "protocol", "WER", "WER 95 %", "CER", "S / D / I", "errors / words",
    "params", "active", "hours", "steps", "seed", "commit", "command",
]  # fmt: skip
ROUTING_COLUMNS = [
    "exp", "router", "config", "sets", "seed", "raw", "matched", "NMI", "run, ms", "shuffled, ms", "paths for 50 %",
    "largest load", "bits on unit",
]  # fmt: skip

_RATE = re.compile(r"^%(?:WER|CER) (\S+) \[ (\d+) / (\d+), (\d+) ins, (\d+) del, (\d+) sub \]", re.MULTILINE)
_REGIME = re.compile(r"^Scoring regime: (\S+)$", re.MULTILINE)
_PROTOCOL = re.compile(r"^Protocol: (.+)$", re.MULTILINE)


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
    text = read_text(path, "score this set first (stage 5)")
    match, regime, protocol = (pattern.search(text) for pattern in (_RATE, _REGIME, _PROTOCOL))
    if not match:
        raise UserError(f"{path} has no %WER or %CER line; score this set again (stage 5)")
    with well_formed(path, "an error rate", "score this set again (stage 5)"):
        percent = float(match[1])
        errors, words, insertions, deletions, substitutions = (int(count) for count in match.groups()[1:])
    kind = (regime[1] if regime else "verbatim", protocol[1] if protocol else PLAIN)
    if kind[0] not in REGIMES:
        raise UserError(f"{path} names the regime {kind[0]!r}, which there is not; score this set again (stage 5)")
    return Rate(percent, errors, words, insertions, deletions, substitutions, *kind)


def read_model_info(exp_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Read ``model_info.json`` of an experiment.

    Raises:
        UserError: it is missing or not JSON.
    """
    path = Path(exp_dir, "model_info.json")
    if not path.exists():
        raise UserError(f"{path} does not exist; training has not finished (stage 3)")
    advice = "move model.pt away and run --stage 3 --stop_stage 3, which writes both again from the checkpoints"
    info = read_json(path, advice)
    if not isinstance(info, dict):
        raise UserError(f"{path} holds no names and values; {advice}")
    return info


def read_command(exp_dir: str | os.PathLike[str]) -> str:
    """The last command in ``cmd.txt`` on one line, or nothing where there is none."""
    try:
        lines = Path(exp_dir, "cmd.txt").read_text(encoding="utf-8", errors="replace").replace("\\\n", " ").splitlines()
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


def experiment_row(exp_dir: str | os.PathLike[str], test_set: str, suffix: str = "", with_interval: bool = True) -> Row:
    """The row of one experiment and test set or ``SET/SUBSET``; every value is the text of its cell.

    ``suffix`` is what the names of its rates end in, one of SUFFIXES; without the interval its cell is empty.

    Raises:
        UserError: the experiment is not trained, or the set not scored, or decoded anew since then.
    """
    files = files_of(exp_dir, test_set, suffix)
    # A model from elsewhere (--model) was not trained in this folder; what it says of itself stands with its words.
    foreign = not Path(exp_dir, "model_info.json").exists() and Path(files.decode_dir, "model_info.json").exists()
    info = read_model_info(files.decode_dir if foreign else exp_dir)
    wer, cer = (read_rate(files.rate(unit)) for unit in ("wer", "cer"))
    files.check()
    interval = read_interval(files.folder / "ci", files.subset or "all") if with_interval else None
    name = Path(os.path.abspath(exp_dir)).name
    return {
        "exp": name,
        **described(info, name),
        "set": test_set,
        "regime": wer.regime,
        "protocol": wer.protocol,
        "WER": f"{wer.percent:.2f}",
        "WER 95 %": str(interval or "-"),
        "CER": f"{cer.percent:.2f}",
        "S / D / I": f"{wer.substitutions} / {wer.deletions} / {wer.insertions}",
        "errors / words": f"{wer.errors} / {wer.words}",
        "steps": number(info.get("steps"), "d"),
        "commit": re.sub(r"^([0-9a-f]{8})[0-9a-f]+", r"\1", str(info.get("commit") or "")),
        "command": read_command(exp_dir) or str(info.get("command", "")),
    }


def update(results: str | os.PathLike[str], exp_dir: str | os.PathLike[str], test_sets: Sequence[str]) -> list[Row]:
    """Write the rows of an experiment on some test sets into the file, and the summary; returns the new rows.

    All that the file has of this experiment on these sets goes, in whatever regime and of whatever subset: it may be of
    other hypotheses. Several processes may write at once. The file is made when it is not there.

    Raises:
        UserError: the experiment is not trained, a set is not scored, or the file is damaged; nothing is written.
    """
    name, sets = _exp_name(results, exp_dir), list(dict.fromkeys(test_sets))
    new = [{**row, "exp": name} for test_set in sets for row in experiment_rows(exp_dir, test_set)]
    with changing(results) as tables:
        known = _known_rows(tables)
        kept = [row for row in known if row["exp"] != name or row["set"].partition("/")[0] not in sets]
        rows = sorted([*kept, *new], key=_order)
        tables.put("summary", _by_kind(SUMMARY_COLUMNS, summary(rows)))
        tables.put("results", _by_kind(COLUMNS, rows))
    return new


def _exp_name(results: str | os.PathLike[str], exp_dir: str | os.PathLike[str]) -> str:
    """Path of an experiment from ``exp`` beside the file, or from the file's folder where that is called ``exp``."""
    beside, experiment = (Path(os.path.abspath(path)) for path in (Path(results).parent, exp_dir))
    base = beside if beside.name == "exp" else beside / "exp"
    return os.path.relpath(experiment.parent.resolve() / experiment.name, base.resolve())


def _known_rows(tables: ResultTables) -> list[Row]:
    """The rows that the file has.

    Raises:
        UserError: the file is damaged, or somebody wrote what no scoring says.
    """
    rows = tables.rows("results", COLUMNS)
    for row in rows:
        where = f"{tables.path}: the row of {row['exp']} on {row['set']}"
        if row["regime"] not in REGIMES:
            raise UserError(f"{where} has the regime {row['regime']!r}, not {', '.join(REGIMES)}; mend or remove it")
        if not all(re.fullmatch(r"\d+(\.\d+)?|inf", row[column]) for column in ("WER", "CER")):
            raise UserError(f"{where} has the rates {row['WER']!r} and {row['CER']!r}; mend or remove it")
    return rows


def routing_row(exp_dir: str | os.PathLike[str]) -> Row:
    """The row of one experiment in the table of routing, from its ``routing.json``; figures are means over layers.

    Raises:
        UserError: the experiment is not trained, or its routing not analysed.
    """
    path = Path(exp_dir, "routing.json")
    routing = read_json(path, "analyse the routing first (stage 6)")
    name = Path(os.path.abspath(exp_dir)).name
    with well_formed(path, "what omni-asr analyze-routing writes", "run it again"):
        figures = _routing_figures(routing)
    return {"exp": name, **described(read_model_info(exp_dir), name), **figures}


def _routing_figures(routing: Any) -> Row:
    mean, load = routing["agreement"]["mean"], routing["load"]["max_over_mean"]
    runs, control = routing["time"]["run_ms"], routing["time"]["shuffled_run_ms"]
    paths, bits = routing["paths"], routing["specialisation"]["tokens"]["mi_bits"]
    return {
        "sets": " ".join(map(str, routing.get("sets", []))),
        "raw": number(mean["raw"], ".3f"),
        "matched": number(mean["matched"], ".3f"),
        "NMI": number(mean["nmi"], ".3f"),
        "run, ms": f"{statistics.mean(runs):.0f}",
        "shuffled, ms": f"{statistics.mean(control):.0f}",
        "paths for 50 %": f"{paths['cover_50'] or 'more'} of {paths['distinct']}",
        "largest load": f"{max(load):.2f}",
        "bits on unit": f"{statistics.mean(bits):.2f}",
    }


def update_routing(results: str | os.PathLike[str], exp_dir: str | os.PathLike[str]) -> Row:
    """Write an experiment's row into the table of routing, in place of an older one; see :func:`update`."""
    new = {**routing_row(exp_dir), "exp": _exp_name(results, exp_dir)}
    with changing(results) as tables:
        old = [row for row in tables.rows("routing", ROUTING_COLUMNS) if row["exp"] != new["exp"]]
        rows = sorted([*old, new], key=lambda row: experiment_order(row["router"], row["exp"]))
        tables.put("routing", table(ROUTING_COLUMNS, rows))
    return new


def _order(row: Row) -> tuple[str, str, str, list[Any]]:
    return row["set"], row["regime"], row["protocol"], experiment_order(row["router"], row["exp"])


def _by_kind(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A table for each regime and protocol, since figures of different ones must not stand in one column."""
    kinds = sorted(
        {(row["regime"], row["protocol"]) for row in rows}, key=lambda kind: ([*REGIMES].index(kind[0]), kind)
    )
    tables = [table(columns, [row for row in rows if (row["regime"], row["protocol"]) == kind]) for kind in kinds]
    if len(kinds) < 2:
        return "".join(tables)
    titles = [f"Regime {regime}: {REGIMES[regime]}. Protocol: {protocol}." for regime, protocol in kinds]
    return "\n".join(f"{title}\n\n{text}" for title, text in zip(titles, tables, strict=True))
