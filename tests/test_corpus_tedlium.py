"""egs/tedlium beyond what test_corpora.py sees: other copies, other releases, words, scores, downloads."""

import hashlib
import importlib
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from corpora.audio import write_audio, write_sphere
from corpora.tedlium import make, make_release_2, write_talk

from omni_asr.kaldi.tables import read_table

LOCAL = Path(__file__).resolve().parents[1] / "egs" / "tedlium" / "local"
SETS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make(tmp_path_factory.mktemp("tedlium"))[0]


@pytest.fixture
def transcripts(monkeypatch):
    monkeypatch.syspath_prepend(str(LOCAL))
    return importlib.import_module("transcripts")


def prepare(data, *options):
    command = [sys.executable, LOCAL / "prepare.py", f"--data-dir={data}", "--max-removed=0.9", *options]
    return subprocess.run(command, capture_output=True, text=True)


def fails(done):
    """What a program says that fails for a reason the user can mend."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[-1]


def tables(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("transcript", "words"),
    [
        ("so we 're building it(2) <sil> {NOISE} and it 's", "so we're building it and it's"),
        ("<unk> thank you (PatRay_2031-21.37-25.00-F0_M-S3)", "<unk> thank you"),
        ("that was it (2)", "that was it"),
        ("' cause they 'd 've known", "'cause they'd've known"),
        ("i 'm ' cause so ' cause", "i'm 'cause so 'cause"),
        ("we ’re ‘ round {COUGH} 's", "we're 'round's"),
        ("'tis <UNK> 's '", "'tis <unk>'s"),
        ("[NOISE] <sil> {SMACK}", ""),
    ],
)
def test_words(transcripts, transcript, words):
    assert " ".join(transcripts.words_of(transcript)) == words


def test_the_readme_says_how_words_differ_from_those_of_kaldi(transcripts):
    readme = (LOCAL.parent / "README.md").read_text()
    rows = re.findall(r"^\| `(.+)` \| `(.+)` \| (\d) \| `(.+)` \| (\d) \|$", readme, re.MULTILINE)
    assert len(rows) == 3
    for stm, here, count, elsewhere, other_count in rows:
        assert " ".join(transcripts.words_of(stm)) == here and len(here.split()) == int(count)
        assert joined_in_pairs(stm) == elsewhere and len(elsewhere.split()) == int(other_count)


def joined_in_pairs(text):
    """Join each token that begins with an apostrophe to the one before it, unless that is a joined pair."""
    return re.sub(r"(\S+) ('\S*)", r"\1\2", text)


@pytest.mark.parametrize(
    ("field", "labels"),
    [
        ("<o,f0,male>", ("o", "f0", "male")),
        ("<F0_M>", ("o", "f0", "male")),
        ("<F2_F>", ("o", "f2", "female")),
        ("<NA>", ("na",)),
        ("", ("o",)),
    ],
)
def test_labels(transcripts, field, labels):
    assert transcripts.labels_of(field) == labels
    assert [label.id for label in transcripts.declared(labels)] == list(labels)


def test_lines(transcripts, tmp_path):
    path = tmp_path / "AnnaHill_2004.stm"
    path.write_text(";; a comment\n\nA_1 1 A_1 4.35 19.99 <unk> well\r\nA_1 1 A_1 2.30 4.35 <x>\n")
    first, second = transcripts.read_lines_of(path)
    assert (first.id, first.labels, first.reference, first.text) == (
        "A_1-0000434-0001998",  # a binary float times 100, truncated
        ("o",),
        "<unk> well",
        "well",
    )
    assert (second.id, second.labels, second.words) == ("A_1-0000229-0000434", ("x",), [])


@pytest.mark.parametrize("line", ["A_1 1 A_1 4.35\n", "A_1 1 A_1 now 4.35 <o> words\n"])
def test_a_broken_line_is_an_error_that_names_it(corpus, tmp_path, line):
    shutil.copytree(corpus / "legacy" / "dev", tmp_path / "legacy" / "dev")
    with open(tmp_path / "legacy" / "dev" / "stm" / "EveLake_2009.stm", "a") as file:
        file.write(line)
    assert "EveLake_2009.stm:6: " in fails(prepare(tmp_path / "data", f"--corpus-dir={tmp_path}", "--sets=dev"))


def test_padding_is_cut_at_the_midpoint(tmp_path):
    """Segments that touch, overlap, are nested, or have a neighbour that training leaves out."""
    line = "A_1 1 A_1 {:.2f} {:.2f} <o> {}\n".format
    stm = [
        line(0.10, 1.00, "the first begins with the audio"),
        line(1.30, 2.00, "far from it"),
        line(12.30, 14.17, "these two touch"),
        line(14.17, 14.88, "each other"),
        line(14.88, 15.50, "in 1984"),  # a neighbour that is not used
        line(15.60, 16.00, "nobody counts after"),
        line(16.00, 17.00, "ignore_time_segment_in_scoring"),
        line(18.00, 19.00, "this one overlaps"),
        line(18.80, 20.00, "that one"),
    ]
    write_talk(tmp_path / "legacy" / "train", "A_1", 20.05, "".join(stm))
    assert prepare(tmp_path / "data", f"--corpus-dir={tmp_path}").returncode == 0
    segments = read_table(tmp_path / "data" / "train" / "segments").values()
    assert [value.removeprefix("A_1 ") for value in segments] == [
        "0.000 1.100",
        "1.150 2.100",
        "12.150 14.145",
        "14.145 14.855",
        "15.525 16.100",
        "17.850 18.875",
        "18.875 20.050",
    ]


def test_layouts_are_the_same(corpus, tmp_path):
    """legacy/ itself, parts in two places, folders in capitals, links from legacy to data that were lost."""
    assert prepare(tmp_path / "whole", f"--corpus-dir={corpus}", "--nj=2").returncode == 0
    whole = tables(tmp_path / "whole")
    assert prepare(tmp_path / "legacy", f"--corpus-dir={corpus / 'legacy'}").returncode == 0
    assert tables(tmp_path / "legacy") == whole
    upper = tmp_path / "COPY" / "LEGACY"
    shutil.copytree(corpus / "legacy" / "train" / "stm", upper / "TRAIN" / "STM")
    shutil.copytree(corpus / "data" / "sph", tmp_path / "COPY" / "data" / "sph")
    parts = [f"--corpus-dir={tmp_path / 'COPY'}", f"--corpus-dir={corpus / 'legacy' / 'dev'}"]
    assert prepare(tmp_path / "upper", parts[0], "--sets=train").returncode == 0
    moved = {name: text.replace(f"{tmp_path / 'COPY'}/data", f"{corpus}/legacy/train") for name, text in
             tables(tmp_path / "upper").items()}  # fmt: skip
    assert moved == {name: text for name, text in whole.items() if name.startswith("train/")}
    assert prepare(tmp_path / "parts", *parts, "--sets=dev").returncode == 0
    assert tables(tmp_path / "parts") == {name: text for name, text in whole.items() if name.startswith("dev")}
    assert "legacy/test/stm with legacy/test/sph is not in" in fails(
        prepare(tmp_path / "lacking", *parts, "--sets=test")
    )


def test_data_alone_is_train(corpus, tmp_path):
    shutil.copytree(corpus / "data", tmp_path / "copy" / "data")
    shutil.copytree(corpus / "speaker-adaptation", tmp_path / "copy" / "speaker-adaptation")
    assert prepare(tmp_path / "out", f"--corpus-dir={tmp_path / 'copy'}").returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train"]
    assert len((tmp_path / "out" / "train" / "text").read_text().splitlines()) == 4


def test_release_2_trains_nothing_but_its_tests_are_the_same(tmp_path):
    copy = make_release_2(tmp_path)
    assert "of release 1 or 2; use the audio of release 3" in fails(prepare(tmp_path / "a", f"--corpus-dir={copy}"))
    done = prepare(tmp_path / "b", f"--corpus-dir={copy}", "--sets=dev", "--sets=test")
    assert done.returncode == 0
    assert (tmp_path / "b" / "test" / "text").read_text() == "TestTalk_2010-0000000-0000100 it's an old release\n"


def test_audio_of_release_2_is_refused(corpus, tmp_path):
    """Links to it, and files that are shorter than their stm says."""
    copy = tmp_path / "TEDLIUM_release-3"
    shutil.copytree(corpus / "legacy" / "test", copy / "legacy" / "test")
    sph = copy / "legacy" / "test" / "sph"
    shutil.move(sph, tmp_path / "TEDLIUM_release2" / "sph")
    sph.symlink_to(tmp_path / "TEDLIUM_release2" / "sph")
    assert "which is of another release" in fails(prepare(tmp_path / "a", f"--corpus-dir={copy}"))
    sph.unlink()
    for talk in ("FinnWest_2010", "GilPark_2010U"):
        write_sphere(sph / f"{talk}.sph", 0.7)
    done = prepare(tmp_path / "b", f"--corpus-dir={copy}")
    assert "2 of 2 talks are shorter than their stm says, first FinnWest_2010" in fails(done)
    assert not (tmp_path / "b" / "test").exists()
    write_sphere(sph / "FinnWest_2010.sph", 5.0)
    done = prepare(tmp_path / "c", f"--corpus-dir={copy}")
    assert done.returncode == 0 and "1 of 2 talks are shorter" in done.stderr


def test_errors_in_one_line(corpus, tmp_path):
    assert "there is no set eval" in prepare(tmp_path / "a", f"--corpus-dir={corpus}", "--sets=eval").stderr
    (tmp_path / "empty").mkdir()
    assert "legacy/*/stm with legacy/*/sph is not in" in fails(
        prepare(tmp_path / "b", f"--corpus-dir={tmp_path / 'empty'}")
    )
    shutil.copytree(corpus / "legacy" / "dev", tmp_path / "copy" / "legacy" / "dev")
    shutil.rmtree(tmp_path / "copy" / "legacy" / "dev" / "sph")
    done = prepare(tmp_path / "c", f"--corpus-dir={tmp_path / 'copy'}", "--sets=dev")
    assert "legacy/dev/stm with legacy/dev/sph is not in" in fails(done)
    shutil.copytree(corpus / "data", tmp_path / "copy" / "data")  # which has nothing of dev
    assert fails(prepare(tmp_path / "d", f"--corpus-dir={tmp_path / 'copy'}", "--sets=dev")) == fails(done)


@pytest.mark.parametrize(("suffix", "place"), [("wav", "sph"), ("flac", "sph"), ("wav", "wav"), ("flac", "flac")])
def test_audio_may_be_converted(corpus, tmp_path, suffix, place):
    shutil.copytree(corpus / "legacy" / "dev" / "stm", tmp_path / "legacy" / "dev" / "stm")
    write_audio(tmp_path / "legacy" / "dev" / place / f"EveLake_2009.{suffix}", 4.0)
    write_sphere(tmp_path / "legacy" / "dev" / "sph" / "EveLake_2009P.sph", 1.5)
    assert prepare(tmp_path / "data", f"--corpus-dir={tmp_path}", "--sets=dev").returncode == 0
    paths = read_table(tmp_path / "data" / "dev" / "wav.scp")
    assert paths["EveLake_2009"] == f"{tmp_path}/legacy/dev/{place}/EveLake_2009.{suffix}"
    assert paths["EveLake_2009P"].endswith("|")


def test_talks_are_counted(corpus, tmp_path):
    """Too few give a warning; a talk that has no stm file is no utterance that is lost."""
    done = prepare(tmp_path / "a", f"--corpus-dir={corpus}", "--sets=train")
    assert "train: 4 talks, where release 3 has 2351; is the copy complete?" in done.stderr
    for number in range(8):
        line = f"T{number}_1 1 T{number}_1 0 0.2 <o> yes\n"
        write_talk(tmp_path / "legacy" / "dev", f"T{number}_1", 0.3, line if number else None)
    command = [sys.executable, LOCAL / "prepare.py", f"--data-dir={tmp_path / 'b'}", f"--corpus-dir={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "dev: 7 talks, where release 3 has 8" in done.stderr, done.stderr
    write_talk(tmp_path / "legacy" / "dev", "T0_1", 0.3, "T0_1 1 T0_1 0 0.2 <o> yes\n")
    shutil.rmtree(tmp_path / "b")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "talks" not in done.stderr, done.stderr


def score(data, decoded, *options):
    command = [LOCAL / "score.sh", data, "-", decoded, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scores(corpus, tmp_path):
    """Of 11 words one, unknown to the aligner, is deleted; it's becomes two; one is heard where nothing is said."""
    assert prepare(tmp_path, f"--corpus-dir={corpus}", "--sets=test").returncode == 0
    data, decoded = tmp_path / "test", tmp_path / "decoded"
    decoded.mkdir()
    (decoded / "text").write_text(
        "FinnWest_2010-0000060-0000229 so we're mending a roof\n"
        "FinnWest_2010-0000310-0000434 and it is late\n"
        "FinnWest_2010-0000434-0000459 oh\n"
        "GilPark_2010U-0000020-0000190 thank you\n"
    )
    assert "%WER 36.36 [ 4 / 11, 2 ins, 1 del, 1 sub ]" in score(data, decoded)
    assert "%WER 0.00 [ 0 / 2, 0 ins, 0 del, 0 sub ]" in (decoded / "scoring" / "wer_female").read_text()
    pytest.importorskip("whisper_normalizer")
    assert "%WER 0.00 [ 0 / 12, 0 ins, 0 del, 0 sub ]" in score(data, decoded, "--regime", "whisper")


def test_words_in_ignored_regions_do_not_count(corpus, tmp_path):
    """Hypotheses over whole talks: two words where nothing is scored, one wrong word where something is."""
    assert prepare(tmp_path, f"--corpus-dir={corpus}", "--sets=test").returncode == 0
    (tmp_path / "decoded").mkdir()
    words = {0.1: "hello", 0.7: "so", 1.0: "we're", 1.3: "mending", 1.6: "a", 1.7: "<unk>", 1.9: "roof", 2.5: "ahem",
             3.2: "and", 3.5: "it's", 3.9: "lake"}  # fmt: skip
    ctm = [f"FinnWest_2010 A {begin} 0.1 {word}\n" for begin, word in words.items()]
    ctm += ["GilPark_2010U A 0.3 0.2 thank\n", "GilPark_2010U A 0.6 0.2 you\n"]
    (tmp_path / "hyp.ctm").write_text("".join(ctm))
    said = score(tmp_path / "test", tmp_path / "decoded", "--ctm", tmp_path / "hyp.ctm")
    assert "%WER 9.09 [ 1 / 11, 0 ins, 0 del, 1 sub ]" in said


def test_official_counts_are_those_of_what_is_scored():
    counts = (LOCAL.parent / "conf" / "official_counts").read_text().splitlines()
    assert counts[:2] == ["dev 507 17783 text_verbatim", "test 1155 27500 text_verbatim"]


def fetch(corpus_dir, *options, sha256=None):
    script = f"import sys; sys.path.insert(0, {str(LOCAL)!r}); import download\n"
    script += f"download.SHA256 = {sha256!r} or download.SHA256\nsys.exit(download.run_program(download.main))"
    command = [sys.executable, "-c", script, f"--corpus-dir={corpus_dir}", *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_download(tmp_path):
    """Fetched and unpacked once; what an interrupted run left is not taken for a copy."""
    for split in SETS:
        write_talk(tmp_path / "TEDLIUM_release-3" / "legacy" / split, "A_1", 0.3, "A_1 1 A_1 0 0.2 <o> yes\n")
    server, place = tmp_path / "server", tmp_path / "place" / "TEDLIUM_release-3"
    server.mkdir()
    with tarfile.open(server / "TEDLIUM_release-3.tgz", "w:gz") as tar:
        tar.add(tmp_path / "TEDLIUM_release-3", "TEDLIUM_release-3")
    url = f"--url={server.as_uri()}"
    (place / "legacy" / "test" / "stm").mkdir(parents=True)  # half of it
    (tmp_path / "place" / ".archives").mkdir()
    shutil.copy(server / "TEDLIUM_release-3.tgz", tmp_path / "place" / ".archives")
    assert "has the SHA256 sum" in fails(fetch(place, url, "--sets=test"))
    sha256 = hashlib.sha256((server / "TEDLIUM_release-3.tgz").read_bytes()).hexdigest()
    assert fetch(place, url, "--sets=test", sha256=sha256).returncode == 0
    assert (place / "legacy" / "test" / "sph" / "A_1.sph").exists()
    (server / "TEDLIUM_release-3.tgz").unlink()
    assert "nothing to fetch" in fetch(place, url).stdout
    shutil.rmtree(place / "legacy" / "train")
    assert "to fetch it again, remove" in fails(fetch(place, url))
    shutil.copytree(tmp_path / "TEDLIUM_release-3" / "legacy" / "test" / "stm", tmp_path / "elsewhere/legacy/test/stm")
    assert "name a folder TEDLIUM_release-3" in fails(fetch(tmp_path / "elsewhere", url))
    assert "nothing to fetch" in fetch(tmp_path / "TEDLIUM_release-3", url).stdout
