"""Matrices in Kaldi archives, through kaldiio.

An archive and its table appear together when the writer closes without an exception; a scp value is
``<ark>:<offset>``. Compressed archives use Kaldi's method 2 (one byte a value, scaled by the column's quartiles).
"""

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO

import kaldiio
import numpy as np
from numpy.typing import NDArray

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.matrix import AGAIN, Header, read_header
from omni_asr.kaldi.pipes import PipeError, is_command, run_pipe
from omni_asr.kaldi.tables import write_table

SPEECH_FEATURES = 2
"""Kaldi's compression method for filterbanks."""
LONGEST_BLANK = 64
"""Bytes within which a matrix in text opens its bracket."""
NUMPY = b"NPY"
"""Bytes before an array that NumPy has written."""
UNREADABLE = (OSError, ValueError, AssertionError, RuntimeError, IndexError, struct.error)
"""Exceptions of kaldiio on damaged archives; UnicodeDecodeError is a ValueError."""


class ArkWriter:
    """Writes ``<ark>`` and ``<scp>`` by rename; the lines of the scp name the final ark and are sorted.

    Use it as a context manager: nothing appears when the block raises. An old scp is removed before the new ark takes
    its name, so that no table ever points into another archive.
    """

    def __init__(
        self,
        ark: str | os.PathLike[str],
        scp: str | os.PathLike[str] | None = None,
        compression_method: int | None = SPEECH_FEATURES,
    ) -> None:
        self.ark = Path(ark)
        self.scp = Path(scp) if scp is not None else None
        self.compression_method = compression_method
        self.entries: dict[str, str] = {}
        self._stack = contextlib.ExitStack()
        self._file: IO[Any] | None = None

    def __enter__(self) -> "ArkWriter":
        self._file = self._stack.enter_context(atomic_write(self.ark, "wb"))
        return self

    def __call__(self, key: str, matrix: NDArray[Any]) -> None:
        """Append one matrix; ``key`` must be new."""
        if self._file is None:
            raise RuntimeError("ArkWriter is used as a context manager")
        if key in self.entries:
            raise UserError(f"{self.ark}: {key!r} is written a second time; ids must be unique")
        self._file.write(f"{key} ".encode())
        self.entries[key] = f"{self.ark}:{self._file.tell()}"
        kaldiio.matio.write_array(self._file, matrix, compression_method=self.compression_method)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.scp is not None:
            self.scp.unlink(missing_ok=True)
        self._stack.__exit__(kind, error, trace)
        if kind is None and self.scp is not None:
            write_table(self.scp, self.entries)


def read_matrix(value: str) -> NDArray[Any]:
    """The matrix that a scp value names: ``file:offset``, a file, with or without a row range, or a pipe.

    Raises:
        UserError: the archive is missing or does not hold a matrix there; a pipe fails or is refused.
    """
    try:
        with _opened(value) as (file, rows):
            matrix = _read(file, value)
    except FileNotFoundError:
        raise UserError(f"the archive of {value} does not exist; {AGAIN}") from None
    except UNREADABLE:
        raise UserError(f"no matrix at {value}, or not a whole one; {AGAIN}") from None
    except PipeError as error:
        raise UserError(f"{value}: {error}") from None
    return matrix if rows is None else matrix[rows]


@contextlib.contextmanager
def _opened(value: str) -> Iterator[tuple[BinaryIO, Any]]:
    """File of a scp value at the place of its matrix, and the rows of it; the output of a command is in memory."""
    if is_command(value):
        yield io.BytesIO(run_pipe(value)), None
        return
    path, offset, rows = kaldiio.matio._parse_arkpath(value)
    with open(path, "rb") as file:
        file.seek(offset or 0)
        yield file, rows


def _read(file: BinaryIO, place: str) -> NDArray[Any]:
    """The matrix at the position of a file: binary, text, or NumPy's (``kaldiio.save_ark(write_function="numpy")``).

    Raises:
        UserError: it is larger than the file, or a pickled object, which kaldiio reads and which runs any code in it.
        ValueError: there is no matrix.
    """
    start = file.tell()
    begin = file.read(LONGEST_BLANK)
    file.seek(start)
    if begin.startswith(b"PKL"):
        raise UserError(f"{place} holds a pickled object, which may run any code when read; it is not a matrix")
    if begin.startswith(NUMPY):
        file.seek(start + len(NUMPY))
        return _read_numpy(file)
    is_text = begin.lstrip().startswith(b"[")
    if read_header(file, place) is None and not is_text:
        raise ValueError("no matrix")
    with np.errstate(all="ignore"):  # values of a damaged matrix may overflow
        matrix: NDArray[Any] = kaldiio.matio.read_kaldi(file)
    return matrix


def _read_numpy(file: BinaryIO) -> NDArray[Any]:
    """The matrix behind :data:`NUMPY`: one byte for the width of a number, which is the size of an ``.npy`` file.

    Raises:
        ValueError: there is no matrix of numbers, or not a whole one.
    """
    size = int.from_bytes(file.read(file.read(1)[0]), "little")
    start = file.tell()
    if size > file.seek(0, os.SEEK_END) - start:
        raise ValueError("the file ends within the matrix")
    file.seek(start)
    content = bytearray(file.read(size))
    stream = io.BytesIO(content)
    is_first = np.lib.format.read_magic(stream) == (1, 0)
    parse = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = parse(stream)
    if len(shape) != 2 or dtype.kind not in "fiu":
        raise ValueError("no matrix of numbers")
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape, order="F" if is_fortran else "C")


def num_frames(value: str) -> int:
    """Rows of the matrix that a scp value names, from its header where it has a binary one.

    Raises:
        UserError: as :func:`read_matrix`.
    """
    header = stored_header(value)
    return header.rows if header is not None else int(read_matrix(value).shape[0])


def stored_header(value: str) -> Header | None:
    """Header of the binary matrix that ``file:offset`` names; None for other scp values and matrices.

    Raises:
        UserError: the archive ends within the matrix.
    """
    place = split_place(value)
    if place is not None:
        with contextlib.suppress(OSError), open(place[0], "rb") as file:
            file.seek(place[1])
            return read_header(file, value)
    return None


def split_place(value: str) -> tuple[str, int] | None:
    """Path and offset of a scp value ``file:offset``; None for others."""
    path, colon, offset = value.rpartition(":")
    return (path, int(offset)) if colon and offset.isdecimal() and not is_command(value) else None


def read_ark(path: str | os.PathLike[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Ids and matrices of an archive, in its order.

    Raises:
        UserError: the archive is missing, or does not hold matrices to its end.
    """
    try:
        with open(path, "rb") as file:
            while (key := kaldiio.matio.read_token(file)) is not None:
                yield key, _read(file, f"{key} of {os.fspath(path)}")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (*UNREADABLE, OverflowError, MemoryError):
        raise UserError(f"{path} is not a Kaldi archive, or it is damaged; make it again") from None
