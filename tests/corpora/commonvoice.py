"""A fake copy of Common Voice, release 17.0, English."""

import codecs
from pathlib import Path

from corpora.audio import write_audio

RELEASE = "cv-corpus-17.0-2024-03-15"
COLUMNS = (
    "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale segment"
)
AVA, BEN = "5e" * 64, "0d41" * 32
CAT, DAN = "7c7c7c7c7c7c" + "a" * 116, "7c7c7c7c7c7c" + "b" * 116
"""Two speakers whose ids begin alike."""
EVE, FAY = "e1" * 64, "fa" * 64

TRAIN = [
    (BEN, "10.mp3", '"Move it,” he said, it’s only a sofa.', "twenties", "male_masculine"),  # quotes that do not pair
    (BEN, "9", "The dogs’ bowl is empty!", "", ""),  # no suffix; 10 comes before 9 in the order of bytes
    (CAT, "11.mp3", "Over-ripe pears \u2014 again?", "", ""),
    (DAN, "12.mp3", "Ça va, said Zoë.", "", ""),
    (AVA, "13.mp3", "Gate 40 is closed.", "", ""),  # digits
    (AVA, "14.mp3", "Salt & pepper.", "", ""),  # a sign that is read
    (AVA, "15.mp3", "She whispered привет to him.", "", ""),  # letters of another alphabet
    (AVA, "16.mp3", "…", "", ""),  # no words
    (AVA, "17.mp3", "This clip is empty.", "", ""),  # 0 bytes
    (AVA, "18.mp3", "This clip is missing.", "", ""),
    (AVA, "19.mp3", "This clip is cut short.", "", ""),  # found when features are made
    (AVA, "20.mp3", "A kettle boiled.", "", ""),
    (AVA, "20.mp3", "A kettle boiled.", "", ""),  # listed twice
    (AVA, "22.mp3", "This one has no length.", "", ""),
]
DEV = [
    (EVE, "30.mp3", "Tea, please.", "fifties", "female_feminine"),
    (FAY, "31.mp3", "A\u00a0spoon\u200band a co\u00adoperative fork", "", ""),  # blanks and signs that are not seen
    (FAY, "32.mp3", "Room 9 smells of Velux™ glue.", "", ""),  # digits; a sign whose letters are not said
]
TEST = [
    (EVE, "40.mp3", '""Is that all?"" I asked ‘nicely’.', "", ""),  # quotes as some releases write them
    (EVE, "41.mp3", "The 2.5 km [sic] walk (mostly uphill) costs $1,000; don’t!", "", ""),
    (FAY, "42.mp3", "привет", "teens", "other"),  # without a word that plain text can hold
    (FAY, "43.mp3", "Café: 40%", "", ""),
    (FAY, "44.mp3", "This clip is empty.", "", ""),
]
OTHERS = [(AVA, "50.mp3", "“Nobody knows”", "", "")]
"""Validated, but in none of the other sets."""


def make(root: Path) -> list[Path]:
    """Write the copy and return the folder that the release is in."""
    folder = root / RELEASE / "en"
    listed = {"train": TRAIN, "dev": DEV, "test": TEST, "validated": TEST + TRAIN + DEV + OTHERS}
    for name, rows in listed.items():
        write_list(folder / f"{name}.tsv", rows)
    with open(folder / "train.tsv", "a", encoding="utf-8") as file:
        file.write(f"{AVA}\tcommon_voice_en_21.mp3\n")  # a line that ends too early, the last without its end
    spreadsheet = folder / "dev.tsv"  # which leaves a byte order mark
    spreadsheet.write_bytes(codecs.BOM_UTF8 + spreadsheet.read_bytes())
    lengths = ["clip\tduration[ms]"]
    for _, clip, *_ in listed["validated"]:
        number = int(clip.removesuffix(".mp3"))
        if number != 18:
            path = folder / "clips" / f"common_voice_en_{number}.mp3"
            write_audio(path, 0.5 + number / 100, rate=48000 if number % 2 else 32000)
        if number != 9:
            lengths.append(f"common_voice_en_{number}.mp3\t{0 if number == 22 else 500 + 10 * number}")
    (folder / "clip_durations.tsv").write_text("\n".join(lengths) + "\n")
    for number in (17, 44):
        (folder / "clips" / f"common_voice_en_{number}.mp3").write_bytes(b"")
    cut = folder / "clips" / "common_voice_en_19.mp3"
    cut.write_bytes(cut.read_bytes()[:150])
    return [root]


def write_list(path: Path, rows: list[tuple[str, ...]], columns: str = COLUMNS, end: str = "\n") -> None:
    """Write a TSV file with the columns of some release; what a row does not say is empty."""
    lines = [columns.replace(" ", "\t")]
    for client, clip, sentence, age, gender in rows:
        values = {"client_id": client, "path": f"common_voice_en_{clip}", "sentence": sentence, "age": age}
        values |= {"gender": gender, "up_votes": "2", "down_votes": "0", "locale": "en"}
        lines.append("\t".join(values.get(column, "") for column in columns.split()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode())
