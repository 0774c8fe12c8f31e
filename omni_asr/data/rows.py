"""Many small arrays or strings in one flat array, so that a million of them cost no objects."""

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Rows(Sequence[np.ndarray]):
    """Row i is ``flat[bounds[i] : bounds[i + 1]]``; with ``chosen``, row i is that of ``chosen[i]``.

    Args:
        flat: all rows, one after the other.
        bounds: where each begins, and where the last ends.
        chosen: numbers of the rows that are seen, in their order; None for all.
    """

    def __init__(self, flat: NDArray, bounds: NDArray, chosen: NDArray | None = None) -> None:
        self.flat, self.bounds, self.chosen = flat, bounds, chosen

    def __len__(self) -> int:
        return len(self.bounds) - 1 if self.chosen is None else len(self.chosen)

    @overload
    def __getitem__(self, index: int) -> NDArray: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray]: ...
    def __getitem__(self, index: int | slice) -> NDArray | list[NDArray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row = index % len(self) if self.chosen is None else self.chosen[index]
        return self.flat[self.bounds[row] : self.bounds[row + 1]]


class Strings(Sequence[str]):
    """Rows of UTF-8 bytes, seen as strings."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [row.tobytes().decode() for row in self.rows[index]]
        return self.rows[index].tobytes().decode()
