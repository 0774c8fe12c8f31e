"""Small data directories for tests."""

from pathlib import Path


def write_dir(folder: Path, **files: str) -> Path:
    """Write files into a directory; ``wav_scp`` and ``feats_scp`` become names with a dot, lines are dedented."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        lines = [line.strip(" ") for line in content.strip("\n ").split("\n")]
        (folder / name.replace("_scp", ".scp")).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def small_dir(folder: Path, **changes: str) -> Path:
    """Two speakers, three utterances in two recordings; ``changes`` replace or add files."""
    files = {
        "wav_scp": "r1 a.wav\nr2 b.wav",
        "segments": "a-1 r1 0 1\na-2 r1 1.5 2\nb-1 r2 0.25 3",
        "text": "a-1 ONE\na-2 TWO THREE\nb-1 FOUR",
        "utt2spk": "a-1 a\na-2 a\nb-1 b",
        "spk2utt": "a a-1 a-2\nb b-1",
    }
    return write_dir(folder, **(files | changes))


def read(folder: Path, name: str) -> list[str]:
    """Lines of a file."""
    return (folder / name).read_text(encoding="utf-8").splitlines()
