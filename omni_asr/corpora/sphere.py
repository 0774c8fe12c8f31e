"""NIST SPHERE files: what their header says, and how their samples are read.

Source: NIST SPeech HEader REsources (SPHERE) 2.6, ``doc/sphere.doc``: 1024 bytes or a multiple of ASCII fields
``name -type value``, then samples, perhaps compressed by shorten.
"""

import os
import shlex
import shutil
from dataclasses import dataclass

from omni_asr.audio.containers.pcm import STRAY
from omni_asr.audio.source import AudioError
from omni_asr.errors import UserError

MAGIC = b"NIST_1A\n"
SMALLEST_HEADER = 1024
LARGEST_HEADER = 1 << 20
CODINGS = {"pcm": "pcm", "ulaw": "ulaw", "mu-law": "ulaw", "alaw": "alaw", "a-law": "alaw"}
SHORTEN = b"ajkg"
"""How compressed samples begin."""


@dataclass(frozen=True)
class Sphere:
    """What the header of a SPHERE file says."""

    rate: int
    channels: int
    samples: int
    """Of each channel."""
    coding: str
    """``pcm``, ``ulaw`` or ``alaw``; the bytes are those of shorten where ``compressed``."""
    compressed: bool

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.rate


def is_sphere(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as SPHERE files do; False for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(8) == MAGIC
    except OSError:
        return False


def read_sphere(path: str | os.PathLike[str]) -> Sphere:
    """Read the header of a file.

    That compressed samples end too early is not seen here, since only decoding them all would tell.

    Raises:
        AudioError: the file is missing, empty, no SPHERE file, truncated, coded or compressed in a way that nothing
            here reads, or its header lacks a field.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(16)
            size = _header_size(start)
            header = start + file.read(size - len(start))
            samples = file.read(len(SHORTEN))
        length = os.path.getsize(path)
    except OSError as error:
        raise AudioError(f"{error.strerror}: {path}") from None
    if len(header) < size:
        raise AudioError(f"its SPHERE header of {size} bytes is truncated")
    fields = _fields(header)
    named, _, packing = fields.get("sample_coding", "pcm").lower().partition(",")
    coding = CODINGS.get(named.strip())
    if coding is None or packing and "shorten" not in packing:
        raise AudioError(f"its samples are coded as {fields['sample_coding']!r}, which nothing here reads")
    try:
        sphere = Sphere(
            rate=int(fields["sample_rate"]),
            channels=int(fields.get("channel_count", 1)),
            samples=int(fields["sample_count"]),
            coding=coding,
            compressed=bool(packing),
        )
        width = int(fields.get("sample_n_bytes", 2 if coding == "pcm" else 1))
    except KeyError as missing:
        raise AudioError(f"its SPHERE header has no {missing.args[0]}") from None
    except ValueError as error:
        raise AudioError(f"its SPHERE header is broken ({error})") from None
    if sphere.rate < 1 or sphere.channels < 1 or sphere.samples < 0:
        raise AudioError("its SPHERE header is broken (a rate or a count is not positive)")
    expected = sphere.samples * sphere.channels * width
    if not sphere.compressed and length - size < expected:
        raise AudioError(f"it is truncated: {length - size} of {expected} bytes of samples")
    if not sphere.compressed and length - size >= expected + STRAY and not _is_blank(path, size + expected):
        raise AudioError(f"it has {length - size} bytes of samples, but {expected} by its header")
    if sphere.compressed and samples != SHORTEN:
        raise AudioError("it is truncated, or not compressed by shorten as its header says")
    return sphere


def _is_blank(path: str | os.PathLike[str], position: int) -> bool:
    """Whether only zeros, with which some programs fill the last block, follow a position."""
    with open(path, "rb") as file:
        file.seek(position)
        return not file.read().strip(b"\0")


def _header_size(start: bytes) -> int:
    if not start:
        raise AudioError("the file is empty (0 bytes)")
    try:
        size = int(start[8:16]) if start.startswith(MAGIC) else 0
    except ValueError:
        size = 0
    if not SMALLEST_HEADER <= size <= LARGEST_HEADER:
        raise AudioError("it is no SPHERE file (it does not begin with NIST_1A and the size of its header)")
    return size


def _fields(header: bytes) -> dict[str, str]:
    fields = {}
    for line in header.decode("latin-1").split("\n")[2:]:
        name, _, rest = line.strip().partition(" ")
        if name == "end_head":
            break
        kind, _, value = rest.partition(" ")
        if name and not name.startswith(";") and kind.startswith("-"):
            fields[name] = value.strip()
    return fields


def sphere_pipe(path: str | os.PathLike[str], sphere: Sphere, channel: int = 0) -> str | None:
    """A pipe for ``wav.scp`` that decodes one channel (from 0) of a file, as everywhere in Kaldi.

    ``sph2pipe`` where it is installed, else ffmpeg for what it decodes: of shorten 16-bit samples only, since mu-law
    under shorten has ``codec none`` for it. None where neither is there and the file, which is not compressed, needs
    neither: libsndfile and sox read it.

    Raises:
        UserError: nothing that is installed reads this file; says what to install.
    """
    quoted = shlex.quote(os.fspath(path))
    if shutil.which("sph2pipe"):
        return f"sph2pipe -f wav -p -c {channel + 1} {quoted} |"
    if shutil.which("ffmpeg") and not (sphere.compressed and sphere.coding != "pcm"):
        choice = f" -af 'pan=mono|c0=c{channel}'" if sphere.channels > 1 else ""
        return f"ffmpeg -nostdin -v error -i {quoted}{choice} -f wav -c:a pcm_s16le - |"
    if not sphere.compressed:
        return None
    reader = "sph2pipe" if sphere.coding != "pcm" else "sph2pipe or ffmpeg"
    raise UserError(
        f"{path} is compressed by shorten, and {reader} is not installed; tools/install_sph2pipe.sh makes it"
    )
