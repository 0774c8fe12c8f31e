"""Fake copies of VoxPopuli: cut by the official tool, from the dataset hub, and as recordings."""

import csv
import gzip
import tarfile
from dataclasses import dataclass
from pathlib import Path

from corpora.audio import write_audio

SPRING, WINTER = "20970311-0900-PLENARY-4", "20980115-0900-PLENARY-12"
LENGTH = 6.0
"""Seconds of each session."""
COLUMNS = (
    "id_|paragraph_id|session_id|speaker_id|original_text|normed_text|decoded|start_time|end_time|cer|wer|vad|split|gender"
).split("|")
TABLE = "id raw_text normalized_text speaker_id split gender is_gold_transcript accent".split()


@dataclass(frozen=True)
class Entry:
    """A segment."""

    split: str
    session: str
    number: str
    speaker: str
    raw: str
    normalized: str
    vad: str

    @property
    def id(self) -> str:
        """As in the prepared table."""
        return f"{self.session}-en_{self.session[:8]}-{self.number}"


ENTRIES = [
    Entry("train", SPRING, "09:21:40_2", "4533", "The “harbour” fund isn’t full.", "the harbour fund isn’t full",
          "[(0.1, 0.75), (1.0, 1.333)]"),
    Entry("train", SPRING, "09:21:40_10", "45330", "I agree.", "i agree", "[(1.5, 2.25)]"),
    Entry("train", SPRING, "09:21:40_3", "4533", "", "thank you", "[(2.5, 3.0)]"),
    Entry("train", SPRING, "09:21:40_2", "4533", "Twice.", "twice", "[(3.0, 4.0)]"),
    Entry("invalid", SPRING, "09:30:00_0", "4533", "Not this.", "not this", "[(0.5, 1.5)]"),
    Entry("train", WINTER, "17:02:11_0", "", "The café-owners' view", "the café-owners' view", "[(4.0, 4.6)]"),
    Entry("train", WINTER, "17:02:11_1", "None", "(Applause)", "", "[(0.5, 1.0)]"),
    Entry("train", WINTER, "17:02:11_2", "1201", "In 2019 we voted.", "in 2019 we voted", "[(0.5, 1.0)]"),
    Entry("train", WINTER, "17:02:11_7", "1201", "Half & half.", "half & half", "[(0.5, 1.0)]"),
    Entry("train", WINTER, "17:02:11_3", "1201", "No.", "no", "[(5.5, 7.0), (8.0, 9.0)]"),
    Entry("train", WINTER, "17:02:11_4", "1201", "Backwards.", "backwards", "[(2.0, 1.0), (3.0, 3.0)]"),
    Entry("train", WINTER, "17:02:11_5", "1201", "Silence?", "silence", "[]"),
    Entry("train", WINTER, "17:02:11_6", "1201", "Broken times.", "broken times", "[(1.0, "),
    Entry("train", "20990101-0900-PLENARY-1", "10:00:00_0", "1201", "Not kept.", "not kept", "[(0.0, 1.0)]"),
    Entry("dev", SPRING, "10:40:05_0", "28115", 'He said: "Stop | wait."', "he said stop wait", "[(3.0, 3.7)]"),
    Entry("dev", WINTER, "18:20:00_1", "97", "Yes, 3 of them.", "yes three of them", "[(1.0, 1.6), (1.7, 2.0)]"),
    Entry("test", SPRING, "11:05:59_4", "124731", "We don’t need 20 new trains, Madam.",
          "we don't need twenty new trains madam", "[(4.0, 4.5), (4.75, 5.25)]"),
    Entry("test", SPRING, "11:05:59_5", "124731", "", "thank you", "[(5.25, 5.75)" + " " * 140000 + "]"),
    Entry("test", WINTER, "19:00:00_0", "nan", "2019!", "2019", "[(2.0, 2.5)]"),
    Entry("test", WINTER, "19:00:00_1", "7", "", "", "[(2.5, 3.0)]"),
    Entry("test", WINTER, "19:00:00_4", "7", "(Applause) ...", "hear hear", "[(3.0, 3.5)]"),
    Entry("test", WINTER, "19:00:00_2", "7", "Mr. Ødegård’s colour", "mr ødegård's colour", "[(2.5, 3.0)]"),
]  # fmt: skip
ACCENTED = [Entry("test", WINTER, "20:00:00_0", "310", "Good evening.", "good evening", "[(0.0, 0.8)]")]
UNCUT = ("17:02:11_4", "17:02:11_5", "17:02:11_6", "10:00:00_0")
"""Segments whose times are no times, or whose session is not there."""


def make(root: Path) -> list[Path]:
    """Write the copy that the official tool leaves: ids with colons, a segment twice, rows of another split, without
    words, without a speaker, with a number in digits or a sign, with a remark alone as raw text; quotes that mean
    nothing, curly ones, accents; files that are listed and missing, one that is cut; another language, and the accents,
    which are no part of the test set.
    """
    top = root / "voxpopuli" / "transcribed_data"
    for language, entries in (("en", ENTRIES), ("en_accented", ACCENTED), ("de", ACCENTED)):
        for split in ("train", "dev", "test"):
            write_table(top / language, split, entries)
        for entry in entries:
            path = top / language / entry.session[:4] / f"{entry.id}.ogg"
            if entry.number not in UNCUT and not path.exists():
                write_audio(path, 0.9)
    cut = next((top / "en").glob("2098/*_3.ogg"))
    cut.write_bytes(cut.read_bytes()[:3000])
    return [root / "voxpopuli"]


def write_table(folder: Path, split: str, entries: list[Entry]) -> None:
    """``asr_<split>.tsv``; that of train has also a row of the split invalid, and a broken line."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = ("train", "invalid") if split == "train" else (split,)
    lines = [
        "\t".join([e.id, e.raw, e.normalized, e.speaker, e.split, "female", "True", "None"])
        for e in entries
        if e.split in splits
    ]
    broken = ["torn\tapart"] if split == "train" and len(lines) else []
    (folder / f"asr_{split}.tsv").write_text("\n".join(["\t".join(TABLE), *lines, *broken]) + "\n", encoding="utf-8")


def make_hub(root: Path, packed: bool) -> Path:
    """The copy of the dataset hub: WAV in tar files, or unpacked."""
    folder = root / "hub" / "data" / "en"
    for split in ("train", "dev", "test"):
        write_table(folder, split, ENTRIES)
        part = folder / split / (f"{split}_part_0" if split == "train" else "")
        for entry in ENTRIES:
            if entry.split == split and entry.number not in UNCUT:
                write_audio(part / f"{entry.id}.wav", 0.9)
        if packed:
            archive = folder / ("dev.tar.gz" if split == "dev" else f"{split}/{split}_part_0.tar.gz")
            files = sorted(part.glob("*.wav"))
            with tarfile.open(archive, "w:gz") as tar:
                for file in files:
                    tar.add(file, f"{split}_part_0/{file.name}")
            for file in files:
                file.unlink()
    return root / "hub"


def make_raw(root: Path) -> Path:
    """Recordings of sessions and the annotation, quoted as csv files are."""
    top = root / "raw"
    for session in (SPRING, WINTER):
        write_audio(top / "raw_audios" / "original" / session[:4] / f"{session}_original.ogg", LENGTH)
    folder = top / "transcribed_data" / "en"
    folder.mkdir(parents=True)
    write_annotation(folder / "asr_en.tsv.gz")
    return top


def write_annotation(path: Path) -> None:
    """``asr_en.tsv.gz``."""
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="|", restval="0")
        writer.writeheader()
        for e in ENTRIES:
            writer.writerow(
                {
                    "id_": e.id.removeprefix(f"{e.session}-"),
                    "session_id": e.session,
                    "speaker_id": e.speaker,
                    "original_text": e.raw,
                    "normed_text": e.normalized,
                    "vad": e.vad,
                    "split": e.split,
                    "gender": "male",
                }
            )
