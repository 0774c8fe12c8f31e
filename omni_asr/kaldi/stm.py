"""NIST's segment time mark files (stm): references with times.

``<file> <channel> <speaker> <begin> <end> [<label,label>] words...``, in seconds, with comments after ``;;``. Comments
``;; LABEL "sw" "Swbd" "Switchboard calls"`` declare labels: an id, a title and a description.

A first word in angle brackets is a label, as for sclite, whatever it means: write ``<> <unk> hello`` for a word.
"""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import read_lines, to_number

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
_IGNORED = re.compile("ignore_time_segment_in_scoring|ignoretimesegmentinscoring", re.IGNORECASE)
"""Both spellings that sclite looks for, anywhere in the text; its own ``lvc_refe.stm`` has the second."""
_FIELD = r"[ \t]+([^ \t]+)"
_LINE = re.compile(rf"[ \t]*([^ \t]+){_FIELD * 4}(?:[ \t]+(<[^ \t]*))?(?:[ \t]+(.*))?$", re.DOTALL)
log = logging.getLogger(__name__)

_LABEL = re.compile(r';;\s*LABEL\s+"([^"]*)"\s+"([^"]*)"\s+"([^"]*)"')


@dataclass(frozen=True)
class Segment:
    """What somebody said between two times, in seconds."""

    file: str
    channel: str
    speaker: str
    begin: float
    end: float
    text: str
    labels: tuple[str, ...] = ()
    where: str = field(default="", compare=False)
    """File and line it was read from."""

    @property
    def is_ignored(self) -> bool:
        """Whether it and what was recognised in it do not count."""
        return is_ignored(self.text)


@dataclass(frozen=True)
class Label:
    """A group of segments to be scored for itself."""

    id: str
    title: str
    description: str


def is_ignored(text: str) -> bool:
    """Whether the text of a segment marks it as one that does not count."""
    return _IGNORED.search(text) is not None


def read_stm(path: str | os.PathLike[str]) -> tuple[list[Segment], list[Label]]:
    """Read segments in the order of the file, and the labels that it declares.

    Raises:
        UserError: a line has no five fields, times that are no times, or a label that no ``>`` closes; or a label is
            used but not declared although some are. Named by file and line.
    """
    segments, labels = parse_stm(read_lines(path), path)
    _check_labels(segments, labels)
    return segments, labels


def parse_stm(lines: Iterable[str], path: str | os.PathLike[str]) -> tuple[list[Segment], list[Label]]:
    """Segments and declared labels of the lines of a file; labels may be used that are not declared.

    Raises:
        UserError: as :func:`read_stm`, but for these labels.
    """
    segments, labels = [], []
    for number, line in enumerate(lines, 1):
        where, line = f"{path}:{number}", line.rstrip(" \t\r")
        if line.startswith(";;"):
            if match := _LABEL.match(line):
                labels.append(Label(*match.groups()))
            continue
        if not line:
            continue
        match = _LINE.match(line)
        if not match:
            raise UserError(f"{where}: expected '<file> <channel> <speaker> <begin> <end> [<labels>] words'")
        file, channel, speaker, begin, end, marks, text = match.groups()
        if marks and not marks.endswith(">"):
            raise UserError(f"{where}: label {marks!r} must end in '>', without blanks in it; see <label,label>")
        names = tuple(filter(None, (marks or "").strip("<>").split(",")))
        segments.append(
            Segment(file, channel, speaker, to_number(begin, where), to_number(end, where), text or "", names, where)
        )
    _warn_of_reversed(segments)
    return segments, labels


def _warn_of_reversed(segments: Sequence[Segment]) -> None:
    """Warn of segments that end before they begin; sclite scores them, and only their end decides on their words."""
    backwards = [segment for segment in segments if segment.end < segment.begin]
    if backwards:
        first = backwards[0]
        log.warning(
            "%s: the segment ends at %g, before it begins at %g (%d such segments); it is scored all the same, as by "
            "sclite, with the words whose middle lies before its end",
            first.where,
            first.end,
            first.begin,
            len(backwards),
        )


def _check_labels(segments: Sequence[Segment], labels: Sequence[Label]) -> None:
    """Refuse labels that are not declared; where none is, they may be words, and a warning says so."""
    labelled = [segment for segment in segments if segment.labels]
    if labelled and not labels:
        first = f"{labelled[0].where}: <{','.join(labelled[0].labels)}>"
        log.warning(
            "%s and %d more are read as labels, as sclite does; where such are words, write <> before them, "
            'else declare them: ;; LABEL "id" "title" "description"',
            first,
            len(labelled) - 1,
        )
    declared = {label.id.lower() for label in labels}
    for segment in labelled if labels else []:
        unknown = [name for name in segment.labels if name.lower() not in declared]
        if unknown:
            raise UserError(
                f'{segment.where}: label {unknown[0]!r} is not declared; add a line ;; LABEL "{unknown[0]}" "..." "..."'
            )


def write_stm(path: str | os.PathLike[str], segments: Iterable[Segment], labels: Sequence[Label] = ()) -> None:
    """Write labels, then segments in the given order."""
    with atomic_write(path) as file:
        for label in labels:
            file.write(f';; LABEL "{label.id}" "{label.title}" "{label.description}"\n')
        for segment in segments:
            marks = f"<{','.join(segment.labels)}>" if segment.labels or segment.text.startswith("<") else ""
            fields = [segment.file, segment.channel, segment.speaker, repr(segment.begin), repr(segment.end)]
            file.write(" ".join(filter(None, [*fields, marks, segment.text])) + "\n")
