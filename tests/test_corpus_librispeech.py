"""egs/librispeech on copies as people have them, on a local server, and on real recordings where they are there."""

import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

import pytest
from corpora import librispeech
from test_corpora import copy_recipe
from test_corpora import run as run_recipe
from test_download import Server, server  # noqa: F401

from omni_asr.bin import run_program
from omni_asr.kaldi.tables import read_table
from omni_asr.kaldi.validate import validate


@pytest.fixture
def corpus(tmp_path):
    return librispeech.make(tmp_path / "corpus")[0]


@pytest.fixture
def prepare(root, tmp_path, capsys):
    """Runs prepare.py into a new folder; returns its exit status, what it said last, and the sets it left."""
    spec = importlib.util.spec_from_file_location("librispeech_prepare", root / "egs/librispeech/local/prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*folders, options=()):
        data = tmp_path / "data"
        shutil.rmtree(data, ignore_errors=True)
        arguments = [*(f"--corpus-dir={folder}" for folder in folders), f"--data-dir={data}", *options]
        try:
            status = run_program(module.main, arguments)
        except SystemExit as error:
            status = error.code
        said = capsys.readouterr().err.splitlines()
        sets = sorted(path.name for path in data.iterdir() if path.is_dir()) if data.exists() else []
        return status, said, sets

    return run


def test_a_copy_with_test_sets_alone_is_enough_for_them(corpus, prepare):
    for part in ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other"):
        shutil.rmtree(corpus / part)
    assert prepare(corpus, options=["--sets=test_clean", "--sets=test_other"])[::2] == (0, ["test_clean", "test_other"])
    assert prepare(corpus)[::2] == (0, ["test_clean", "test_other"])  # all that there are
    shutil.rmtree(corpus / "test-clean")
    status, said, sets = prepare(corpus, options=["--sets=test_clean", "--sets=test_other"])
    assert (status, sets) == (1, []) and len(said) == 1
    assert said[0].endswith(
        f"error: test-clean/*/*/*.flac is not in {corpus}; is --corpus_dir the folder of this corpus?"
    )


def test_parts_may_be_in_several_places(corpus, prepare, tmp_path):
    (tmp_path / "other").mkdir()
    (corpus / "dev-other").rename(tmp_path / "other" / "dev-other")
    assert prepare(corpus, tmp_path / "other", options=["--sets=dev"])[::2] == (0, ["dev"])
    assert len(read_table(tmp_path / "data" / "dev" / "text")) == 3
    assert prepare(corpus.parent, tmp_path, options=["--sets=dev"])[::2] == (0, ["dev"])  # folders around them


def test_a_part_may_be_in_several_places(corpus, prepare, tmp_path):
    """Readers, a file and a transcript of a chapter on another disk; what is on both is taken from the first."""
    other = tmp_path / "other" / "test-clean"
    shutil.copytree(corpus / "test-clean" / "310", other / "310")
    shutil.copytree(corpus / "test-clean" / "31", other / "31")
    shutil.rmtree(corpus / "test-clean" / "310")
    (corpus / "test-clean/31/700/31-700-0001.flac").unlink()
    (corpus / "test-clean/31/700/31-700.trans.txt").unlink()
    status, _, sets = prepare(corpus, other.parent, options=["--sets=test_clean"])
    assert (status, sets) == (0, ["test_clean"])
    assert read_table(tmp_path / "data/test_clean/wav.scp") == {
        "31-700-0000": f"{corpus}/test-clean/31/700/31-700-0000.flac",
        "31-700-0001": f"{other}/31/700/31-700-0001.flac",
        "31-700-0002": f"{corpus}/test-clean/31/700/31-700-0002.flac",
        "310-701-0000": f"{other}/310/701/310-701-0000.flac",
    }
    assert not (tmp_path / "data/test_clean/removed_in_preparation").exists()


def test_a_folder_without_audio_is_no_part(corpus, prepare, tmp_path):
    """Such as that of another corpus, whose audio has another format."""
    other = tmp_path / "a_corpus" / "test-clean" / "99" / "1"
    other.mkdir(parents=True)
    (other / "99_1_000000_000000.wav").touch()
    assert prepare(tmp_path, options=["--sets=test_clean"])[0] == 0
    assert len(read_table(tmp_path / "data/test_clean/text")) == 4


def test_case_does_not_matter_and_hidden_files_are_none(corpus, prepare, tmp_path):
    folder = corpus / "test-clean" / "31" / "700"
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.stem + path.suffix.upper()))
    (folder / "31-700.trans.TXT").rename(folder / "31-700.TRANS.TXT")
    (folder / "._31-700.trans.txt").write_bytes(b"\x00\x05\x16\x07 of another system")
    (folder / ".DS_Store").write_bytes(b"\x00")
    (corpus / "test-clean").rename(corpus / "TEST-CLEAN")
    assert prepare(corpus, options=["--sets=test_clean"])[0] == 0
    text = read_table(tmp_path / "data" / "test_clean" / "text")
    assert text["31-700-0000"] == "yes" and len(text) == 4


def test_what_is_lost_is_listed_and_too_much_is_an_error(corpus, prepare, tmp_path):
    for number in (0, 1):
        (corpus / f"test-clean/31/700/31-700-000{number}.flac").unlink()
    status, said, sets = prepare(corpus, options=["--sets=test_clean"])
    assert (status, sets) == (1, []) and "test_clean: 2 of 4 utterances are lost, more than 5%" in said[-1]
    listed = tmp_path / "data" / "test_clean.removed_in_preparation"
    assert listed.read_text().startswith("31-700-0000 has no audio file ")
    assert prepare(corpus, options=["--sets=test_clean", "--max_removed=0.5"])[0] == 0


def test_a_chapter_without_transcript_is_an_error(corpus, prepare):
    (corpus / "test-clean/310/701/310-701.trans.txt").unlink()
    status, said, _ = prepare(corpus, options=["--sets=test_clean"])
    assert status == 1 and len(said) == 1
    assert said[0].endswith("test-clean/310/701 has no *.trans.txt; the copy of the corpus is not complete")


def test_errors_in_one_line(corpus, prepare, tmp_path):
    status, said, _ = prepare(corpus, options=["--sets=test_clear"])
    assert status == 2 and len(said) == 1 and "there is no set test_clear; there are train_clean_100," in said[0]
    status, said, _ = prepare(tmp_path / "nothing")
    assert status == 1 and len(said) == 1 and "nothing is not a directory; name the folder" in said[0]
    (tmp_path / "empty").mkdir()
    status, said, _ = prepare(tmp_path / "empty")
    assert status == 1 and len(said) == 1 and "train-clean-100/*/*/*.flac or " in said[0]
    (tmp_path / "empty" / "test-clean").mkdir()
    status, said, sets = prepare(tmp_path / "empty", options=["--sets=test_clean"])
    assert (status, sets) == (1, []) and "test-clean/*/*/*.flac is not in" in said[-1]


def test_all_of_it_is_prepared_by_default_with_every_set(corpus, prepare):
    _, _, sets = prepare(corpus, options=["--max_removed=0.9"])
    assert sets == sorted(
        "train_clean_100 train_clean_360 train_other_500 train_460 train_960 dev dev_clean dev_other test_clean "
        "test_other".split()
    )


def test_real_recordings(root, speech, tmp_path):
    """Stages 1 and 2 as with --model, on the few recordings of test-clean beside the repository."""
    recipe = copy_recipe("librispeech", tmp_path)
    (recipe / "model.pt").touch()
    options = ["--corpus_dir", str(speech / "LibriSpeech"), "--test_sets", "test_clean", "--model", "model.pt"]
    run_recipe(recipe, ["./run.sh", "--stage", "1", "--stop_stage", "2", "--nj", "1", *options])
    assert [path.name for path in (recipe / "data").iterdir() if path.is_dir() and path.name[0] != "."] == [
        "test_clean"
    ]
    counts = validate(recipe / "data" / "test_clean")
    flacs = {path.stem: path for path in (speech / "LibriSpeech").rglob("*.flac")}
    assert counts["utt"] == len(flacs) == len(read_table(recipe / "data/test_clean/feats.scp"))
    assert read_table(recipe / "data/test_clean/wav.scp") == {name: str(path) for name, path in flacs.items()}
    text = read_table(recipe / "data/test_clean/text")
    for path in (speech / "LibriSpeech").rglob("*.trans.txt"):
        for line in path.read_text().splitlines():
            name, _, words = line.partition(" ")
            assert text[name] == words.lower()


def fetch(root, *options):
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, str(root / "egs/librispeech/local/download.py"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_the_parts_that_are_missing_are_fetched(root, corpus, tmp_path, server):  # noqa: F811
    """A small archive is not the official one: the size is checked before anything is fetched."""
    shutil.rmtree(corpus / "test-other")
    (corpus / "test-other" / "32" / "800").mkdir(parents=True)  # without audio it is not there
    url = server.url.rpartition("/")[0]
    options = [f"--corpus_dir={corpus}", f"--url={url}"]
    done = fetch(root, *options, "--sets=test_clean")
    assert done.returncode == 0 and "test-clean are there, nothing to fetch" in done.stdout and not server.ranges
    done = fetch(root, *options, "--sets=test_clean", "--sets=test_other")
    assert done.returncode == 1 and len(server.ranges) == 1
    assert done.stderr.splitlines()[-1].endswith(
        "/test-other.tar.gz has 5120000 bytes, not 328757843: it is not the file that is expected"
    )
    done = fetch(root, f"--corpus_dir={tmp_path / 'elsewhere'}", "--sets=test_clean")
    assert done.returncode == 1 and "to fetch them, name a folder LibriSpeech" in done.stderr
    done = fetch(root, f"--corpus_dir={corpus}", "--sets=none")
    assert done.returncode == 2 and "there is no set none" in done.stderr


def test_an_unpacking_that_was_cut_off_is_done_again(root, corpus, tmp_path, server, monkeypatch):  # noqa: F811
    """test-other is there in part; its archive, beside it, says so."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        file.add(corpus / "test-other", "LibriSpeech/test-other")
    shutil.rmtree(corpus / "test-other")
    (corpus / "test-other").mkdir()
    server.content = packed.getvalue()
    sha256 = hashlib.sha256(server.content).hexdigest()
    (corpus.parent / ".archives").mkdir()
    (corpus.parent / ".archives" / "test-other.tar.gz").write_bytes(server.content)
    script = tmp_path / "fetch.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(root / 'egs/librispeech/local')!r}); import download\n"
        "from omni_asr.corpora import librispeech\n"
        f"librispeech.ARCHIVES = {json.dumps({'test-other': [len(server.content), sha256]})}\n"
        "download.main()\n"
    )
    command = [sys.executable, str(script), f"--corpus_dir={corpus}", "--sets=test_other"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (corpus / "test-other/32/800/32-800-0000.flac").exists() and not (corpus.parent / ".archives").exists()
    assert "nothing to fetch" in done.stdout and not server.ranges
