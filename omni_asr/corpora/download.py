"""Fetching a corpus that is free: resumable, verified, never twice."""

import fcntl
import gzip
import hashlib
import http.client
import logging
import lzma
import os
import shutil
import ssl
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omni_asr.corpora.progress import Progress
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.read_files import MALFORMED, reason_of

log = logging.getLogger("download")

BLOCK = 1 << 20
TRIES = 5
"""Connections in a row that may bring nothing before it is given up."""
PAUSE = 3.0
"""Seconds before the second try; each further one waits twice as long."""
TIMEOUT = 60
"""Seconds without a byte after which a connection is given up."""
NOT_SATISFIABLE = 416
BUSY = {408, 425, 429, 500, 502, 503, 504}
"""Answers of servers that may be another one soon."""
MARKS, ARCHIVES = ".unpacked", ".archives"
"""Folders beside what was unpacked: a mark for each complete archive, and archives that are fetched or unpacked."""


@dataclass(frozen=True)
class Archive:
    """A file of a corpus on a server.

    Args:
        url: where it is.
        size: its bytes, where they are known.
        sha256: its checksum in hexadecimal, where it is known.
    """

    url: str
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Last part of the URL."""
        return self.url.split("?")[0].rstrip("/").rsplit("/", 1)[-1]


def fetch(archive: Archive, folder: str | os.PathLike[str]) -> Path:
    """Fetch a file into a folder, going on with what an earlier call left; nothing is done where it is complete.

    The file appears under its name when its size and checksum are right; until then it is ``<name>.part``.

    Raises:
        UserError: the server cannot be reached or refuses, the disk is full, or what comes is not what is expected.
    """
    path = Path(folder) / archive.name
    if path.exists():
        _check(archive, path, "remove it and start again")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    failures, have = 0, _size(part)
    while archive.size is None or have != archive.size:
        try:
            _receive(archive, part)
            break
        except (OSError, http.client.HTTPException) as error:
            failures, before, have = failures + 1, have, _size(part)
            if have > before:
                failures = 1
            reason = _reason(error)
            if _is_final(error):
                raise UserError(f"{archive.url} cannot be fetched: {reason}; put the file at {path} by hand") from None
            if failures == TRIES:
                advice = f"start again to go on, or put the file at {path} by hand"
                raise UserError(f"{archive.url} cannot be fetched ({reason}); {advice}") from None
            log.warning("%s: %s; another try follows", archive.name, reason)
            time.sleep(PAUSE * 2 ** (failures - 1))
    try:
        _check(archive, part, "what was fetched is removed; start again")
    except UserError:
        part.unlink()
        raise
    os.replace(part, path)
    return path


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code} {error.reason}"
    return str(getattr(error, "reason", None) or error or type(error).__name__)


def _is_final(error: Exception) -> bool:
    """Whether another try would end alike: refused, a certificate that nobody trusts, a file:// that is not there."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code not in BUSY
    return isinstance(
        getattr(error, "reason", None), (FileNotFoundError, PermissionError, ssl.SSLCertVerificationError)
    )


def _receive(archive: Archive, part: Path) -> None:
    """Append what is missing to a partial file.

    Raises:
        OSError, HTTPException: the connection failed or ended too early.
    """
    have = _size(part)
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != NOT_SATISFIABLE or not have:
            raise
        if (error.headers.get("Content-Range") or f"/{have}").endswith(f"/{have}"):  # nothing is missing
            return
        part.unlink()
        raise OSError("the file on the server is another one now; begun anew") from None
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            have = 0  # the server sends all of it, whatever was asked for
        length = response.headers.get("Content-Length")
        total = int(length) + have if length else None
        if None not in (total, archive.size) and total != archive.size:
            raise UserError(f"{archive.url} has {total} bytes, not {archive.size}: it is not the file that is expected")
        _append(response, part, have, Progress(archive.name, have, total))
    if total is not None and _size(part) < total:
        raise OSError(f"the connection ended after {_size(part)} of {total} bytes")


def _append(response: http.client.HTTPResponse, part: Path, have: int, progress: Progress) -> None:
    """Write what comes behind the first ``have`` bytes of a file."""
    with open(part, "ab") as file, progress:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{part} is being fetched by another process; wait until it ends") from None
        except OSError:  # a file system without locks
            pass
        if file.tell() != have:
            file.truncate(have)
        while block := response.read(BLOCK):
            try:
                file.write(block)
                file.flush()
            except OSError as error:  # no other connection helps
                reason = error.strerror or error
                raise UserError(f"{part} cannot be written ({reason}); start again to go on when it can") from None
            progress.add(len(block))


def _check(archive: Archive, path: Path, advice: str) -> None:
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        raise UserError(f"{path} has {size} bytes, not the {archive.size} of {archive.url}; {advice}")
    found = None if archive.sha256 is None else _checksum(path)
    if archive.sha256 is not None and found != archive.sha256.lower():
        raise UserError(f"{path} has the SHA256 sum {found}, not the {archive.sha256} of {archive.url}; {advice}")


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, RuntimeError)
"""Exceptions that unpacking raises for an archive that is damaged, encrypted or of a later format."""


def unpack(path: Path, folder: str | os.PathLike[str]) -> None:
    """Unpack a tar or zip file into a folder, once: a mark in ``folder/.unpacked`` says that it is complete.

    Raises:
        UserError: the archive is damaged, holds a path that leads out of the folder, or the disk is full.
    """
    folder = Path(folder)
    mark = folder / MARKS / path.name
    if mark.exists():
        log.info("%s is unpacked in %s, nothing to do", path.name, folder)
        return
    log.info("unpacking %s into %s", path, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _extract(path, folder)
    except (*DAMAGED, *MALFORMED) as error:
        reason = reason_of(error)
        raise UserError(f"{path} is damaged and cannot be unpacked ({reason}); remove it and start again") from None
    except OSError as error:
        what = f"{path} cannot be unpacked into {folder}"
        raise UserError(f"{what} ({error}); is there room, and may you write there?") from None
    with atomic_write(mark) as file:
        file.write(f"{path.stat().st_size}\n")


def _extract(path: Path, folder: Path) -> None:
    if not zipfile.is_zipfile(path):
        with tarfile.open(path) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(folder, filter="data")
            else:  # Python 3.11.3, 3.10.11 and before
                tar.extractall(folder, members=_harmless(tar, folder.resolve()))
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():  # zipfile would put them elsewhere without a word
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise zipfile.BadZipFile(f"{name!r} would be extracted outside of it")
        archive.extractall(folder)


def _harmless(tar: tarfile.TarFile, folder: Path) -> Iterator[tarfile.TarInfo]:
    """The members of a tar file, as the filter ``data`` of later versions of Python passes them.

    Raises:
        tarfile.TarError: one is no file, folder or link, or leads out of the folder.
    """
    for member in tar:
        places = [folder / member.name]
        if member.issym():
            places.append(places[0].parent / member.linkname)
        elif member.islnk():
            places.append(folder / member.linkname)
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise tarfile.ExtractError(f"{member.name!r} is a special file")
        for place in places:
            if not Path(os.path.realpath(place)).is_relative_to(folder):
                raise tarfile.ExtractError(f"{member.name!r} would be extracted outside of it")
        member.mode = 0o755 if member.isdir() else member.mode & 0o755 | 0o600
        member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
        yield member


def unpack_beside(path: Path, *others: Path) -> Path:
    """Unpack a tar or zip file into the folder that it is in; what it holds appears there by rename, whole.

    Args:
        path: the archive.
        others: folders to take instead where nobody may write beside it; the first that can be written.

    Returns:
        The folder.

    Raises:
        UserError: as :func:`unpack`, the folder has something of the same name, or none of them can be written.
    """
    folder = next(filter(_may_write, [path.parent, *others]), None)
    if folder is None:
        where = ", ".join(dict.fromkeys(map(str, [path.parent, *others])))
        raise UserError(
            f"{path} has to be unpacked, but {where} cannot be written; name a folder of yours by --corpus_dir too"
        )
    partial = folder / f".unpacking.{path.name}"
    if not (partial / MARKS).exists():
        shutil.rmtree(partial, ignore_errors=True)  # what an interruption left, perhaps of another archive of this name
    unpack(path, partial)
    for child in sorted(partial.iterdir()):
        if child.name == MARKS:
            continue
        if (folder / child.name).exists():
            raise UserError(f"{path} would replace {folder / child.name}; remove one of them and start again")
        child.rename(folder / child.name)
    shutil.rmtree(partial)
    return folder


def _may_write(folder: Path) -> bool:
    """Whether one may write into a folder, or make it."""
    if folder.exists():
        return os.access(folder, os.W_OK)
    return folder.parent != folder and _may_write(folder.parent)


def is_unpacked(archive: Archive, folder: str | os.PathLike[str]) -> bool:
    """Whether :func:`fetch_all` has unpacked an archive completely into a folder."""
    return Path(folder, MARKS, archive.name).exists()


def was_interrupted(archive: Archive, folder: str | os.PathLike[str]) -> bool:
    """Whether :func:`fetch_all` has an archive that is not unpacked yet: what it holds may be there in part."""
    return Path(folder, ARCHIVES, archive.name).exists() and not is_unpacked(archive, folder)


def fetch_all(archives: Sequence[Archive], folder: str | os.PathLike[str], keep: bool = False) -> None:
    """Fetch and unpack some archives; what is unpacked is not fetched again, and its archive is removed unless kept."""
    folder = Path(folder)
    for number, archive in enumerate(archives, 1):
        if is_unpacked(archive, folder):
            log.info("%s is there, nothing to fetch", archive.name)
            continue
        log.info("%s (%d of %d)", archive.url, number, len(archives))
        path = fetch(archive, folder / ARCHIVES)
        unpack(path, folder)
        if not keep:
            path.unlink()
    if not keep and (folder / ARCHIVES).is_dir() and not any((folder / ARCHIVES).iterdir()):
        shutil.rmtree(folder / ARCHIVES)  # others may be at work there
