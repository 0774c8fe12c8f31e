"""WAV, RF64, Wave64, AIFF, CAF, AU and SPHERE: the header gives the number of bytes of samples.

A program that writes to a pipe does not know it yet: it writes 0, or a size of about 2 or 4 GiB. The samples then go to
the end of the file, as in Kaldi and ffmpeg. libsndfile takes 0 literally, and reads a file that was cut up to its end
without an error.

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
NEAR = 1 << 16
SIZES_OF_STREAMS = {4: (0x7F000010, 1 << 31, 1 << 32), 8: (1 << 63, 1 << 64)}
"""Sizes up to ``NEAR`` below these, in fields of 4 and 8 bytes, promise nothing; the first is sox's, for AIFF. Other
large sizes are those of large files, which may be cut."""
NIST_NUMBER = re.compile(rb"^(sample_count|channel_count|sample_n_bytes) -i +(\d+)", re.MULTILINE)
NIST_CODING = re.compile(rb"^sample_coding -s\d+ +(\S+)", re.MULTILINE)


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
"""First bytes of the files that are read here."""


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
        """Whether the program that wrote the header did not know the length."""
        size = self.promised + self.added
        return any(0 <= end - size <= NEAR for end in SIZES_OF_STREAMS[self.size.size])


def streams(content: Content) -> list[bytes]:
    """A file that libsndfile reads to its end; none where it does so with the file itself.

    Raises:
        AudioError: fewer bytes of samples are there than the header promises, or more.
    """
    layout = LAYOUTS.get(content[:4])
    if layout is not None:
        samples = _find_chunk(content, layout)
    else:
        samples = _find_nist(content) if content[:4] == b"NIST" else _find_au(content)
    if samples is None or samples.start > len(content):
        return []
    there = len(content) - samples.start
    if samples.is_open and there < samples.promised:
        is_read_whole = content[:4] in (b"RIFF", b"RIFX")  # by libsndfile
        return [] if is_read_whole else [_mended(content, samples, layout)]
    if there < samples.promised:
        raise AudioError(f"truncated: the header promises {samples.promised} bytes of samples, {there} are there")
    stop = samples.start + samples.promised
    if _is_known(content, stop, layout):
        goes_on = content[:4] in (b"riff", b"NIST")  # libsndfile takes what follows for samples, too
        return [content[:stop]] if goes_on and stop < len(content) else []
    is_second_file = content[stop : stop + 4] in MAGICS
    if samples.promised or is_second_file:
        promise = f"the header promises {samples.promised} bytes of samples"
        follow = f"{len(content) - stop} bytes that are not a chunk follow"
        raise AudioError(f"{promise}, and {follow}; where they are audio, correct the header, else cut the file")
    return [_mended(content, samples, layout)]


def _find_chunk(content: Content, layout: Layout) -> Samples | None:
    """Samples of a file of chunks."""
    position, header, ds64 = layout.first, layout.name + layout.size.size, None
    while position + header <= len(content):
        name, field = content[position : position + 4], position + layout.name
        (size,) = content.unpack(layout.size, field)
        body = position + header
        if name == b"ds64":
            ds64 = body + 8
        if name in SOUND:
            if ds64 is not None and size == 0xFFFFFFFF and ds64 + LARGE.size <= body:
                (promised,) = content.unpack(LARGE, ds64)
                return Samples(body, promised, ds64, LARGE)
            added = layout.before + layout.counted
            return Samples(body + layout.before, max(0, size - added), field, layout.size, added)
        if size < layout.counted:
            break
        position = _aligned(body + size - layout.counted, layout)
    return None


def _find_au(content: Content) -> Samples | None:
    """Samples of an AU file."""
    size = {b".snd": SMALL_BIG, b"dns.": SMALL}.get(content[:4])
    if size is None or len(content) < 12:
        return None
    (start,), (promised,) = content.unpack(size, 4), content.unpack(size, 8)
    return Samples(start, promised, 8, size)


def _find_nist(content: Content) -> Samples | None:
    """Samples of a SPHERE file; nothing where they are compressed, or the header does not give their number."""
    text = content[8:16].strip()
    start = int(text) if text.isdigit() else 0
    header = content[:start]
    numbers = {name: int(value) for name, value in NIST_NUMBER.findall(header)}
    coding = NIST_CODING.search(header)
    is_pcm = coding is None or coding[1].lower() == b"pcm"
    if not numbers.get(b"sample_count") or (coding is not None and b"," in coding[1]):
        return None
    width = numbers.get(b"sample_n_bytes", 2 if is_pcm else 1)
    return Samples(start, numbers[b"sample_count"] * numbers.get(b"channel_count", 1) * width, 0, LARGE)


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
        (size,) = content.unpack(layout.size, position + layout.name)
        is_name = all(0x20 <= byte < 0x7F for byte in name) and name not in LAYOUTS
        body = size - layout.counted
        if not is_name or not 0 <= body <= len(content) - position - header:
            return False
        position = _aligned(position + header + body, layout)
    return True


def _mended(content: Content, samples: Samples, layout: Layout | None) -> bytes:
    """The file with the true size in its header."""
    mended = bytearray(content[:])
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
