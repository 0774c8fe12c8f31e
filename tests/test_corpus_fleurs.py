"""FLEURS: the layouts that are in use, stage 0 against a server, counts, scoring."""

import functools
import http.server
import shutil
import subprocess
import sys
import tarfile
import threading

import pytest
from corpora.fleurs import make, pack, write_lists
from test_corpora import ROOT, copy_recipe

from omni_asr.bin import score

LOCAL = ROOT / "egs" / "fleurs" / "local"
SETS = ("train", "dev", "test")


def call(program, *options, status=0):
    done = subprocess.run([sys.executable, LOCAL / program, *map(str, options)], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    if status:
        assert done.stderr.splitlines()[-1].startswith(f"{program[:-3]}: error: "), done.stderr
    return done.stdout + done.stderr


def prepare(data, corpus, *options):
    call("prepare.py", f"--data-dir={data}", f"--corpus-dir={corpus}", "--max-removed=0.9", *options)
    return {str(path.relative_to(data)): path.read_text() for path in data.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The copy as the hub serves it, every archive packed, and its data directories without the paths of audio."""
    root = make(tmp_path_factory.mktemp("hub"))[0]
    for name in ("train", "dev"):
        audio = root / "data" / "en_us" / "audio"
        pack(audio / name, audio / f"{name}.tar.gz")
    return root


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    return without_folder(prepare(folder / "data", make(folder / "corpus")[0]), folder / "corpus/data/en_us/audio")


def without_folder(tables, audio):
    """Tables with AUDIO for the folder of the three sets' audio."""
    return {name: table.replace(str(audio), "AUDIO") for name, table in tables.items()}


@pytest.mark.parametrize("place", [".", "data", "data/en_us"])
def test_hub_with_packed_audio(hub, expected, tmp_path, place):
    shutil.copytree(hub, tmp_path / "copy")
    tables = prepare(tmp_path / "data", tmp_path / "copy" / place)
    assert without_folder(tables, tmp_path / "copy/data/en_us/audio") == expected
    left = sorted(path.name for path in (tmp_path / "copy/data/en_us/audio").iterdir())
    assert left == sorted([*SETS, *(f"{name}.tar.gz" for name in SETS)]), "a user's archives are kept"


@pytest.mark.parametrize("packed", [False, True])
def test_older_distribution(expected, tmp_path, packed):
    root = tmp_path / "copy"
    write_lists(root / "en_us", root / "en_us" / "audio")
    if packed:
        pack(root / "en_us", root / "en_us.tar.gz")
    for data in ("data", "again"):
        assert without_folder(prepare(tmp_path / data, root), root / "en_us/audio") == expected


@pytest.mark.parametrize("place", ["fleurs", "."])
def test_layout_of_lhotse(expected, tmp_path, place):
    root = tmp_path / "copy"
    write_lists(root / "fleurs/metadata/en_us", root / "fleurs/en_us")
    assert without_folder(prepare(tmp_path / "data", root / place), root / "fleurs/en_us") == expected


def test_layout_of_the_cache_and_the_other_name_of_dev(hub, expected, tmp_path):
    root = tmp_path / "datasets--google--fleurs"
    shutil.copytree(hub, root / "snapshots" / "70bb2e84")
    folder = root / "snapshots/70bb2e84/data/en_us"
    (folder / "dev.tsv").rename(folder / "validation.tsv")
    tables = prepare(tmp_path / "data", root, "--sets=dev", "--sets=test")
    wanted = {name: table for name, table in expected.items() if not name.startswith("train/")}
    assert without_folder(tables, folder / "audio") == wanted


READ_ONLY = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.access = lambda path, mode, of=os.access, share=sys.argv[2]: not str(path).startswith(share) and of(path, mode)
import download, prepare
program = download if sys.argv[3] == "download" else prepare
sys.exit(download.run_program(program.main, sys.argv[4:]))
"""


def without_writing(share, program, *options):
    command = [sys.executable, "-c", READ_ONLY, LOCAL, share, program, f"--corpus-dir={share}", *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("older", [False, True])
def test_archives_on_a_share_that_is_read_only(hub, expected, tmp_path, older):
    """They are unpacked into a folder that the user names beside it."""
    share, mine = tmp_path / "share", tmp_path / "mine"
    if older:
        write_lists(share / "en_us", share / "en_us" / "audio")
        pack(share / "en_us", share / "en_us.tar.gz")
    else:
        shutil.copytree(hub, share)
    before = sorted(share.rglob("*"))
    alone = without_writing(share, "download", "--sets=test")
    assert alone.returncode == 1 and alone.stderr.count("\n") == 1
    assert "cannot be written; name a folder of yours by --corpus_dir too" in alone.stderr
    sets = [f"--sets={name}" for name in SETS]
    done = without_writing(share, "download", f"--corpus-dir={mine}", *sets)
    assert done.returncode == 0, done.stderr
    done = without_writing(share, "download", f"--corpus-dir={mine}", *sets)
    assert done.stdout.count("nothing to fetch") == 3 and "unpacking" not in done.stderr, done.stderr
    data = f"--data-dir={tmp_path / 'data'}"
    done = without_writing(share, "prepare", f"--corpus-dir={mine}", data, "--max-removed=0.9")
    assert done.returncode == 0, done.stderr
    found = {str(path.relative_to(tmp_path / "data")): path.read_text() for path in (tmp_path / "data").glob("*/*")}
    assert without_folder(found, mine / ("en_us/audio" if older else "data/en_us/audio")) == expected
    assert sorted(share.rglob("*")) == before


def test_audio_of_a_list_on_a_share_that_is_read_only(server, hub, tmp_path):
    share, mine = tmp_path / "share", tmp_path / "mine"
    (share / "en_us").mkdir(parents=True)
    shutil.copy(hub / "data/en_us/dev.tsv", share / "en_us")
    options = f"--corpus-dir={mine}", "--sets=dev"
    command = [sys.executable, "-c", READ_ONLY, LOCAL, share, "download", *options, f"--corpus-dir={share}"]
    done = subprocess.run([*command, f"--url={server}"], capture_output=True, text=True)
    assert done.returncode == 0 and Quiet.asked == ["/audio/dev.tar.gz"], done.stderr
    assert without_writing(share, "prepare", *options, f"--data-dir={tmp_path / 'data'}").returncode == 0
    assert str(mine / "data/en_us/audio/dev") in (tmp_path / "data/dev/wav.scp").read_text()


def test_errors_in_one_line(hub, tmp_path):
    options = f"--data-dir={tmp_path / 'data'}", "--sets=test"
    copy = tmp_path / "copy"
    copy.mkdir()
    assert "has no en_us/test.tsv" in call("prepare.py", *options, f"--corpus-dir={copy}", status=1)
    shutil.copytree(hub, copy, dirs_exist_ok=True)
    archive = copy / "data/en_us/audio/test.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-900])
    assert "test.tar.gz is damaged" in call("prepare.py", *options, f"--corpus-dir={copy}", status=1)
    archive.unlink()
    assert "but no audio/test beside it" in call("prepare.py", *options, f"--corpus-dir={copy}", status=1)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(copy / "data/en_us/test.tsv", "other/test.tsv")
    assert "has no folder test" in call("prepare.py", *options, f"--corpus-dir={copy}", status=1)
    wrong = subprocess.run(
        [sys.executable, LOCAL / "prepare.py", *options[:1], "--sets=all", f"--corpus-dir={copy}"], capture_output=True
    )
    assert wrong.returncode == 2 and b"there is no set all" in wrong.stderr


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that notes what it is asked for."""

    asked: list[str] = []

    def log_message(self, *arguments):
        self.asked.append(self.path)


@pytest.fixture
def server(hub):
    Quiet.asked.clear()
    handler = functools.partial(Quiet, directory=str(hub / "data" / "en_us"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


def test_stage_0_fetches_what_is_missing_and_nothing_twice(server, hub, expected, tmp_path):
    root = tmp_path / "corpus"
    options = f"--corpus-dir={root}", f"--url={server}"
    call("download.py", *options, "--sets=test")
    assert Quiet.asked == ["/test.tsv", "/audio/test.tar.gz"]
    assert [path.name for path in (root / "data/en_us/audio").iterdir()] == ["test"], "its archive is removed"
    shutil.copy(hub / "data/en_us/audio/dev.tar.gz", root / "data/en_us/audio")
    call("download.py", *options)
    assert Quiet.asked[2:] == ["/train.tsv", "/audio/train.tar.gz", "/dev.tsv"]
    assert "nothing to fetch" in call("download.py", *options) and len(Quiet.asked) == 5
    assert without_folder(prepare(tmp_path / "data", root), root / "data/en_us/audio") == expected


def test_counts_and_what_is_scored(hub, tmp_path):
    recipe = copy_recipe("fleurs", tmp_path)
    (recipe / "conf/official_counts").write_text("train 11\ndev 394\ntest 4\n")
    shutil.copytree(hub, tmp_path / "copy")
    options = ["--stage", "1", "--stop_stage", "1", "--max_removed", "0.9", f"--corpus_dir={tmp_path / 'copy'}"]
    done = subprocess.run(["./run.sh", *options], cwd=recipe, capture_output=True, text=True)
    assert done.stdout.count("WARNING") == 2, "the line that is cut short and the one that comes twice are no takes"
    assert "WARNING: dev has 2 utterances, not the official 394" in done.stdout
    test, decoded = recipe / "data/test", tmp_path / "decoded"
    decoded.mkdir()
    (decoded / "text").write_text(
        "fleurs-0010-1-10000000000000000041 wind and tide turned\n"
        "fleurs-0010-2-10000000000000000042 wind and tie turned\n"
        "fleurs-1999-1-10000000000000000043 the crew all twelve of them left at ten thirty am\n"
        "fleurs-2000-1-10000000000000000044 eighteen ninety seven\n"
    )
    # 8 words of sentence 10; the crew all 12 of them left at 10:30 am: 10; 1897: 1
    # errors as written: tie, twelve, ten and thirty for 10:30, three words for 1897
    assert wer(test, decoded) == "%WER 36.84 [ 7 / 19, 3 ins, 0 del, 4 sub ]"
    pytest.importorskip("whisper_normalizer")
    # the normaliser makes 10 30 of 10:30 in the reference; ten thirty becomes 1030, so one is wrong and one is missing
    assert wer(test, decoded, "whisper") == "%WER 15.00 [ 3 / 20, 0 ins, 1 del, 2 sub ]"


def wer(data, decoded, regime="verbatim"):
    score.main([str(data), "-", str(decoded), "--regime", regime])
    file = decoded / ("wer" if regime == "verbatim" else f"wer_{regime}")
    return next(line for line in file.read_text().splitlines() if line.startswith("%WER"))
