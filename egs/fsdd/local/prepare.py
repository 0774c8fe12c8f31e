"""Make Kaldi data directories of digit strings from the Free Spoken Digit Dataset.

Each utterance joins 3 to 7 recordings of one speaker, <corpus-dir>/recordings/{digit}_{speaker}_{index}.wav, with short
pauses. No recording is in two sets. Split `official`: index 0-4 test, 5-9 dev, the others train. Split `speaker`: all
recordings of --held-out are test; of the other speakers, index 5-9 dev, the others train, and the data directories are
called train_without_<held-out> and so on.
"""

import hashlib
import logging
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from omni_asr.audio import source
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import write_audio
from omni_asr.errors import UserError
from omni_asr.files import temporary_folder
from omni_asr.kaldi.data_dir import write_data_dir
from omni_asr.kaldi.tables import write_table

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SETS = ("train", "dev", "test")
NAME = re.compile(r"([0-9])_([A-Za-z]+)_([0-9]+)\.wav")
RATE = 8000
FEWEST, MOST = 3, 7  # digits in a string
OFFICIAL = "3000 recordings of 6 speakers"
ALLOWED_LOSS = 0.05
log = logging.getLogger("prepare")

Samples = NDArray[np.float64]


class Recording(NamedTuple):
    """One spoken digit; ``name`` is the file's name without ``.wav``."""

    name: str
    digit: int
    speaker: str
    index: int
    samples: Samples


class String(NamedTuple):
    """One utterance to compose."""

    utterance: str
    recordings: list[Recording]


def read_recordings(folder: Path) -> tuple[list[Recording], dict[str, str]]:
    """All recordings sorted by name, and the reason for each file that is none.

    Raises:
        UserError: there is no such folder, or nothing in it is a recording.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: run stage 0 (local/download.sh), or name a copy with --corpus_dir")
    recordings, ignored = [], {}
    for path in sorted(folder.iterdir()):
        match = NAME.fullmatch(path.name)
        if match is None:
            ignored[path.name] = "not named {digit}_{speaker}_{index}.wav"
            continue
        try:
            samples = read_samples(path)
        except ValueError as error:
            ignored[path.name] = str(error)
        else:
            recordings.append(Recording(path.stem, int(match[1]), match[2].lower(), int(match[3]), samples))
    if not recordings:
        raise UserError(f"{folder}: no file is a recording named {{digit}}_{{speaker}}_{{index}}.wav")
    return recordings, ignored


def read_samples(path: Path) -> Samples:
    """Samples within +-1. Raises ``ValueError`` with a reason for a file that is no mono recording at 8 kHz."""
    try:
        audio = source.Recording(str(path))
        samples = audio.read(0, audio.frames) / 32768.0
        audio.close()
    except source.AudioError as error:
        raise ValueError(f"cannot be read: {error}") from None
    if len(samples) < RATE // 100:
        raise ValueError("lasts less than 10 ms")
    if audio.rate != RATE or audio.channels != 1:
        raise ValueError(f"has {audio.channels} channels at {audio.rate} Hz, not 1 at {RATE}")
    return samples.astype(np.float64)


def set_of(recording: Recording, held_out: str | None) -> str:
    """The one set that a recording belongs to."""
    if recording.speaker == held_out or (held_out is None and recording.index < 5):
        return "test"
    return "dev" if 5 <= recording.index < 10 else "train"


def generator_for(*names: str | int) -> np.random.Generator:
    """A random generator that depends on the names alone."""
    return np.random.default_rng(np.frombuffer(hashlib.sha256(repr(names).encode()).digest(), np.uint32))


def deal(recordings: Sequence[Recording], random: np.random.Generator) -> Iterator[Recording]:
    """Recordings without end, as from a pack of cards: none comes again before all have come."""
    while True:
        for place in random.permutation(len(recordings)):
            yield recordings[place]


def draw_strings(recordings: Sequence[Recording], part: str, count: int, seed: int) -> list[String]:
    """``count`` strings, as many of each speaker as of any other (one more or less)."""
    speakers = sorted({recording.speaker for recording in recordings})
    strings = []
    for place, speaker in enumerate(speakers):
        random = generator_for(seed, part, speaker)
        pack = deal([recording for recording in recordings if recording.speaker == speaker], random)
        for number in range((count + len(speakers) - 1 - place) // len(speakers)):
            length = int(random.integers(FEWEST, MOST + 1))
            strings.append(String(f"{speaker}-{part}-{number:05d}", [next(pack) for _ in range(length)]))
    return strings


def compose(string: String, seed: int) -> Samples:
    """Join the recordings with pauses of 50 to 200 ms, the whole over a faint noise instead of digital silence."""
    random = generator_for(seed, string.utterance)
    pieces = [np.zeros(round(random.uniform(0.05, 0.15) * RATE))]
    for recording in string.recordings:
        samples = recording.samples.copy()
        ramp = np.linspace(0, 1, RATE // 500)  # 2 ms: recordings are cut close and would click
        samples[: len(ramp)] *= ramp
        samples[-len(ramp) :] *= ramp[::-1]
        pieces += [samples, np.zeros(round(random.uniform(0.05, 0.2) * RATE))]
    joined = np.concatenate(pieces)
    noise = 10 ** (random.uniform(-65, -55) / 20)
    return np.clip(joined + noise * random.standard_normal(len(joined)), -1, 1)


def write_set(strings: Sequence[String], audio: Path, final: Path, data: Path, seed: int) -> None:
    """Write the audio of one set to ``audio`` and its data directory ``data``, which says that it is at ``final``."""
    audio.mkdir(parents=True)
    wav, text, speakers, seconds, used = {}, {}, {}, {}, {}
    for string in strings:
        samples = compose(string, seed)
        write_audio(audio / f"{string.utterance}.wav", samples, RATE, "WAV")
        wav[string.utterance] = str(final / f"{string.utterance}.wav")
        text[string.utterance] = " ".join(WORDS[recording.digit] for recording in string.recordings)
        speakers[string.utterance] = string.recordings[0].speaker
        seconds[string.utterance] = f"{len(samples) / RATE:.3f}"
        used[string.utterance] = " ".join(recording.name for recording in string.recordings)
    write_data_dir(
        data, {"wav.scp": wav, "text": text, "utt2spk": speakers, "utt2dur": seconds, "utt2recordings": used}
    )
    digits = sum(len(string.recordings) for string in strings)
    hours = sum(map(float, seconds.values())) / 3600
    different = len({recording.name for string in strings for recording in string.recordings})
    log.info("%-18s %5d utterances %6d digits %6.3f hours %d speakers, %d recordings", data.name, len(strings), digits,
             hours, len(set(speakers.values())), different)  # fmt: skip


def report_ignored(ignored: dict[str, str], total: int, path: Path) -> None:
    """Name the files that are left out, one line each, in the log and in ``path``; too many of them are an error."""
    for name, reason in ignored.items():
        log.warning("left out: %s %s", name, reason)
    write_table(path, ignored)
    if len(ignored) > ALLOWED_LOSS * total:
        raise UserError(f"{len(ignored)} of {total} files are no recordings (listed in {path}): is this the corpus?")


def check_options(recordings: Sequence[Recording], held_out: str | None) -> None:
    """Compare with the official counts; raise ``UserError`` where the split is impossible."""
    speakers = sorted({recording.speaker for recording in recordings})
    if held_out is not None and held_out not in speakers:
        raise UserError(f"--held_out names no speaker: {held_out!r} is not among {', '.join(speakers)}")
    found = f"{len(recordings)} recordings of {len(speakers)} speakers"
    log.log(logging.INFO if found == OFFICIAL else logging.WARNING, "found %s (official: %s)", found, OFFICIAL)
    empty = [part for part in SETS if not any(set_of(recording, held_out) == part for recording in recordings)]
    if empty:
        raise UserError(f"no recording is left for {' and '.join(empty)}: the corpus is not complete")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, compose the three sets."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--corpus-dir", type=Path, default=Path("corpus"), help="copy of the dataset's repository")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the data directories go")
    parser.add_argument("--audio-dir", type=Path, default=Path("data/audio"), help="where the composed audio goes")
    parser.add_argument("--split", choices=("official", "speaker"), default="official", help="what test is")
    parser.add_argument("--held-out", default="theo", help="test speaker of --split speaker; ignored for official")
    parser.add_argument("--train-strings", type=int, default=4000, help="training utterances")
    parser.add_argument("--dev-strings", type=int, default=300, help="dev utterances")
    parser.add_argument("--test-strings", type=int, default=300, help="test utterances")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other strings")
    args = parser.parse_args(argv)
    held_out = args.held_out if args.split == "speaker" else None
    counts = {"train": args.train_strings, "dev": args.dev_strings, "test": args.test_strings}
    if min(counts.values()) < 1:
        parser.error("a set needs at least 1 string")
    prepare(args.corpus_dir, args.data_dir, args.audio_dir.absolute(), held_out, counts, args.seed)
    return 0


def prepare(corpus: Path, data: Path, audio_dir: Path, held_out: str | None, counts: dict[str, int], seed: int) -> None:
    """Compose every set; the audio appears in its place at the end, whole."""
    recordings, ignored = read_recordings(corpus / "recordings")
    name, suffix = (f"held_out_{held_out}", f"_without_{held_out}") if held_out is not None else ("official", "")
    report_ignored(ignored, len(recordings) + len(ignored), audio_dir / f"{name}.ignored")
    check_options(recordings, held_out)
    final = audio_dir / name
    with temporary_folder(final) as temporary:
        for part in SETS:
            mine = [recording for recording in recordings if set_of(recording, held_out) == part]
            strings = draw_strings(mine, part, counts[part], seed)
            write_set(strings, temporary / part, final / part, data / f"{part}{suffix}", seed)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)


if __name__ == "__main__":
    sys.exit(run_program(main))
