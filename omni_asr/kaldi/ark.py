"""Matrices in Kaldi archives, through kaldiio.

An archive and its table appear together when the writer closes without an exception; a scp value is
``<ark>:<offset>``. Compressed archives use Kaldi's method 2 (one byte a value, scaled by the column's quartiles).
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import kaldiio
import numpy as np
from numpy.typing import NDArray

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.matrix import LONGEST_HEADER, parse_header
from omni_asr.kaldi.tables import write_table

SPEECH_FEATURES = 2
"""Kaldi's compression method for filterbanks."""
UNREADABLE = (OSError, ValueError, AssertionError, RuntimeError, struct.error)
"""Exceptions of kaldiio for what is not an archive."""


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
        UserError: the archive is missing or does not hold a matrix there.
    """
    try:
        matrix = kaldiio.load_mat(value)
    except FileNotFoundError:
        raise UserError(f"the archive of {value} does not exist; compute the features again") from None
    except UNREADABLE:
        raise UserError(f"no matrix at {value}, or not a whole one; compute the features again") from None
    if not isinstance(matrix, np.ndarray):
        raise UserError(f"{value} holds audio, not a matrix")
    return matrix


def num_frames(value: str) -> int:
    """Rows of the matrix that a scp value names, from its header where it has a binary one."""
    path, colon, offset = value.rpartition(":")
    if colon and offset.isdecimal():
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(int(offset))
            header = parse_header(file.read(LONGEST_HEADER))
            if header is not None:
                return header.rows
    return int(read_matrix(value).shape[0])


def read_ark(path: str | os.PathLike[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Ids and matrices of an archive, in its order.

    Raises:
        UserError: the archive is missing, or does not hold matrices to its end.
    """
    try:
        yield from kaldiio.load_ark(os.fspath(path))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (*UNREADABLE, OverflowError, MemoryError):
        raise UserError(f"{path} is not a Kaldi archive, or it is damaged; make it again") from None
