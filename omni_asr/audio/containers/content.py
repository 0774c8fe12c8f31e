"""Bytes of an audio file."""

import os
import re
import struct
from collections.abc import Iterator
from typing import IO, Any

from omni_asr.audio.errors import AudioError

BLOCK = 1 << 17
"""Bytes that are read at once."""


class Content:
    """Bytes of an audio file, which are read in blocks when they are looked at.

    With a memory map, an I/O error or a file that is cut meanwhile would kill the process.

    Raises:
        AudioError: the file becomes shorter while it is read, from any method.
        OSError: reading fails.
    """

    def __init__(self, file: IO[bytes], name: str, is_file: bool) -> None:
        self._file = file
        self.name = name
        """Name for messages."""
        self.is_file = is_file
        """Whether libsndfile opens a file, by its path, rather than bytes."""
        self._size = file.seek(0, os.SEEK_END)
        self._block, self._first, self._last = b"", 0, 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        if stop - start > BLOCK:
            return self._read(start, stop)
        if start < self._first or stop > self._last:
            self._load(start)
        return self._block[start - self._first : max(start, stop) - self._first]

    def find(self, needle: bytes, start: int = 0) -> int:
        """Byte, from ``start`` on, where ``needle`` begins, or -1."""
        while start + len(needle) <= self._size:
            if start < self._first or start + len(needle) > self._last:
                self._load(start)
            place = self._block.find(needle, start - self._first)
            if place >= 0:
                return self._first + place
            start = self._last - len(needle) + 1
        return -1

    def find_all(self, needle: bytes) -> Iterator[int]:
        """Yield the bytes where ``needle`` begins."""
        pattern = re.compile(re.escape(needle))  # which takes half the time of bytes.find
        for start in range(0, self._size, BLOCK):
            part = self[start : start + BLOCK + len(needle) - 1]
            yield from (start + match.start() for match in pattern.finditer(part))

    def unpack(self, form: struct.Struct, position: int) -> tuple[Any, ...]:
        """Unpack the bytes at a position."""
        return form.unpack(self[position : position + form.size])

    def _load(self, start: int) -> None:
        """Take the block that begins at ``start``."""
        stop = min(start + BLOCK, self._size)
        self._block, self._first, self._last = self._read(start, stop), start, stop

    def _read(self, start: int, stop: int) -> bytes:
        self._file.seek(start)
        data = self._file.read(stop - start)
        if len(data) < stop - start:
            raise AudioError("the file became shorter while it was read")
        return data


def skip_id3(content: Content, position: int) -> int:
    """Skip the ID3v2 tags at a position; they come before MP3 and, rarely, FLAC."""
    while content[position : position + 3] == b"ID3" and len(content) >= position + 10:
        size = 0
        for byte in content[position + 6 : position + 10]:
            size = size << 7 | byte & 127
        has_footer = bool(content[position + 5 : position + 6][0] & 16)
        position += 10 + size + (10 if has_footer else 0)
    return position
