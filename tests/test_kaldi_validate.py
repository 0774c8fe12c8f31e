import tracemalloc

import pytest
from kaldi_helpers import read, small_dir, write_dir

from omni_asr.bin import fix as fix_program
from omni_asr.bin import run_program
from omni_asr.bin import validate as program
from omni_asr.errors import UserError
from omni_asr.kaldi.fix import fix
from omni_asr.kaldi.validate import validate


def test_a_valid_directory_is_counted(tmp_path):
    assert validate(small_dir(tmp_path / "d"), feats=False) == {"utt": 3, "spk": 2, "reco": 2}


def test_whole_recordings_need_no_segments(tmp_path):
    folder = write_dir(
        tmp_path / "d", wav_scp="a-1 x.wav\na-2 y.wav", utt2spk="a-1 a\na-2 a", spk2utt="a a-1 a-2", text="a-1 X\na-2"
    )
    assert validate(folder, feats=False)["reco"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "a-1 ONE\nb-1 FOUR"}, "text: lacks 'a-2' of utt2spk:2"),
        ({"text": "a-1 ONE\na-2 TWO\nb-1 FOUR\nb-2 X"}, "text:4: 'b-2' is not in utt2spk"),
        ({"text": "a-1 ONE\nb-1 FOUR\na-2 TWO"}, "text:3: 'a-2' comes after 'b-1'"),
        ({"text": "a-1 ONE\na-1 ONE\na-2 TWO\nb-1 FOUR"}, "text:2: 'a-1' occurs a second time, first in line 1"),
        ({"text": "a-1 ONE\na-2 TWO\u00a0THREE\nb-1 X"}, "text:2: control character or non-ASCII white space U+00A0"),
        ({"text": "a-1 ONE\na-2 TWO\u3000THREE\nb-1 X"}, "text:2: control character or non-ASCII white space U+3000"),
        ({"text": "a-1 ONE\r\na-2 TWO\r\nb-1 X\r"}, "text:1: Windows line end U+000D at column 8"),
        ({"text": "\ufeffa-1 ONE\na-2 TWO\nb-1 X"}, "text:1: begins with a byte order mark; remove it: sed"),
        ({"utt2spk": "a-1 a\na-2 b\nb-1 b"}, "spk2utt:1: 'a-2' is not an utterance of 'a' in utt2spk"),
        ({"utt2spk": "a-1 a\na-2 a x\nb-1 b"}, "utt2spk:2: expected '<utt> <spk>', found 3 fields"),
        ({"spk2utt": "a a-1\nb b-1"}, "spk2utt: lacks 'a-2' of utt2spk:2"),
        ({"spk2utt": "a a-1 a-2 b-1\nb b-1"}, "spk2utt:1: 'b-1' is not an utterance of 'a'"),
        ({"spk2utt": "a a-1 a-2 a-2\nb b-1"}, "spk2utt:1: 'a-2' is listed a second time"),
        ({"segments": "a-1 r1 0 1\na-2 r1 2 2\nb-1 r2 0 3"}, "segments:2: the segment from 2 to 2 s has no length"),
        ({"segments": "a-1 r1 0 1\na-2 r3 1 2\nb-1 r2 0 3"}, "segments:2: recording 'r3' is not in wav.scp"),
        ({"segments": "a-1 r1 0 1\na-2 r1 x 2\nb-1 r2 0 3"}, "segments:2: expected '<utt> <recording>"),
        ({"segments": "a-1 r1 0 1\na-2 r1 1\nb-1 r2 0 3"}, "segments:2: expected '<utt> <recording>"),
        ({"segments": "a-1 r1 0 nan\na-2 r1 1 2\nb-1 r2 0 3"}, "segments:1: expected '<utt> <recording>"),
        ({"wav_scp": "r1 a.wav\nr2 b.wav\nr3 c.wav"}, "wav.scp:3: 'r3' is not in segments"),
        ({"wav_scp": "r1 a.wav\nr2"}, "wav.scp:2: nothing follows 'r2'"),
        ({"wav_scp": "r1 a.wav\nr2 |"}, "wav.scp:2: 'r2' has '|'; expected a path"),
        ({"reco2file_and_channel": "r1 x A"}, "reco2file_and_channel: lacks 'r2' of segments:3"),
        ({"reco2file_and_channel": "r1 x A\nr2 x"}, "reco2file_and_channel:2: expected '<recording> <file> <channel>'"),
        ({"utt2dur": "a-1 1\na-2 inf\nb-1 1"}, "utt2dur:2: 'a-2' has 'inf'; expected seconds above 0"),
        ({"utt2dur": "a-1 1\na-2 0\nb-1 1"}, "utt2dur:2: 'a-2' has '0'; expected seconds above 0"),
        ({"utt2num_frames": "a-1 1\na-2 2"}, "utt2num_frames: lacks 'b-1'"),
        ({"spk2gender": "a m\nb f x"}, "spk2gender:2: 'b' has 'f x'; expected one word, such as m or f"),
        ({"feats_scp": "a-1 f:1\na-2 f:2"}, "feats.scp: lacks 'b-1'"),
    ],
)
def test_each_violation_is_named_with_its_line(tmp_path, changes, message):
    folder = small_dir(tmp_path / "d", **changes)
    with pytest.raises(UserError) as error:
        validate(folder, feats=False)
    assert f"{folder}/{message}" in str(error.value)


def test_speakers_that_sort_otherwise_than_utterances_are_named(tmp_path):
    folder = write_dir(
        tmp_path / "d",
        utt2spk="12 12\n121_a 121\n12_a 12",
        spk2utt="12 12 12_a\n121 121_a",
    )
    with pytest.raises(UserError, match=r"utt2spk:3: .*speaker '12' of '12_a' comes after '121'"):
        validate(folder, feats=False, text=False, wav=False)


def test_features_may_lack_what_is_listed_as_removed(tmp_path):
    tables = {"feats_scp": "a-1 f:1\na-2 f:2", "utt2num_frames": "a-1 5\na-2 6", "removed_utts": "b-1 broken"}
    assert validate(small_dir(tmp_path / "d", **tables))["utt"] == 3


def test_a_missing_spk2utt_is_made_by_the_program_that_the_error_names(tmp_path, capsys):
    folder = small_dir(tmp_path / "d")
    (folder / "spk2utt").unlink()
    assert run_program(program.main, [str(folder)]) == 1
    assert f"spk2utt does not exist; omni-asr fix {folder} makes it" in capsys.readouterr().err
    assert run_program(fix_program.main, [str(folder)]) == 0
    assert read(folder, "spk2utt") == ["a a-1 a-2", "b b-1"]
    assert run_program(program.main, [str(folder)]) == 0


@pytest.mark.parametrize(("missing", "option"), [("text", "--no-text"), ("wav.scp", "--no-wav"), ("spk2utt", "")])
def test_missing_files_are_named_with_the_option(tmp_path, missing, option):
    folder = small_dir(tmp_path / "d")
    (folder / missing).unlink()
    with pytest.raises(UserError) as error:
        validate(folder, feats=False)
    assert f"{missing} does not exist" in str(error.value) and option in str(error.value)


def test_program_checks_several_directories(tmp_path, capsys):
    broken, valid = small_dir(tmp_path / "d", text="a-1 ONE\na-2 TWO"), small_dir(tmp_path / "e")
    assert run_program(program.main, [str(broken), str(tmp_path / "none"), str(valid)]) == 1
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        f"validate: error: {broken}/text: lacks 'b-1' of utt2spk:3",
        f"validate: error: {tmp_path}/none is not a directory; a Kaldi data directory was expected",
    ]
    assert out == f"{valid}: valid, 3 utterances, 2 speakers, 2 recordings\n"
    assert run_program(program.main, [str(valid)]) == 0


def test_program_prints_every_violation_in_one_run(tmp_path, capsys):
    folder = small_dir(
        tmp_path / "d",
        text="b-1 FOUR\na-2 TWO\u3000X\nb-1 FIVE\nc-1 X",
        segments="a-1 r1 0 1\na-2 r1 2 1\nb-1 r3 0 x",
        utt2spk="a-1 a\na-2 a x\nb-1 b",
        spk2utt="a a-1 a-1\nb",
        utt2dur="a-1 1\na-2 0\nb-1 one",
        reco2file_and_channel="r1 x\nr2 y Z!",
    )
    with open(folder / "text", "ab") as file:
        file.write(b"d-1 caf\xe9\n")
    assert run_program(program.main, [str(folder)]) == 1
    printed = [line.removeprefix(f"validate: error: {folder}/") for line in capsys.readouterr().err.splitlines()]
    assert sorted(printed) == sorted(
        [
            "text:2: control character or non-ASCII white space U+3000 at column 8; omni-asr fix takes it out",
            "text:2: 'a-2' comes after 'b-1'; sort by LC_ALL=C (omni-asr fix does)",
            "text:3: 'b-1' occurs a second time, first in line 1",
            "text:5: not UTF-8 (byte 0xe9); convert the file",
            "text: lacks 'a-1' of utt2spk:1",
            "text:4: 'c-1' is not in utt2spk",
            "text:5: 'd-1' is not in utt2spk",
            "segments:2: the segment from 2 to 1 s has no length",
            "segments:3: expected '<utt> <recording> <start> <end>' in seconds",
            "utt2spk:2: expected '<utt> <spk>', found 3 fields",
            "spk2utt:1: 'a-1' is listed a second time",
            "spk2utt:2: nothing follows 'b'",
            "spk2utt: lacks 'b-1' of utt2spk:3",
            "utt2dur:2: 'a-2' has '0'; expected seconds above 0",
            "utt2dur:3: 'b-1' has 'one'; expected seconds above 0",
            "wav.scp:2: 'r2' is not in segments",
            "reco2file_and_channel:2: 'r2' is not in segments",
            "reco2file_and_channel:1: expected '<recording> <file> <channel>' such as 'A' or '1'",
            "reco2file_and_channel:2: 'Z!' does not name a channel; the first is 'A' or '1', the second 'B' or '2'",
        ]
    )


WRONG = {
    "text": "text:2: 'a-1' comes after 'a-2'",
    "archives": "does not exist; make the features again",
    "audio": "No such file or directory: ",
}


def faults_of(folder, capsys):
    """Numbers of faults that the program prints, by kind."""
    assert program.main(["--audio", str(folder)]) == 1
    lines = capsys.readouterr().err.splitlines()
    return {kind: sum(message in line for line in lines) for kind, message in WRONG.items()}


@pytest.fixture
def all_wrong(tmp_path):
    """A directory with a table out of order, two archives that are missing and two recordings, too."""
    feats = "a-1 /none/1.ark:4\na-2 /none/1.ark:9\nb-1 /none/2.ark:4"
    return small_dir(tmp_path / "d", text="a-2 TWO\na-1 ONE\nb-1 FOUR", feats_scp=feats)


def test_a_wrong_table_hides_no_wrong_matrix_and_no_wrong_recording(all_wrong, capsys):
    assert faults_of(all_wrong, capsys) == {"text": 1, "archives": 3, "audio": 2}
    (all_wrong / "fbank.conf").write_text("nonsense\n")
    assert faults_of(all_wrong, capsys) == {"text": 1, "archives": 0, "audio": 2}


@pytest.mark.parametrize(
    ("name", "content", "archives", "audio"),
    [
        ("feats.scp", "b-1 /none/2.ark:4\na-1 /none/1.ark:4\na-2 /none/1.ark:9\n", 0, 2),
        ("utt2num_frames", "a-1 1\na-2 x\nb-1 2\n", 0, 2),
        ("segments", "a-1 r1 0 1\na-2 r1 x 2\nb-1 r2 0 3\n", 3, 0),
        ("utt2spk", "a-1 a\na-2 a x\nb-1 b\n", 3, 0),
        ("wav.scp", None, 3, 0),
    ],
)
def test_what_a_broken_table_names_is_not_looked_at(all_wrong, capsys, name, content, archives, audio):
    (all_wrong / name).unlink(missing_ok=True)
    if content is not None:
        (all_wrong / name).write_text(content)
    assert faults_of(all_wrong, capsys) == {"text": 1, "archives": archives, "audio": audio}


def test_violations_of_one_kind_are_counted_after_the_first_ten(tmp_path, capsys):
    utts = [f"a-{number:02}" for number in range(30)]
    folder = write_dir(
        tmp_path / "d",
        wav_scp="\n".join(f"{utt} x.wav" for utt in utts),
        utt2spk="\n".join(f"{utt} a" for utt in utts),
        spk2utt=f"a {' '.join(utts)}",
        text="\n".join(f"{utt} X\r" for utt in utts),
        utt2dur="\n".join(f"{utt} 0" for utt in utts),
    )
    assert run_program(program.main, [str(folder)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 22
    assert f"validate: error: {folder}/text: lines with odd characters: 20 more" in lines
    assert f"validate: error: {folder}/utt2dur: lines of another form: 20 more" in lines


def test_features_are_demanded_only_when_asked_for(tmp_path, capsys):
    folder = small_dir(tmp_path / "d")
    assert run_program(program.main, [str(folder)]) == 0
    assert run_program(program.main, ["--feats", str(folder)]) == 1
    assert "feats.scp does not exist; stage 2 of a recipe makes it" in capsys.readouterr().err
    write_dir(folder, feats_scp="a-1 f:1\na-2 f:2")
    assert run_program(program.main, [str(folder)]) == 1


def test_fix_keeps_the_intersection_and_lists_the_rest(tmp_path):
    folder = small_dir(
        tmp_path / "d",
        wav_scp="r2 b.wav\nr1 a.wav\nr9 z.wav",
        segments="b-1 r2 0.25 3\na-1 r1 0 1\na-2 r1 2 1\na-3 r7 0 1\na-4 r1 0 1",
        text="b-1 FOUR\nb-1 FIVE\na-1 ONE\u00a0TWO\r\na-2 X\na-3 Y",
        utt2spk="b-1 b\na-1 a\na-1 a\na-2 a\na-3 a\na-4 a",
        spk2utt="a nonsense",
    )
    fixed = fix(folder)
    assert fixed.kept == 2
    assert read(folder, "text") == ["a-1 ONE TWO", "b-1 FOUR"]
    assert read(folder, "segments") == ["a-1 r1 0 1", "b-1 r2 0.25 3"]
    assert read(folder, "spk2utt") == ["a a-1", "b b-1"]
    assert read(folder, "wav.scp") == ["r1 a.wav", "r2 b.wav"]
    assert read(folder, "removed_by_fix") == [
        "a-2 its segment from 2 to 1 s has no length",
        "a-3 its recording r7 is not in wav.scp",
        "a-4 text has no line for it",
        "r9 a recording without an utterance",
        "text:2 a second, different line for b-1",
    ]
    assert read(folder / ".backup", "spk2utt") == ["a nonsense"]
    assert validate(folder, feats=False)["utt"] == 2


def test_fix_names_what_is_not_utf8_and_drops_empty_text_when_asked(tmp_path):
    folder = small_dir(tmp_path / "d", text="a-1\na-2 TWO")
    with open(folder / "text", "ab") as file:
        file.write(b"b-1 caf\xe9\n")
    fixed = fix(folder, remove_empty_text=True)
    assert fixed.removed["b-1"] == "text:3 is not UTF-8"
    assert fixed.removed["a-1"] == "its text is empty"
    assert read(folder, "utt2spk") == ["a-2 a"]


def test_fix_refuses_to_leave_nothing(tmp_path):
    folder = small_dir(tmp_path / "d", text="c-1 X")
    with pytest.raises(UserError, match="no utterance would be left"):
        fix(folder)
    assert read(folder, "text") == ["c-1 X"]


def test_fix_says_what_it_cannot_mend(tmp_path):
    with pytest.raises(UserError, match="utt2dur:2: 'a-2' has '0'; expected seconds above 0"):
        fix(small_dir(tmp_path / "d", utt2dur="a-1 1\na-2 0\nb-1 1"))


def test_memory_does_not_grow_with_the_directory(tmp_path):
    utts = [(f"s{number // 20:05d}-{number:06d}", f"s{number // 20:05d}") for number in range(20000)]
    folder = write_dir(
        tmp_path / "d",
        utt2spk="\n".join(" ".join(pair) for pair in utts),
        spk2utt="\n".join(f"s{s:05d} " + " ".join(u for u, _ in utts[20 * s : 20 * s + 20]) for s in range(1000)),
        text="\n".join(f"{utt} {'word ' * 20}x" for utt, _ in utts),
        segments="\n".join(f"{utt} r{number // 3:05d} 0 1" for number, (utt, _) in enumerate(utts)),
        wav_scp="\n".join(f"r{number:05d} x.wav" for number in range(6667)),
    )
    tracemalloc.start()
    counts = validate(folder, feats=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts == {"utt": 20000, "spk": 1000, "reco": 6667} and peak < 1 << 20


def test_tables_about_features_can_be_left_out(tmp_path, capsys):
    folder = small_dir(tmp_path / "d", feats_scp="x-1 gone.ark:5", utt2num_frames="a-1 zero")
    assert run_program(program.main, [str(folder)]) == 1
    assert "feats.scp" in capsys.readouterr().err
    assert run_program(program.main, ["--no-feats", str(folder)]) == 0
