"""Score one decoded set: count errors and write the tables that people and sclite read."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.ctm import write_ctm
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.stm import write_stm
from omni_asr.kaldi.tables import read_entries
from omni_asr.kaldi.trn import utterance_ids, write_trn
from omni_asr.scoring.align import Counts, fold_case
from omni_asr.scoring.aligned import Aligned, align_set
from omni_asr.scoring.bootstrap import interval_line, intervals
from omni_asr.scoring.breakdown import Groups, by_length, by_table, error_lists, unknown_words
from omni_asr.scoring.decoded import names_in_data
from omni_asr.scoring.per_utt import write_utterances
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.regimes import SUFFIXES, protocol_line, regime_line
from omni_asr.scoring.reports import breakdown, count_characters, markdown, per_speaker, summary_line
from omni_asr.scoring.result_files import ResultFiles, hypotheses_line, is_stale
from omni_asr.scoring.sclite import Utterance, by_speaker, report, speakers_of
from omni_asr.text.whisper_english import whisper_normalizer

log = logging.getLogger("score")

STALE = (
    "wer_*",
    "cer_*",
    "utts_*",
    "ref.*",
    "hyp.*",
    "segments",
    "by_*.md",
    "oov",
    "errors.html",
)  # what a scoring need not write, or another makes


def score(
    data_dir: str | os.PathLike[str], decode_dir: str | os.PathLike[str], protocol: Protocol | None = None
) -> str:
    """Score a decoding against its data directory and write all tables; returns the ``%WER`` line.

    Writes into ``decode_dir``: ``wer`` (last, so it stands for a complete result), ``cer``, ``scoring/`` and
    ``scoring_kaldi/best_wer``; in the regime whisper ``wer_whisper``, ``cer_whisper`` and ``scoring_whisper/``.

    Raises:
        UserError: a file is missing or malformed, named by file and line; ids do not fit.
    """
    protocol = protocol or Protocol()
    files = ResultFiles(Path(decode_dir), protocol.suffix)
    _check_places(files, protocol)
    aligned = align_set(data_dir, files.decode_dir, protocol)
    breakdowns = _breakdowns(aligned, protocol, data_dir)
    _remove_earlier(files)
    _write_alignment(files.folder, aligned, protocol.regime)
    utterances, regime = aligned.utterances, regime_line(protocol.regime)
    groups = {"all": utterances, **aligned.subsets}
    sure = intervals(groups, protocol.blocks)
    lines = {name: interval_line(name, by_speaker(group)[1].counts, sure[name]) for name, group in groups.items()}
    _write(files.folder / "ci", [*lines.values(), regime])
    _write(files.folder / "result.md", markdown(groups, protocol.regime, sure))
    _write(files.folder / "missing_hyps", (f"{name}\n" for name in aligned.missing))
    _write(files.folder / "dropped_utts", (f"{name}\n" for name in aligned.dropped))
    characters = count_characters(utterances)
    _write_breakdowns(files.folder, utterances, characters, protocol, breakdowns)
    _warn(aligned, files.folder)
    named = protocol_line(protocol.name) + regime
    for name, group in aligned.subsets.items():
        own = replace(files, subset=name)
        if name in protocol.subsets:
            _write(own.members, (f"{utterance.id}\n" for utterance in group))
        _write_rates(own, group, characters, lines[name], named)
    listed = f"Scored {len(utterances)} sentences, {len(aligned.missing)} not present in hyp.\n"
    line = _write_rates(files, utterances, characters, listed, named)
    if not files.suffix:
        best = files.decode_dir / "scoring_kaldi" / "best_wer"
        _write(best, [f"{line} {files.rate('wer')}\n"])
    return line


def _check_places(files: ResultFiles, protocol: Protocol) -> None:
    """Refuse to read what will be replaced, and to write where there is no folder.

    Raises:
        UserError: an input lies in the folder of results, or the decode directory is none.
    """
    if not files.decode_dir.is_dir():
        raise UserError(f"{files.decode_dir} is no directory; give the folder that the decoding wrote")
    for path in (protocol.stm, protocol.ctm, protocol.glm, protocol.train_text):
        if path and files.folder.resolve() in path.resolve().parents:
            raise UserError(f"{path} lies in {files.folder}, which scoring replaces; copy it elsewhere first")


def _remove_earlier(files: ResultFiles) -> None:
    """Remove what an earlier scoring left, perhaps by another protocol, and all that is of other hypotheses."""
    suffixes = {
        files.suffix,
        *(s for s in SUFFIXES.values() if is_stale(files.decode_dir, files.decode_dir / f"wer{s}")),
    }
    for one in (replace(files, suffix=suffix) for suffix in suffixes):
        stale = [path for pattern in STALE for path in one.folder.glob(pattern)]
        best = [] if one.suffix else [one.decode_dir / "scoring_kaldi" / "best_wer"]
        for path in [one.rate("wer"), one.rate("cer"), *best, *stale]:
            path.unlink(missing_ok=True)


def _write_alignment(folder: Path, aligned: Aligned, regime: str) -> None:
    """The alignment for people, for programs, and for sclite."""
    utterances = aligned.utterances
    write_utterances(folder, utterances, aligned.segments)
    _write(folder / "per_spk", per_speaker(utterances))
    if aligned.timed:
        segments, labels, tokens = aligned.timed
        write_stm(folder / "ref.stm", segments, labels)  # sclite -r ref.stm stm -h hyp.ctm ctm -D -F
        write_ctm(folder / "hyp.ctm", tokens)
        _write(folder / "result.txt", report(utterances, _title("hyp.ctm", regime)))
    else:
        _write_sclite_files(folder, utterances, regime)


def _write_rates(
    files: ResultFiles, utterances: Sequence[Utterance], characters: Mapping[str, Counts], said: str, named: str
) -> str:
    """``wer`` and ``cer`` of a set or subset, ``wer`` last, since it stands for a complete result; returns its line."""
    total, letters = by_speaker(utterances)[1], sum((characters[u.id] for u in utterances), Counts())
    line, hypotheses = summary_line("WER", total.counts), hypotheses_line(files.decode_dir)
    sentences = f"%SER {total.percents[-1]:.2f} [ {total.wrong_sentences} / {total.sentences} ]\n"
    _write(files.rate("cer"), [summary_line("CER", letters) + "\n", hypotheses, named])
    _write(files.rate("wer"), [f"{line}\n", sentences, said, hypotheses, named])
    return line


def _title(name: str, regime: str) -> str:
    return f"{name} ({regime})"


def _write_sclite_files(folder: Path, utterances: Sequence[Utterance], regime: str) -> None:
    """``ref.trn``, ``hyp.trn`` and what sclite prints for them (``sclite -i rm -o all stdout``)."""
    names = utterance_ids((utterance.id, utterance.speaker) for utterance in utterances)
    write_trn(folder / "ref.trn", ((names[u.id], u.reference) for u in utterances))
    write_trn(folder / "hyp.trn", ((names[u.id], u.hypothesis) for u in utterances))
    speakers = speakers_of(names[u.id] for u in utterances)
    renamed = [replace(u, id=names[u.id], speaker=speaker) for u, speaker in zip(utterances, speakers, strict=True)]
    _write(folder / "result.txt", report(renamed, _title("hyp.trn", regime)))


def _breakdowns(aligned: Aligned, protocol: Protocol, data_dir: str | os.PathLike[str]) -> dict[str, Groups]:
    """Utterances by length or by the values of files, by the names of these.

    Raises:
        UserError: a file is missing or malformed, or has no line for one of the utterances or speakers.
    """
    names = None
    if protocol.stm and set(protocol.by) - {"length"}:
        names = names_in_data(aligned.utterances, aligned.segments, DataDir(data_dir))
    found = {}
    for what in protocol.by:
        path = Path(what) if "/" in what else Path(data_dir, what)
        by_what = by_length(aligned.utterances) if what == "length" else by_table(aligned.utterances, path, names)
        found[path.name] = by_what
    return found


def _write_breakdowns(
    folder: Path,
    utterances: Sequence[Utterance],
    characters: Mapping[str, Counts],
    protocol: Protocol,
    breakdowns: Mapping[str, Groups],
) -> None:
    """Lists of errors, tables of groups, and words outside the training text."""
    regime = regime_line(protocol.regime)
    _write(folder / "errors", [regime, *error_lists(utterances)])
    for name, groups in breakdowns.items():
        title = "words" if name == "length" else name
        _write(folder / f"by_{name}.md", breakdown(title, groups, protocol.regime, characters, protocol.blocks))
    if protocol.train_text:
        found = unknown_words(utterances, _vocabulary(protocol.train_text, protocol.regime))
        rows = (f"{count:6d} {right:6d}  {word}\n" for word, count, right in found.unknown)
        _write(folder / "oov", [f"{found}\n", regime, "\n times  right  word\n", *rows])


def _vocabulary(path: Path, regime: str) -> set[str]:
    """Words of a training text in lower case, normalised as the regime does unless that is a global map's work."""
    normalize = whisper_normalizer() if regime == "whisper" else str
    words: set[str] = set()
    for _, _, text in read_entries(path, may_be_empty=True):
        words.update(normalize(text).replace("\t", " ").split(" "))  # as split_words does, but at once
    return {fold_case(word) for word in words}


def _warn(aligned: Aligned, folder: Path) -> None:
    """Say what was deleted or left out, and where the list is."""
    for names, what, file in [
        (aligned.missing, "without a hypothesis, so that its words count as deleted", "missing_hyps"),
        (aligned.dropped, "without a reference after normalisation, so left out", "dropped_utts"),
    ]:
        if names:
            log.warning("%s: %d of the set (listed in %s)", what, len(names), folder / file)


def _write(path: Path, pieces: Iterable[str]) -> None:
    with atomic_write(path) as file:
        file.writelines(pieces)
