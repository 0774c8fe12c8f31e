"""Fetching a corpus that is free: resumable, verified, never twice."""

import hashlib
import logging
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from omni_asr.errors import UserError
from omni_asr.files import atomic_write

log = logging.getLogger("download")

BLOCK = 1 << 20
TRIES = 5
PAUSE = 3.0
"""Seconds before the second try; each further one waits twice as long."""
TIMEOUT = 60
"""Seconds without a byte after which a connection is given up."""
NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Archive:
    """A file of a corpus on a server.

    Args:
        url: where it is.
        size: its bytes, where they are known.
        md5: its checksum in hexadecimal, where it is known.
    """

    url: str
    size: int | None = None
    md5: str | None = None

    @property
    def name(self) -> str:
        """Last part of the URL."""
        return self.url.split("?")[0].rstrip("/").rsplit("/", 1)[-1]


def fetch(archive: Archive, folder: str | os.PathLike[str]) -> Path:
    """Fetch a file into a folder, going on with what an earlier call left; nothing is done where it is complete.

    The file appears under its name when its size and checksum are right; until then it is ``<name>.part``.

    Raises:
        UserError: the server cannot be reached or refuses, or what it sends is not the file that is expected.
    """
    path = Path(folder) / archive.name
    if path.exists():
        _check(archive, path, "remove it and start again")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    for number in range(1, TRIES + 1):
        try:
            _receive(archive, part)
            break
        except urllib.error.HTTPError as error:
            raise UserError(f"{archive.url}: the server says {error.code} {error.reason}; {_by_hand(path)}") from None
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            if number == TRIES:
                raise UserError(
                    f"{archive.url} cannot be fetched ({reason}); start again to go on, or {_by_hand(path)}"
                ) from None
            log.warning("%s: %s; try %d of %d follows", archive.url, reason, number + 1, TRIES)
            time.sleep(PAUSE * 2 ** (number - 1))
    try:
        _check(archive, part, "what was fetched is removed; start again")
    except UserError:
        part.unlink()
        raise
    os.replace(part, path)
    return path


def _by_hand(path: Path) -> str:
    return f"put the file at {path} by hand"


def _receive(archive: Archive, part: Path) -> None:
    """Append what is missing to a partial file; OSError where the connection ends too early."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == NOT_SATISFIABLE and have:  # nothing is missing, or the file was replaced: the check tells
            return
        raise
    with response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else None
        with (
            open(part, "ab" if resumed else "wb") as file,
            tqdm(
                total=total, initial=have if resumed else 0, unit="B", unit_scale=True, desc=archive.name, disable=None
            ) as bar,
        ):
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(len(block))
    received = part.stat().st_size
    if total is not None and received < total:
        raise OSError(f"the connection ended after {received} of {total} bytes")


def _check(archive: Archive, path: Path, advice: str) -> None:
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        raise UserError(f"{path} has {size} bytes, not the {archive.size} of {archive.url}; {advice}")
    if archive.md5 is not None:
        found = _md5(path)
        if found != archive.md5:
            raise UserError(f"{path} has the MD5 sum {found}, not the {archive.md5} of {archive.url}; {advice}")


def _md5(path: Path) -> str:
    digest = hashlib.md5()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def unpack(path: Path, folder: str | os.PathLike[str]) -> None:
    """Unpack a tar or zip file into a folder, once: a mark in ``folder/.unpacked`` says that it is complete.

    Raises:
        UserError: the archive is damaged, or holds a path that leads out of the folder.
    """
    folder = Path(folder)
    mark = folder / ".unpacked" / path.name
    if mark.exists():
        log.info("%s is unpacked in %s, nothing to do", path.name, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    log.info("unpacking %s into %s", path, folder)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        else:
            with tarfile.open(path) as tar:
                tar.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise UserError(f"{path} cannot be unpacked into {folder} ({error}); remove it and start again") from None
    with atomic_write(mark) as file:
        file.write(f"{path.stat().st_size}\n")


def fetch_all(archives: Sequence[Archive], folder: str | os.PathLike[str], keep: bool = False) -> None:
    """Fetch and unpack some archives; what is unpacked is not fetched again, and its archive is removed unless kept."""
    folder = Path(folder)
    for number, archive in enumerate(archives, 1):
        if (folder / ".unpacked" / archive.name).exists():
            log.info("%s is there, nothing to fetch", archive.name)
            continue
        log.info("%s (%d of %d)", archive.url, number, len(archives))
        path = fetch(archive, folder / ".archives")
        unpack(path, folder)
        if not keep:
            path.unlink()
    if not keep:
        shutil.rmtree(folder / ".archives", ignore_errors=True)
