"""WAV, RF64, Wave64, AIFF, CAF, AU and SPHERE: a header or chunk promises how many bytes of samples there are.

Programs that write to a pipe do not know yet: they leave 0, or promise about 2 or 4 GiB. The samples then go to the end
of the file, as for Kaldi and ffmpeg. libsndfile reads the bytes that are there, or takes 0 at its word.

Sources: RFC 2361 and EBU 3306 (WAV, RF64); Apple's specifications of AIFF-C and CAF; ``sphere.doc`` of NIST.
"""

import re
import struct
from dataclasses import dataclass

from omni_asr.audio.containers.content import Content
from omni_asr.audio.errors import AudioError

STRAY = 512
"""Bytes behind the samples that may be no chunk: the rest of a sector, or an ID3v1 tag."""
SMALL, LARGE = struct.Struct("<I"), struct.Struct("<Q")
SMALL_BIG, LARGE_BIG = struct.Struct(">I"), struct.Struct(">Q")
SIZES_OF_STREAMS = {4: 0x7F000000, 8: 1 << 62}
"""Sizes from these on, in fields of 4 and 8 bytes, promise nothing."""
NIST_FIELD = re.compile(rb"^(sample_count|channel_count|sample_n_bytes|sample_coding) -\S+ +(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Layout:
    """Chunks of a kind of file."""

    first: int
    """Byte where the first chunk begins."""
    name: int
    """Bytes of a chunk's name."""
    size: struct.Struct
    counted: int = 0
    """Bytes of its own header that a chunk's size counts."""
    aligned: int = 2
    before: int = 0
    """Bytes before the samples in their chunk."""
    total: int | None = 4
    """Byte where the size of the whole file stands."""


LAYOUTS = {
    b"RIFF": Layout(12, 4, SMALL),
    b"RIFX": Layout(12, 4, SMALL_BIG),
    b"RF64": Layout(12, 4, SMALL),
    b"FORM": Layout(12, 4, SMALL_BIG, before=8),
    b"riff": Layout(40, 16, LARGE, counted=24, aligned=8, total=16),
    b"caff": Layout(8, 4, LARGE_BIG, aligned=1, before=4, total=None),
}
SOUND = (b"data", b"SSND")
"""Names of the chunk with the samples."""
MAGICS = {*LAYOUTS, b".snd", b"dns.", b"NIST"}
"""How the files begin that are read here."""


@dataclass(frozen=True)
class Samples:
    """Samples in a file."""

    start: int
    """Byte where they begin."""
    promised: int
    """Bytes of them by the header."""
    field: int
    """Byte where the header says so, in the form of ``size``, with ``added`` to it."""
    size: struct.Struct
    added: int = 0

    @property
    def is_open(self) -> bool:
        """Whether a program wrote the header that did not know the length."""
        return self.promised + self.added >= SIZES_OF_STREAMS[self.size.size]


def streams(content: Content) -> list[bytes]:
    """The file that libsndfile reads to its end, or none where it does so with the file itself.

    Raises:
        AudioError: fewer bytes of samples are there than the header promises, or more.
    """
    layout = LAYOUTS.get(content[:4])
    samples = _find_nist(content) if content[:4] == b"NIST" else _find_au(content)
    if layout is not None:
        samples = _find_chunk(content, layout)
    if samples is None:
        return []
    there = len(content) - samples.start
    if samples.is_open and there < samples.promised:
        return [] if content[:4] in (b"RIFF", b"RIFX") else [_mended(content, samples, layout)]
    if there < samples.promised:
        raise AudioError(f"truncated: the header promises {samples.promised} bytes of samples, {there} are there")
    stop = samples.start + samples.promised
    if _is_known(content, stop, layout):
        # Of these libsndfile reads what follows as samples.
        return [content[:stop]] if content[:4] in (b"riff", b"NIST") and stop < len(content) else []
    is_second_file = content[stop : stop + 4] in MAGICS
    if samples.promised or is_second_file:
        follow = f"{len(content) - stop} bytes that are not a chunk follow"
        raise AudioError(
            f"the header promises {samples.promised} bytes of samples, and {follow}; "
            "where they are audio, correct the header, else cut the file"
        )
    return [_mended(content, samples, layout)]


def _find_chunk(content: Content, layout: Layout) -> Samples | None:
    """Samples of a file of chunks."""
    position, header, ds64 = layout.first, layout.name + layout.size.size, None
    while position + header <= len(content):
        name, field = content[position : position + 4], position + layout.name
        (size,) = layout.size.unpack_from(content, field)
        body = position + header
        if name == b"ds64":
            ds64 = body + 8
        if name in SOUND:
            if ds64 is not None and size == 0xFFFFFFFF:
                (promised,) = LARGE.unpack_from(content, ds64)
                return Samples(body, promised, ds64, LARGE)
            added = layout.before + layout.counted
            return Samples(body + layout.before, max(0, size - added), field, layout.size, added)
        position = _aligned(body + size - layout.counted, layout)
    return None


def _find_au(content: Content) -> Samples | None:
    """Samples of an AU file."""
    size = {b".snd": SMALL_BIG, b"dns.": SMALL}.get(content[:4])
    if size is None or len(content) < 12:
        return None
    (start,), (promised,) = size.unpack_from(content, 4), size.unpack_from(content, 8)
    return Samples(start, promised, 8, size)


def _find_nist(content: Content) -> Samples | None:
    """Samples of a SPHERE file that is not compressed and tells how many there are."""
    text = content[8:16].strip()
    start = int(text) if text.isdigit() else 0
    fields = dict(NIST_FIELD.findall(content[:start]))
    coding = fields.get(b"sample_coding", b"pcm")
    if b"," in coding or b"sample_count" not in fields:
        return None
    width = int(fields.get(b"sample_n_bytes", b"2" if coding == b"pcm" else b"1"))
    promised = int(fields[b"sample_count"]) * int(fields.get(b"channel_count", b"1")) * width
    return Samples(start, promised, 0, LARGE) if promised else None


def _aligned(position: int, layout: Layout) -> int:
    return -(-position // layout.aligned) * layout.aligned


def _is_known(content: Content, position: int, layout: Layout | None) -> bool:
    """Whether chunks, or nothing that counts, follow a position."""
    rest = content[position:]
    if len(rest) < STRAY or not rest.strip(b"\0"):
        return True
    if layout is None:
        return False
    begins = {position, _aligned(position, layout)}  # some programs forget to align
    return any(_are_chunks(content, begin, layout) for begin in begins)


def _are_chunks(content: Content, position: int, layout: Layout) -> bool:
    """Whether only chunks follow a position, up to stray bytes."""
    header = layout.name + layout.size.size
    while len(content) - position >= max(STRAY, header):
        name = content[position : position + 4]
        (size,) = layout.size.unpack_from(content, position + layout.name)
        is_name = all(0x20 <= byte < 0x7F for byte in name) and name not in LAYOUTS
        body = size - layout.counted
        if not is_name or not 0 <= body <= len(content) - position - header:
            return False
        position = _aligned(position + header + body, layout)
    return True


def _mended(content: Content, samples: Samples, layout: Layout | None) -> bytes:
    """The file with the number of bytes that are there in its header."""
    mended = bytearray(content)
    largest = (1 << 8 * samples.size.size) - 1
    there = len(content) - samples.start + samples.added
    samples.size.pack_into(mended, samples.field, min(there, largest))
    if layout is not None and layout.total is not None:
        whole = len(content) if layout.counted else len(content) - 8
        if layout.size is not samples.size:
            LARGE.pack_into(mended, samples.field - 8, whole)  # of the chunk ds64
        else:
            layout.size.pack_into(mended, layout.total, min(whole, (1 << 8 * layout.size.size) - 1))
    return bytes(mended)
