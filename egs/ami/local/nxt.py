"""The manual annotations of AMI in NXT's XML: who wore which headset, and the words of every segment.

A segment points at a range of elements in the words file of its speaker; words, punctuation, vocal sounds, gaps and
disfluency markers share that order, and not all of them have times.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import to_number

NITE = "{http://nite.sourceforge.net/}"
_ID = re.compile(r"id\(([^)]*)\)")


@dataclass(frozen=True)
class Speaker:
    """A participant of a meeting."""

    name: str
    """Such as ``FEE041``, the same in all meetings."""
    channel: str
    """Number of the headset; the letters A, B, ... of the files say nothing about it."""


@dataclass(frozen=True)
class Token:
    """A word or a punctuation mark; times in seconds, where the annotators gave them."""

    text: str
    start: float | None
    end: float | None
    is_punctuation: bool = False


@dataclass(frozen=True)
class Segment:
    """What somebody said between two breaths."""

    id: str
    start: float
    """As the transcriber set it, in seconds; the words know better."""
    end: float
    tokens: list[Token]
    problem: str = ""
    """Why its words are not known."""


def read_speakers(path: Path) -> dict[tuple[str, str], Speaker]:
    """Speakers of ``meetings.xml`` by meeting and letter.

    Raises:
        UserError: the file is broken, or a speaker lacks an attribute.
    """
    speakers = {}
    for meeting in _root(path).iter("meeting"):
        for speaker in meeting.iter("speaker"):
            try:
                key = meeting.attrib["observation"], speaker.attrib["nxt_agent"]
                speakers[key] = Speaker(speaker.attrib["global_name"], speaker.attrib["channel"])
            except KeyError as error:
                raise UserError(f"{path}: a speaker or meeting has no {error.args[0]}; is the file whole?") from None
    return speakers


def read_segments(segments: Path, words: Path) -> Iterator[Segment]:
    """Segments of one speaker in one meeting, in the order of the file.

    Raises:
        UserError: a file is broken, or that of the segments is missing.
    """
    is_there = words.exists()
    elements = [(element.get(f"{NITE}id", ""), _token(element, words)) for element in _root(words)] if is_there else []
    places = {name: place for place, (name, _) in enumerate(elements)}
    for number, segment in enumerate(_root(segments).iter("segment")):
        where = f"{segments}: segment {number + 1}"
        found, problem = list[Token](), "" if is_there else f"has no words file {words.name}"
        for child in segment.iter(f"{NITE}child"):
            ends = _ID.findall(child.get("href", ""))
            if not ends:
                continue
            lacking = next((name for name in ends if name not in places), "")
            if lacking and not problem:
                problem = f"points at '{lacking}', which the words file lacks"
            if not problem:
                span = elements[places[ends[0]] : places[ends[-1]] + 1]
                found += [token for _, token in span if token is not None]
        yield Segment(
            segment.get(f"{NITE}id", str(number)),
            to_number(segment.get("transcriber_start", "0"), where),
            to_number(segment.get("transcriber_end", "0"), where),
            found,
            problem,
        )


def _token(element: ET.Element, path: Path) -> Token | None:
    """A word or punctuation mark; None for what is not said."""
    text = "".join(element.itertext()).strip()
    if element.tag != "w" or not text:
        return None
    start, end = (
        to_number(element.attrib[name], f"{path}: {text!r}") if element.get(name) else None
        for name in ("starttime", "endtime")
    )
    return Token(text, start, end, element.get("punc") == "true")


def _root(path: Path) -> ET.Element:
    """The root of an XML file, which is ISO-8859-1 also where it does not say so."""
    try:
        data = path.read_bytes()
        encoding = None if data.lstrip().startswith(b"<?xml") else "iso-8859-1"
        return ET.fromstring(data, ET.XMLParser(encoding=encoding))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ET.ParseError as error:
        raise UserError(f"{path} is no XML ({error}); unpack the annotations again") from None
