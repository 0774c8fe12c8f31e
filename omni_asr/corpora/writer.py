"""Writing a data directory from the utterances of a corpus as they come, in any order and in bounded memory."""

import json
import logging
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from omni_asr.corpora.audio import AudioFile
from omni_asr.corpora.reasons import Reasons
from omni_asr.corpora.table_files import Tables
from omni_asr.errors import UserError
from omni_asr.files import open_to_write, temporary_folder
from omni_asr.kaldi.sorted_tables import sort_by_id
from omni_asr.kaldi.tables import sort_key

log = logging.getLogger("prepare")

REMOVED = "removed_in_preparation"
"""Table of what the corpus has and the data directory has not: ``<id> <reason>``."""
MAX_REMOVED = 0.05
JSON = json.JSONEncoder(ensure_ascii=False)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufeff]")
CHANNELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of channels in ``reco2file_and_channel``."""
TWICE = "occurs twice in the corpus; the first is kept"


class SetWriter:
    """Writes one data directory; as a context manager, it appears whole when the block ends without an exception.

    Utterances and recordings are handed in one by one, go to the disk, and are sorted there, so memory does not grow
    with the corpus. What cannot be used is left out, listed with its reason in ``removed_in_preparation``, and counted.
    Rules of the corpus (:meth:`exclude`) are no loss; everything else is, and too much of it is an error.

    Args:
        path: the data directory to write; it must not exist.
        keep_empty: keep utterances without words, as the protocol of a test set may want.
        max_removed: largest share of the utterances that may be lost.
        plain_paths: name files of several channels by their paths in ``wav.scp``, see :meth:`channel`.

    Raises:
        UserError: the directory exists, too much was lost, nothing is left, or ids break the rules of Kaldi.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        keep_empty: bool = False,
        max_removed: float = MAX_REMOVED,
        plain_paths: bool = False,
    ) -> None:
        self.path = Path(path)
        self.keep_empty, self.max_removed, self.plain_paths = keep_empty, max_removed, plain_paths
        self.notes: Counter[str] = Counter()
        """How often something was mended, by what it was."""
        self.release: str | None = None
        """Release of the corpus, where it has several; ``conf/official_counts`` then has lines ``<set>@<release>``."""
        self._seconds: dict[str, float] = {}
        self._used: set[str] = set()
        self._plain: set[str] = set()
        self._lost, self._excluded = Reasons(), Reasons()
        if self.path.exists():
            raise UserError(f"{self.path} is there already; remove it, or write into another --data_dir")
        self._temporary, self._files = ExitStack(), ExitStack()
        self._folder = self._temporary.enter_context(temporary_folder(self.path))
        self._rows = {name: self._open(f"rows.{name}") for name in ("utterances", "recordings", "removed")}

    def recording(
        self, name: str, value: str, *, file: str | None = None, channel: str = "A", seconds: float | None = None
    ) -> None:
        """Add a line of ``wav.scp``; it is written if an utterance is a segment of it.

        Args:
            name: id of the recording.
            value: path, or a command that ends in ``|``.
            file: with ``channel``, its line of ``reco2file_and_channel``.
            channel: side of a call.
            seconds: how long it is, where that is known: segments that come after this call are clipped to it.
        """
        if seconds is not None:
            self._seconds[name] = seconds
        row = {"wav.scp": self._one_line(name, value)}
        if file is not None:
            row["file"] = f"{file} {channel}"
        self._row("recordings", name, row)

    def channel(self, name: str, audio: AudioFile, file: str, channel: int = 0) -> None:
        """Add the recording that is a channel (from 0) of a file; :meth:`recording` says more.

        Its line of ``wav.scp`` selects the channel, whoever reads it. With ``plain_paths``, only its line of
        ``reco2file_and_channel`` does, and the log warns of it.
        """
        value = audio.value(channel, self.plain_paths)
        if value == audio.path and audio.channels > 1:
            self._plain.add(name)
        self.recording(name, value, file=file, channel=CHANNELS[channel], seconds=audio.seconds)

    def utterance(
        self,
        name: str,
        speaker: str,
        text: str,
        *,
        audio: str | None = None,
        segment: tuple[str, float, float] | None = None,
        seconds: float | None = None,
        **tables: str,
    ) -> None:
        """Add an utterance: a file of its own (``audio``) or a part of a recording (``segment``).

        Args:
            name: id of the utterance, which begins with that of its speaker.
            speaker: id of the speaker.
            text: words; runs of any white space become one blank.
            audio: path or command of its own recording.
            segment: id of a recording, start and end in seconds.
            seconds: how long ``audio`` is, where that is known: ``utt2dur`` then shows reading whether it was cut.
            tables: values for further tables, such as ``text_whisper="..."`` or ``utt2lang="en"``.
        """
        if speaker.split() != [speaker]:
            raise UserError(
                f"{self.path.name}: {speaker!r} cannot be a speaker of {name!r}: it is empty or has a blank in it"
            )
        words = clean(text)
        if not words and not self.keep_empty:
            return self.remove(name, "has no words")
        row: dict[str, Any] = {
            "utt2spk": speaker,
            "text": words,
            **{key: clean(value) for key, value in tables.items()},
        }
        if segment is not None:
            bounds = self._bounds(*segment)
            if isinstance(bounds, str):
                return self.remove(name, bounds)
            self._used.add(segment[0])
            row["segments"] = f"{segment[0]} {bounds[0]:.3f} {bounds[1]:.3f}"
            row["seconds"] = bounds[1] - bounds[0]
        elif audio is not None:
            row["wav.scp"] = self._one_line(name, audio)
            row["seconds"] = seconds or 0.0
        else:
            raise TypeError(f"utterance {name}: neither audio nor segment")
        self._row("utterances", name, row)
        return None

    def _bounds(self, recording: str, start: float, end: float) -> tuple[float, float] | str:
        """Start and end of a segment in its recording, or why there is none."""
        if not start < end < math.inf:
            return f"ends at {end:g} s, which is not after its start at {start:g} s"
        if end <= 0:
            return f"ends at {end:g} s, before the start of the audio"
        if start < 0:
            self.notes["segments that began before the recording were clipped"] += 1
            start = 0.0
        length = self._seconds.get(recording)
        if length is not None and start >= length:
            return f"starts at {start:g} s, after the end of the audio at {length:g} s"
        if length is not None and end > length:
            self.notes["segments that ended after the audio were clipped"] += 1
            end = length
        if f"{start:.3f}" == f"{end:.3f}":
            return f"is shorter than a millisecond, at {start:g} s"
        return start, end

    def _one_line(self, name: str, audio: str) -> str:
        if audio.strip() != audio or "\n" in audio or "\r" in audio:
            raise UserError(f"{self.path.name}: {name} has audio that wav.scp cannot name: {audio!r}; rename it")
        return audio

    def remove(self, name: str, reason: str) -> None:
        """Leave out an utterance that cannot be used: it counts as a loss.

        Args:
            name: its id, or what is known of it.
            reason: what it has or is, to be read behind "the first": ``has no audio file /corpus/a.wav``.
        """
        self._lost.add(reason)
        self._row("removed", "_".join(name.split()) or "?", reason)

    def exclude(self, name: str, reason: str) -> None:
        """Leave out an utterance that is not to be used, by the rules of the corpus or of the protocol.

        Arguments are those of :meth:`remove`.
        """
        self._excluded.add(reason)
        self._row("removed", "_".join(name.split()) or "?", reason)

    def __enter__(self) -> "SetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._temporary:
            self._files.close()
            if kind is None:
                self._finish()

    def _finish(self) -> None:
        final = self._folder / "final"
        final.mkdir()
        with Tables(final) as tables:
            kept, speakers, seconds = self._write_utterances(tables)
            self._write_recordings(tables)
            self._write_removed(tables)
        if self.release is not None:
            with open_to_write(final / "release") as file:
                file.write(f"{self.release}\n")
        self._report(kept, speakers, seconds)
        lost = sum(self._lost.counts.values())
        if lost and (not kept or lost > self.max_removed * (kept + lost)):
            listed = self.path.with_name(f"{self.path.name}.{REMOVED}")
            shutil.copyfile(final / REMOVED, listed)
            raise UserError(
                f"{self.path.name}: {lost} of {kept + lost} utterances are lost, more than {self.max_removed:.0%}, "
                f"most often because one {self._lost.most_often()}; all are listed in {listed}; is the copy complete? "
                "--max_removed allows more"
            )
        if not kept:
            raise UserError(f"{self.path.name}: no utterance was found; is --corpus_dir the folder of this corpus?")
        final.rename(self.path)

    def _write_utterances(self, tables: "Tables") -> tuple[int, int, float]:
        """Numbers of utterances and speakers, and seconds."""
        count, timed, speakers, seconds, speaker, previous = 0, 0, 0, 0.0, "", None
        with open_to_write(self._path("removed"), "a") as removed:
            for name, row in self._sorted("utterances"):
                if name == previous:
                    self._lost.add(TWICE)
                    removed.write(_line(name, TWICE))
                    continue
                if row["utt2spk"] != speaker:
                    self._check_order(speaker, row["utt2spk"], name)
                    speaker, speakers = row["utt2spk"], speakers + 1
                length = row.pop("seconds")
                seconds += length
                if "wav.scp" in row and length:
                    tables.write("utt2dur", name, f"{length:.3f}")
                    timed += 1
                for table, value in row.items():
                    tables.write(table, name, value)
                tables.append("spk2utt", speaker, name)
                count, previous = count + 1, name
        if timed < count:
            tables.drop("utt2dur")  # it would lack some
        return count, speakers, seconds

    def _check_order(self, before: str, speaker: str, name: str) -> None:
        if before and sort_key(speaker) <= sort_key(before):
            raise UserError(
                f"{self.path.name}: sorted by utterance, speaker {speaker!r} of {name!r} comes after {before!r}; "
                "utterances must begin with their speaker and '-'"
            )

    def _write_recordings(self, tables: "Tables") -> None:
        """wav.scp and reco2file_and_channel of the recordings that have segments."""
        if not self._used:
            return
        if tables.has("wav.scp"):
            raise TypeError(f"{self.path.name}: some utterances are files of their own, others are segments")
        found, previous = 0, None
        for name, row in self._sorted("recordings"):
            if name not in self._used or name == previous:
                continue
            tables.write("wav.scp", name, row["wav.scp"])
            if "file" in row:
                tables.write("reco2file_and_channel", name, row["file"])
            found, previous = found + 1, name
        if found < len(self._used):
            raise TypeError(f"{self.path.name}: {len(self._used) - found} recordings of segments were not handed in")

    def _write_removed(self, tables: "Tables") -> None:
        for name, reason in self._sorted("removed"):
            tables.write(REMOVED, name, clean(reason))

    def _report(self, kept: int, speakers: int, seconds: float) -> None:
        """What is in the set and what is not, as lines of the log."""
        length = f", {seconds / 3600:.2f} hours" if seconds else ""
        log.info("%s: %d utterances, %d speakers%s", self.path.name, kept, speakers, length)
        for what, reasons in (("lost", self._lost), ("excluded", self._excluded)):
            for line in reasons.lines():
                log.info("%s: %s: %s", self.path.name, what, line)
        for note, count in sorted(self.notes.items()):
            log.info("%s: %s: %d", self.path.name, note, count)
        plain = self._plain & self._used
        if plain:
            log.warning(
                "%s: wav.scp names %d recordings, each one channel of a file, by plain paths: only readers that heed "
                "reco2file_and_channel, as this toolkit does, read the right channel; Kaldi and lhotse read the first "
                "for all of them",
                self.path.name,
                len(plain),
            )

    def _open(self, name: str) -> IO[str]:
        return self._files.enter_context(open_to_write(self._folder / name))

    def _path(self, kind: str) -> Path:
        return self._folder / f"rows.{kind}"

    def _row(self, kind: str, name: str, value: Any) -> None:
        if name.split() != [name]:
            raise UserError(f"{self.path.name}: {name!r} cannot be an id: it is empty or has a blank in it")
        try:
            self._rows[kind].write(_line(name, value))
        except UnicodeEncodeError:
            raise UserError(
                f"{self.path.name}: {name!a} is, or has a file, whose name is not UTF-8; rename it"
            ) from None

    def _sorted(self, kind: str) -> Iterator[tuple[str, Any]]:
        """Rows by the bytes of their ids; rows of one id in the order in which they were handed in."""
        source = self._path(kind)
        sort_by_id(source)
        with open(source, encoding="utf-8") as file:
            for line in file:
                name, _, value = line.partition("\t")
                yield name, json.loads(value)


def clean(text: str) -> str:
    """Text whose words are separated by single blanks, whatever white space or control characters separated them."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _line(name: str, value: Any) -> str:
    return f"{name}\t{JSON.encode(value)}\n"
