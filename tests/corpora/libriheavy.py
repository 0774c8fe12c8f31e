"""A fake copy of Libri-Light, Libriheavy's manifests and LibriSpeech."""

import gzip
import json
from pathlib import Path
from typing import Any

from corpora import librispeech
from corpora.audio import write_audio

LAMP = "small/7/lamp_book_librivox_64kb_mp3/01_lamp_64kb"
KEYS = "small/1234/flac_keys_librivox_64kb_mp3/02_keys_64kb"
GONE = "small/7/lamp_book_librivox_64kb_mp3/03_lamp_64kb"
MILL = "medium/7/mill_book_librivox_64kb_mp3/01_mill_64kb"
BOAT = "large/30/boat_book_librivox_64kb_mp3/01_boat_64kb"
SECONDS = {LAMP: 9.0, KEYS: 4.0, GONE: 5.0, MILL: 3.0, BOAT: 3.0}

SMALL: list[tuple[str, int, float, float, str, str]] = [
    # recording, number, start, duration, text of the book, what was recognised
    (
        LAMP,
        0,
        0.5,
        1.2,
        "\u201cNot yet,\u201d said Ada; she\u2019d lost the lamp.",
        "NOT YET SAID ADA SHE'D LOST THE LAMP",
    ),
    (LAMP, 1, 1.7, 1.0, "It was 1907 \u2014 or so.", "IT WAS NINETEEN OH SEVEN OR SO"),
    (LAMP, 2, 2.7, 0.8, "Ren\u00e9e\u2019s caf\u00e9, \u2018closed\u2019", "RENEE'S CAFE CLOSED"),
    (LAMP, 3, 3.5, 0.7, "Room 12", "ROOM 12"),
    (LAMP, 4, 4.2, 0.6, "\u2026 \u2014 !", ""),
    (LAMP, 5, 4.8, 0.0, "No time at all", "NO TIME AT ALL"),
    (LAMP, 6, 5.5, -0.4, "Back in time", "BACK IN TIME"),
    (LAMP, 10, 7.6, 0.7, "Tea &amp; toast & jam.", "TEA AND TOAST AND JAM"),
    (LAMP, 11, 8.3, 1.4, "Past the end", "PAST THE END"),
    (LAMP, 12, 9.5, 0.5, "After the end", "AFTER THE END"),
    (LAMP, 0, 0.5, 1.2, "The same again", "THE SAME AGAIN"),
    (
        KEYS,
        0,
        0.0,
        1.5,
        "HER_KEYS [were] in the dogs\u2019 basket, 'tis said",
        "HER KEYS WERE IN THE DOGS' BASKET TIS SAID",
    ),
    (KEYS, 1, 1.5, 1.25, "\u03b1 and \u03c9", "ALPHA AND OMEGA"),
    (GONE, 0, 0.0, 1.0, "Nobody hears this", "NOBODY HEARS THIS"),
]

DEV: list[tuple[int, float, float, str, str]] = [
    (0, 0.25, 0.75, "Row\u2014on, Ren\u00e9e\u2019s [own] boat!", "ROW ON RENEES OWN BOAT"),
    (1, 1.0, 0.5, "It was 1907 \u2014 or so.", "IT WAS NINETEEN OH SEVEN OR SUN"),
    (2, 1.5, 0.25, "Room 12", "ROOM 12"),
    (3, 1.75, 1.0, "Stop", "STOP"),
    (4, 2.75, 0.25, "\u2026 \u2014 !", ""),
]


def make(root: Path) -> list[Path]:
    """Write the copy: cuts that are empty, turned round, past the end, twice there, or without audio; words that only
    the recogniser spells out, or nobody does, also where they are scored; a chapter that is truncated; folders that
    have ``flac`` in their names.
    """
    light, heavy = root / "librilight", root / "libriheavy"
    for recording, seconds in SECONDS.items():
        if recording != GONE:
            write_audio(light / f"{recording}.flac", seconds)
            (light / f"{recording}.json").write_text(json.dumps({"speaker": recording.split("/")[1], "snr": 9.5}))
    write_manifest(heavy, "small", [cut(*row) for row in SMALL])
    write_manifest(heavy, "medium", [cut(MILL, 0, 0.1, 1.0, "Grind, grind.", "GRIND GRIND"), nobody()])
    write_manifest(heavy, "dev", [cut(BOAT, *row) for row in DEV])
    boat = light / f"{BOAT}.flac"
    boat.write_bytes(boat.read_bytes()[: boat.stat().st_size * 2 // 3])
    return [light, heavy, *librispeech.make(root)]


def cut(recording: str, number: int, start: float, duration: float, text: str, heard: str) -> dict[str, Any]:
    """A line of a manifest."""
    name, seconds = f"{recording}_{number}", SECONDS[recording]
    supervision = {
        "id": name,
        "recording_id": recording,
        "start": 0,
        "duration": duration,
        "channel": 0,
        "language": "English",
        "speaker": recording.split("/")[1],
        "custom": {"texts": [text, heard], "pre_texts": ["\u201cWho\u201d", "WHO"], "begin_byte": 1, "end_byte": 9},
    }
    source = {"type": "file", "channels": [0], "source": f"download/librilight/{recording}.flac"}
    return {
        "id": name,
        "start": start,
        "duration": duration,
        "channel": 0,
        "supervisions": [supervision],
        "recording": {
            "id": recording,
            "sources": [source],
            "sampling_rate": 16000,
            "num_samples": round(seconds * 16000),
            "duration": seconds,
            "channel_ids": [0],
        },
        "custom": {"text_path": "download/librilight_text/output_text_small_cleaned/A Book/text.txt"},
        "type": "MonoCut",
    }


def nobody() -> dict[str, Any]:
    """A cut without a speaker."""
    row = cut(MILL, 1, 1.2, 1.0, "Who speaks?", "WHO SPEAKS")
    row["supervisions"][0]["speaker"] = None
    return row


def write_manifest(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Write a manifest, the last line without its end."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(json.dumps(row) for row in rows)
    (folder / f"libriheavy_cuts_{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
