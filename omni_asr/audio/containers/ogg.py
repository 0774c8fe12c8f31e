"""Ogg (Vorbis, Opus, FLAC): pages, and streams that follow one another in a file (chaining, RFC 3533).

libsndfile reads the first of chained streams only.
"""

import struct

from omni_asr.audio.containers.content import Content
from omni_asr.audio.errors import AudioError

MAGIC = b"OggS"
PAGE = struct.Struct("<4sxBqIIIB")
"""Header of a page: magic, marks, samples up to its end, stream, number, checksum, and its number of segments."""
BEGIN, END = 2, 4
"""Marks of the first and of the last page of a stream."""
NO_PACKET_ENDS = -1


def streams(content: Content) -> list[bytes]:
    """Files that libsndfile reads to their ends, one for each chained stream; none where there is one stream.

    Raises:
        AudioError: the last page of a stream is missing or not whole, or counts fewer samples than one before it.
    """
    starts: list[int] = []
    samples: dict[int, int] = {}  # by stream: several may lie side by side
    marks, position, stop = END, 0, 0
    while position >= 0:
        if len(content) < position + PAGE.size:
            raise AudioError("truncated: the last page of the Ogg stream is not whole")
        _, new_marks, end, stream, _, _, segments = content.unpack(PAGE, position)
        if new_marks & BEGIN and not (starts and marks & BEGIN):
            _check_end(marks)
            starts.append(position)
            samples.clear()
        marks = new_marks
        if end != NO_PACKET_ENDS:
            if end < samples.get(stream, 0):
                raise AudioError("damaged: pages of the Ogg stream are not in order")
            samples[stream] = end
        body = position + PAGE.size + segments
        stop = body + sum(content[body - segments : body])
        if stop > len(content):
            raise AudioError("truncated: the last page of the Ogg stream is not whole")
        position = content.find(MAGIC, stop)
    _check_end(marks)
    if len(starts) < 2:
        return []
    return [content[start:end] for start, end in zip(starts, [*starts[1:], stop], strict=True)]


def _check_end(marks: int) -> None:
    """Raise AudioError where a stream ends behind a page with these marks, of which it is not the last."""
    if not marks & END:
        raise AudioError("truncated: the last page of the Ogg stream is missing")
