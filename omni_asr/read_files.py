"""Reading of files that somebody may have damaged: each fault becomes one line that names the file."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omni_asr.errors import UserError

MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""Exceptions of code that takes apart values which are not of the form that it expects."""


def read_text(path: str | os.PathLike[str], advice: str = "restore the file") -> str:
    """Text of a UTF-8 file.

    Raises:
        UserError: it does not exist, cannot be read, or a line is not UTF-8; the message ends in ``advice``.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {advice}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 (byte 0x{data[error.start]:02x}); {advice}") from None


def read_json(path: str | os.PathLike[str], advice: str = "restore the file") -> Any:
    """Value of a JSON file.

    Raises:
        UserError: as :func:`read_text`, or it is not JSON.
    """
    text = read_text(path, advice)
    with well_formed(path, "JSON", advice):
        return json.loads(text)


@contextlib.contextmanager
def well_formed(path: str | os.PathLike[str], form: str, advice: str) -> Iterator[None]:
    """Turn the exceptions of a block that takes the content of a file apart into one line.

    Raises:
        UserError: "PATH is not FORM (reason); ADVICE".
    """
    try:
        yield
    except MALFORMED as error:
        raise UserError(f"{path} is not {form} ({reason_of(error)}); {advice}") from None


def reason_of(error: Exception, most: int = 120) -> str:
    """The message of an exception in one line of limited length."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = f"{text} is missing" if isinstance(error, KeyError) else text
    return text if len(text) <= most else f"{text[:most]}..."


def shortened(value: object, most: int = 60) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


class JsonLine(NamedTuple):
    """A line of a file with one JSON object a line."""

    number: int
    """From 1."""
    text: bytes
    value: dict[str, Any] | None
    """None where the line is damaged."""


def read_json_lines(path: str | os.PathLike[str]) -> list[JsonLine]:
    """Lines of a file that a program appends to; the last has no line feed where a kill cut it."""
    lines = []
    for number, text in enumerate(Path(path).read_bytes().splitlines(keepends=True), 1):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        lines.append(JsonLine(number, text, value if isinstance(value, dict) else None))
    return lines
