"""Hub5'00 (eval2000): LDC2002S09 (audio) and LDC2002T43 (transcripts), the test of Switchboard and of CallHome.

    LDC2002S09/hub5e_00/english/{hub5e_00.pem,sw_NNNN.sph,en_NNNN.sph}
    LDC2002T43/[2000_hub5_eng_eval_tr/]reference/{hub5e00.english.000405.stm,en20000405_hub5.glm}

Calls may have been converted to ``.wav`` or ``.flac`` of two channels.

A set has the segments of the pem, which are those of the stm, widened by up to 0.1 s on either side but never into each
other, and beside the usual tables:

* ``stm``, mended as everyone does, with a declaration of every label, and ``glm``, for scoring by segments,
* ``text``, which no score is made of: the words in the one convention of training texts, without hesitations,
* ``text_whisper``: without tags and without the words that a recogniser may leave out, for Whisper's normaliser.

Segments that are not scored are excluded; those whose reference has no words stay, since insertions count.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omni_asr.audio.source import AudioError
from omni_asr.corpora.audio import TELEPHONE, AudioFile, probe
from omni_asr.corpora.preparing import Preparation
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.stm import Label, Segment, parse_stm
from omni_asr.kaldi.tables import read_lines, to_number
from omni_asr.text.plain import plain_words
from omni_asr.text.whisper_english import without_markup

log = logging.getLogger("prepare")

SETS = {"eval2000": ("sw_", "en_"), "eval2000_swbd": ("sw_",), "eval2000_callhm": ("en_",)}
"""Names of the sets, and how the names of their calls begin."""
CALLS = 20
"""Of each half."""
PEM = "hub5e_00.pem"
STM = "hub5e00.english.000405.stm"
GLM = "en20000405_hub5.glm"
DEPTH = 5
"""Folders between --corpus_dir and what is looked for: archives are unpacked into folders of their own names."""
WIDER = 0.1
"""Seconds that a segment grows on either side at most, as in Kaldi."""
CHANNELS = "AB"
ORDER = (
    "order LDC2002S09 (audio) and LDC2002T43 (transcripts) of Hub5'00 from https://catalog.ldc.upenn.edu, and name "
    "their folders with --corpus_dir"
)

_ASIDE = re.compile(r"<[BE]_ASIDE>", re.IGNORECASE)
_OPTIONAL = re.compile(r"\([^()]*\)")
_HESITATION = re.compile(r"%\S*?(?=[\s()]|$)")
_LINE_FIELDS = 5


@dataclass(frozen=True)
class Span:
    """A segment of the pem: seconds in one channel of a call."""

    call: str
    channel: str
    start: float
    end: float

    @property
    def id(self) -> str:
        """``sw_4999-A_001234-001567``: centiseconds, cut off from binary floats as awk's ``%06d`` does in Kaldi."""
        return f"{self.recording}_{int(self.start * 100):06d}-{int(self.end * 100):06d}"

    @property
    def recording(self) -> str:
        """Call and channel; also the speaker."""
        return f"{self.call}-{self.channel}"


@dataclass(frozen=True)
class Eval2000:
    """The files of a copy."""

    pem: Path
    stm: Path
    glm: Path


def find_eval2000(tree: CorpusTree) -> Eval2000 | None:
    """The files of a copy, in either layout; None where there is none at all.

    Raises:
        UserError: one of the two packages is there without the other.
    """
    found = [tree.find(name, depth=DEPTH) for name in (PEM, STM, GLM)]
    if not any(found):
        return None
    for path, name in zip(found, (PEM, STM, GLM), strict=True):
        if path is None:
            raise UserError(f"{name} is not in {_searched(tree)}, though other files of eval2000 are; {ORDER}")
    pem, stm, glm = found
    assert pem and stm and glm
    return Eval2000(pem, stm, glm)


def need_eval2000(tree: CorpusTree) -> Eval2000:
    """Like :func:`find_eval2000`.

    Raises:
        UserError: there is no copy; says what to order.
    """
    found = find_eval2000(tree)
    if found is None:
        raise UserError(f"{PEM} is not in {_searched(tree)}; {ORDER}")
    return found


def _searched(tree: CorpusTree) -> str:
    return f"{', '.join(map(str, tree.roots))}, down to {DEPTH} folders below"


def calls_of(tree: CorpusTree) -> set[str]:
    """Names of the calls of a copy, such as ``en_4999``, which no training may use; empty where there is no copy."""
    found = find_eval2000(tree)
    return {span.call for span in read_pem(found.pem)} if found else set()


def write_eval2000(preparation: Preparation, name: str) -> None:
    """Write the data directory of one of SETS.

    Raises:
        UserError: a file is missing or malformed, or too much of the audio is missing.
    """
    found, prefixes = need_eval2000(preparation.tree), SETS[name]
    lines = [mended(line) for line in read_lines(found.stm, "latin-1")]
    rules = read_lines(found.glm, "latin-1")  # all is read before anything is written
    segments, labels = parse_stm(lines, found.stm)
    lines = [*declarations(segments, labels, found.stm), *lines]
    said = {span_of(segment).id: segment for segment in segments if segment.file.lower().startswith(prefixes)}
    spans = [span for span in read_pem(found.pem) if span.call.startswith(prefixes)]
    with preparation.writer(name, keep_empty=True) as writer:
        write_segments(preparation, writer, found.pem.parent, spans, said)
    lines = [line for line in lines if line.startswith(";;") or line.lower().startswith(prefixes)]
    write_text(preparation.data_dir / name / "stm", lines)
    write_text(preparation.data_dir / name / "glm", rules)


def declarations(segments: Sequence[Segment], labels: Sequence[Label], stm: Path) -> list[str]:
    """Lines that declare the labels of an stm that are used and not declared, which stops hubscr.pl; a warning."""
    known = {label.id.lower() for label in labels}
    used = dict.fromkeys(label for segment in segments for label in segment.labels)
    unknown = [label for label in used if label.lower() not in known]
    if unknown:
        log.warning("%s: labels without a declaration, which the set's stm gets: %s", stm, ", ".join(unknown))
    return [f';; LABEL "{label}" "{label}" "{label}"' for label in unknown]


def write_segments(
    preparation: Preparation, writer: SetWriter, folder: Path, spans: Sequence[Span], said: Mapping[str, Segment]
) -> None:
    """Add recordings and what is said in them; spans of the stm that the pem lacks are added to those of the pem."""
    unique = {span.id: span for span in spans}
    if len(unique) < len(spans):
        writer.notes["lines that the pem has twice"] += len(spans) - len(unique)
    for name, segment in said.items():
        if name not in unique:
            writer.notes["segments that only the stm has; their times are those of the stm"] += 1
            unique[name] = span_of(segment)
    recordings = open_calls(preparation, folder, sorted({span.call for span in unique.values()}))
    for call, recording in recordings.items():
        if isinstance(recording, AudioFile):
            for channel, letter in enumerate(CHANNELS):
                writer.channel(f"{call}-{letter}", recording, call, channel)
    wide = widened(unique.values())
    for name, span in unique.items():
        if name not in said:
            writer.exclude(name, "is in the pem, but not in the stm")
        elif said[name].is_ignored:
            writer.exclude(name, "is not scored: IGNORE_TIME_SEGMENT_IN_SCORING")
        elif isinstance(problem := recordings[span.call], str):
            writer.remove(name, problem)
        else:
            words = said[name].text
            writer.utterance(
                name,
                span.recording,
                spoken_words(words),
                segment=(span.recording, *wide[name]),
                text_whisper=whisper_words(words),
            )
    scored = {segment.file.lower() for segment in said.values() if not segment.is_ignored}
    missing = sorted(call for call in scored if isinstance(recordings[call], str))
    if missing:
        log.warning(
            "%s: no audio of %d calls: %s; by the stm their words count as deleted, Whisper's regime leaves them out; "
            "neither error rate is that of the set",
            writer.path.name,
            len(missing),
            ", ".join(missing),
        )
    expected = {prefix: CALLS for prefix in ("sw_", "en_") if any(call.startswith(prefix) for call in recordings)}
    for prefix, count in expected.items():
        calls = sum(isinstance(found, AudioFile) for call, found in recordings.items() if call.startswith(prefix))
        if calls != count:
            log.warning("%s: %d calls %s with audio, not the official %d", writer.path.name, calls, prefix, count)


def open_calls(preparation: Preparation, folder: Path, calls: Iterable[str]) -> dict[str, AudioFile | str]:
    """The audio of each call, beside the pem or elsewhere, or why there is none."""
    tree = preparation.tree

    def opened(call: str) -> tuple[str, AudioFile | str]:
        names = [f"{call}{suffix}" for suffix in TELEPHONE]
        path = next(filter(None, (tree.inside(folder, name) for name in names)), None)
        path = path or tree.find(*(f"english/{name}" for name in names), depth=DEPTH)
        if path is None:
            return call, f"has no audio file {call}.sph"
        try:
            audio = probe(path)
        except AudioError as error:
            return call, f"has audio that cannot be read: {error}"
        if audio.channels != len(CHANNELS):
            return call, f"has audio of {audio.channels} channels, not two: {path}"
        return call, audio

    return dict(preparation.in_parallel(opened, calls))


def read_pem(path: Path) -> list[Span]:
    """Segments of the pem, ``<call> <channel> <speaker> <start> <end>``, with comments after ``;;``.

    Raises:
        UserError: a line has not these fields; named by file and line.
    """
    spans = []
    for number, line in enumerate(read_lines(path, "latin-1"), 1):
        fields = line.partition(";;")[0].split()
        if not fields:
            continue
        if len(fields) < _LINE_FIELDS or fields[1].upper() not in CHANNELS:
            raise UserError(f"{path}:{number}: expected '<call> A|B <speaker> <start> <end>', not {line.strip()!r}")
        start, end = (to_number(field, f"{path}:{number}") for field in fields[3:5])
        spans.append(Span(fields[0].lower(), fields[1].upper(), start, end))
    return spans


def span_of(segment: Segment) -> Span:
    """The same of the stm, so that both have one rule for ids."""
    return Span(segment.file.lower(), segment.channel.upper(), segment.begin, segment.end)


def widened(spans: Iterable[Span], wider: float = WIDER) -> dict[str, tuple[float, float]]:
    """Starts and ends by id: ``wider`` seconds more on either side, but at most half of the gap to the neighbour.

    Neighbours that overlap stay as they are on that side.
    """
    times: dict[str, tuple[float, float]] = {}
    by_recording: dict[str, list[Span]] = {}
    for span in spans:
        by_recording.setdefault(span.recording, []).append(span)
    for group in by_recording.values():
        group.sort(key=lambda span: span.start)
        gaps = [later.start - earlier.end for earlier, later in zip(group[:-1], group[1:], strict=True)]
        shares = [max(0.0, min(wider, gap / 2)) for gap in gaps]
        for span, before, after in zip(group, [wider, *shares], [*shares, wider], strict=True):
            times[span.id] = max(0.0, span.start - before), span.end + after
    return times


def mended(line: str) -> str:
    """A line of the stm without what upsets hubscr.pl: ``((`` for ``(``, and marks of asides."""
    return _ASIDE.sub("", line.replace("((", "(")).strip()


def spoken_words(text: str) -> str:
    """The words of a reference in the convention of training texts: without hesitations, fragments and events."""
    words = without_markup(_HESITATION.sub(" ", text)).replace("(", " ").replace(")", " ").split()
    return plain_words(" ".join(word for word in words if not word.endswith("-") and word != "@"))


def whisper_words(text: str) -> str:
    """A reference for Whisper's normaliser: without tags and optional words, with one branch of each choice.

    Parentheses are taken out one pair at a time: what lies between two hesitations stays.
    """
    return " ".join(without_markup(_OPTIONAL.sub(" ", text)).replace("(", " ").replace(")", " ").split()).lower()


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines as they are."""
    with atomic_write(path) as file:
        file.writelines(f"{line}\n" for line in lines)
