"""SetWriter and Preparation: what every preparation of a corpus leaves, loses and lists."""

import argparse
import os
import subprocess
import sys
import threading
import time

import pytest
from memory_helpers import PEAK

from omni_asr.bin import ArgumentParser
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.writer import REMOVED, SetWriter, clean
from omni_asr.errors import UserError
from omni_asr.kaldi.validate import validate


def table(folder, name):
    return (folder / name).read_text(encoding="utf-8").splitlines()


def test_tables_are_sorted_by_bytes(tmp_path):
    names = ["a-10", "a-2", "a-B", "a-_", "a-b", "a-é", "a-日", "a-𝄞"]
    with SetWriter(tmp_path / "set") as writer:
        for name in reversed(names):
            writer.utterance(name, "a", f"of {name}", audio=f"/audio/{name}.wav", utt2lang="en")
    expected = sorted(names, key=str.encode)
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "spk2utt", "text", "utt2lang", "utt2spk", "wav.scp"
    ]  # fmt: skip
    assert table(tmp_path / "set", "text") == [f"{name} of {name}" for name in expected]
    assert table(tmp_path / "set", "wav.scp") == [f"{name} /audio/{name}.wav" for name in expected]
    assert table(tmp_path / "set", "utt2lang") == [f"{name} en" for name in expected]
    assert table(tmp_path / "set", "spk2utt") == ["a " + " ".join(expected)]
    validate(tmp_path / "set", feats=False)


def test_speakers_one_of_which_begins_as_the_other(tmp_path):
    with SetWriter(tmp_path / "set") as writer:
        for name in ("121-1", "12-2", "12-1", "1-1"):
            writer.utterance(name, name.split("-")[0], "x", audio="/a.wav")
    assert table(tmp_path / "set", "spk2utt") == ["1 1-1", "12 12-1 12-2", "121 121-1"]
    validate(tmp_path / "set", feats=False)
    with (
        pytest.raises(UserError, match="speaker '12' of '12_1' comes after '121'; utterances must begin with") as error,
        SetWriter(tmp_path / "other") as writer,
    ):
        for name in ("121_1", "12_1"):
            writer.utterance(name, name.split("_")[0], "x", audio="/a.wav")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_first_of_two_is_kept(tmp_path):
    with SetWriter(tmp_path / "set", max_removed=0.5) as writer:
        for words in ("first", "second"):
            writer.utterance("a-1", "a", words, audio="/a.wav")
    assert table(tmp_path / "set", "text") == ["a-1 first"]
    assert table(tmp_path / "set", REMOVED) == ["a-1 occurs twice in the corpus; the first is kept"]


def segments(tmp_path, *bounds, seconds=10.0, **options):
    """Segments of one recording, and why others were removed."""
    with SetWriter(tmp_path / "set", max_removed=1.0, **options) as writer:
        writer.recording("r", "/r.flac", seconds=seconds)
        writer.utterance("a-last", "a", "x", segment=("r", 0, 1))
        for number, (start, end) in enumerate(bounds):
            writer.utterance(f"a-{number}", "a", "x", segment=("r", start, end))
    kept = table(tmp_path / "set", "segments")[:-1]
    removed = table(tmp_path / "set", REMOVED) if (tmp_path / "set" / REMOVED).exists() else []
    return kept, removed, writer.notes


def test_segments_are_clipped_to_their_recording(tmp_path):
    kept, removed, notes = segments(tmp_path, (-0.5, 2), (9.0, 10.4), (1.23456, 2.0004))
    assert kept == ["a-0 r 0.000 2.000", "a-1 r 9.000 10.000", "a-2 r 1.235 2.000"]
    assert not removed
    assert dict(notes) == {
        "segments that began before the recording were clipped": 1,
        "segments that ended after the audio were clipped": 1,
    }


def test_impossible_segments_are_removed(tmp_path):
    nan, inf = float("nan"), float("inf")
    kept, removed, _ = segments(
        tmp_path, (2, 2), (3, 2), (10, 11), (12, 13), (-2, -1), (1, 1.0002), (9.9997, 12), (nan, 1), (1, nan), (1, inf)
    )
    assert kept == []
    assert removed == [
        "a-0 ends at 2 s, which is not after its start at 2 s",
        "a-1 ends at 2 s, which is not after its start at 3 s",
        "a-2 starts at 10 s, after the end of the audio at 10 s",
        "a-3 starts at 12 s, after the end of the audio at 10 s",
        "a-4 ends at -1 s, before the start of the audio",
        "a-5 is shorter than a millisecond, at 1 s",
        "a-6 is shorter than a millisecond, at 9.9997 s",
        "a-7 ends at 1 s, which is not after its start at nan s",
        "a-8 ends at nan s, which is not after its start at 1 s",
        "a-9 ends at inf s, which is not after its start at 1 s",
    ]


def test_segments_of_a_recording_of_unknown_length_stay(tmp_path):
    kept, removed, notes = segments(tmp_path, (100, 200.5), seconds=None)
    assert (kept, removed, dict(notes)) == (["a-0 r 100.000 200.500"], [], {})


def test_only_recordings_that_are_used_are_written(tmp_path):
    with SetWriter(tmp_path / "set") as writer:
        for name in ("r3", "r2", "r1"):
            writer.recording(name, f"/{name}.sph", file=name, channel="B", seconds=5)
        writer.recording("r1", "/again.sph")
        writer.utterance("a-1", "a", "x", segment=("r3", 0, 1))
        writer.utterance("a-2", "a", "x", segment=("r1", 0, 1))
    assert table(tmp_path / "set", "wav.scp") == ["r1 /r1.sph", "r3 /r3.sph"]
    assert table(tmp_path / "set", "reco2file_and_channel") == ["r1 r1 B", "r3 r3 B"]
    validate(tmp_path / "set", feats=False)


def test_mistakes_of_a_preparation(tmp_path):
    """Those that no corpus causes are no errors of the user."""
    with pytest.raises(TypeError, match="neither audio nor segment"), SetWriter(tmp_path / "set") as writer:
        writer.utterance("a-1", "a", "x")
    with (
        pytest.raises(TypeError, match="1 recordings of segments were not handed in"),
        SetWriter(tmp_path / "set") as writer,
    ):
        writer.utterance("a-1", "a", "x", segment=("r", 0, 1))
    with (
        pytest.raises(TypeError, match="files of their own, others are segments"),
        SetWriter(tmp_path / "set") as writer,
    ):
        writer.recording("r", "/r.wav")
        writer.utterance("a-1", "a", "x", segment=("r", 0, 1))
        writer.utterance("a-2", "a", "x", audio="/2.wav")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "a b", "a\tb", "a\n", "a\u00a0b", "a\u2028b"])
def test_ids_without_blanks(tmp_path, name):
    for arguments in ((name, "a"), ("a-1", name)):
        with (
            pytest.raises(UserError, match=r"cannot be .*: it is empty or has a blank in it") as error,
            SetWriter(tmp_path / "set") as writer,
        ):
            writer.utterance(*arguments, "x", audio="/a.wav")
        assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("audio", ["/a\nb.wav", " /a.wav", "/a.wav ", "/a\r.wav"])
def test_audio_that_wav_scp_cannot_name(tmp_path, audio):
    with (
        pytest.raises(UserError, match=r"set: a-1 has audio that wav.scp cannot name: .*; rename it$") as error,
        SetWriter(tmp_path / "set") as writer,
    ):
        writer.utterance("a-1", "a", "x", audio=audio)
    assert "\n" not in str(error.value)


def test_names_that_are_not_utf8(tmp_path):
    with (
        pytest.raises(UserError, match=r"set: 'a-1' is, or has a file, whose name is not UTF-8; rename it$"),
        SetWriter(tmp_path / "set") as writer,
    ):
        writer.utterance("a-1", "a", "x", audio=os.fsdecode(b"/caf\xe9.wav"))
    assert not list(tmp_path.iterdir())


def test_what_is_removed_may_have_any_id(tmp_path):
    with SetWriter(tmp_path / "set", max_removed=1.0) as writer:
        writer.utterance("a-1", "a", "x", audio="/a.wav")
        writer.remove("", "has no\nid")
        writer.exclude("b c", "has a blank")
    assert table(tmp_path / "set", REMOVED) == ["? has no id", "b_c has a blank"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        (" \t\r\n", ""),
        ("\ufeffa  b\u00a0c\u3000d\u2028e\x00f\x1fg\x7fh\x85i\x9fj ", "a b c d e f g h i j"),
        ("don’t café", "don’t café"),  # noqa: RUF001
    ],
)
def test_clean(text, words):
    assert clean(text) == words


def test_utterances_without_words(tmp_path):
    for keep in (False, True):
        with SetWriter(tmp_path / f"{keep}", keep_empty=keep) as writer:
            for number in range(30):
                writer.utterance(
                    f"a-{number:02d}", "a", "\n" if number == 1 else "x\ny", audio="/a.wav", text_whisper="\t"
                )
    assert table(tmp_path / "False", REMOVED) == ["a-01 has no words"]
    assert len(table(tmp_path / "False", "text")) == 29
    assert table(tmp_path / "True", "text")[:2] == ["a-00 x y", "a-01"]
    assert table(tmp_path / "True", "text_whisper")[:2] == ["a-00", "a-01"]
    assert not (tmp_path / "True" / REMOVED).exists()


def test_reasons_are_listed_and_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    with SetWriter(tmp_path / "set", max_removed=0.5) as writer:
        for number in range(5):
            writer.utterance(f"a-{number}", "a", "x", audio="/a.wav", seconds=1800)
        for number in (7, 6):
            writer.remove(f"a-{number}", f"has no audio file /corpus/a-{number}.wav")
        for number in (9, 8):
            writer.exclude(f"a-{number}", "is 'redacted'")
            writer.remove(f"b-{number}", "has a clip of 0 bytes")
        writer.notes["curly quotes were straightened"] += 3
    assert table(tmp_path / "set", REMOVED) == [
        "a-6 has no audio file /corpus/a-6.wav",
        "a-7 has no audio file /corpus/a-7.wav",
        "a-8 is 'redacted'",
        "a-9 is 'redacted'",
        "b-8 has a clip of 0 bytes",
        "b-9 has a clip of 0 bytes",
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "set: 5 utterances, 1 speakers, 2.50 hours",
        "set: lost: 2, has a clip of 0 bytes",
        "set: lost: 2, the first has no audio file /corpus/a-7.wav",
        "set: excluded: 2, is 'redacted'",
        "set: curly quotes were straightened: 3",
    ]


@pytest.mark.parametrize("kept", [0, 2])
def test_too_much_lost_keeps_the_list(tmp_path, kept):
    with pytest.raises(UserError) as error, SetWriter(tmp_path / "set") as writer:
        for number in range(kept):
            writer.utterance(f"a-{number}", "a", "x", audio="/a.wav")
        writer.remove("a-8", "has no audio file")
        writer.remove("a-9", "has 3 fields, where the header has 10")
        writer.remove("a-7", "has 2 fields, where the header has 10")
    listed = tmp_path / f"set.{REMOVED}"
    assert (
        f"set: 3 of {kept + 3} utterances are lost, more than 5%, most often because one has 3 fields, where the"
        in (str(error.value))
    )
    assert str(listed) in str(error.value) and "--max_removed" in str(error.value) and "\n" not in str(error.value)
    assert listed.read_text() == (
        "a-7 has 2 fields, where the header has 10\na-8 has no audio file\na-9 has 3 fields, where the header has 10\n"
    )
    assert list(tmp_path.iterdir()) == [listed]


def test_rules_of_the_corpus_are_no_loss(tmp_path):
    with SetWriter(tmp_path / "set", max_removed=0.0) as writer:
        writer.utterance("a-1", "a", "x", audio="/a.wav")
        for number in range(50):
            writer.exclude(f"a-2{number}", "is of another set")
    assert len(table(tmp_path / "set", REMOVED)) == 50


def test_nothing_found(tmp_path):
    with (
        pytest.raises(UserError, match=r"^set: no utterance was found; is --corpus_dir the folder of this corpus\?$"),
        SetWriter(tmp_path / "set"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_crash_leaves_nothing(tmp_path):
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), SetWriter(tmp_path / "set") as writer:
            writer.utterance("a-1", "a", "x", audio="/a.wav")
            raise error
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_touched(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(UserError, match="set is there already; remove it, or write into another --data_dir"):
        SetWriter(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sort").write_text(
        "#!/bin/sh\necho 'sort: write failed: No space left on device' >&2\nexit 2\n"
    )
    (tmp_path / "bin" / "sort").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    with (
        pytest.raises(UserError, match="cannot sort .*: write failed: No space left on device$"),
        SetWriter(tmp_path / "data" / "set") as writer,
    ):
        writer.utterance("a-1", "a", "x", audio="/a.wav")
    assert not list((tmp_path / "data").iterdir())


def test_the_order_of_the_corpus_changes_no_byte(tmp_path):
    for name, step in (("one", 1), ("two", -1)):
        with SetWriter(tmp_path / name, max_removed=1.0) as writer:
            for number in list(range(200))[::step]:
                speaker = f"s{number % 7}"
                writer.recording(f"r{number}", f"/{number}.wav", file=f"{number}", channel="A", seconds=3)
                if number % 5:
                    writer.utterance(
                        f"{speaker}-{number:03d}", speaker, "x", segment=(f"r{number}", 1, 4), utt2lang="en"
                    )
                else:
                    writer.remove(f"{speaker}-{number:03d}", "has no words")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


STREAM = (
    PEAK
    + """
import sys
from omni_asr.corpora.writer import SetWriter
for size in (3_000, 300_000):
    with SetWriter(f"{sys.argv[1]}/{size}", max_removed=1.0) as writer:
        for number in range(size):
            name = f"a-{number * 7919 % (size * 5 // 6):07d}"
            writer.utterance(name, "a", "x y", audio=f"/{number}.flac", seconds=1.5)
            if number % 3 == 0:
                writer.remove(f"b-{number:07d}", "has no words")
    print(peak())
"""
)


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """300,000 utterances of one speaker, 50,000 of them twice, and 100,000 losses need 2 MB more than a hundredth."""
    done = subprocess.run([sys.executable, "-c", STREAM, tmp_path], check=True, capture_output=True, text=True)
    small, large = map(int, done.stdout.split())
    assert large - small < 2 << 10
    text = table(tmp_path / "300000", "text")
    assert len(text) == 250_000 and text == sorted(text)
    assert len(table(tmp_path / "300000", "spk2utt")[0].split()) == 250_001
    assert len(table(tmp_path / "300000", REMOVED)) == 150_000


def prepare(tmp_path, *options):
    (tmp_path / "corpus").mkdir(exist_ok=True)
    parser = ArgumentParser("A corpus.")
    add_options(parser, ["a", "b"])
    return Preparation(parser.parse_args([f"--corpus_dir={tmp_path}/corpus", f"--data_dir={tmp_path}/data", *options]))


def test_options_of_a_preparation(tmp_path, capsys):
    preparation = prepare(tmp_path)
    assert preparation.wants("any") and preparation.jobs == 1
    preparation = prepare(tmp_path, "--sets=a", "--sets=b", "--nj=0", "--max_removed=0.5")
    assert preparation.wants("b") and not preparation.wants("c") and preparation.jobs == 1
    with preparation.writer("a", keep_empty=True) as writer:
        assert (writer.path, writer.keep_empty, writer.max_removed) == (tmp_path / "data" / "a", True, 0.5)
        writer.utterance("a-1", "a", "", audio="/a.wav")
    parser = ArgumentParser("A corpus.")
    add_options(parser, ["a", "b"])
    with pytest.raises(SystemExit):
        parser.parse_args(["--data_dir=x"])
    assert "--corpus-dir" in capsys.readouterr().err
    with pytest.raises(UserError, match="no is not a directory; name the folder of the corpus with --corpus_dir"):
        Preparation(argparse.Namespace(corpus_dir=[tmp_path / "no"], data_dir=tmp_path, nj=1, sets=None, max_removed=0))


def test_parallel_results_keep_their_order_and_do_not_pile_up(tmp_path):
    preparation = prepare(tmp_path, "--nj=3")
    started, running, most = [], set(), 0
    lock = threading.Lock()

    def work(item):
        nonlocal most
        with lock:
            started.append(item)
            running.add(item)
            most = max(most, len(running))
        time.sleep(0.002 * (item % 3))
        with lock:
            running.remove(item)
        return item * item

    results = preparation.in_parallel(work, iter(range(1000)))
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(started) < 40
    assert list(results) == [item * item for item in range(5, 1000)]
    assert 1 < most <= 3


def test_an_error_in_parallel_work_comes_out(tmp_path):
    def work(item):
        if item == 3:
            raise UserError("file 3 is broken")
        return item

    found = []
    with pytest.raises(UserError, match="file 3 is broken"):
        for item in prepare(tmp_path, "--nj=2").in_parallel(work, range(1000)):
            found.append(item)
    assert found == [0, 1, 2]
