"""Score one decoded set: count errors and write the tables that people and sclite read."""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.ctm import Alternation, Token, read_ctm, write_ctm
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.data_dir import Segment as Part
from omni_asr.kaldi.glm import read_glm
from omni_asr.kaldi.stm import Label, Segment, read_stm, write_stm
from omni_asr.kaldi.tables import read_entries
from omni_asr.kaldi.trn import utterance_ids, write_trn
from omni_asr.scoring.align import Counts, align_all, fold_case
from omni_asr.scoring.bootstrap import interval_line, intervals
from omni_asr.scoring.breakdown import Groups, by_length, by_table, error_lists, unknown_words
from omni_asr.scoring.decoded import decoded_tokens, names_in_data, recordings_by_place, undecoded
from omni_asr.scoring.filters import Filter
from omni_asr.scoring.hypotheses import HYPOTHESIS_FILTERS
from omni_asr.scoring.per_utt import write_utterances
from omni_asr.scoring.regimes import PLAIN, SUFFIXES, protocol_line, regime_line
from omni_asr.scoring.reports import breakdown, count_characters, markdown, per_speaker, summary_line
from omni_asr.scoring.result_files import ResultFiles, hypotheses_line, is_stale
from omni_asr.scoring.rewriting import joined, mapped, normalized
from omni_asr.scoring.sclite import Utterance, by_speaker, report, speakers_of
from omni_asr.scoring.segments import Scored, by_time, score_segments
from omni_asr.scoring.transcripts import Transcripts, read_transcripts, split_words
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

_NAME = re.compile(r"[\w.+-]+")
_NOT_IN_NAMES = re.compile(r"[^\w.+-]")


@dataclass(frozen=True)
class Protocol:
    """How a set is scored."""

    regime: str = "verbatim"
    """One of REGIMES."""
    stm: Path | None = None
    """References with times; without it, ``text`` of the data directory."""
    ctm: Path | None = None
    """Recognised words with times; without it, those of the decoding."""
    glm: Path | None = None
    subsets: Mapping[str, str] = field(default_factory=dict)
    """Names of subsets, and how the names of their files (of utterances, without an stm) begin."""
    by: Sequence[str] = ()
    """What to break the results down by: ``length``, a table of the data directory such as ``utt2snr``, or a path."""
    train_text: Path | None = None
    """``text`` of the training data; words that are not in it are out of vocabulary."""
    blocks: str = ""
    """What the bootstrap draws: ``speakers`` or ``utterances``; by default speakers where there are several."""
    hyp_filter: str = ""
    """One of HYPOTHESIS_FILTERS, or none."""
    join_hyphens: bool = False
    """Whether words that an utterance's reference joins by hyphens are joined in its hypothesis."""

    def __post_init__(self) -> None:
        if (self.regime == "glm") != (self.glm is not None):
            raise UserError("--regime glm and --glm FILE belong together; Whisper's normaliser takes the glm's place")
        if self.ctm and not self.stm:
            raise UserError("--ctm needs --stm: words with times are compared with references with times")
        if self.hyp_filter and not self.stm:
            raise UserError("--hyp-filter needs --stm: it works on recognised words with times")
        if self.join_hyphens and self.stm:
            raise UserError("--join-hyphens does not go with --stm: there, hyphens part words on both sides")
        for name in self.subsets:
            if not _NAME.fullmatch(name) or name == "all":
                raise UserError(f"--subset {name!r}: a name of letters, digits and . + - _ was expected, and not 'all'")
        self._check_by()

    def _check_by(self) -> None:
        names = [Path(what).name for what in self.by]
        for what, name in zip(self.by, names, strict=True):
            if not _NAME.fullmatch(name):
                raise UserError(f"--by {what!r}: 'length' or a table such as utt2snr was expected")
            if names.count(name) > 1:
                raise UserError(f"--by {what}: given twice; both would write by_{name}.md")

    @property
    def suffix(self) -> str:
        """What names of results end in."""
        return SUFFIXES[self.regime]

    @property
    def name(self) -> str:
        """What beside the regime decides about counts, such as ``stm, glm 3f2a91bc``; a glm by a digest."""
        parts = ["stm" if self.stm else PLAIN]
        parts += [f"glm {hashlib.sha256(self.glm.read_bytes()).hexdigest()[:8]}"] if self.glm else []
        parts += [f"hyp-filter {self.hyp_filter}"] if self.hyp_filter else []
        return ", ".join([*parts, "join-hyphens"] if self.join_hyphens else parts)


@dataclass(frozen=True)
class Aligned:
    """A scored set."""

    utterances: list[Utterance]
    subsets: dict[str, list[Utterance]]
    """Some of them each, by the name of the subset."""
    missing: list[str]
    dropped: list[str]
    """Utterances whose reference is empty after normalisation; they count nowhere."""
    timed: tuple[list[Segment], list[Label], list[Token | Alternation]] | None = None
    """What was aligned, where it has times: ``ref.stm`` and ``hyp.ctm``."""
    segments: Mapping[str, Part] = field(default_factory=dict)
    """Where utterances are in the recordings of the data directory, of an stm those whose recording it has."""


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
    aligned = (_align_times if protocol.stm else _align_texts)(data_dir, files.decode_dir, protocol)
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


def align_words(transcripts: Transcripts) -> list[Utterance]:
    """Align every utterance in words, which mean nothing but themselves."""
    references, hypotheses = (
        [split_words(text) for text in side.values()] for side in (transcripts.references, transcripts.hypotheses)
    )
    operations = align_all(references, hypotheses)
    names = transcripts.references
    return [
        Utterance(name, transcripts.speakers[name], reference, hypothesis, letters)
        for name, reference, hypothesis, letters in zip(names, references, hypotheses, operations, strict=True)
    ]


def _align_texts(data_dir: str | os.PathLike[str], decode_dir: Path, protocol: Protocol) -> Aligned:
    """Score utterances by their ids."""
    transcripts = read_transcripts(data_dir, decode_dir, protocol.regime)
    dropped: list[str] = []
    if protocol.regime == "whisper":
        transcripts, dropped = normalized(transcripts)
    if protocol.glm:
        transcripts = mapped(transcripts, protocol.glm, split_hyphens=not protocol.join_hyphens)
    if protocol.join_hyphens:
        transcripts = joined(transcripts)
    utterances = align_words(transcripts)
    subsets = {
        name: _subset(name, [u for u in utterances if u.id.startswith(prefix)])
        for name, prefix in protocol.subsets.items()
    }
    return Aligned(utterances, subsets, transcripts.missing, dropped)


def _align_times(data_dir: str | os.PathLike[str], decode_dir: Path, protocol: Protocol) -> Aligned:
    """Score recognised words by the segments they fall into."""
    assert protocol.stm
    segments, labels = read_stm(protocol.stm)
    segments = by_time(segments)
    tokens = by_time(read_ctm(protocol.ctm) if protocol.ctm else decoded_tokens(data_dir, decode_dir))
    if all(segment.is_ignored for segment in segments):
        raise UserError(f"{protocol.stm} has no segment to score")
    if protocol.hyp_filter:
        tokens = HYPOTHESIS_FILTERS[protocol.hyp_filter](tokens)
    if protocol.glm:
        segments = Filter(read_glm(protocol.glm, ("stm", "ref"))).segments(segments)
        tokens = Filter(read_glm(protocol.glm, ("ctm", "hyp"))).tokens(tokens)
    scored = score_segments(segments, tokens)
    missing = [f"{file} {channel}" for file, channel in scored.missing]
    if not protocol.ctm or (decode_dir / "text").exists():  # words with times may come without such a file
        missing += undecoded(data_dir, decode_dir)
    dropped: list[str] = []
    is_whisper = protocol.regime == "whisper"
    if is_whisper:
        scored, dropped = _normalized_segments(scored)
    timed = None if is_whisper else (segments, labels, tokens)
    parts = _parts(scored, data_dir)
    return Aligned(scored.utterances, _timed_subsets(scored, labels, protocol), missing, dropped, timed, parts)


def _parts(scored: Scored, data_dir: str | os.PathLike[str]) -> dict[str, Part]:
    """Where segments are in the recordings that the data directory has, by the ids of their utterances."""
    recordings, parts = recordings_by_place(DataDir(data_dir)), {}
    for utterance, segment in zip(scored.utterances, scored.segments, strict=True):
        recording = recordings.get((fold_case(segment.file), fold_case(segment.channel)))
        if recording is not None:
            parts[utterance.id] = Part(recording, segment.begin, segment.end)
    return parts


def _timed_subsets(scored: Scored, labels: Sequence[Label], protocol: Protocol) -> dict[str, list[Utterance]]:
    """Segments by the labels that an stm declares, and by the names of files."""
    subsets: dict[str, list[Utterance]] = {}
    both = list(zip(scored.utterances, scored.segments, strict=True))
    for label in labels:
        group = [u for u, segment in both if fold_case(label.id) in map(fold_case, segment.labels)]
        name = _NOT_IN_NAMES.sub("_", label.id)
        if group and (name == "all" or fold_case(name) in map(fold_case, subsets)):
            log.warning("%s: the label %s has no row of its own: its name is taken", protocol.stm, label.id)
        elif group:
            subsets[name] = group
    for name, prefix in protocol.subsets.items():
        if fold_case(name) in map(fold_case, subsets):
            raise UserError(f"--subset {name}: the stm declares a label of this name; choose another")
        subsets[name] = _subset(name, [u for u, s in both if fold_case(s.file).startswith(fold_case(prefix))])
    return subsets


def _subset(name: str, utterances: list[Utterance]) -> list[Utterance]:
    if not utterances:
        raise UserError(f"--subset {name}: nothing begins like that")
    return utterances


def _normalized_segments(scored: Scored) -> tuple[Scored, list[str]]:
    """Segments as utterances, normalised."""
    texts = zip(scored.utterances, scored.segments, strict=True)
    transcripts, dropped = normalized(
        Transcripts(
            {u.id: segment.text for u, segment in texts},
            {u.id: " ".join(u.hypothesis) for u in scored.utterances},
            {u.id: u.speaker for u in scored.utterances},
            [],
        )
    )
    kept = [s for u, s in zip(scored.utterances, scored.segments, strict=True) if u.id in transcripts.references]
    return Scored(kept, align_words(transcripts), scored.missing), dropped


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
