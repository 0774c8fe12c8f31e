"""egs/voxpopuli beyond what test_corpora.py sees: other copies, cutting, scores, downloads."""

import importlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpora.audio import write_audio
from corpora.voxpopuli import SPRING, WINTER, make, make_hub, make_raw

from omni_asr.kaldi.tables import read_table

LOCAL = Path(__file__).resolve().parents[1] / "egs" / "voxpopuli" / "local"
EXPECTED = Path(__file__).parent / "corpora" / "expected" / "voxpopuli"
SETS = ("train", "dev", "test")
NOTHING = "cannot be cut: its recording has nothing between its times"
UNCUT = {
    "001201-20980115-0900-PLENARY-12-en_20980115-17-02-11_4": NOTHING,
    "001201-20980115-0900-PLENARY-12-en_20980115-17-02-11_5": NOTHING,
    "001201-20980115-0900-PLENARY-12-en_20980115-17-02-11_6": "has no list of times in the annotation",
    "001201-20990101-0900-PLENARY-1-en_20990101-10-00-00_0": "has no recording 20990101-0900-PLENARY-1_original.ogg",
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_raw(tmp_path_factory.mktemp("voxpopuli"))


def prepare(folder, *options):
    """Prepare data directories in folder/data, with audio that is cut or unpacked in folder/audio."""
    command = [sys.executable, LOCAL / "prepare.py", f"--data-dir={folder / 'data'}", f"--audio-dir={folder / 'audio'}"]
    return subprocess.run([*command, "--max-removed=0.9", *options], capture_output=True, text=True)


def fails(done):
    """What a program says that fails for a reason the user can mend."""
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def same_as_cut_copy(data):
    """Whether words and speakers are those of the copy that the official tool cut."""
    for name in SETS:
        for table in ("text", "utt2spk", "text_verbatim", "text_whisper"):
            expected = EXPECTED / name / table
            assert not expected.exists() or (data / name / table).read_text() == expected.read_text(), (name, table)
    return True


@pytest.mark.parametrize("packed", [True, False])
def test_the_copy_of_the_hub(tmp_path, packed):
    copy = make_hub(tmp_path / "copy", packed)
    for root in (copy, copy / "data" / "en"):
        assert prepare(tmp_path / root.name, f"--corpus-dir={root}").returncode == 0
        assert same_as_cut_copy(tmp_path / root.name / "data")
        paths = read_table(tmp_path / root.name / "data" / "train" / "wav.scp").values()
        place = tmp_path / root.name / "audio" / "en" if packed else copy / "data" / "en"
        assert all(Path(path).is_relative_to(place / "train" / "train_part_0") for path in paths)
        assert all(soundfile.info(path).duration == 0.9 for path in paths)


def test_recordings(raw, tmp_path):
    done = prepare(tmp_path, f"--corpus-dir={raw}", "--nj=2")
    assert done.returncode == 0, done.stderr
    assert same_as_cut_copy(tmp_path / "data")
    removed = read_table(tmp_path / "data" / "train" / "removed_in_preparation")
    assert {name: removed[name] for name in UNCUT} == UNCUT
    others = len(removed) - len(UNCUT)
    assert others == 4  # one twice, one without words, one with digits, one with a sign; nothing of the split invalid
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "audio").rglob("*.flac")}
    tables = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    shutil.rmtree(tmp_path / "data")
    assert prepare(tmp_path, f"--corpus-dir={raw}", "--nj=1").returncode == 0
    assert {path: path.read_bytes() for path in tables} == tables
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "audio").rglob("*")
            if path.is_file()} == written  # cut once, and nothing is left over  # fmt: skip


def test_cutting_is_that_of_the_official_tool(raw, tmp_path):
    """Chunks one after the other, times truncated to samples, the end of the recording where a time is behind it."""
    assert prepare(tmp_path, f"--corpus-dir={raw}").returncode == 0
    audio = {
        **read_table(tmp_path / "data" / "train" / "wav.scp"),
        **read_table(tmp_path / "data" / "test" / "wav.scp"),
    }
    for name, session, spans in [
        (f"004533-{SPRING}-en_20970311-09-21-40_2", SPRING, [(1600, 12000), (16000, 21328)]),
        (f"001201-{WINTER}-en_20980115-17-02-11_3", WINTER, [(88000, 96000)]),
        (f"124731-{SPRING}-en_20970311-11-05-59_4", SPRING, [(64000, 72000), (76000, 84000)]),
    ]:
        path = raw / "raw_audios" / "original" / session[:4] / f"{session}_original.ogg"
        whole = soundfile.read(path, dtype="float32")[0]
        wanted = np.rint(np.concatenate([whole[start:stop] for start, stop in spans]) * 32768).clip(-32768, 32767)
        assert np.array_equal(soundfile.read(audio[name], dtype="int16")[0], wanted), name


def test_a_truncated_recording_costs_its_segments(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "copy")
    session = tmp_path / "copy" / "raw_audios" / "original" / "2098" / f"{WINTER}_original.ogg"
    session.write_bytes(session.read_bytes()[:9000])
    assert prepare(tmp_path, f"--corpus-dir={tmp_path / 'copy'}", "--sets=dev").returncode == 0
    removed = (tmp_path / "data" / "dev" / "removed_in_preparation").read_text()
    assert "cannot be cut: truncated: the last page of the Ogg stream is not whole" in removed


def test_tables_without_audio_are_no_copy(raw, tmp_path):
    """Those of the hub beside recordings, and alone."""
    shutil.copytree(raw, tmp_path / "copy")
    tables = make_hub(tmp_path / "tables", packed=False) / "data" / "en"
    for path in [path for path in tables.iterdir() if path.is_dir()]:
        shutil.rmtree(path)
    shutil.copytree(tables, tmp_path / "copy" / "data" / "en")
    assert prepare(tmp_path, f"--corpus-dir={tmp_path / 'copy'}").returncode == 0
    assert same_as_cut_copy(tmp_path / "data")
    assert "with its audio or" in fails(prepare(tmp_path / "alone", f"--corpus-dir={tables}", "--sets=test"))
    done = fetch(tables.parent, f"--url={(tmp_path / 'nowhere').as_uri()}", "--sets=test")
    assert "asr_en.tsv.gz cannot be fetched" in fails(done)


def test_what_was_unpacked_is_enough(tmp_path):
    copy = make_hub(tmp_path / "copy", packed=True)
    assert prepare(tmp_path, f"--corpus-dir={copy}", "--sets=dev").returncode == 0
    first = (tmp_path / "data" / "dev" / "wav.scp").read_text()
    (copy / "data" / "en" / "dev.tar.gz").unlink()
    shutil.rmtree(tmp_path / "data")
    assert prepare(tmp_path, f"--corpus-dir={copy}", "--sets=dev").returncode == 0
    assert (tmp_path / "data" / "dev" / "wav.scp").read_text() == first


def test_accents_are_a_set_of_their_own(tmp_path):
    copy = make(tmp_path / "copy")[0]
    assert prepare(tmp_path, f"--corpus-dir={copy}", "--sets=en_accented", "--sets=test").returncode == 0
    name = f"000310-{WINTER}-en_20980115-20-00-00_0"
    assert (tmp_path / "data" / "en_accented" / "text").read_text() == f"{name} good evening\n"
    assert (tmp_path / "data" / "en_accented" / "text_whisper").read_text() == f"{name} Good evening.\n"
    assert name not in (tmp_path / "data" / "test" / "text").read_text()


def test_older_tables_without_the_last_columns(tmp_path):
    folder = tmp_path / "copy" / "transcribed_data" / "en"
    write_audio(folder / "2097" / "20970101-0900-PLENARY-en_1.ogg", 0.5)
    row = "20970101-0900-PLENARY-en_1\tYes.\tyes\t12\tdev\tmale"
    folder.joinpath("asr_dev.tsv").write_text(
        f"id\traw_text\tnormalized_text\tspeaker_id\tsplit\tgender\r\n{row}\r\n", newline=""
    )
    assert prepare(tmp_path, f"--corpus-dir={tmp_path / 'copy'}").returncode == 0
    assert (tmp_path / "data" / "dev" / "text").read_text() == "000012-20970101-0900-PLENARY-en_1 yes\n"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["dev"]


def test_errors_in_one_line(raw, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "there is no set eval" in prepare(tmp_path, f"--corpus-dir={raw}", "--sets=eval").stderr
    said = fails(prepare(tmp_path, f"--corpus-dir={tmp_path / 'empty'}"))
    assert "en/asr_*.tsv with its audio or asr_en.tsv.gz is not in" in said
    assert "en_accented/asr_test.tsv with its audio or asr_en_accented.tsv.gz is not in" in fails(
        prepare(tmp_path, f"--corpus-dir={raw}", "--sets=en_accented")
    )
    write_audio(tmp_path / "en" / "2097" / "a.ogg", 0.5)
    (tmp_path / "en" / "asr_dev.tsv").write_text("path\tsentence\n")
    assert "asr_dev.tsv:1: there is no column id" in fails(prepare(tmp_path, f"--corpus-dir={tmp_path / 'en'}"))
    annotation = tmp_path / "cut" / "asr_en.tsv.gz"
    annotation.parent.mkdir()
    annotation.write_bytes((raw / "transcribed_data" / "en" / "asr_en.tsv.gz").read_bytes()[:400])
    assert "fetch it again" in fails(prepare(tmp_path, f"--corpus-dir={annotation.parent}"))


def test_scores(raw, tmp_path):
    """By normalized_text 5 errors in 15 words; by raw_text one in 17, since the normaliser writes the rest alike."""
    assert prepare(tmp_path, f"--corpus-dir={raw}", "--sets=test").returncode == 0
    (tmp_path / "decoded").mkdir()
    names = list(read_table(tmp_path / "data" / "test" / "text", may_be_empty=True))
    said = ["mister odegard's color", "hear hear", "we don't need twenty new trains madam", "thank you all"]
    said.append("twenty nineteen")
    (tmp_path / "decoded" / "text").write_text("".join(f"{n} {t}\n" for n, t in zip(names, said, strict=True)))
    command = [LOCAL / "score.sh", tmp_path / "data" / "test", "-", tmp_path / "decoded"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "%WER 33.33 [ 5 / 15, 2 ins, 0 del, 3 sub ]" in done.stdout, done.stdout + done.stderr
    pytest.importorskip("whisper_normalizer")
    done = subprocess.run([*command, "--regime", "whisper"], capture_output=True, text=True)
    assert "%WER 5.88 [ 1 / 17, 1 ins, 0 del, 0 sub ]" in done.stdout, done.stdout + done.stderr


def test_ids(monkeypatch):
    monkeypatch.syspath_prepend(str(LOCAL))
    rows = importlib.import_module("rows")
    assert rows.safe_name("20970311-0900-PLENARY-4-en_20970311-09:21:40_2") == (
        "20970311-0900-PLENARY-4-en_20970311-09-21-40_2"
    )
    assert rows.safe_name("a/b c") == "a-b-c"


def fetch(corpus_dir, *options):
    command = [sys.executable, LOCAL / "download.py", f"--corpus-dir={corpus_dir}", *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_download(raw, tmp_path):
    """The annotation, then the years that the sets need; again only what is missing; nothing for a cut copy."""
    server, place = tmp_path / "server", tmp_path / "place"
    (server / "annotations" / "asr").mkdir(parents=True)
    (server / "audios").mkdir()
    shutil.copy(raw / "transcribed_data" / "en" / "asr_en.tsv.gz", server / "annotations" / "asr")
    for year in ("2097", "2098"):
        with tarfile.open(server / "audios" / f"original_{year}.tar", "w") as tar:
            tar.add(raw / "raw_audios" / "original" / year, f"original/{year}")
    options = [f"--url={server.as_uri()}", "--sets=dev", "--sets=test"]
    assert fetch(place, *options).returncode == 0
    assert prepare(tmp_path, f"--corpus-dir={place}", "--sets=test").returncode == 0
    shutil.rmtree(place / "raw_audios" / "original" / "2097")
    (place / "raw_audios" / ".unpacked" / "original_2097.tar").unlink()
    (server / "audios" / "original_2098.tar").unlink()
    assert fetch(place, *options).returncode == 0
    shutil.rmtree(server)
    assert "nothing to fetch" in fetch(place, *options).stdout
    assert "nothing to fetch" in fetch(make(tmp_path / "cut")[0]).stdout
    assert "cannot be fetched" in fails(fetch(tmp_path / "new", options[0]))
