"""FLAC: its header gives the number of samples, or 0 where the encoder wrote to a pipe, and so does its last frame.

Source: RFC 9639.
"""

from omni_asr.audio.containers.content import Content

MAGIC = b"fLaC"
STARTS = (MAGIC + b"\0\0\0\x22", MAGIC + b"\x80\0\0\x22")
"""First bytes of a file: the magic, and the header of the block STREAMINFO, which is the last block or not."""
INFO, INFO_SIZE = 8, 34
"""Where STREAMINFO lies in a file, and its bytes."""
TOTAL_BITS = 36
SEARCHED = 1 << 20
"""Bytes at the end of a file in which the last frame is searched for, where the header gives no length."""
TAG, TAG_SIZE = b"TAG", 128
"""An ID3v1 tag, which may follow the last frame."""
SAMPLE_BITS = {0: None, 1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}
"""Bits of a sample by their code in a frame's header; those of STREAMINFO for 0."""


def streams(content: Content) -> list[bytes]:
    """Files that libsndfile reads to their ends, one for each stream; none where it does so with the file itself.

    Samples that the header promises and that are not there are an error of decoding.
    """
    starts = [place for place in content.find_all(MAGIC) if content[place : place + INFO] in STARTS]
    if not starts:
        return []
    files = []
    is_right = len(starts) == 1
    for start, stop in zip(starts, [*starts[1:], len(content)], strict=True):
        promised = _fields(content, start) & (1 << TOTAL_BITS) - 1
        samples = max(promised, _last_sample(content, start, stop, promised))
        is_right = is_right and samples == promised
        files.append((start, stop, samples))
    return [] if is_right else [_file(content, *file) for file in files]


def _fields(content: Content, start: int) -> int:
    """Rate (20 bits), channels less one (3), bits of a sample less one (5) and number of samples of STREAMINFO."""
    return int.from_bytes(content[start + INFO + 10 : start + INFO + 18], "big")


def _file(content: Content, start: int, stop: int, samples: int) -> bytes:
    """One stream, with the right number of samples in its header."""
    fields = _fields(content, start) >> TOTAL_BITS << TOTAL_BITS | samples
    place = start + INFO + 10
    return content[start:place] + fields.to_bytes(8, "big") + content[place + 8 : stop]


def _last_sample(content: Content, start: int, stop: int, promised: int) -> int:
    """Number of samples up to the end of the last frame; 0 where no frame is seen.

    Samples may look like the header of a frame, even with its CRC-8. So a frame is taken for the last one only if the
    CRC-16 up to the end of the file is right, or the header of the file agrees. Where neither is so, and the file
    promises nothing, the last header counts: the file is truncated, and decoding fails there.
    """
    fields = _fields(content, start) >> TOTAL_BITS
    channels, bits = (fields >> 5 & 7) + 1, (fields & 31) + 1
    block = int.from_bytes(content[start + INFO + 2 : start + INFO + 4], "big")
    largest = 64 + channels * (block * (bits + 1) // 8 + 16)  # samples as they are, and headers
    first = max(start + INFO + INFO_SIZE, stop - TAG_SIZE - (largest if promised else SEARCHED))
    tail = content[first:stop]
    if tail[-TAG_SIZE:].startswith(TAG):
        tail = tail[:-TAG_SIZE]
    guess = 0
    place = tail.rfind(b"\xff")
    while place >= 0 and not (guess and len(tail) - place > largest):
        end = _frame_end(tail[place : place + 16], channels, bits, block)
        if end is not None:
            if end == promised or (len(tail) - place <= largest and not _crc16(tail[place:])):
                return end
            guess = guess or end
        place = tail.rfind(b"\xff", 0, place)
    return 0 if promised else guess


def _frame_end(header: bytes, channels: int, bits: int, block: int) -> int | None:
    """Number of samples up to the end of the frame with this header; None for bytes that are not a header."""
    if len(header) < 6 or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    block_code, rate_code = header[2] >> 4, header[2] & 15
    channel_code, sample_code = header[3] >> 4, header[3] >> 1 & 7
    has_channels = channels == (channel_code + 1 if channel_code < 8 else 2) and channel_code < 11
    if not block_code or rate_code == 15 or not has_channels or SAMPLE_BITS.get(sample_code, 0) not in (None, bits):
        return None
    number, position = _coded_number(header, 4)
    size_bytes = {6: 1, 7: 2}.get(block_code, 0)
    rate_bytes = {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    crc = position + size_bytes + rate_bytes
    if number < 0 or crc >= len(header) or _crc8(header[:crc]) != header[crc]:
        return None
    if size_bytes:
        samples = int.from_bytes(header[position : position + size_bytes], "big") + 1
    elif block_code == 1:
        samples = 192
    else:
        samples = 576 << block_code - 2 if block_code < 6 else 256 << block_code - 8
    has_variable_blocks = bool(header[1] & 1)
    return (number if has_variable_blocks else number * block) + samples


def _coded_number(header: bytes, position: int) -> tuple[int, int]:
    """A number coded as in UTF-8, and the position behind it; -1 where there is none."""
    first = header[position]
    length = 8 - (first ^ 0xFF).bit_length()  # ones at its start
    if length in (1, 8):
        return -1, position
    number = first & (0x7F >> length)
    rest = header[position + 1 : position + max(length, 1)]
    for byte in rest:
        if byte >> 6 != 2:
            return -1, position
        number = number << 6 | byte & 63
    return number, position + max(length, 1)


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc


def _crc16(data: bytes) -> int:
    """CRC-16 of a frame, which is 0 with the one at its end."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ CRC16[crc >> 8 ^ byte]
    return crc


def _crc16_of_byte(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = crc << 1 ^ (0x18005 if crc & 0x8000 else 0)
    return crc


CRC16 = [_crc16_of_byte(byte) for byte in range(256)]
