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


def used_dir(folder: Path) -> Path:
    """What Kaldi or ESPnet leave behind after a training: ids with accents, tabs, every side table, and old files."""
    utts = ["jörg-1 jörg", "jörg-2 jörg", "mary-1 mary", "mary-2 mary", "zoë-1 zoë"]
    ids, speakers = [line.split()[0] for line in utts], ["jörg", "mary", "zoë"]
    tables = {
        "wav_scp": [f"rec{side}\t{folder}/rec{side}.wav" for side in "aä"],
        "segments": [f"{utt} rec{'aä'[n % 2]} {n}.00 {'-1' if n == 4 else f'{n}.85'}" for n, utt in enumerate(ids)],
        "text": [f"{utt}\ttwo words" for utt in ids],
        "utt2spk": utts,
        "spk2utt": ["jörg jörg-1 jörg-2", "mary mary-1 mary-2", "zoë zoë-1"],
        "utt2dur": [f"{utt} 0.85" for utt in ids],
        "utt2num_frames": [f"{utt} 83" for utt in ids],
        "utt2uniq": [f"{utt} {utt}" for utt in ids],
        "utt2lang": [f"{utt} en" for utt in ids],
        "feats_scp": [f"{utt} raw_mfcc.ark:{n}" for n, utt in enumerate(ids)],
        "vad_scp": [f"{utt} vad.ark:{n}" for n, utt in enumerate(ids)],
        "cmvn_scp": [f"{speaker} cmvn.ark:{n}" for n, speaker in enumerate(speakers)],
        "spk2gender": [f"{speaker} f" for speaker in speakers],
        "reco2dur": ["reca 6.20", "recä 6.20"],
        "reco2file_and_channel": ["reca reca A", "recä recä A"],
    }
    old = {
        "frame_shift": "0.01",
        "feats_type": "raw",
        "text.old": "mary-1 two words\nmary-1 again\n\nnobody here",
        "utt2spk.bak": "mary-1 mary",
        "spk2utt~": "x",
        "utt2dur.tmp": "",
        "text.3": "mary-1 two",
        "spk2enroll.json": '{\n"a": 1\n}',
        "feats.scp.kept": "x",
    }
    write_dir(folder, **{name.replace("_scp", ".scp"): "\n".join(lines) for name, lines in tables.items()}, **old)
    for name in (".backup/text", "split8/1/text", "conf/mfcc.conf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mary-1 a\n")
    (folder / "text.gz").write_bytes(b"\x1f\x8b\x08\xff\xfe")
    return folder
