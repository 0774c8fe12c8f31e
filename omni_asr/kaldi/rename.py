"""Copies of a data directory under other ids: with a prefix or suffix, or played faster and slower."""

import logging
import os
from collections.abc import Callable, Sequence

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import DataDir, kind_of, misplaced_speaker, write_data_dir
from omni_asr.kaldi.speed import add_speed
from omni_asr.kaldi.tables import to_number
from omni_asr.kaldi.validate import FEATURE_TABLES, PARTIAL

log = logging.getLogger(__name__)

Tables = dict[str, dict[str, str]]
Rename = Callable[[str], str]


def renamed(data: DataDir, utt: Rename, spk: Rename, reco: Rename) -> Tables:
    """Every table with new ids; utt2uniq keeps the old id of each utterance, as in Kaldi."""
    rules = {"utt": utt, "spk": spk, "reco": reco}
    tables: Tables = {}
    for name in data.names:
        kind = kind_of(name)
        if kind in rules and name != "spk2utt":
            rename = rules[kind]
            tables[name] = {rename(key): value for key, value in data.table(name).items()}
    if "utt2spk" in tables:
        tables["utt2spk"] = {key: spk(speaker) for key, speaker in tables["utt2spk"].items()}
    if data.segments is not None:  # which checks every line
        for key, value in tables["segments"].items():
            recording, start, end = value.split()
            tables["segments"][key] = f"{reco(recording)} {start} {end}"
    tables.setdefault("utt2uniq", {utt(key): key for key in data.utterances})
    return tables


def copy_data_dir(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    utt_affixes: tuple[str, str] = ("", ""),
    spk_affixes: tuple[str, str] = ("", ""),
) -> int:
    """Copy with (prefix, suffix) on utterances and on speakers; return the number of utterances.

    Recordings keep their ids where there are segments; otherwise they are the utterances.

    Raises:
        UserError: ``out`` is ``source``, or an affix holds white space.
    """
    data = DataDir(source)
    _different(source, out)
    if any(len(affix.split()) > 1 or affix != affix.strip() for affix in (*utt_affixes, *spk_affixes)):
        raise UserError("a prefix or suffix must not hold white space")

    def utt(key: str) -> str:
        return f"{utt_affixes[0]}{key}{utt_affixes[1]}"

    def spk(key: str) -> str:
        return f"{spk_affixes[0]}{key}{spk_affixes[1]}"

    def same(key: str) -> str:
        return key

    changed = any(utt_affixes)
    reco = same if data.segments is not None else utt
    tables = renamed(data, utt, spk, reco)
    if not changed and not data.has("utt2uniq"):
        del tables["utt2uniq"]
    stm = data.stm_lines(data.recordings_of(data.utterances)) if data.has("stm") else None
    if stm is not None and changed and reco is utt and not data.has("reco2file_and_channel"):
        log.info("%s: stm is left out, because it names recordings by their old ids", out)
        stm = None
    write_data_dir(out, tables, data.copied, stm)
    return len(data.utterances)


def perturb_speed(
    source: str | os.PathLike[str], out: str | os.PathLike[str], factors: Sequence[float] = (0.9, 1.0, 1.1)
) -> int:
    """Write a directory with every utterance at several speeds; return how many utterances it has.

    Utterances, speakers and recordings get the prefix ``sp<factor>-``; at 1 they keep their ids. Features, numbers
    of samples and an stm are not carried: the audio that they tell of changes.

    Raises:
        UserError: ``out`` is ``source``, a factor is not positive or given twice, or a table is broken.
    """
    data = DataDir(source)
    _different(source, out)
    if len(set(factors)) < len(factors) or not all(0.1 <= factor <= 10 for factor in factors):
        raise UserError(f"speed factors must differ and lie between 0.1 and 10, not {' '.join(map(str, factors))}")
    joined: Tables = {}
    for factor in factors:
        for name, table in _at_speed(data, factor).items():
            joined.setdefault(name, {}).update(table)
    expected = len(data.utterances) * len(factors)
    if len(joined["utt2uniq"]) != expected:
        raise UserError(f"{source} is perturbed already: ids start with 'sp<factor>-'; perturb the original instead")
    if problem := misplaced_speaker(joined.get("utt2spk", {})):
        log.warning("%s: %s", out, problem)
    if data.has("stm"):
        log.warning("%s: stm is left out, because its times are those of the recordings as they were", out)
    write_data_dir(out, joined)
    return expected


def _at_speed(data: DataDir, factor: float) -> Tables:
    def rename(key: str) -> str:
        return key if factor == 1 else f"sp{factor:g}-{key}"

    tables = renamed(data, rename, rename, rename)
    for name in (*FEATURE_TABLES, PARTIAL, "utt2num_samples"):  # they count what changes, and can be made again
        tables.pop(name, None)
    if factor == 1:
        return tables
    tables["wav.scp"] = {key: add_speed(value, factor) for key, value in tables["wav.scp"].items()}
    for name in {"utt2dur", "reco2dur"} & set(tables):
        for key, value in data.table(name).items():
            tables[name][rename(key)] = _scaled(value, factor, f"{data.path / name}: {key}")
    for key, value in tables.get("segments", {}).items():
        recording, start, end = value.split()
        where = f"{data.path / 'segments'}: {key}"
        end = end if to_number(end, where) == -1 else _scaled(end, factor, where)
        tables["segments"][key] = f"{recording} {_scaled(start, factor, where)} {end}"
    return tables


def _scaled(seconds: str, factor: float, where: str) -> str:
    return f"{to_number(seconds, where, 'length') / factor:.6f}".rstrip("0").rstrip(".")


def _different(source: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    if os.path.realpath(source) == os.path.realpath(out):
        raise UserError(f"{out} is the source itself; name another directory")
