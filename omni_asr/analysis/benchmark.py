"""A benchmark of several corpora: its columns, and what a model reached in each."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_lines, read_table
from omni_asr.read_files import read_json, read_text, well_formed
from omni_asr.scoring.bootstrap import Interval, interval, mean_interval
from omni_asr.scoring.per_utt import read_utterances
from omni_asr.scoring.regimes import PLAIN, REGIMES, SUFFIXES
from omni_asr.scoring.results import read_rate
from omni_asr.scoring.sclite import Utterance, by_speaker
from omni_asr.scoring.transcripts import check_ids_meet
from omni_asr.yaml_files import read_yaml

SLACK = 0.01
"""Share of a set's utterances or words by which versions of a corpus, such as AMI's 1.6.1 and 1.6.2, may differ."""


@dataclass(frozen=True)
class Counts:
    """What a set has; None where that is not known."""

    utterances: int | None = None
    words: int | None = None
    """Of ``table``, before any normalisation."""
    table: str = "text"

    def is_like(self, official: "Counts") -> bool:
        """Whether these are about as many as officially, in what is known of that."""
        pairs = [(self.utterances, official.utterances), (self.words, official.words)]
        return all(abs((ours or 0) - theirs) <= SLACK * theirs for ours, theirs in pairs if theirs is not None)


@dataclass(frozen=True)
class Column:
    """One set of a recipe, or a part of it, and the error rates that others published for it."""

    name: str
    recipe: str
    set: str
    published: tuple[float | None, ...]
    """In percent, in the order of the systems."""
    subset: str = ""
    """What the ids of its utterances begin with."""
    counts: str = ""
    """Name of its line in the recipe's ``conf/official_counts``, if that is not the set."""
    utterances: int | None = None
    """How many it has, where the recipe does not say."""
    words: int | None = None
    """How many words its ``table`` has, where the recipe does not say."""
    table: str = "text"
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """A benchmark as its file describes it."""

    regime: str
    systems: tuple[str, ...]
    columns: tuple[Column, ...]
    corpora: Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
    """By recipe: ``needs`` and ``takes``, whose packages have names and patterns of folders."""
    source: str = ""
    """Where the published figures are from."""

    def sets(self, recipe: str) -> list[str]:
        """Sets of a recipe, each once."""
        return list(dict.fromkeys(column.set for column in self.columns if column.recipe == recipe))


@dataclass(frozen=True)
class Found:
    """Where the corpus of a recipe is, or why it is not measured."""

    folders: tuple[str, ...] = ()
    release: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Measured:
    """A column of the table."""

    column: Column
    release: str
    problem: str = ""
    """Why there is no figure."""
    utterances: Sequence[Utterance] = ()
    protocol: str = PLAIN
    """What beside the benchmark's regime decided about the counts."""
    dropped: int = 0
    """Utterances without a word after normalisation."""
    percent: float = 0.0
    words: int = 0
    """After normalisation."""
    interval: Interval | None = None
    here: Counts = Counts()
    """What the copy of the corpus has."""
    official: Counts = Counts()

    @property
    def is_known(self) -> bool:
        """Whether it is known what the set has officially."""
        return (self.official.utterances, self.official.words) != (None, None)

    @property
    def is_whole(self) -> bool:
        """Whether the copy has about what the set has officially; also where that is not known."""
        return self.here.is_like(self.official)


@dataclass(frozen=True)
class Benchmark:
    """A model on all columns."""

    model: str
    plan: Plan
    columns: Sequence[Measured]
    info: Mapping[str, Any] = field(default_factory=dict)
    """What the model says of itself."""
    note: str = ""

    @property
    def there(self) -> list[Measured]:
        """Columns with a figure."""
        return [column for column in self.columns if not column.problem]

    @property
    def is_complete(self) -> bool:
        """Whether every column has a figure."""
        return len(self.there) == len(self.columns)

    def absent(self) -> list[str]:
        """The columns without a figure, and why; those of one reason in one line."""
        reasons: dict[str, list[str]] = {}
        for column in self.columns:
            if column.problem:
                reasons.setdefault(column.problem, []).append(column.column.name)
        return [f"{', '.join(names)}: {problem}" for problem, names in reasons.items()]

    def mean(self) -> tuple[float, Interval | None]:
        """Plain mean of the columns with a figure, and its interval."""
        rates = [column.percent for column in self.there]
        return sum(rates) / len(rates), mean_interval([column.utterances for column in self.there])

    def published_mean(self, system: int, partly: bool) -> float | None:
        """Plain mean of a system over all columns, or over those with a figure here; None where it lacks one."""
        rates = [column.column.published[system] for column in (self.there if partly else self.columns)]
        known = [rate for rate in rates if rate is not None]
        return sum(known) / len(known) if known and len(known) == len(rates) else None


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read the file of a benchmark, as ``egs/benchmark/conf/columns.yaml``.

    Raises:
        UserError: it is missing, or not of that form.
    """
    tree = read_yaml(path)
    with well_formed(path, "a benchmark", "see egs/benchmark/conf/columns.yaml"):
        systems = tuple(map(str, tree.get("systems", ())))
        columns = tuple(_column(row, len(systems)) for row in tree["columns"])
        plan = Plan(str(tree["regime"]), systems, columns, tree.get("corpora", {}), str(tree.get("source", "")))
    if plan.regime not in REGIMES:
        raise UserError(f"{path}: there is no regime {plan.regime!r}; there are {', '.join(REGIMES)}")
    for column in columns:
        if len(column.published) != len(systems):
            raise UserError(f"{path}: {column.name} has {len(column.published)} figures of {len(systems)} systems")
    return plan


def _column(row: Mapping[str, Any], systems: int) -> Column:
    published = row.get("published", [None] * systems)
    rates = tuple(None if rate is None else float(rate) for rate in published)
    return Column(**{**row, "published": rates})


def read_found(path: str | os.PathLike[str]) -> dict[str, Found]:
    """Read where the corpora were found, as ``egs/benchmark/local/find.py`` writes it.

    Raises:
        UserError: the file is missing or damaged.
    """
    advice = "remove it and run egs/benchmark again"
    tree = read_json(path, advice)
    with well_formed(path, "what egs/benchmark writes", advice):
        return {recipe: Found(tuple(row["folders"]), row["release"], row["problem"]) for recipe, row in tree.items()}


def measure(
    plan: Plan, found: Mapping[str, Found], recipes: str | os.PathLike[str], name: str, note: str = ""
) -> Benchmark:
    """Read what the recipes left in ``<recipes>/<recipe>/{data,exp/<name>}``.

    Raises:
        UserError: a file of a scored set is damaged, or no column has a figure.
    """
    columns, info = [], dict[str, Any]()
    for column in plan.columns:
        where = found.get(column.recipe, Found(problem="was not looked for"))
        measured = Measured(column, where.release, where.problem)
        if not where.problem:
            folder = Path(recipes, column.recipe)
            decode_dir = folder / "exp" / name / f"decode_{column.set}"
            measured = _read(measured, folder / "data" / column.set, decode_dir, plan.regime)
            measured = measured if measured.problem else _compared(measured, folder)
            info = info or _info(decode_dir)
        columns.append(measured)
    benchmark = Benchmark(name, plan, columns, info, note)
    if not benchmark.there:
        raise UserError(f"no column has a figure ({'; '.join(benchmark.absent())})")
    return benchmark


def _info(decode_dir: Path) -> dict[str, Any]:
    path = decode_dir / "model_info.json"
    info = read_json(path, "decode this set again (stage 4)") if path.exists() else {}
    return info if isinstance(info, dict) else {}


def _read(measured: Measured, data_dir: Path, decode_dir: Path, regime: str) -> Measured:
    """The figures of one column."""
    column, suffix = measured.column, SUFFIXES[regime]
    rate = read_rate(decode_dir / f"wer{suffix}")
    if rate.regime != regime:
        raise UserError(f"{decode_dir}/wer{suffix} is scored in the regime {rate.regime}, not {regime}")
    folder = decode_dir / f"scoring{suffix}"
    utterances = [utterance for utterance in read_utterances(folder) if utterance.id.startswith(column.subset)]
    dropped = sum(line.startswith(column.subset) for line in read_lines(folder / "dropped_utts"))
    if not utterances:
        return replace(measured, problem=f"no utterance of {data_dir} begins with {column.subset!r}")
    if not rate.protocol.startswith("stm"):
        own = read_table(data_dir / "utt2spk")
        check_ids_meet([utterance.id for utterance in utterances], str(folder), own, str(data_dir))
    counts = by_speaker(utterances)[1].counts
    return replace(
        measured,
        utterances=utterances,
        protocol=rate.protocol,
        dropped=dropped,
        percent=counts.percent,
        words=counts.words,
        interval=interval(utterances),
        here=Counts(len(utterances) + dropped),
    )


def _compared(measured: Measured, folder: Path) -> Measured:
    """With the release and the words of the set in a recipe's folder, and what it has officially."""
    column, data_dir = measured.column, folder / "data" / measured.column.set
    release, path = measured.release, folder / "conf" / "official_counts"
    names = [column.counts or column.set]
    if (data_dir / "release").exists():
        release = read_text(data_dir / "release", "prepare this set again (stage 1)").strip()
        names.append(f"{names[0]}@{release}")
    official = _official(path, names) or Counts(column.utterances, column.words, column.table)
    words = None
    if official.words is not None:
        table = read_table(data_dir / official.table, may_be_empty=True)
        words = sum(len(text.split()) for name, text in table.items() if name.startswith(column.subset))
    here = replace(measured.here, words=words, table=official.table)
    return replace(measured, release=release, here=here, official=official)


def _official(path: Path, names: Sequence[str]) -> Counts | None:
    """What the first line of ``official_counts`` for one of the names says; None where there is none.

    ``-`` is not known, and an stm's words (``scored``) are no table's. What follows ``#`` is a comment.

    Raises:
        UserError: that line is not of this form.
    """
    for number, line in enumerate(read_lines(path) if path.exists() else [], 1):
        name, *fields = line.partition("#")[0].split() or [""]
        if name not in names:
            continue
        try:
            utterances, words, table, _ = [*fields, *("-", "text", "-")[max(0, len(fields) - 1) :]]
            known = None if utterances == "-" else int(utterances)
            return Counts(known) if words == "-" or table == "scored" else Counts(known, int(words), table)
        except ValueError:
            form = "<set> <utterances> [<words> <table of the words> [<hours>]]"
            raise UserError(f"{path}:{number}: {line.strip()!r} is not {form}") from None
    return None
