"""A fake copy of FLEURS, American English, as the hub has it."""

import tarfile
from pathlib import Path

from corpora.audio import write_audio

NUMBERS = {
    "train": [
        (12, "10000000000000000021", "The ferry, built in Oslo, is slow.", "the ferry built in oslo is slow", "MALE"),
        (12, "9000000000000000022", "The ferry, built in Oslo, is slow.", "the ferry built in oslo is slow", "FEMALE"),
        (12, "18000000000000000023", "The ferry, built in Oslo, is slow.", "the ferry built in oslo is slow", "MALE"),
        (3, "10000000000000000024", "It sank in 1902.", "it sank in 1902", "FEMALE"),  # digits
        (3, "10000000000000000025", "It cost € a lot.", "it cost € a lot", "FEMALE"),  # a sign that is read
        (
            1457,
            "10000000000000000026",
            "The skipper’s “low-pressure” gauge",
            "the skipper’s low-pressure gauge",
            "MALE",
        ),
        (1458, "10000000000000000027", "", "", "MALE"),  # no words
        (1458, "10000000000000000028", "This file is missing.", "this file is missing", "MALE"),
        (1458, "10000000000000000029", "This file is empty.", "this file is empty", "MALE"),
        (1458, "10000000000000000030", "This file is cut short.", "this file is cut short", "MALE"),
        (12, "10000000000000000021", "The ferry, built in Oslo, is slow.", "the ferry built in oslo is slow", "MALE"),
    ],
    "dev": [
        (7, "10000000000000000031", 'A "gull" called.', "a gull called", "FEMALE"),
        (7, "10000000000000000032", 'A "gull" called.', "a gull called", "MALE"),
    ],
    "test": [
        (
            10,
            "10000000000000000041",
            "Wind\u00a0and\u2003tide\u202fturned.",
            "wind\u00a0and\u2003tide\u202fturned",
            "MALE",
        ),
        (
            10,
            "10000000000000000042",
            "Wind\u00a0and\u2003tide\u202fturned.",
            "wind\u00a0and\u2003tide\u202fturned",
            "FEMALE",
        ),
        (
            1999,
            "10000000000000000043",
            "The crew (all 12 of them) left at 10:30 am.",
            "the crew all 12 of them left at 10:30 am",
            "FEMALE",
        ),
        (2000, "10000000000000000044", "1897", "1897", ""),  # without a word that plain text can hold
    ],
}
FORMATS = {"train": "FLOAT", "dev": "PCM_16", "test": "FLOAT"}


def make(root: Path) -> list[Path]:
    """Write the copy; the audio of test is still packed."""
    folder = root / "data" / "en_us"
    write_lists(folder, folder / "audio")
    pack(folder / "audio" / "test", folder / "audio" / "test.tar.gz")
    return [root]


def write_lists(lists: Path, audio: Path) -> None:
    """Write <set>.tsv into a folder and <set>/*.wav into another."""
    lists.mkdir(parents=True, exist_ok=True)
    for name, rows in NUMBERS.items():
        lines = []
        for place, (sentence, number, raw, words, gender) in enumerate(rows):
            samples = 16000 * (5 + place) // 10
            letters = " | ".join(" ".join(word) for word in words.split())
            lines.append("\t".join([str(sentence), f"{number}.wav", raw, words, f"{letters} |", str(samples), gender]))
            if not number.endswith("28"):
                path = audio / name / f"{number}.wav"
                if not path.exists():
                    write_audio(path, samples / 16000, subtype=FORMATS[name])
        if name == "train":
            lines.insert(2, "12\ta line that ends too early")
        encoding = "utf-8-sig" if name == "train" else "utf-8"  # with a byte order mark, as an editor may leave it
        (lists / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding=encoding, newline="\n")
    (audio / "train" / "10000000000000000029.wav").write_bytes(b"")
    cut = audio / "train" / "10000000000000000030.wav"
    cut.write_bytes(cut.read_bytes()[:1000])


def pack(folder: Path, archive: Path) -> None:
    """Put a folder into a tar.gz file, and remove it."""
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, f"{folder.name}/{path.relative_to(folder)}")
                path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()
