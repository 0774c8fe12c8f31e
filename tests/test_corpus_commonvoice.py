"""Common Voice: releases and layouts, stage 0, counts, memory, scoring."""

import shutil
import subprocess
import sys
import tarfile

import pytest
from corpora.commonvoice import AVA, BEN, RELEASE, make, write_list
from memory_helpers import PEAK
from test_corpora import ROOT, copy_recipe, run

from omni_asr.bin import score
from omni_asr.corpora.disk_table import DiskTable
from omni_asr.kaldi.tables import read_table

LOCAL = ROOT / "egs" / "commonvoice" / "local"
OLD = "client_id path sentence up_votes down_votes age gender accent locale segment"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make(tmp_path_factory.mktemp("corpus"))[0]


def prepare(data, corpus, *options):
    """The set test, or others, prepared."""
    call(
        "prepare.py",
        f"--data-dir={data}",
        f"--corpus-dir={corpus}",
        "--max-removed=0.9",
        *(options or ("--sets=test",)),
    )
    return data


def call(program, *options, status=0):
    done = subprocess.run([sys.executable, LOCAL / program, *map(str, options)], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    if status:
        assert ": error: " in done.stderr.splitlines()[-1], done.stderr
    return done.stdout + done.stderr


def test_every_way_to_name_the_copy_gives_the_same(corpus, tmp_path):
    link = tmp_path / "wrapped" / "mcv-scripted-en-v17.0" / RELEASE
    link.parent.mkdir(parents=True)
    link.symlink_to(corpus / RELEASE)
    trees = []
    for number, folder in enumerate((corpus, corpus / RELEASE, corpus / RELEASE / "en", tmp_path / "wrapped")):
        data = prepare(tmp_path / str(number), folder)
        clips = (link if number == 3 else corpus / RELEASE) / "en"
        trees.append({path.name: path.read_text().replace(str(clips), "EN") for path in (data / "test").iterdir()})
    assert all(tree == trees[0] for tree in trees)
    assert trees[0]["release"] == "17.0\n"


def test_old_release_with_other_columns_line_ends_and_no_lengths(corpus, tmp_path):
    folder = tmp_path / "cv-corpus-5.1-2020-06-22" / "en"
    shutil.copytree(corpus / RELEASE / "en" / "clips", folder / "clips")
    rows = [
        (BEN, "9", 'It’s "odd.', "teens", ""),
        (AVA, "40.mp3", "Über all", "", "female"),
        ("", "41", "no one", "", ""),
    ]
    write_list(folder / "test.tsv", rows, OLD, end="\r\n")
    test = prepare(tmp_path / "data", tmp_path) / "test"
    ben, ava = BEN[:12], AVA[:12]
    assert (test / "text").read_text() == (
        f"{ben}-common_voice_en_9 it's odd\n{ava}-common_voice_en_40 uber all\n"
        "common_voice_en_41-common_voice_en_41 no one\n"
    )
    assert read_table(test / "utt2age")[f"{ben}-common_voice_en_9"] == "teens"
    assert read_table(test / "utt2gender")[f"{ava}-common_voice_en_40"] == "female"
    assert (test / "release").read_text() == "5.1\n"
    assert not (test / "removed_in_preparation").exists()


def test_validated_is_without_dev_and_test(corpus, tmp_path):
    data = prepare(tmp_path / "data", corpus, "--sets=validated", "--sets=train")
    train, validated = (read_table(data / name / "text") for name in ("train", "validated"))
    assert validated == {**train, f"{AVA[:12]}-common_voice_en_50": "nobody knows"}
    removed = read_table(data / "validated" / "removed_in_preparation")
    assert sum(reason == "is of dev or test" for reason in removed.values()) == 8
    assert len(validated) + len(removed) == 23, "the line that is listed twice counts once here"


def test_counts_of_the_release_stand_beside_ours(corpus, tmp_path):
    recipe = copy_recipe("commonvoice", tmp_path)
    counts = recipe / "conf" / "official_counts"
    assert "test@17.0 16393\n" in counts.read_text()
    options = ["--stage", "1", "--stop_stage", "1", "--max_removed", "0.9", f"--corpus_dir={corpus}"]
    found = subprocess.run(["./run.sh", *options], cwd=recipe, capture_output=True, text=True).stdout
    assert "WARNING: test has 4 utterances, not the official 16393" in found
    counts.write_text("train@5.1 7\ntrain@17.0 15\ntest@17.0 5\ndev@17.0 3\n")
    found = subprocess.run(["./run.sh", *options, "--force", "true"], cwd=recipe, capture_output=True, text=True).stdout
    assert "  15 utterances (9 left out)\n" in found
    assert found.count("WARNING") == 1 and "WARNING: test has 4 utterances" in found, (
        "what training leaves out is listed"
    )


def test_a_folder_without_the_name_of_its_release(corpus, tmp_path):
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "en").symlink_to(tmp_path / "moved")
    shutil.copytree(corpus / RELEASE / "en", tmp_path / "moved")
    options = f"--corpus-dir={tmp_path / 'cv'}", "--sets=dev"
    told = call("prepare.py", *options, f"--data-dir={tmp_path / 'data'}")
    assert "release unknown" in told and "--release 17.0 tells it" in told
    assert not (tmp_path / "data/dev/release").exists()
    call("prepare.py", *options, f"--data-dir={tmp_path / 'named'}", "--release=17.0")
    assert (tmp_path / "named/dev/release").read_text() == "17.0\n"
    wrong = call("prepare.py", *options, f"--data-dir={tmp_path / 'x'}", "--release=17", status=2)
    assert "'17' is no release; they are such as 5.1 and 17.0" in wrong


def test_one_of_several_releases(corpus, tmp_path):
    for release in (RELEASE, "cv-corpus-9.0-2022-04-27", "cv-corpus-17.0-delta-2024-03-15"):
        (tmp_path / "all" / release).mkdir(parents=True)
        (tmp_path / "all" / release / "en").symlink_to(corpus / RELEASE / "en")
    options = f"--corpus-dir={tmp_path / 'all'}", "--sets=dev"
    call("prepare.py", *options, f"--data-dir={tmp_path / 'data'}", "--release=9.0")
    assert "cv-corpus-9.0-2022-04-27/en/clips" in (tmp_path / "data/dev/wav.scp").read_text()
    wrong = call("prepare.py", *options, f"--data-dir={tmp_path / 'x'}", "--release=5.1", status=1)
    assert "is not release 5.1 of Common Voice" in wrong


def test_a_delta_is_refused(corpus, tmp_path):
    name = "cv-corpus-17.0-delta-2024-03-15"
    shutil.copytree(corpus / RELEASE, tmp_path / "there" / name)
    for folder in (tmp_path / "there", tmp_path / "there" / name / "en"):
        for program in ("prepare.py", "download.py"):
            data = [f"--data-dir={tmp_path / 'data'}"] if program == "prepare.py" else []
            assert "is a delta, what came since" in call(program, f"--corpus-dir={folder}", *data, status=1)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / f"{name}-en.tar.gz").write_bytes(b"")
    assert "no delta" in call("download.py", f"--corpus-dir={tmp_path / 'packed'}", status=1)


def test_errors_in_one_line(corpus, tmp_path):
    options = f"--data-dir={tmp_path / 'data'}", "--sets=test"
    (tmp_path / "empty").mkdir()
    assert "has no en/clips of Common Voice" in call(
        "prepare.py", *options, f"--corpus-dir={tmp_path / 'empty'}", status=1
    )
    two = tmp_path / "two"
    for release in (RELEASE, "cv-corpus-9.0-2022-04-27"):
        (two / release / "en" / "clips").mkdir(parents=True)
    assert "several releases" in call("prepare.py", *options, f"--corpus-dir={two}", status=1)
    only = f"--corpus-dir={two / RELEASE}"
    assert f"{RELEASE}/en/test.tsv does not exist" in call("prepare.py", *options, only, status=1)
    (two / RELEASE / "en" / "test.tsv").write_text("path\tsentence\n")
    assert "test.tsv:1: there is no column client_id" in call("prepare.py", *options, only, status=1)
    wrong = call("prepare.py", f"--data-dir={tmp_path}", "--sets=other", f"--corpus-dir={corpus}", status=2)
    assert "there is no set other" in wrong
    (two / RELEASE / "en" / "test.tsv").unlink()
    assert "has no list of Common Voice: train.tsv" in call("prepare.py", options[0], only, status=1)


def test_stage_0_unpacks_once_and_says_where_to_get_it(corpus, tmp_path):
    folder = tmp_path / "place"
    told = call("download.py", f"--corpus-dir={folder}", status=1)
    assert "datacollective.mozillafoundation.org" in told and str(folder) in told and told.count("\n") == 1
    folder.mkdir()
    archive = folder / f"{RELEASE}-en.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(corpus / RELEASE, RELEASE)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in call("download.py", f"--corpus-dir={folder}", status=1)
    assert "which stage 0 does" in call(
        "prepare.py", f"--data-dir={tmp_path / 'data'}", f"--corpus-dir={folder}", status=1
    )
    archive.write_bytes(whole)
    assert "unpacking" in call("download.py", f"--corpus-dir={folder}")
    again = call("download.py", f"--corpus-dir={folder}")
    assert "unpacking" not in again and "release 17.0: nothing to fetch" in again
    assert sorted(path.name for path in folder.iterdir()) == [RELEASE, archive.name]


def test_stage_0_looks_in_every_folder(corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    folders = [f"--corpus_dir={folder}" for folder in (tmp_path / "empty", tmp_path / "none", corpus)]
    assert f"{corpus}/{RELEASE}/en has Common Voice, release 17.0" in call("download.py", *folders)


def test_the_archive_of_release_5_1(corpus, tmp_path):
    """It is named en.tar.gz, as others may be."""
    with tarfile.open(tmp_path / "en.tar.gz", "w:gz") as tar:
        tar.add(corpus / RELEASE, "cv-corpus-5.1-2020-06-22")
    assert "release 5.1: nothing to fetch" in call("download.py", f"--corpus-dir={tmp_path}")
    (tmp_path / "other").mkdir()
    with tarfile.open(tmp_path / "other" / "en.tar.gz", "w:gz") as tar:
        tar.add(LOCAL, "en/pages")
    assert "has to be fetched by hand" in call("download.py", f"--corpus-dir={tmp_path / 'other'}", status=1)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["en.tar.gz"]


READ_ONLY = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.access = lambda path, mode, of=os.access, share=sys.argv[2]: not str(path).startswith(share) and of(path, mode)
import download
sys.exit(download.run_program(download.main, sys.argv[3:]))
"""


def test_an_archive_on_a_share_that_is_read_only(corpus, tmp_path):
    """It is unpacked into a folder that the user names beside it."""
    share, mine = tmp_path / "share", tmp_path / "mine" / "speech"
    share.mkdir()
    with tarfile.open(share / f"{RELEASE}-en.tar.gz", "w:gz") as tar:
        tar.add(corpus / RELEASE, RELEASE)
    command = [sys.executable, "-c", READ_ONLY, LOCAL, share, f"--corpus-dir={share}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"but {share} cannot be written; name a folder of yours by --corpus_dir too" in done.stderr
    for _ in range(2):
        done = subprocess.run([*command, f"--corpus-dir={mine}"], capture_output=True, text=True)
        assert f"{mine}/{RELEASE}/en has Common Voice" in done.stdout, done.stderr
    assert "unpacking" not in done.stderr and len(list(share.iterdir())) == 1
    test = prepare(tmp_path / "data", share, "--sets=test", f"--corpus-dir={mine}") / "test"
    assert str(mine) in (test / "wav.scp").read_text()


MANY = (
    PEAK
    + """
import sys
sys.path.insert(0, sys.argv[1])
import prepare
prepare.what_is_wrong = lambda release, row: None  # as if every clip were there
prepare.main(sys.argv[2:])
print(peak())
"""
)


def peak(folder, rows):
    """MiB that a preparation of so many rows takes."""
    en = folder / RELEASE / "en"
    (en / "clips").mkdir(parents=True)
    with open(en / "validated.tsv", "w") as table, open(en / "clip_durations.tsv", "w") as lengths:
        table.write("client_id\tpath\tsentence\n")
        for row in range(rows):
            table.write(f"{row // 8 * 2654435761:0128d}\tcommon_voice_en_{row}.mp3\tA long walk\n")
            lengths.write(f"common_voice_en_{row}.mp3\t5000\n")
    for name in ("dev", "test"):
        (en / f"{name}.tsv").write_text("client_id\tpath\tsentence\n")
    options = [f"--corpus-dir={folder}", f"--data-dir={folder / 'data'}", "--sets=validated"]
    done = subprocess.run([sys.executable, "-c", MANY, LOCAL, *options], capture_output=True, text=True, check=True)
    assert len((folder / "data/validated/text").read_text().splitlines()) == rows
    return int(done.stdout) / 1024


def test_memory_does_not_grow_with_the_rows(tmp_path):
    few, many = (peak(tmp_path / str(rows), rows) for rows in (2000, 100_000))
    assert many < few + 10, "the rows alone are 17 MiB"


def test_scored_as_written_and_after_the_normaliser(corpus, tmp_path):
    test, decoded = prepare(tmp_path / "data", corpus) / "test", tmp_path / "decoded"
    eve, fay = "e1" * 6, "fa" * 6
    decoded.mkdir()
    (decoded / "text").write_text(
        f"{eve}-common_voice_en_40 is that all i asked nicely\n"
        f"{eve}-common_voice_en_41 the two point five km sic walk mostly uphill costs one thousand dollars don't\n"
        f"{fay}-common_voice_en_42\n{fay}-common_voice_en_43 cafe forty percent\n"
    )
    assert wer(test, decoded) == "%WER 47.37 [ 9 / 19, 5 ins, 1 del, 3 sub ]"
    pytest.importorskip("whisper_normalizer")
    assert wer(test, decoded, "whisper") == "%WER 5.00 [ 1 / 20, 0 ins, 1 del, 0 sub ]"


def wer(data, decoded, regime="verbatim"):
    score.main([str(data), "-", str(decoded), "--regime", regime])
    file = decoded / ("wer" if regime == "verbatim" else f"wer_{regime}")
    return next(line for line in file.read_text().splitlines() if line.startswith("%WER"))


def test_disk_table_keeps_the_first(tmp_path):
    with DiskTable(tmp_path) as table:
        table.add([("a", "1"), ("b", ""), ("a", "2")])
        assert table.get("a") == "1" and "b" in table and table.get("c") is None
    assert not list(tmp_path.iterdir())


def test_the_recipe_runs_from_stage_0_of_an_archive(corpus, tmp_path):
    recipe = copy_recipe("commonvoice", tmp_path)
    folder = tmp_path / "place"
    folder.mkdir()
    with tarfile.open(folder / "mcv-scripted-en-v17.0.tar.gz", "w:gz") as tar:
        tar.add(corpus / RELEASE, RELEASE)
    (tmp_path / "model.pt").write_text("")
    options = ["--model", str(tmp_path / "model.pt"), "--stop_stage", "1", "--max_removed", "0.9"]
    run(recipe, ["./run.sh", *options, f"--corpus_dir={folder}"])
    assert [path.name for path in (recipe / "data").iterdir() if path.name[0] != "."] == ["test"], "test data is enough"
