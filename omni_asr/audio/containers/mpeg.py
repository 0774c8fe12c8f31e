"""MPEG audio (MP3, MP2): its frames are counted, since nothing else tells how many there are.

An encoder that can go back to the start of its file writes a first frame without sound there, ``Xing`` or ``Info``,
that gives the number of the others; LAME adds how many samples to cut at both ends. Without it libsndfile estimates the
length from the size of the first frame, and reads no further.

Layers I and II have no such frame; for one bitrate the estimate is right or too large.

Where frames are damaged, those behind them still count, and silence takes the place of the lost ones, up to a limit.

Sources: ISO/IEC 11172-3 and 13818-3; ``check_lame_tag`` of libmpg123 for the first frame.
"""

import logging
import struct
from dataclasses import dataclass

from omni_asr.audio.containers.content import BLOCK, Content, skip_id3
from omni_asr.audio.errors import AudioError

log = logging.getLogger(__name__)

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
INFO = (b"Xing", b"Info")
TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
"""First bytes of what may stand behind a stream."""
MAX_LOSS = 0.5
"""Seconds of damaged or missing frames with which a stream is still read, with a warning."""
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

    @property
    def rate(self) -> int:
        """Hz."""
        return RATES[self.word >> 19 & 3][self.word >> 10 & 3]


@dataclass(frozen=True)
class Gap:
    """Bytes within a stream that are not frames."""

    start: int
    stop: int
    lost: int
    """Frames that were there, by the size of the others."""


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
    """Frames with sound, with those lost in gaps."""
    gaps: tuple[Gap, ...]
    count: int | None
    """Byte of the field of the first frame that holds the number of frames; None where there is no such field."""
    is_exact: bool
    """Whether libsndfile reads them all."""


def streams(content: Content) -> list[bytes]:
    """Files that libsndfile reads to their ends, one for each stream; none where it does so with the file itself.

    Raises:
        AudioError: too many frames are damaged or missing, or the length cannot be known.
    """
    start = skip_id3(content, 0)
    header = _header(content, start)
    if header is not None and not header.size:
        raise AudioError(f"MPEG audio of free format {BY_FFMPEG}")
    infos = {place for tag in INFO for place in content.find_all(tag)}
    found: list[Stream] = []
    position = _find_frame(content, start)
    while position is not None:
        found.append(_read_stream(content, position, infos))
        position = _find_frame(content, found[-1].stop)
    has_name = content.is_file or start > 0  # without, libsndfile does not take it for MPEG audio
    is_right = len(found) == 1 and found[0].is_exact and has_name
    return [] if is_right else [_file(content, stream) for stream in found if stream.frames]


def is_frame(content: Content) -> bool:
    """Whether a file begins like a frame."""
    return _header(content, 0) is not None


def _header(content: Content, position: int) -> Header | None:
    """Header at a position, or nothing where no frame begins there."""
    if position + WORD.size > len(content):
        return None
    (word,) = content.unpack(WORD, position)
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
    """Read the stream that begins at a byte."""
    header = _header(content, start)
    assert header is not None
    tag = next((start + header.side + crc for crc in (0, 2) if start + header.side + crc in infos), None)
    promised, is_trimmed = (None, False) if tag is None else _read_info(content, tag)
    first = start if tag is None else start + header.size
    there, stop, gaps = _count_frames(content, first, header, infos, promised)
    frames = there + sum(gap.lost for gap in gaps)
    lost = max(frames, promised or 0) - there
    # Some encoders count their first frame too; LAME does not.
    if lost > 1 or (lost and (gaps or is_trimmed)):
        _warn_or_raise(content, header, gaps[0].start if gaps else stop, lost, promised)
    count = None if tag is None or promised is None else tag + COUNT
    is_exact = header.layer != 3 or (frames == promised and not gaps)
    return Stream(header, start, first, stop, frames, gaps, count, is_exact)


def _count_frames(
    content: Content, first: int, header: Header, infos: set[int], promised: int | None
) -> tuple[int, int, tuple[Gap, ...]]:
    """Count frames up to the end, another stream or as many as promised; return them, the end and the gaps between."""
    end, frames, lost, position = len(content), 0, 0, first
    block, base = b"", 0  # read here, since a method's call for each frame takes longer than the rest
    gaps: list[Gap] = []
    sizes: dict[int, int] = {}
    while promised is None or frames + lost < promised:
        if position + WORD.size > end or (frames and position + header.side in infos):
            break
        if position + WORD.size > base + len(block):
            block, base = content[position : position + BLOCK], position
        (word,) = WORD.unpack_from(block, position - base)
        key = word >> 9  # all that the size of a frame depends on
        if key not in sizes:
            sizes[key] = _size_within(word, header)
        size = sizes[key]
        if size and position + size <= end:
            frames += 1
            position += size
            continue
        after = _end_of_gap(content, position, header, infos)
        if after is None:
            break
        mean = (position - first) / (frames + lost) if frames else header.size
        gaps.append(Gap(position, after, max(1, round((after - position) / mean))))
        lost += gaps[-1].lost
        position = after
    if header.layer != 3 and len({key >> 3 & 15 for key in sizes if sizes[key]}) > 1:
        raise AudioError(f"MPEG audio of layer {header.layer} with several bitrates {BY_FFMPEG}")
    return frames, position, tuple(gaps)


def _end_of_gap(content: Content, position: int, header: Header, infos: set[int]) -> int | None:
    """Byte where the same stream goes on behind damage; None where it does not."""
    if content[position : position + 11].startswith(TAGS):
        return None
    after = _find_frame(content, position + 1)
    if after is None or not infos.isdisjoint((after + header.side, after + header.side + 2)):
        return None
    following = _header(content, after)
    is_same = following is not None and not (following.word ^ header.word) & SAME_STREAM
    return after if is_same else None


def _warn_or_raise(content: Content, header: Header, place: int, lost: int, promised: int | None) -> None:
    """Warn of lost frames, or raise AudioError where they are too many."""
    seconds = lost * header.samples / header.rate
    where = f"damaged at byte {place}" if place < len(content) - header.size else "truncated"
    if seconds <= MAX_LOSS:
        log.warning("%s: %s: %d MPEG frames (%.2f s) are lost; the rest is read", content.name, where, lost, seconds)
    elif promised is None:
        raise AudioError(f"{where}: about {lost} MPEG frames ({seconds:.2f} s) are lost")
    else:
        raise AudioError(f"{where}: the first frame promises {promised} MPEG frames, {promised - lost} are there")


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
    """A file of one stream whose first frame gives the right number of frames, with silence in its gaps."""
    header = stream.header
    if header.layer != 3:
        return EMPTY_ID3 + content[stream.start : stream.stop]
    silent = _silent_frame(header)
    sound = _without_gaps(content, stream, silent)
    if stream.count is not None:
        number = WORD.pack(stream.frames)
        behind = content[stream.count + WORD.size : stream.first]
        return EMPTY_ID3 + content[stream.start : stream.count] + number + behind + sound
    count = SILENCE // header.samples
    info = b"Info" + WORD.pack(1) + WORD.pack(count + stream.frames) + b"omni_asr".ljust(21, b"\0")
    info += ((SILENCE - DECODER_DELAY) << 12 | DECODER_DELAY).to_bytes(3, "big")
    telling = silent[: header.side] + info + silent[header.side + len(info) :]
    return EMPTY_ID3 + telling + count * silent + sound


def _without_gaps(content: Content, stream: Stream, silent: bytes) -> bytes:
    """Frames of a stream, and silent ones for those that are lost between them."""
    pieces, position = [], stream.first
    for gap in stream.gaps:
        pieces += [content[position : gap.start], gap.lost * silent]
        position = gap.stop
    return b"".join([*pieces, content[position : stream.stop]])


def _silent_frame(like: Header) -> bytes:
    """The smallest frame of silence, without checksum, that has room for what ``Info`` and LAME tell."""
    fixed = (like.word | 1 << 16) & ~(15 << 12 | 1 << 9)
    for bitrate in range(1, 15):
        header = _parse(fixed | bitrate << 12)
        if header is not None and header.size >= like.side + 36:
            return WORD.pack(header.word).ljust(header.size, b"\0")
    raise AssertionError("every rate has a bitrate whose frames are large enough")
