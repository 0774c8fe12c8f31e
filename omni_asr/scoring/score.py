"""Score one decoded set: count errors and write the tables that people and sclite read."""

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.ctm import Alternation, Token, read_ctm, write_ctm
from omni_asr.kaldi.glm import read_glm
from omni_asr.kaldi.stm import Label, Segment, read_stm, write_stm
from omni_asr.kaldi.tables import read_entries
from omni_asr.kaldi.trn import utterance_ids, write_trn
from omni_asr.scoring.align import Counts, align_all, fold_case
from omni_asr.scoring.bootstrap import interval_line, intervals
from omni_asr.scoring.breakdown import by_length, by_table, error_lists, unknown_words
from omni_asr.scoring.decoded import decoded_tokens, undecoded
from omni_asr.scoring.filters import Filter
from omni_asr.scoring.regimes import SUFFIXES, regime_line
from omni_asr.scoring.reports import breakdown, count_characters, markdown, per_speaker, per_utterance, summary_line
from omni_asr.scoring.sclite import Utterance, by_speaker, report
from omni_asr.scoring.segments import Scored, by_time, score_segments
from omni_asr.scoring.transcripts import Transcripts, read_transcripts, split_words
from omni_asr.text.whisper_english import whisper_normalizer

log = logging.getLogger("score")

STALE = ("wer_*", "ref.*", "hyp.*", "by_*.md", "oov", "errors.html")  # what a scoring need not write, or another makes

_NAME = re.compile(r"[\w.+-]+")


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

    def __post_init__(self) -> None:
        if (self.regime == "glm") != (self.glm is not None):
            raise UserError("--regime glm and --glm FILE belong together; Whisper's normaliser takes the glm's place")
        if not self.stm and (self.glm or self.ctm):
            raise UserError("--glm and --ctm need --stm: rules and times apply to references with times")
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
            if self.stm and what != "length":
                raise UserError(f"--by {what}: segments of an stm are not in such a table; label them in the stm")

    @property
    def suffix(self) -> str:
        """What names of results end in."""
        return SUFFIXES[self.regime]


@dataclass(frozen=True)
class Aligned:
    """A scored set."""

    utterances: list[Utterance]
    groups: dict[str, list[Utterance]]
    """All of them, and subsets."""
    missing: list[str]
    dropped: list[str]
    """Utterances whose reference is empty after normalisation; they count nowhere."""


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
    suffix, decode_dir = protocol.suffix, Path(decode_dir)
    folder, best = decode_dir / f"scoring{suffix}", decode_dir / "scoring_kaldi" / "best_wer"
    rates = [decode_dir / f"{name}{suffix}" for name in ("wer", "cer")] + ([] if suffix else [best])
    earlier = [path for pattern in STALE for path in folder.glob(pattern)]
    for path in [*rates, *earlier]:  # nothing of an earlier scoring, perhaps by another protocol, may stay
        path.unlink(missing_ok=True)
    aligned = (
        _align_times(data_dir, decode_dir, protocol, folder)
        if protocol.stm
        else _align_texts(data_dir, decode_dir, protocol, folder)
    )
    utterances, regime = aligned.utterances, regime_line(protocol.regime)
    _write(folder / "per_utt", per_utterance(utterances))
    _write(folder / "per_spk", per_speaker(utterances))
    sure = intervals(aligned.groups)
    lines = [interval_line(name, by_speaker(group)[1].counts, sure[name]) for name, group in aligned.groups.items()]
    _write(folder / "ci", [*lines, regime])
    _write(folder / "result.md", markdown(aligned.groups, protocol.regime, sure))
    _write(folder / "missing_hyps", (f"{name}\n" for name in aligned.missing))
    _write(folder / "dropped_utts", (f"{name}\n" for name in aligned.dropped))
    characters = count_characters(utterances)
    _write_breakdowns(folder, utterances, characters, protocol, data_dir)
    _warn(aligned, folder)
    for name, group in aligned.groups.items():
        if name != "all":
            _write(folder / f"wer_{name}", [summary_line("WER", by_speaker(group)[1].counts) + "\n" + regime])
    total = by_speaker(utterances)[1]
    line = summary_line("WER", total.counts)
    _write(decode_dir / f"cer{suffix}", [summary_line("CER", sum(characters.values(), Counts())) + "\n" + regime])
    if not suffix:
        _write(best, [f"{line} {decode_dir / 'wer'}\n"])
    sentences = f"%SER {total.percents[-1]:.2f} [ {total.wrong_sentences} / {total.sentences} ]"
    scored = f"Scored {total.sentences} sentences, {len(aligned.missing)} not present in hyp."
    _write(decode_dir / f"wer{suffix}", [f"{line}\n{sentences}\n{scored}\n{regime}"])
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


def _align_texts(data_dir: str | os.PathLike[str], decode_dir: Path, protocol: Protocol, folder: Path) -> Aligned:
    """Score utterances by their ids."""
    transcripts = read_transcripts(data_dir, decode_dir)
    dropped: list[str] = []
    if protocol.regime == "whisper":
        transcripts, dropped = _normalized(transcripts)
    utterances = align_words(transcripts)
    _write_sclite_files(folder, utterances, protocol.regime)
    groups = {"all": utterances}
    for name, prefix in protocol.subsets.items():
        groups[name] = _subset(name, [u for u in utterances if u.id.startswith(prefix)])
    return Aligned(utterances, groups, transcripts.missing, dropped)


def _align_times(data_dir: str | os.PathLike[str], decode_dir: Path, protocol: Protocol, folder: Path) -> Aligned:
    """Score recognised words by the segments they fall into."""
    assert protocol.stm
    segments, labels = read_stm(protocol.stm)
    segments = by_time(segments)
    tokens = by_time(read_ctm(protocol.ctm) if protocol.ctm else decoded_tokens(data_dir, decode_dir))
    if all(segment.is_ignored for segment in segments):
        raise UserError(f"{protocol.stm} has no segment to score")
    if protocol.glm:
        segments = Filter(read_glm(protocol.glm, ("stm", "ref"))).segments(segments)
        tokens = Filter(read_glm(protocol.glm, ("ctm", "hyp"))).tokens(tokens)
    scored = score_segments(segments, tokens)
    missing = [f"{file} {channel}" for file, channel in scored.missing]
    missing += [] if protocol.ctm else undecoded(data_dir, decode_dir)
    utterances = scored.utterances
    dropped: list[str] = []
    if protocol.regime == "whisper":
        scored, dropped = _normalized_segments(scored)
        utterances = scored.utterances
        _write_sclite_files(folder, utterances, protocol.regime)
    else:
        _write_time_files(folder, segments, labels, tokens)
        _write(folder / "result.txt", report(utterances, _title("hyp.ctm", protocol.regime)))
    groups = {"all": utterances}
    for label in labels:
        group = [
            u
            for u, s in zip(utterances, scored.segments, strict=True)
            if fold_case(label.id) in map(fold_case, s.labels)
        ]
        if group and _NAME.fullmatch(label.id):
            groups[label.id] = group
    for name, prefix in protocol.subsets.items():
        own = [
            u
            for u, s in zip(utterances, scored.segments, strict=True)
            if fold_case(s.file).startswith(fold_case(prefix))
        ]
        groups[name] = _subset(name, own)
    return Aligned(utterances, groups, missing, dropped)


def _subset(name: str, utterances: list[Utterance]) -> list[Utterance]:
    if not utterances:
        raise UserError(f"--subset {name}: nothing begins like that")
    return utterances


def _normalized(transcripts: Transcripts) -> tuple[Transcripts, list[str]]:
    """Both sides normalised; utterances of which no reference is left are taken out on both sides."""
    normalize = whisper_normalizer()
    references = {name: normalize(text) for name, text in transcripts.references.items()}
    kept = [name for name, text in references.items() if text]
    dropped = [name for name, text in references.items() if not text]
    if not kept:
        raise UserError("no reference has a word left after normalisation")
    return Transcripts(
        {name: references[name] for name in kept},
        {name: normalize(transcripts.hypotheses[name]) for name in kept},
        transcripts.speakers,
        [name for name in transcripts.missing if references[name]],
    ), dropped


def _normalized_segments(scored: Scored) -> tuple[Scored, list[str]]:
    """Segments as utterances, normalised."""
    texts = zip(scored.utterances, scored.segments, strict=True)
    transcripts, dropped = _normalized(
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
    renamed = [replace(u, id=names[u.id], speaker=names[u.id].split("-")[0]) for u in utterances]
    _write(folder / "result.txt", report(renamed, _title("hyp.trn", regime)))


def _write_time_files(
    folder: Path, segments: Iterable[Segment], labels: Sequence[Label], tokens: Iterable[Token | Alternation]
) -> None:
    """``ref.stm`` and ``hyp.ctm`` as they were aligned (``sclite -r ref.stm stm -h hyp.ctm ctm -D -F``)."""
    write_stm(folder / "ref.stm", segments, labels)
    write_ctm(folder / "hyp.ctm", tokens)


def _write_breakdowns(
    folder: Path,
    utterances: Sequence[Utterance],
    characters: Mapping[str, Counts],
    protocol: Protocol,
    data_dir: str | os.PathLike[str],
) -> None:
    """Lists of errors, tables by length or by the values of files, and words outside the training text."""
    regime = regime_line(protocol.regime)
    _write(folder / "errors", [regime, *error_lists(utterances)])
    for what in protocol.by:
        path = Path(what) if "/" in what else Path(data_dir, what)
        groups = by_length(utterances) if what == "length" else by_table(utterances, path)
        title = "words" if what == "length" else path.name
        _write(folder / f"by_{path.name}.md", breakdown(title, groups, protocol.regime, characters))
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
        (aligned.missing, "have no hypothesis; their words count as deleted", "missing_hyps"),
        (aligned.dropped, "have no reference after normalisation and are left out", "dropped_utts"),
    ]:
        if names:
            log.warning("%d of the set %s (listed in %s)", len(names), what, folder / file)


def _write(path: Path, pieces: Iterable[str]) -> None:
    with atomic_write(path) as file:
        file.writelines(pieces)
