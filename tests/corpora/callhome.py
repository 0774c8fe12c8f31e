"""A fake copy of CallHome American English (LDC97S42 and LDC97T14), and of eval2000."""

from pathlib import Path

from corpora.audio import write_sphere
from corpora.eval2000 import make_eval2000

SECONDS = 6.0
TURNS = {
    "train/en_4801": [
        "0.20 1.105 A: %um, so &Ines said [[a cough]] it’s {laugh} late",
        "1.10 1.90 B1: mhm (( )) [static] -- you're kidding",
        "and then it just st- stopped",
        "",
        "1.95 1.90 B1: before its start",
        "and on it goes",
        "2.00 2.60 B: <contraction e_form=\"[we=>we]['re=>are]\">we're [noise/] //not you// [/noise]",
        "#both# *glimmed* -cause",
        "2.60 3.10 A: ((perhaps)) Friday",
        "3.10 3.50 A: he said <French oui> then",
        "3.50 3.90 A: {cough}",
        "3.90 4.40 A2: the ~FBI, twenty-five, uh-huh?",
        "4.40 4.80 A: 25 of them",
        "5.50 7.00 A: beyond the end",
        "7.50 8.00 A: after the end",
        "3.90 4.40 A2: the ~FBI, twenty-five, uh-huh?",
    ],
    "train/en_4802": ["0.50 1.50 A: yes", "1.50 2.50 B: caf\u00e9 &M\u00fcller"],
    "train/en_4803": ["0.50 1.50 A: a file that is cut off"],
    "train/en_4804": ["0.50 1.50 A: a call without audio"],
    "train/en_4911": ["0.50 1.50 A: a call of the test"],
    "devtest/en_4811": [
        "0.50 1.50 A: good morning",
        "1.50 2.50 B: morning",
        "# 5 6 #END",
        "",
        "2.50 3.00 B good",
        "and what goes on",
        "3.00 3.40 C: hello",
        "3.5 4 a: no &Bo",
    ],
    "devtest/en_4812": ["0.50 1.50 B: wait", "1.00 2.00 A: ((I)) won't"],
    "evltest/en_4821": ["0.50 1.50 A: ((perhaps)) not", "1.50 2.50 B: ((  )) oh"],
    "evltest/en_4822": ["0.50 1.50 B: good bye"],
}
NO_AUDIO = "train/en_4804"
MISSPELT = {"evltest": "evaltest"}
"""How LDC97T14 spells a folder of LDC97S42."""


def make(root: Path, coding: str = "ulaw") -> list[Path]:
    """Write the copy, transcripts in Latin-1, folders spelt as they are: a truncated file, a call without audio, a call
    of eval2000, several people on one side, turns of several lines, every mark of the transcripts. The real
    ``coding`` is ``ulaw,embedded-shorten-v2.00``, which not every machine of the tests can read.
    """
    for name, turns in TURNS.items():
        folder, call = name.split("/")
        if name != NO_AUDIO:
            write_sphere(root / "LDC97S42" / "data" / folder / f"{call}.sph", SECONDS, 8000, 2, coding)
        path = root / "LDC97T14" / "transcrpt" / MISSPELT.get(folder, folder) / f"{call}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(["# Language: English", f"# File id: {call[3:]}", "", *turns]) + "\n"
        encoding = "utf-8" if "’" in text else "latin-1"
        path.write_bytes(text.encode(encoding))
    cut = root / "LDC97S42" / "data" / "train" / "en_4803.sph"
    cut.write_bytes(cut.read_bytes()[:3000])
    return [root / "LDC97S42", root / "LDC97T14", *make_eval2000(root, nested=False)]
