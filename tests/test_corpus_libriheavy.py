"""egs/libriheavy beyond what the table of recipes asks of every one."""

import gzip
import json
import subprocess
import sys
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from corpora import libriheavy as fake
from corpora.audio import write_audio

from omni_asr.bin import run_program
from omni_asr.kaldi.tables import read_table

LOCAL = Path(__file__).resolve().parents[1] / "egs" / "libriheavy" / "local"


@pytest.fixture
def programs(monkeypatch):
    """The recipe's own modules."""
    monkeypatch.syspath_prepend(str(LOCAL))
    for name in ("prepare", "download", "libriheavy"):
        sys.modules.pop(name, None)
    import download
    import libriheavy
    import prepare

    yield prepare, download, libriheavy
    for name in ("prepare", "download", "libriheavy"):
        sys.modules.pop(name, None)


def prepared(prepare, folders, data, *options):
    arguments = [f"--corpus-dir={folder}" for folder in folders]
    return run_program(prepare.main, [*arguments, f"--data-dir={data}", "--max-removed=0.9", *options])


def test_sets_are_increments_and_processes_change_no_byte(programs, tmp_path):
    folders = fake.make(tmp_path / "c")
    for nj in (1, 3):
        assert prepared(programs[0], folders, tmp_path / str(nj), "--sets=small", "--sets=medium", f"--nj={nj}") == 0
    small, medium = (read_table(tmp_path / "1" / name / "text") for name in ("small", "medium"))
    assert small.items() < medium.items() and len(medium) == len(small) + 1
    for path in (tmp_path / "1").rglob("*/*"):
        assert path.read_bytes() == (tmp_path / "3" / path.relative_to(tmp_path / "1")).read_bytes()


def test_one_folder_may_hold_all_and_manifests_may_be_unpacked(programs, tmp_path, capsys):
    fake.make(tmp_path / "c")
    packed = tmp_path / "c" / "libriheavy" / "libriheavy_cuts_small.jsonl.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert prepared(programs[0], [tmp_path / "c"], tmp_path / "d", "--sets=small", "--sets=dev") == 0
    assert len(read_table(tmp_path / "d" / "small" / "text")) == 7


def test_without_sets_all_that_are_complete_are_prepared(programs, tmp_path):
    assert prepared(programs[0], fake.make(tmp_path / "c"), tmp_path / "d") == 0
    made = {path.name for path in (tmp_path / "d").iterdir()}
    assert {"small", "medium", "lh_dev", "dev", "test_other"} <= made and not {"large", "lh_test_clean"} & made


def test_test_sets_need_nothing_but_librispeech(programs, tmp_path):
    folders = fake.make(tmp_path / "c")
    assert prepared(programs[0], folders[2:], tmp_path / "d", "--sets=test_clean") == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "libriheavy_cuts_small.jsonl.gz is not in"),
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), "ends or breaks after line"),
        (
            lambda path: path.write_bytes(gzip.compress(b'{"id": "x"}\n')),
            "jsonl.gz:1: not a cut of Libriheavy (KeyError",
        ),
        (lambda path: path.write_bytes(gzip.compress(b"\n{")), "jsonl.gz:2: not a cut of Libriheavy"),
        (lambda path: (path.parent.parent / "librilight" / "small").rename(path.parent / "x"), "has no small/"),
    ],
)
@pytest.mark.parametrize("nj", [1, 2])
def test_what_is_broken_is_named_in_one_line(programs, tmp_path, capsys, damage, message, nj):
    folders = fake.make(tmp_path / "c")
    damage(folders[1] / "libriheavy_cuts_small.jsonl.gz")
    assert prepared(programs[0], folders, tmp_path / "d", "--sets=small", f"--nj={nj}") == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1 and message in errors[0]
    assert not list((tmp_path / "d").glob("*")), "nothing unfinished is left"


def test_folders_of_the_same_name_are_told_apart(programs, tmp_path):
    """Of something else, without audio, with other audio, or with the rest of it."""
    light, heavy, _ = fake.make(tmp_path / "c")
    assert prepared(programs[0], [light, heavy], tmp_path / "whole", "--sets=small") == 0
    (tmp_path / "c" / "AAA" / "small").mkdir(parents=True)
    other = tmp_path / "c" / "BBB" / "small" / "1" / "b" / "01.flac"
    write_audio(other, 0.5)
    (tmp_path / "c" / "zzz" / "small").mkdir(parents=True)
    (light / "small" / "1234").rename(tmp_path / "c" / "zzz" / "small" / "1234")
    assert prepared(programs[0], [tmp_path / "c"], tmp_path / "parts", "--sets=small") == 0
    for table in ("text", "segments", "removed_in_preparation"):
        assert (tmp_path / "parts/small" / table).read_text() == (tmp_path / "whole/small" / table).read_text()


def test_what_is_scored(programs, tmp_path):
    """Digits stay, and no utterance is left out for its words."""
    assert prepared(programs[0], fake.make(tmp_path / "c"), tmp_path / "d", "--sets=lh_dev") == 0
    names = list(read_table(tmp_path / "d/lh_dev/text_verbatim", may_be_empty=True))
    said = ["row on ren e's own boat", "it was nineteen oh seven or so", "room twelve", "stop", ""]
    (tmp_path / "decoded").mkdir()
    (tmp_path / "decoded" / "text").write_text("".join(f"{n} {t}\n" for n, t in zip(names, said, strict=True)))
    command = [LOCAL / "score.sh", tmp_path / "d" / "lh_dev", "-", tmp_path / "decoded"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "%WER 28.57 [ 4 / 14, 2 ins, 0 del, 2 sub ]" in done.stdout, done.stdout + done.stderr


def test_readers_of_a_test_set_are_counted(programs, tmp_path, caplog):
    folders = fake.make(tmp_path / "c")
    reader = folders[2] / "test-clean" / "31"
    (reader / "700" / "31-700.trans.txt").write_text("1234-700-0000 YES\n")
    (reader / "700" / "31-700-0000.flac").rename(reader / "700" / "1234-700-0000.flac")
    reader.rename(reader.with_name("1234"))
    assert prepared(programs[0], folders, tmp_path / "d", "--sets=small", "--sets=test_clean", "--sets=dev") == 0
    assert [text for text in caplog.messages if "readers" in text] == [
        "small has 1 of the 2 readers of test_clean, first 1234"
    ]


def test_without_audio_too_much_is_lost(programs, tmp_path, capsys):
    folders = fake.make(tmp_path / "c")
    for path in (folders[0] / "small").rglob("*lamp*.flac"):
        path.unlink()
    arguments = [f"--corpus-dir={folder}" for folder in folders]
    assert run_program(programs[0].main, [*arguments, f"--data-dir={tmp_path / 'd'}", "--sets=small"]) == 1
    assert "has no audio file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("texts", "words", "heard"),
    [
        (["“Go!”—he’d gone", "GO HE'D GONE"], "go he'd gone", False),
        (["naïve façade", "NAIVE FACADE"], "naive facade", False),
        (["In 1812, they left", "IN EIGHTEEN TWELVE THEY LEFT"], "in eighteen twelve they left", True),
        (["five £", "FIVE POUNDS"], "five pounds", True),
        (["½ a loaf", "HALF A LOAF"], "half a loaf", True),
        (["Лев said", "LEV SAID"], "lev said", True),
        (["No. 4", "NO 4"], None, True),
        (["No. 4"], None, True),
        (["Room # one", "ROOM NUMBER ONE"], "room number one", True),
        (["two × two", "TWO TIMES TWO"], "two times two", True),
        (["five ¥ ± one", "FIVE YEN MORE OR LESS"], "five yen more or less", True),
    ],
)
def test_words(programs, texts, words, heard):
    assert programs[2].words_of(texts) == (words, heard)


def test_paths_are_put_below_the_folder_that_the_user_has(programs):
    inside = programs[2]._inside_librilight
    assert inside("download/librilight/small/7/flac_book/01.flac") == "small/7/flac_book/01.flac"
    assert inside("/data/librilight/large/7/b/01.flac") == "large/7/b/01.flac"
    assert inside("download/medium/7/b/01.flac") == "medium/7/b/01.flac"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path):
    """A server of small.tar and the manifests."""
    site = tmp_path / "site"
    folders = fake.make(tmp_path / "source")
    site.mkdir()
    with tarfile.open(site / "small.tar", "w") as tar:
        tar.add(folders[0] / "small", "small")
    for path in folders[1].iterdir():
        (site / path.name).write_bytes(path.read_bytes())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_stage_0_fetches_what_a_set_needs_and_nothing_twice(programs, server, tmp_path, monkeypatch, capsys):
    prepare, download, _ = programs
    monkeypatch.setattr(download, "GIGABYTES", {"small": 0.001, "medium": 321, "large": 3050})
    folders = [tmp_path / "librilight", tmp_path / "libriheavy", tmp_path / "LibriSpeech"]
    options = [f"--corpus-dir={folder}" for folder in folders]
    options += [f"--audio-url={server}", f"--manifest-url={server}", "--sets=small"]
    assert run_program(download.main, options) == 0
    assert [path.name for path in folders[1].iterdir()] == ["libriheavy_cuts_small.jsonl.gz"]
    assert not (folders[0] / ".archives").exists() and not folders[2].exists()
    assert prepared(prepare, folders[:2], tmp_path / "d", "--sets=small") == 0
    options = [option.replace(server, "http://127.0.0.1:9") for option in options]
    assert run_program(download.main, options) == 0, "nothing is fetched a second time"
    assert "nothing to fetch" in capsys.readouterr().out


def test_stage_0_looks_where_stage_1_does(programs, tmp_path, capsys):
    """Parts in several places and under other names; also LibriSpeech."""
    light, heavy, speech = fake.make(tmp_path / "c")
    places = [tmp_path / name for name in ("d1", "d2", "d3", "OpenSLR12")]
    for place in places:
        place.mkdir()
    (light / "small").rename(places[0] / "small")
    light.rename(places[1] / "libri-light")
    heavy.rename(places[2] / "manifests")
    speech.rename(places[3] / "LibriSpeech")
    options = [f"--corpus-dir={place}" for place in places] + ["--sets=medium", "--sets=test_clean"]
    urls = [f"--{name}-url=http://127.0.0.1:9" for name in ("audio", "manifest", "librispeech")]
    assert run_program(programs[1].main, [*options, *urls]) == 0
    said = capsys.readouterr().out
    assert "test-clean are there, nothing to fetch" in said and "small, medium are there, nothing to fetch" in said
    assert prepared(programs[0], places, tmp_path / "d", "--sets=medium", "--sets=test_clean") == 0


def test_stage_0_says_before_the_download_that_the_disk_is_too_small(programs, tmp_path, monkeypatch, capsys):
    download = programs[1]
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10**12}))
    with pytest.raises(Exception, match=r"small, medium, large of Libri-Light need 6,456 GB .* has 1,000 GB"):
        tree = download.CorpusTree([tmp_path])
        download.fetch_audio(tree, ["small", "medium", "large"], tmp_path / "librilight", "http://127.0.0.1:9")


def test_segments_of_a_long_recording_are_read_by_seeking(tmp_path):
    import soundfile

    from omni_asr.audio.reader import AudioReader
    from omni_asr.kaldi.data_dir import Segment

    rate, hour = 16000, 3600
    ramp = (np.arange(hour * rate, dtype=np.int32) // 160 % 20000).astype(np.int16)
    soundfile.write(tmp_path / "long.flac", ramp, rate)
    (tmp_path / "wav.scp").write_text(f"r {tmp_path}/long.flac\n")
    (tmp_path / "utt2spk").write_text("r-1 r\n")
    (tmp_path / "segments").write_text("r-1 r 3590 3600\n")
    reader = AudioReader(tmp_path)
    decoded = 0
    recording = reader._recording("r")
    read = recording._decoder._file.read

    def counting(frames, **options):
        nonlocal decoded
        decoded += frames
        return read(frames, **options)

    recording._decoder._file.read = counting
    for start in (3500, 10, 1800, 3599):
        audio = reader.read_part("x", Segment("r", start, start + 1))
        assert np.array_equal(audio.samples, ramp[start * rate : (start + 1) * rate])
    assert decoded == 4 * rate


def test_manifest_lines_are_what_the_sheet_shows(tmp_path):
    fake.make(tmp_path)
    with gzip.open(tmp_path / "libriheavy" / "libriheavy_cuts_small.jsonl.gz", "rt") as file:
        row = json.loads(next(file))
    assert row["supervisions"][0]["custom"].keys() == {"texts", "pre_texts", "begin_byte", "end_byte"}
    assert "text" not in row["supervisions"][0] and row["type"] == "MonoCut"
