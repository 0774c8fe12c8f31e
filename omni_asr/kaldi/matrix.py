"""Binary Kaldi matrices at a place in an archive: read with one system call, decoded or passed on as bytes.

``kaldiio`` writes archives and reads whatever else a table may name; it decodes Kaldi's one-byte format (``CM``) with a
formula for each value, which is too slow to keep a GPU busy. Here its formula fills a table of the 256 values that each
column can have, so the results are equal to the bit.

Shapes: T rows (frames), F columns (features).
"""

import errno
import os
import struct
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from omni_asr.errors import UserError
from omni_asr.files import most_open

KINDS = {b"FM": (15, 4), b"DM": (15, 8), b"CM": (21, 1), b"CM2": (22, 2), b"CM3": (22, 1)}
"""Bytes before the matrix (with the header, without quartiles) and of one value, by Kaldi's name of the format."""
LONGEST_HEADER = 32
"""Bytes that hold any header."""
READ_AHEAD = 1 << 17
"""Bytes of one request for read-ahead: Linux cuts larger ones to a device's window, mostly 128 KiB."""


class Header(NamedTuple):
    """What stands before the values of a binary matrix."""

    kind: bytes
    rows: int
    columns: int
    low: float
    range: float

    @property
    def start(self) -> int:
        """Bytes before the values."""
        return KINDS[self.kind][0] + (8 * self.columns if self.kind == b"CM" else 0)

    @property
    def size(self) -> int:
        """Bytes of the whole matrix with its header."""
        return self.start + self.rows * self.columns * KINDS[self.kind][1]


def parse_header(data: bytes) -> Header | None:
    """Header of a matrix in bytes; None where there is another thing, such as a matrix as text, or a torn header."""
    kind = data[2 : data.find(b" ", 2, 6)]
    if data[:2] != b"\0B" or kind not in KINDS or len(data) < KINDS[kind][0]:
        return None
    if kind in (b"FM", b"DM"):
        rows, columns, low, span = *struct.unpack_from("<xixi", data, 5), 0.0, 0.0
    else:
        low, span, rows, columns = struct.unpack_from("<ffii", data, len(kind) + 3)
    return Header(kind, rows, columns, low, span) if rows >= 0 and columns >= 0 else None


def decode(data: bytes, header: Header) -> NDArray[np.float32]:
    """The matrix (T, F) in ``data``, which begins with ``header`` and is complete."""
    kind, rows, columns = header[:3]
    count = rows * columns
    if kind == b"CM":
        return _decode_quartiles(data, header)
    if kind in (b"FM", b"DM"):
        values = np.frombuffer(data, "<f4" if kind == b"FM" else "<f8", count, header.start)
        return values.reshape(rows, columns).astype(np.float32)
    codes, largest = ("<u2", 65535.0) if kind == b"CM2" else ("u1", 255.0)
    x_TF = np.frombuffer(data, codes, count, header.start).reshape(rows, columns).astype(np.float32)
    x_TF *= np.float32(header.range)
    x_TF /= np.float32(largest)
    x_TF += np.float32(header.low)
    return x_TF


def _decode_quartiles(data: bytes, header: Header) -> NDArray[np.float32]:
    """One byte a value, column after column, in three linear pieces between the column's quartiles."""
    rows, columns = header.rows, header.columns
    quartiles = np.frombuffer(data, "<u2", 4 * columns, KINDS[b"CM"][0]).astype(np.float32)
    quartiles = header.low + quartiles * header.range / 65535.0
    p0, p25, p75, p100 = quartiles.reshape(columns, 4, 1).transpose(1, 0, 2)
    code = np.arange(256, dtype=np.float32)
    value_FV = np.empty((columns, 256), np.float32)
    value_FV[:, :65] = p0 + (p25 - p0) * code[:65] * (1 / 64.0)
    value_FV[:, 65:193] = p25 + (p75 - p25) * (code[65:193] - 64.0) * (1 / 128.0)
    value_FV[:, 193:] = p75 + (p100 - p75) * (code[193:] - 192.0) * (1 / 63.0)
    codes_FT = np.frombuffer(data, np.uint8, rows * columns, header.start).reshape(columns, rows)
    place_TF = np.add(codes_FT.T, np.arange(0, 256 * columns, 256), order="C")  # in the order of the result
    return value_FV.ravel().take(place_TF, mode="wrap")  # no index is out of range; "wrap" is what skips the check


class ArkFiles:
    """Archives by path, of which the last used stay open; a copy in another process opens its own.

    Args:
        read_ahead: ask the kernel for the whole of each archive when it is opened, so that reads in any order find it
            in memory.
    """

    def __init__(self, read_ahead: bool = False) -> None:
        self.read_ahead = read_ahead
        self._open: OrderedDict[str, int] = OrderedDict()
        self._row_bytes = 128.0

    def __reduce__(self) -> tuple[type, tuple[bool]]:
        return ArkFiles, (self.read_ahead,)

    def __del__(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self, path: str, offset: int, rows: int) -> tuple[bytes, Header] | None:
        """Bytes and header of the matrix at a place; None where it is no binary matrix. Bytes may go on behind it.

        ``rows`` is how many there should be: it tells how much to read at once.

        Raises:
            UserError: the archive is gone, cannot be read, or ends within the matrix.
        """
        try:
            file = self._file(path)
            data = os.pread(file, int(LONGEST_HEADER + rows * self._row_bytes + 4096), offset)
            header = parse_header(data)
            if header is None:
                return None
            while len(data) < header.size:
                more = os.pread(file, header.size - len(data), offset + len(data))
                if not more:
                    raise UserError(f"{path}:{offset}: the archive ends within a matrix; compute the features again")
                data += more
        except FileNotFoundError:
            raise UserError(f"{path}:{offset}: the archive does not exist; compute the features again") from None
        except OSError as error:
            raise UserError(f"{path}:{offset}: cannot read the archive ({error.strerror})") from None
        self._row_bytes = max(self._row_bytes, header.size / max(1, header.rows) if header.rows > 32 else 0)
        return data, header

    def _file(self, path: str) -> int:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        file = self._open_file(path)
        self._open[path] = file
        while len(self._open) > most_open():
            os.close(self._open.popitem(last=False)[1])
        if self.read_ahead and hasattr(os, "posix_fadvise"):
            for start in range(0, os.fstat(file).st_size, READ_AHEAD):
                os.posix_fadvise(file, start, READ_AHEAD, os.POSIX_FADV_WILLNEED)
        return file

    def _open_file(self, path: str) -> int:
        """Open an archive; where the process has too many files open, close all others first."""
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._open:
                raise
        while self._open:
            os.close(self._open.popitem()[1])
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
