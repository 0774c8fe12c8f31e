"""MPEG audio (MP3, MP2): its frames are counted, since nothing else tells how many there are.

An encoder that can go back to the start of its file writes a first frame without sound there, ``Xing`` or ``Info``,
that gives the number of the others; LAME adds how many samples to cut at both ends. Without it libsndfile estimates the
length from the size of the first frame, and reads no further.

Layers I and II have no such frame; for one bitrate the estimate is right or too large.

Sources: ISO/IEC 11172-3 and 13818-3; ``check_lame_tag`` of libmpg123 for the first frame.
"""

import mmap
import re
import struct
from dataclasses import dataclass

from omni_asr.audio.containers.content import Content, skip_id3
from omni_asr.audio.errors import AudioError

BITRATES = {  # kbit/s by version (1, else 2) and layer; the first index leaves it open
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Hz by the two bits of the version: 1, 2 and 2.5."""
SAME_STREAM = 0xFFFE0C00
"""Bits of a header that all frames of a stream share: sync, version, layer and sample rate."""
BY_FFMPEG = "is of unknown length here; read it by 'ffmpeg -v error -i FILE -f wav - |'"
COUNT = 8
"""Byte, from ``Xing`` or ``Info`` on, where the number of frames stands."""
INFO = (re.compile(b"Xing"), re.compile(b"Info"))  # one by one, since alternatives take ten times as long
WORD = struct.Struct(">I")
DECODER_DELAY = 529
"""Samples that libmpg123 cuts in addition to the encoder's delay, and cuts less at the end."""
SILENCE = 4608
"""Samples in front of a stream with a first frame of ours: they bring libmpg123's filter bank back to the state of its
start, so that its output is the same to the bit, and they are within the 12 bits of the delay."""
EMPTY_ID3 = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
"""libsndfile takes bytes for MPEG audio only behind a tag."""


@dataclass(frozen=True)
class Header:
    """The header of a frame."""

    word: int
    is_version_1: bool
    layer: int
    size: int
    """Bytes of the whole frame; 0 where the bitrate is left open (free format)."""
    side: int
    """Bytes of a frame of layer III before its main data, where ``Xing`` or ``Info`` stands."""

    @property
    def samples(self) -> int:
        """Samples of the frame."""
        if self.layer == 1:
            return 384
        return 1152 if self.layer == 2 or self.is_version_1 else 576


@dataclass(frozen=True)
class Stream:
    """Frames that were encoded in one go."""

    header: Header
    start: int
    """Byte where the first frame begins, with or without sound."""
    first: int
    """Byte where the first frame with sound begins."""
    stop: int
    frames: int
    count: int | None
    """Byte where the first frame gives this number, or counts itself too; None where it does not."""
    is_exact: bool
    """Whether libsndfile reads them all."""


def streams(content: Content) -> list[bytes]:
    """Files that libsndfile reads to their ends, one for each stream; none where it does so with the file itself.

    Raises:
        AudioError: there are fewer frames than the first one gives, or the length cannot be known.
    """
    start = skip_id3(content, 0)
    header = _header(content, start)
    if header is not None and not header.size:
        raise AudioError(f"MPEG audio of free format {BY_FFMPEG}")
    infos = {match.start() for tag in INFO for match in tag.finditer(content)}
    found: list[Stream] = []
    position = _find_frame(content, start)
    while position is not None:
        found.append(_read_stream(content, position, infos))
        position = _find_frame(content, found[-1].stop)
    has_name = isinstance(content, mmap.mmap) or start > 0  # without, libsndfile does not take it for MPEG audio
    is_right = len(found) == 1 and found[0].is_exact and has_name
    return [] if is_right else [_file(content, stream) for stream in found if stream.frames]


def is_frame(content: Content) -> bool:
    """Whether a file begins like a frame."""
    return _header(content, 0) is not None


def _header(content: Content, position: int) -> Header | None:
    """Header at a position, or nothing where no frame begins there."""
    if position + WORD.size > len(content):
        return None
    (word,) = WORD.unpack_from(content, position)
    return _parse(word)


def _parse(word: int) -> Header | None:
    version, layer, bitrate, rate = word >> 19 & 3, 4 - (word >> 17 & 3), word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or bitrate == 15 or rate == 3:
        return None
    is_version_1, padding, is_mono = version == 3, word >> 9 & 1, word >> 6 & 3 == 3
    bits = 1000 * BITRATES[1 if is_version_1 else 2, layer][bitrate]
    hertz = RATES[version][rate]
    if layer == 1:
        size = 4 * (12 * bits // hertz + padding)
    else:
        size = (144 if layer == 2 or is_version_1 else 72) * bits // hertz + padding
    side = (32, 17) if is_version_1 else (17, 9)
    return Header(word, is_version_1, layer, size if bits else 0, WORD.size + side[is_mono])


def _find_frame(content: Content, position: int) -> int | None:
    """Byte, from a position on, where a frame begins behind which a similar one, a tag or the end follows."""
    position = content.find(b"\xff", skip_id3(content, position))
    while position >= 0:
        header = _header(content, position)
        if header is not None and header.size:
            after = position + header.size
            following = _header(content, after)
            is_followed = following is not None and not (following.word ^ header.word) & SAME_STREAM
            if is_followed or after == len(content) or content[after : after + 3] in (b"TAG", b"ID3"):
                return position
        position = content.find(b"\xff", position + 1)
    return None


def _read_stream(content: Content, start: int, infos: set[int]) -> Stream:
    """Count frames up to where no frame or another stream follows, or as many are there as the first one gives."""
    header = _header(content, start)
    assert header is not None
    tag = next((start + header.side + crc for crc in (0, 2) if start + header.side + crc in infos), None)
    promised, is_trimmed = (None, False) if tag is None else _read_info(content, tag)
    first = position = start if tag is None else start + header.size
    end, frames, size = len(content), 0, 0
    sizes: dict[int, int] = {}
    while frames != promised and position + WORD.size <= end:
        (word,) = WORD.unpack_from(content, position)
        key = word >> 9  # all that the size of a frame depends on
        if key not in sizes:
            sizes[key] = _size_within(word, header)
        size = sizes[key]
        if not size or position + size > end or (frames and position + header.side in infos):
            break
        frames += 1
        position += size
    is_cut = bool(size) and position + size > end
    # Some encoders count their first frame too; LAME does not.
    if promised is not None and promised - frames > (0 if is_trimmed or is_cut else 1):
        raise AudioError(f"truncated: the first frame promises {promised} MPEG frames, {frames} are there")
    count = None if tag is None or promised is None else tag + COUNT
    bitrates = {key >> 3 & 15 for key in sizes if sizes[key]}
    if header.layer != 3 and len(bitrates) > 1:
        raise AudioError(f"MPEG audio of layer {header.layer} with several bitrates {BY_FFMPEG}")
    return Stream(header, start, first, position, frames, count, frames == promised or header.layer != 3)


def _size_within(word: int, first: Header) -> int:
    """Bytes of a frame of the same stream as another, or 0."""
    header = None if (word ^ first.word) & SAME_STREAM else _parse(word)
    return header.size if header is not None else 0


def _read_info(content: Content, tag: int) -> tuple[int | None, bool]:
    """Number of frames by ``Xing`` or ``Info``, and whether LAME's delay and padding follow it."""
    flags = int.from_bytes(content[tag + 4 : tag + COUNT], "big")
    if not flags & 1:
        return None, False
    frames = int.from_bytes(content[tag + COUNT : tag + COUNT + 4], "big")
    optional = ((1, 4), (2, 4), (4, 100), (8, 4))  # flags, and bytes of the fields that they announce
    trimming = tag + COUNT + sum(size for flag, size in optional if flags & flag) + 21
    return frames, any(content[trimming : trimming + 3])


def _file(content: Content, stream: Stream) -> bytes:
    """A file of one stream whose first frame gives the right number of frames."""
    header = stream.header
    if header.layer != 3:
        return EMPTY_ID3 + content[stream.start : stream.stop]
    if stream.count is not None:
        behind = stream.count + WORD.size
        number = WORD.pack(stream.frames)
        return EMPTY_ID3 + content[stream.start : stream.count] + number + content[behind : stream.stop]
    silent = _silent_frame(header)
    count = SILENCE // header.samples
    info = b"Info" + WORD.pack(1) + WORD.pack(count + stream.frames) + b"omni_asr".ljust(21, b"\0")
    info += ((SILENCE - DECODER_DELAY) << 12 | DECODER_DELAY).to_bytes(3, "big")
    telling = silent[: header.side] + info + silent[header.side + len(info) :]
    return EMPTY_ID3 + telling + count * silent + content[stream.first : stream.stop]


def _silent_frame(like: Header) -> bytes:
    """The smallest frame of silence, without checksum, that has room for what ``Info`` and LAME tell."""
    fixed = (like.word | 1 << 16) & ~(15 << 12 | 1 << 9)
    for bitrate in range(1, 15):
        header = _parse(fixed | bitrate << 12)
        if header is not None and header.size >= like.side + 36:
            return WORD.pack(header.word).ljust(header.size, b"\0")
    raise AssertionError("every rate has a bitrate whose frames are large enough")
