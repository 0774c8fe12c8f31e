"""What the page of a scored set's errors shows: tables, the worst utterances, their audio and the times of words."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from omni_asr.analysis.experiment import DecodedSet, read_decoded
from omni_asr.audio.reader import Audio, AudioReader, Failure
from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.tables import read_lines
from omni_asr.scoring.breakdown import worst_utterances
from omni_asr.scoring.decoded import timed_words
from omni_asr.scoring.reports import read_breakdown
from omni_asr.scoring.result_files import ResultFiles
from omni_asr.scoring.sclite import Utterance
from omni_asr.scoring.transcripts import check_ids_meet

AUDIO_BYTES = 24_000_000
"""Audio of a page, as FLAC in base64: some 15 minutes of speech at 16 kHz. What is over is left out."""

Table = tuple[list[str], list[list[str]]]


@dataclass
class Errors:
    """What the page shows."""

    decoded: DecodedSet
    experiment: str
    """Name of the folder that the decoding lies in."""
    worst: list[Utterance]
    tables: list[Table] = field(default_factory=list)
    """Heads and rows of the breakdowns."""
    unknown: str = ""
    """Line of the words that training lacks."""
    starts: dict[str, list[float]] = field(default_factory=dict)
    """When the words of each hypothesis start, in seconds from the start of its audio."""
    audio: dict[str, str] = field(default_factory=dict)
    """Players' sources by utterance."""
    silent: dict[str, str] = field(default_factory=dict)
    """Why an utterance has no player."""
    notes: list[str] = field(default_factory=list)
    """What the page lacks, a sentence each."""


def read_errors(
    data_dir: str | os.PathLike[str], decode_dir: str | os.PathLike[str], most: int, with_audio: bool, suffix: str = ""
) -> Errors:
    """Read a set that was scored in a regime (one of SUFFIXES); what else is missing is named in the notes.

    Raises:
        UserError: the set is not scored, or the data directory is of another one.
    """
    folder, data = Path(decode_dir), Path(data_dir)
    experiment, name = Path(os.path.abspath(folder)).parent.name, Path(os.path.abspath(data)).name
    files = ResultFiles(folder, suffix)
    decodings = sorted(folder.glob("decode_*"))
    if decodings:
        raise UserError(f"{folder} is an experiment; name one of its decodings, such as {decodings[0]}")
    decoded, missing = read_decoded(name, files)
    if not decoded.wer or not decoded.utterances:
        raise UserError(f"{decode_dir}: {missing[0]}")
    _check_set(decoded, data, files.folder)
    found = Errors(decoded, experiment, worst_utterances(decoded.utterances, most), notes=missing)
    for path in sorted(files.folder.glob("by_*.md")):
        try:
            found.tables.append(read_breakdown(path))
        except UserError as error:
            found.notes.append(str(error))
    if (files.folder / "oov").exists():
        found.unknown = next(iter(read_lines(files.folder / "oov")), "")
    _read_starts(found, folder / "tokens.jsonl")
    if with_audio:
        try:
            _embed(found, _read_audio(found, data, files.folder))
        except UserError as error:
            found.notes.append(f"audio: {error}")
    return found


def _check_set(decoded: DecodedSet, data_dir: Path, scored: Path) -> None:
    """Check that a decoding is of a data directory: by recordings where segments of an stm were scored.

    Raises:
        UserError: no id is in both.
    """
    data, parts = DataDir(data_dir), DataDir(scored).segments
    if parts is not None:
        recordings = {part.recording: None for part in parts.values()}
        check_ids_meet(recordings, str(scored), data.table("wav.scp") if data.has("wav.scp") else {}, str(data_dir))
    elif decoded.wer and not decoded.wer.protocol.startswith("stm"):
        check_ids_meet([one.id for one in decoded.utterances], str(scored), data.utterances, str(data_dir))


def _read_starts(found: Errors, path: Path) -> None:
    """Times of the words, where those of ``tokens.jsonl`` are the ones that were scored."""
    if not path.exists():
        return
    try:
        timed = timed_words(path)
    except UserError as error:
        found.notes.append(str(error))
        return
    for utterance in found.worst:
        words = timed.get(utterance.id, [])
        if [word for _, _, word in words] == utterance.hypothesis:
            found.starts[utterance.id] = [start for start, _, _ in words]


def _read_audio(found: Errors, data_dir: Path, scored: Path) -> dict[str, str]:
    """Players' sources of the worst utterances; those that have none are noted as silent.

    Utterances are those of the data directory, or parts of its recordings by ``segments`` in the folder of results.
    """
    reader, sources = AudioReader(data_dir, allow_upsample=True), {}  # to be heard
    parts = DataDir(scored).segments
    known = set(reader.data.utterances)
    for name in sorted(utterance.id for utterance in found.worst):  # neighbours of one recording share the open file
        audio: Audio | Failure = Failure(name, f"{data_dir} has no such utterance or recording")
        if parts is not None and name in parts:
            audio = reader.read_part(name, parts[name])
        elif parts is None and name in known:
            audio = reader.read(name)
        if isinstance(audio, Failure):
            found.silent[name] = audio.reason
        else:
            sources[name] = flac_uri(audio.samples, reader.rate)
    reader.close()
    return sources


def _embed(found: Errors, sources: Mapping[str, str]) -> None:
    """Keep as much audio as the page holds, the worst utterances first."""
    left, size = AUDIO_BYTES, f"{AUDIO_BYTES / 1e6:.0f} MB"
    for utterance in found.worst:
        source = sources.get(utterance.id, "")
        if len(source) > left:
            found.silent[utterance.id] = f"the page holds {size} of audio"
        elif source:
            found.audio[utterance.id] = source
            left -= len(source)
    if found.silent:
        found.notes.append(f"audio of {len(found.silent)} of the {len(found.worst)} utterances: each says why")


def flac_uri(samples: Sequence[float] | np.ndarray, rate: int) -> str:
    """Samples, scaled as 16-bit integers, as the address of a FLAC file that stands in the page itself."""
    buffer = io.BytesIO()
    whole = np.clip(np.round(samples), -32768, 32767).astype(np.int16)
    soundfile.write(buffer, whole, rate, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
