"""A fake copy of LibriSpeech."""

from pathlib import Path

from corpora.audio import write_audio

CHAPTERS = {
    "train-clean-100": {"12/100": ["THE LANTERN SWUNG", "ABOVE THE DOOR"], "121/200": ["SHE COULDN'T FIND IT"]},
    "train-clean-360": {"13/300": ["MISTER HALE'S KEY"]},
    "train-other-500": {"14/400": ["A SLOW TRAIN", ""]},
    "dev-clean": {"21/500": ["NOT YET", "'TIS LATE"]},
    "dev-other": {"22/600": ["NO"]},
    "test-clean": {"31/700": ["YES", "WE ARE HERE", "WE WERE THERE"], "310/701": ["TWO MEN"]},
    "test-other": {"32/800": ["GO ON O' TH' MOOR", "'GAINST 'UN DOGS' MEAT AN' SO"]},
}


def make(root: Path) -> list[Path]:
    """Write the copy: two readers of which one's number begins as the other's, an utterance without words, a file that
    is listed and missing, one without a transcript, one that is truncated, a transcript listed twice, a last line
    without its end, and words that begin or end with an apostrophe.
    """
    for part, chapters in CHAPTERS.items():
        for chapter, lines in chapters.items():
            folder, stem = root / "LibriSpeech" / part / chapter, chapter.replace("/", "-")
            for number in range(len(lines)):
                write_audio(folder / f"{stem}-{number:04d}.flac", 0.6 + 0.2 * number)
            text = "\n".join(f"{stem}-{number:04d} {line}" for number, line in enumerate(lines))
            (folder / f"{stem}.trans.txt").write_text(text)
    train = root / "LibriSpeech" / "train-clean-100" / "12" / "100"
    (train / "12-100-0001.flac").unlink()
    write_audio(train / "12-100-0007.flac", 0.5)
    with open(train / "12-100.trans.txt", "a") as file:
        file.write("\n12-100-0000 THE LANTERN SWUNG\n")
    cut = root / "LibriSpeech" / "test-clean" / "31" / "700" / "31-700-0002.flac"
    cut.write_bytes(cut.read_bytes()[:2000])
    for name in (
        "BOOKS.TXT",
        "CHAPTERS.TXT",
        "LICENSE.TXT",
        "README.TXT",
    ):  # SPEAKERS.TXT is missing, as in some copies
        (root / "LibriSpeech" / name).write_text("; a fake copy\n")
    return [root / "LibriSpeech"]
