"""Binary Kaldi matrices at a place in an archive: read with one system call, decoded or passed on as bytes.

``kaldiio`` writes archives and reads whatever else a table may name; it decodes Kaldi's one-byte format (``CM``) with a
formula for each value, which is too slow to keep a GPU busy. Here its formula fills a table of the 256 values that each
column can have, so the results are equal to the bit.

Shapes: T rows (frames), F columns (features).
"""

import contextlib
import errno
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from omni_asr.errors import UserError
from omni_asr.files import most_open

KINDS = {b"FM": (15, 4), b"DM": (15, 8), b"CM": (21, 1), b"CM2": (22, 2), b"CM3": (22, 1)}
"""Bytes before the matrix (with the header, without quartiles) and of one value, by Kaldi's name of the format."""
COMPRESSED = (b"CM", b"CM2", b"CM3")
"""Formats whose header holds the least value and the range."""
AGAIN = "make the features again (--stage 2 --stop_stage 2 --force true)"
"""Advice on damage that a stage which looks complete does not see."""
LONGEST_HEADER = 32
"""Bytes that hold any header."""
LARGEST = 1000.0
"""Largest magnitude of a feature. The log of a positive float32 lies between -103.3 and 88.8, an orthonormal transform
of 80 such numbers (cepstra) within 80**0.5 * 103.3 = 924. What is larger is damage, long before its square overflows:
a single such frame would decide the normalisation of a whole corpus."""
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

    @property
    def is_bounded(self) -> bool:
        """True for a compressed matrix with values, whose range keeps them within :data:`LARGEST`."""
        low, high, has_values = self.low, self.low + self.range, min(self.rows, self.columns) > 0
        return self.kind in COMPRESSED and has_values and abs(low) <= LARGEST and abs(high) <= LARGEST


def parse_header(data: bytes) -> Header | None:
    """Header of a matrix in bytes; None where there is another thing, such as a matrix as text, or a torn header."""
    kind = data[2 : data.find(b" ", 2, 6)]
    if data[:2] != b"\0B" or kind not in KINDS or len(data) < KINDS[kind][0]:
        return None
    if kind in (b"FM", b"DM"):
        rows, columns, low, span = *struct.unpack_from("<xixi", data, 5), 0.0, 0.0
    else:
        low, span, rows, columns = struct.unpack_from("<ffii", data, len(kind) + 3)
    return Header(kind, rows, columns, low, span)


def check_size(header: Header, available: int, place: str) -> None:
    """Compare what a header declares with the bytes that follow, before any memory is asked for.

    Raises:
        UserError: the archive is too short, or the header cannot be right.
    """
    if min(header.rows, header.columns) < 0 or header.size > available:
        shape = f"{header.rows} x {header.columns} values"
        raise UserError(f"{place}: the archive ends within a matrix of {shape}; {AGAIN}")


def read_header(file: BinaryIO, place: str) -> Header | None:
    """Header of the matrix at the position of a file, which stays there; None as by :func:`parse_header`.

    Raises:
        UserError: as :func:`check_size`.
    """
    start = file.tell()
    header = parse_header(file.read(LONGEST_HEADER))
    if header is not None:
        check_size(header, file.seek(0, os.SEEK_END) - start, place)
    file.seek(start)
    return header


def width_fault(width: int, columns: int | None) -> str:
    """Reason to refuse a matrix of this width where ``columns`` are wanted (None for any); empty if there is none."""
    return "" if columns in (None, width) else f"{width} columns where {columns} should be"


def header_fault(header: Header, columns: int | None) -> str:
    """Reason to refuse a matrix of this header as features, as :func:`feature_fault` has it for the shape."""
    fault = width_fault(header.columns, columns)
    return fault or ("" if min(header.rows, header.columns) > 0 else "the matrix is empty")


def feature_fault(x_TF: NDArray, columns: int | None) -> str:
    """Reason to refuse a matrix as features of ``columns`` columns (None for any); empty if there is none."""
    if x_TF.ndim != 2:
        return "the features are not a matrix"
    if width_fault(x_TF.shape[1], columns):
        return width_fault(x_TF.shape[1], columns)
    if not x_TF.size:
        return "the matrix is empty"
    low, high = float(x_TF.min()), float(x_TF.max())  # nan where a value is nan
    if low >= -LARGEST and high <= LARGEST:
        return ""
    if np.isfinite(low) and np.isfinite(high):
        return f"a value of {max(low, high, key=abs):g}, which no log energy reaches"
    return "a value is not a finite number"


def stored_fault(data: bytes, header: Header, columns: int | None) -> str:
    """:func:`feature_fault` of a matrix in bytes; the range in the header of a compressed one bounds its values."""
    if header.is_bounded:
        return width_fault(header.columns, columns)
    if header.kind not in COMPRESSED:
        return feature_fault(_view(data, header), columns)
    with np.errstate(all="ignore"):  # values of a damaged matrix may overflow
        return feature_fault(decode(data, header), columns)


def _view(data: bytes, header: Header) -> NDArray:
    """Values (T, F) of an uncompressed matrix, without a copy."""
    type, count = ("<f4" if header.kind == b"FM" else "<f8"), header.rows * header.columns
    return np.frombuffer(data, type, count, header.start).reshape(header.rows, header.columns)


def decode(data: bytes, header: Header) -> NDArray[np.float32]:
    """The matrix (T, F) in ``data``, which begins with ``header`` and is complete."""
    kind, rows, columns = header[:3]
    count = rows * columns
    if kind == b"CM":
        return _decode_quartiles(data, header)
    if kind not in COMPRESSED:
        return _view(data, header).astype(np.float32)
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
            UserError: the archive is gone, cannot be read, or ends within the matrix that the header declares.
        """
        with _naming(f"{path}:{offset}"):
            file = self._file(path)
            available = max(0, os.fstat(file).st_size - offset)
            expected = int(LONGEST_HEADER + rows * self._row_bytes + 4096)
            data = os.pread(file, min(expected, available), offset)
            header = parse_header(data)
            if header is None:
                return None
            check_size(header, available, f"{path}:{offset}")
            while len(data) < header.size:
                more = os.pread(file, header.size - len(data), offset + len(data))
                if not more:
                    check_size(header, len(data), f"{path}:{offset}")
                data += more
        self._row_bytes = max(self._row_bytes, header.size / max(1, header.rows) if header.rows > 32 else 0)
        return data, header

    def read_header(self, path: str, offset: int) -> Header | None:
        """Header of the matrix at a place, without its values; None and errors as by :meth:`read`."""
        with _naming(f"{path}:{offset}"):
            file = self._file(path)
            header = parse_header(os.pread(file, LONGEST_HEADER, offset))
            if header is not None:
                check_size(header, max(0, os.fstat(file).st_size - offset), f"{path}:{offset}")
        return header

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


@contextlib.contextmanager
def _naming(place: str) -> Iterator[None]:
    """Name the place in the errors of a block that reads an archive."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{place}: the archive does not exist; {AGAIN}") from None
    except OSError as error:
        raise UserError(f"{place}: cannot read the archive ({error.strerror})") from None
