"""A fake copy of CHiME-6."""

import json
from pathlib import Path
from typing import Any

from corpora.audio import write_audio

SECONDS = 4.0


def said(start: str, end: str, words: str, speaker: str | None, session: str, **more: str) -> dict[str, Any]:
    """An utterance as transcripts have it; ``location`` and ``ref`` only in dev and eval."""
    row = {"end_time": end, "start_time": start, "words": words, "session_id": session}
    return {**row, **({"speaker": speaker} if speaker else {}), **more}


KITCHEN = {"ref": "U02", "location": "kitchen"}
LIVING = {"ref": "U05", "location": "living"}
TRANSCRIPTS = {
    "train": {
        "S03": [
            said("0:00:00.50", "0:00:01.25", "Pass the - the big pan, please.", "P09", "S03"),
            said("0:00:01.00", "0:00:02.00", "[laughs]", "P10", "S03"),
            said("0:00:02.00", "0:00:02.50", "My microphone fell off.", "P11", "S03"),
            said("0:00:02.50", "0:00:03.10", "", "P12", "S03"),
            said("0:00:02.60", "0:00:03.20", "Nobody has my recording.", "P12", "S03"),
        ],
        "S04": [
            said("0:00:00.40", "0:00:01.50", "Mm-hmm; that's [inaudible 0:00:01.10] Zoë’s soup!", "P09", "S04"),
            said("0:00:01.50", "0:00:02.75", "On the cut tape", "P10", "S04"),
        ],
        "S19": [
            said("0:00:00.00", "0:00:01.00", "Uh-huh, kitch- [noise] the kitchen", "P49", "S19"),
            said("0:00:01.00", "0:00:01.50", "Take 2.", "P49", "S19"),
            said("0:00:01.00", "0:00:02.00", "Not I.", "P52", "S19"),
        ],
    },
    "dev": {
        "S02": [
            said("0:00:01.05", "0:00:02.40", 'Mm-, he\'s [laughs] - under there: "look"?', "P05", "S02", **KITCHEN),
            said("0:00:02.10", "0:00:02.90", "[redacted]", "P06", "S02", **KITCHEN),
            said("0:00:00.00", "0:00:00.00", "[redacted]", None, "S02"),
            said("0:00:03.00", "0:00:03.00", "nothing at all", "P05", "S02", **KITCHEN),
            said("0:00:03.50", "0:00:03.20", "backwards", "P06", "S02", **LIVING),
            said("0:00:03.10", "0:00:04.80", "It is late...", "P06", "S02", **LIVING),
            said("0:00:05.10", "0:00:05.80", "after the tape", "P06", "S02", **LIVING),
            said("0:00:02.50", "0:00:02.95", "[laughs]", "P05", "S02", **LIVING),
        ],
        "S09": [
            said("0:00:01.00", "0:00:01.60", "Mhm. Mmm.", "P25", "S09", ref="U01", location="dining"),
            said("0:00:01.00", "0:00:01.60", "Mhm. Mmm.", "P25", "S09", ref="U01", location="dining"),
        ],
    },
    "eval": {
        "S01": [said("0:00:00.30", "0:00:01.30", "So-called gravy", "P01", "S01", **KITCHEN)],
        "S21": [
            said("0:00:00.305", "0:00:01.900", "Bye now", "P45", "S21", **LIVING)
        ],  # three decimals, as from lhotse
    },
}
EMPTY = {"train": "S05 S06 S07 S08 S12 S13 S16 S17 S18 S20 S22 S23 S24".split(), "dev": [], "eval": []}
WORN = {
    "train": "S03_P09 S03_P10 S03_P11 S04_P09 S04_P10 S19_P49 S19_P52".split(),
    "dev": "S02_P05 S02_P06 S09_P25".split(),
    "eval": "S01_P01 S21_P45".split(),
}


def make(root: Path) -> list[Path]:
    """Write the copy: see the traps in ``TRANSCRIPTS``; ``S03_P12.wav`` is missing, ``S04_P10.wav`` is cut, and the one
    array recording that is there has one channel.
    """
    corpus = root / "CHiME6"
    for name, sessions in TRANSCRIPTS.items():
        folder = corpus / "transcriptions" / name
        folder.mkdir(parents=True)
        for session, rows in {**sessions, **{session: [] for session in EMPTY[name]}}.items():
            (folder / f"{session}.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False), encoding="utf-8")
        for worn in WORN[name]:
            write_audio(corpus / "audio" / name / f"{worn}.wav", SECONDS, channels=2)
    write_audio(corpus / "audio" / "dev" / "S02_U01.CH1.wav", SECONDS)
    cut = corpus / "audio" / "train" / "S04_P10.wav"
    cut.write_bytes(cut.read_bytes()[:9000])
    return [corpus]
