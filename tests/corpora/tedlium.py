"""A fake copy of TED-LIUM release 3."""

from pathlib import Path

from corpora.audio import write_sphere

IGNORE = "ignore_time_segment_in_scoring"
TALKS = {
    "train": {
        "AnnaHill_2004": (
            3.0,
            """\
AnnaHill_2004 1 AnnaHill_2004 0.10 1.05 <o,f0,female> the ferry doesn 't(2) wait <sil> {NOISE} for us (AnnaHill_2004-S1)
AnnaHill_2004 1 AnnaHill_2004 1.05 2.95 <NA> that’s what the captain(3) 's brother said
AnnaHill_2004 1 AnnaHill_2004 2.00 2.00 <o,f0,female> nothing lasts
AnnaHill_2004 1 AnnaHill_2004 2.50 2.20 <o,f0,female> backwards
AnnaHill_2004 1 AnnaHill_2004 3.05 3.40 <o,f0,female> behind the end
AnnaHill_2004 1 AnnaHill_2004 0.10 1.05 <o,f0,female> the ferry said twice
""",
        ),
        "AnnaHill_2004P": (
            2.0,
            """\
AnnaHill_2004P 1 AnnaHill_2004P 0.00 0.29 <o,f0,female> IGNORE_TIME_SEGMENT_IN_SCORING
AnnaHill_2004P 1 AnnaHill_2004P 0.29 1.15 <o,f0,female> ' cause <unk> 's café they 'd 've closed
AnnaHill_2004P 1 AnnaHill_2004P 1.15 1.40 <o,f0,female> <unk> {BREATH}
AnnaHill_2004P 1 AnnaHill_2004P 1.40 2.20 <o,f0,female> a long good bye
AnnaHill_2004P 1 AnnaHill_2004P 1.45 1.80 <o,f0,female> in 1984 half of it & more
""",
        ),
        "BobReed_2011": (None, "BobReed_2011 1 BobReed_2011 0.00 1.00 <o,f0,male> nobody recorded this\n"),
        "CyStone_2012": (
            "cut",
            "CyStone_2012 1 CyStone_2012 0.00 1.00 <o,f0,male> half of the file is gone\n",
        ),
        "DeeMoss_2013": (1.0, None),
    },
    "dev": {
        "EveLake_2009": (
            4.0,
            f"""\
;; the older labels
EveLake_2009 1 EveLake_2009 0.00 0.50 <F0_F> {IGNORE}
EveLake_2009 1 EveLake_2009 0.50 2.30 <F0_F> it 's raining on the pier
EveLake_2009 1 EveLake_2009 2.30 3.30 <F0_M> we ’ll see
EveLake_2009 1 EveLake_2009 3.30 4.10 <F0_M> 50% of it
""",
        ),
        "EveLake_2009P": (1.5, "EveLake_2009P 1 EveLake_2009P 0.25 1.50 <o,f0,female> {NOISE} good night [APPLAUSE]\n"),
    },
    "test": {
        "FinnWest_2010": (
            5.0,
            f"""\
FinnWest_2010 1 inter_segment_gap 0 0.60 <o,,unknown> {IGNORE}
FinnWest_2010 1 FinnWest_2010 3.10 4.35 <o,f0,male> and it 's late
FinnWest_2010 1 FinnWest_2010 0.60 2.30 <o,f0,male> so we 're(2) mending <sil> a <unk> roof
FinnWest_2010 1 FinnWest_2010 2.30 3.10 <o,f0,male> {IGNORE} (FinnWest_2010-2.30-3.10-F0_M-S3)
FinnWest_2010 1 FinnWest_2010 4.35 4.60 <o,f2,male>
""",
        ),
        "GilPark_2010U": (
            2.0,
            "GilPark_2010U 1 GilPark_2010U 0.20 1.90 <o,f0,female> thank you (GilPark_2010U-0.20-1.90-F0_F-S1)",
        ),
    },
}


def make(root: Path) -> list[Path]:
    """Write the copy, with the same talks once more in data/ and in another split: a talk whose name begins as that of
    another, one without audio, one whose audio is cut, one without transcript; lines that are to be ignored in both
    cases, that last no time or less, begin or end after the audio, occur twice, have no words, digits or signs; labels
    of every kind.
    """
    top = root / "TEDLIUM_release-3"
    for split, talks in TALKS.items():
        places = ["legacy/train", "data", "speaker-adaptation/train"] if split == "train" else [f"legacy/{split}"]
        for place in places:
            for talk, (seconds, lines) in talks.items():
                write_talk(top / place, talk, seconds, lines)
    for name in ("README", "LICENSE", "TEDLIUM.152k.dic"):
        (top / name).write_text("a fake copy\n")
    (top / "legacy/test/stm/._FinnWest_2010.stm").write_bytes(b"\x00\x05\x16\x07")  # macOS leaves these
    return [top]


def write_talk(folder: Path, talk: str, seconds: float | str | None, lines: str | None) -> None:
    """Audio and transcript of a talk."""
    sph, stm = folder / "sph" / f"{talk}.sph", folder / "stm" / f"{talk}.stm"
    if seconds is not None:
        write_sphere(sph, 1.0 if seconds == "cut" else seconds)
        if seconds == "cut":
            sph.write_bytes(sph.read_bytes()[:20000])
    if lines is not None:
        stm.parent.mkdir(parents=True, exist_ok=True)
        stm.write_text(lines, encoding="utf-8")


def make_release_2(root: Path) -> Path:
    """Release 2 has no legacy/."""
    for split in ("train", "dev", "test"):
        talk = f"{split.title()}Talk_2010"
        line = f"{talk} 1 {talk} 0.00 1.00 <o,f0,male> it 's an old release\n"
        write_talk(root / "TEDLIUM_release2" / split, talk, 1.0, line)
    return root / "TEDLIUM_release2"
