import pytest
from kaldi_helpers import read, small_dir, write_dir

from omni_asr.bin import combine as combine_program
from omni_asr.bin import copy as copy_program
from omni_asr.bin import perturb_speed as perturb_program
from omni_asr.bin import run_program
from omni_asr.bin import split as split_program
from omni_asr.bin import subset as subset_program
from omni_asr.errors import UserError
from omni_asr.kaldi import split as split_module
from omni_asr.kaldi.combine import combine
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.fix import fix
from omni_asr.kaldi.rename import copy_data_dir, perturb_speed
from omni_asr.kaldi.speed import add_speed, split_speed
from omni_asr.kaldi.split import partition, split_data_dir
from omni_asr.kaldi.validate import validate

EXTRA = {
    "utt2dur": "a-1 1\na-2 0.5\nb-1 2.75",
    "spk2gender": "a m\nb f",
    "reco2file_and_channel": "r1 f1 A\nr2 f2 B",
    "stm": ';; LABEL "O"\nf1 A a 0 1 <O> ONE\nf2 B b 0 3 <O> FOUR',
    "glm": "[A] => [B]",
    "notes": "mine",
}


def subset(*arguments):
    return run_program(subset_program.main, [str(argument) for argument in arguments])


def test_subset_carries_what_its_utterances_need(tmp_path):
    source, out = small_dir(tmp_path / "d", **EXTRA), tmp_path / "out"
    assert subset("--first", source, 2, out) == 0
    assert read(out, "wav.scp") == ["r1 a.wav"]
    assert read(out, "spk2utt") == ["a a-1 a-2"]
    assert read(out, "utt2dur") == ["a-1 1", "a-2 0.5"]
    assert read(out, "spk2gender") == ["a m"]
    assert read(out, "reco2file_and_channel") == ["r1 f1 A"]
    assert read(out, "stm") == [';; LABEL "O"', "f1 A a 0 1 <O> ONE"]
    assert read(out, "glm") == ["[A] => [B]"]
    assert not (out / "notes").exists()
    assert validate(out, feats=False)["utt"] == 2


@pytest.mark.parametrize("value", ["nan", "inf", "long"])
def test_a_length_that_is_no_number_is_named(tmp_path, capsys, value):
    source = small_dir(tmp_path / "d", utt2dur=f"a-1 1\na-2 {value}\nb-1 2")
    assert subset("--shortest", source, 2, tmp_path / "out") == 1
    assert f"{source}/utt2dur: a-2: length '{value}' is not a number" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"utt2dur: a-2: length '{value}' is not a number"):
        perturb_speed(source, tmp_path / "out", [0.9])


def test_subset_by_number(tmp_path):
    source = small_dir(tmp_path / "d", **EXTRA)
    expected = {"--last": ["a-2", "b-1"], "--shortest": ["a-1", "a-2"]}
    for option, utterances in expected.items():
        assert subset(option, source, 2, tmp_path / "out") == 0
        assert [line.split()[0] for line in read(tmp_path / "out", "utt2spk")] == utterances
    assert subset("--per-spk", source, 1, tmp_path / "one") == 0
    assert sorted(line.split()[1] for line in read(tmp_path / "one", "utt2spk")) == ["a", "b"]
    assert subset("--speakers", source, 1, tmp_path / "whole") == 0
    assert read(tmp_path / "whole", "utt2spk") in (["a-1 a", "a-2 a"], ["b-1 b"])


def test_random_subset_depends_on_the_seed_only(tmp_path):
    utterances = [f"s-{number:03}" for number in range(100)]
    source = write_dir(
        tmp_path / "d",
        utt2spk="\n".join(f"{key} s" for key in utterances),
        wav_scp="\n".join(f"{key} x" for key in utterances),
    )
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        assert subset("--seed", seed, source, 10, tmp_path / name) == 0
    assert read(tmp_path / "one", "utt2spk") == read(tmp_path / "again", "utt2spk") != read(tmp_path / "two", "utt2spk")


def test_subset_by_list(tmp_path, capsys):
    source = small_dir(tmp_path / "d")
    (tmp_path / "list").write_text("b-1 whatever\na-2\n")
    assert subset("--utt-list", tmp_path / "list", source, tmp_path / "out") == 0
    assert read(tmp_path / "out", "utt2spk") == ["a-2 a", "b-1 b"]
    (tmp_path / "speakers").write_text("b\n")
    assert subset("--spk-list", tmp_path / "speakers", source, tmp_path / "b") == 0
    assert read(tmp_path / "b", "utt2spk") == ["b-1 b"]
    (tmp_path / "speakers").write_text("b\nc\n")
    assert subset("--spk-list", tmp_path / "speakers", source, tmp_path / "c") == 1
    assert "the first is 'c'" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_subset_of_too_many_or_onto_itself_is_refused(tmp_path, capsys):
    source = small_dir(tmp_path / "d")
    assert subset("--first", source, 4, tmp_path / "out") == 1
    assert "3 utterances; 4 cannot be chosen" in capsys.readouterr().err
    assert subset("--first", source, 2, source) == 1
    assert "is the source itself" in capsys.readouterr().err


def test_a_rerun_leaves_nothing_stale_and_no_foreign_file_goes(tmp_path):
    source, out = small_dir(tmp_path / "d", **EXTRA), tmp_path / "out"
    subset("--first", source, 3, out)
    (out / "mine").write_text("x")
    (source / "utt2dur").unlink()
    subset("--first", source, 2, out)
    assert not (out / "utt2dur").exists()
    assert (out / "mine").exists()
    assert list(tmp_path.glob(".*")) == []


def test_split_keeps_speakers_whole(tmp_path):
    source = small_dir(tmp_path / "d", **EXTRA)
    assert run_program(split_program.main, [str(source), "2"]) == 0
    assert read(source / "split2/1", "utt2spk") == ["a-1 a", "a-2 a"]
    assert read(source / "split2/2", "segments") == ["b-1 r2 0.25 3"]
    assert read(source / "split2/2", "wav.scp") == ["r2 b.wav"]
    assert validate(source / "split2/2", feats=False)["utt"] == 1


def test_split_by_utterance_when_asked_or_when_speakers_are_few(tmp_path):
    source = small_dir(tmp_path / "d")
    out = split_data_dir(source, 3)
    assert [read(out / str(part), "utt2spk") for part in (1, 2, 3)] == [["a-1 a"], ["a-2 a"], ["b-1 b"]]
    assert len(read(split_data_dir(source, 2, per_utt=True) / "1", "text")) in (1, 2)
    with pytest.raises(UserError, match="3 utterances and cannot be split into 4"):
        split_data_dir(source, 4)


def test_partition_balances_and_never_leaves_a_part_empty():
    groups = [[f"{group}-{number}" for number in range(size)] for group, size in enumerate([50, 1, 1, 1, 30, 20])]
    parts = partition(groups, 3)
    assert [len(part) for part in parts] == [50, 33, 20]
    assert sum(parts, []) == sum(groups, [])
    assert [len(part) for part in partition([["a"]] * 5, 5)] == [1] * 5


def test_copy_with_affixes(tmp_path):
    source, out = small_dir(tmp_path / "d", **EXTRA), tmp_path / "out"
    arguments = ["--utt-prefix=x-", "--utt_suffix=.n", "--spk-prefix=x-", str(source), str(out)]
    assert run_program(copy_program.main, arguments) == 0
    assert read(out, "utt2spk") == ["x-a-1.n x-a", "x-a-2.n x-a", "x-b-1.n x-b"]
    assert read(out, "segments")[1] == "x-a-2.n r1 1.5 2"
    assert read(out, "wav.scp") == ["r1 a.wav", "r2 b.wav"]
    assert read(out, "spk2gender") == ["x-a m", "x-b f"]
    assert read(out, "utt2uniq")[0] == "x-a-1.n a-1"
    assert len(read(out, "stm")) == 3
    assert validate(out, feats=False)["utt"] == 3


def test_plain_copy_is_equal(tmp_path):
    source, out = small_dir(tmp_path / "d", **EXTRA), tmp_path / "out"
    assert copy_data_dir(source, out) == 3
    for name in ("wav.scp", "segments", "text", "utt2spk", "spk2utt", "utt2dur", "stm", "glm"):
        assert (out / name).read_bytes() == (source / name).read_bytes()
    assert not (out / "utt2uniq").exists()


def test_copy_renames_whole_recordings(tmp_path):
    source = write_dir(tmp_path / "d", wav_scp="a-1 x.wav", utt2spk="a-1 a", text="a-1 X")
    copy_data_dir(source, tmp_path / "out", ("p-", ""), ("p-", ""))
    assert read(tmp_path / "out", "wav.scp") == ["p-a-1 x.wav"]


def test_perturb_speed(tmp_path):
    source = small_dir(tmp_path / "d", wav_scp="r1 /my dir/a.wav\nr2 cat b.wav |", feats_scp="a-1 f:1", **EXTRA)
    out = tmp_path / "out"
    assert run_program(perturb_program.main, [str(source), str(out), "--factors", "0.9", "1", "1.1"]) == 0
    assert read(out, "wav.scp") == [
        "r1 /my dir/a.wav",
        "r2 cat b.wav |",
        "sp0.9-r1 sox '/my dir/a.wav' -t wav - speed 0.9 |",
        "sp0.9-r2 cat b.wav | sox -t wav - -t wav - speed 0.9 |",
        "sp1.1-r1 sox '/my dir/a.wav' -t wav - speed 1.1 |",
        "sp1.1-r2 cat b.wav | sox -t wav - -t wav - speed 1.1 |",
    ]
    assert read(out, "segments")[3:6] == [
        "sp0.9-a-1 sp0.9-r1 0 1.111111",
        "sp0.9-a-2 sp0.9-r1 1.666667 2.222222",
        "sp0.9-b-1 sp0.9-r2 0.277778 3.333333",
    ]
    assert read(out, "spk2utt")[2] == "sp0.9-a sp0.9-a-1 sp0.9-a-2"
    assert "sp1.1-a-1 a-1" in read(out, "utt2uniq")
    assert "sp0.9-b-1 3.055556" in read(out, "utt2dur")
    assert not (out / "feats.scp").exists()
    assert validate(out, feats=False) == {"utt": 9, "spk": 6, "reco": 6}


def test_numbers_of_samples_are_not_carried_to_another_speed(tmp_path):
    source = small_dir(tmp_path / "d", utt2num_samples="a-1 16000\na-2 8000\nb-1 44000")
    perturb_speed(source, tmp_path / "out")
    assert not (tmp_path / "out/utt2num_samples").exists()
    assert validate(tmp_path / "out", feats=False)["utt"] == 9


def test_perturbing_with_bad_factors_is_refused(tmp_path):
    source = small_dir(tmp_path / "d")
    with pytest.raises(UserError, match="speed factors must differ"):
        perturb_speed(source, tmp_path / "out", [0.9, 0.9])
    with pytest.raises(UserError, match="speed factors must differ"):
        perturb_speed(source, tmp_path / "out", [0.0])


@pytest.mark.parametrize(
    "value", ["/a/b.wav", "/my dir/b.flac", "/o'neil's/b.wav", "'", "a(1).wav", "cat 'x|y' | sph2pipe - |", "x.ark:17"]
)
def test_speed_stage_is_recognised_again(value):
    assert split_speed(add_speed(value, 0.9)) == (value, 0.9)
    assert split_speed(add_speed(add_speed(value, 0.9), 1.1)) == (value, pytest.approx(0.99))
    assert split_speed(value) == (value, 1.0)


@pytest.mark.parametrize(
    "value",
    ["sox $x.wav -t wav - speed 0.9 |", "sox a.wav -t wav - speed 0.9 vol 2 |", "sox -v 2 a.wav -t wav - speed 0.9 |",
     "sox a.wav b.wav -t wav - speed 0.9 |", "sox 'a.wav -t wav - speed 0.9 |", "sox - -t wav - speed 0.9 |",
     'sox "$x.wav" -t wav - speed 0.9 |', "sox 'a'$x -t wav - speed 0.9 |",
     "cat a | sox -t wav - -r 8000 -t wav - speed 0.9 |"],
)  # fmt: skip
def test_other_sox_commands_stay_commands(value):
    assert split_speed(value) == (value, 1.0)


def test_kaldis_form_with_a_type_is_recognised():
    assert split_speed("sox -t flac a.flac -t wav - speed 1.1 |") == ("a.flac", 1.1)


def test_combine(tmp_path):
    one = small_dir(tmp_path / "one", **EXTRA)
    two = write_dir(
        tmp_path / "two", wav_scp="c-1 c.wav", utt2spk="c-1 c", text="c-1 X", utt2dur="c-1 4.5", spk2gender="c f"
    )
    out = tmp_path / "out"
    assert run_program(combine_program.main, [str(out), str(one), str(two)]) == 0
    assert read(out, "utt2spk") == ["a-1 a", "a-2 a", "b-1 b", "c-1 c"]
    assert read(out, "segments")[3] == "c-1 c-1 0 4.5"
    assert read(out, "spk2gender") == ["a m", "b f", "c f"]
    assert not (out / "reco2file_and_channel").exists()
    assert not (out / "stm").exists()
    assert validate(out, feats=False) == {"utt": 4, "spk": 3, "reco": 3}


def test_combine_refuses_an_utterance_twice(tmp_path):
    one, two = small_dir(tmp_path / "one"), small_dir(tmp_path / "two")
    with pytest.raises(UserError, match="is in an earlier directory too"):
        combine(tmp_path / "out", [one, two])
    assert not (tmp_path / "out").exists()


def test_combine_takes_lengths_from_the_audio(tmp_path):
    one = small_dir(tmp_path / "one")
    two = write_dir(tmp_path / "two", wav_scp="c-1 c.wav", utt2spk="c-1 c", text="c-1 X")
    combine(tmp_path / "out", [one, two], lambda value: {"c.wav": 2.25}[value])
    assert read(tmp_path / "out", "segments")[3] == "c-1 c-1 0 2.250000"


@pytest.mark.parametrize("name", ["fbank.conf", "frame_shift"])
def test_combine_refuses_features_of_other_options(tmp_path, name):
    one = write_dir(tmp_path / "one", utt2spk="a-1 a", wav_scp="a-1 x", feats_scp="a-1 f:1")
    two = write_dir(tmp_path / "two", utt2spk="b-1 b", wav_scp="b-1 x", feats_scp="b-1 f:1")
    (one / name).write_text("--num-mel-bins=80\n")
    (two / name).write_text("--num-mel-bins=40\n")
    with pytest.raises(UserError, match=f"two/{name} differs from .*/one/{name}; make features anew"):
        combine(tmp_path / "out", [one, two])


@pytest.mark.parametrize("name", ["glm", "release", "frame_shift", "fbank.conf", "stm"])
@pytest.mark.parametrize("other", ["b", None])
def test_combine_leaves_out_with_a_note_what_is_not_the_same(tmp_path, name, other, caplog):
    one, two, three = (
        write_dir(tmp_path / key, utt2spk=f"{key}-1 {key}", wav_scp=f"{key}-1 x", **{name: "r1 A s 0 1 a"})
        for key in "abc"
    )
    (three / name).unlink()
    if other:
        (three / name).write_text(f"r2 A s 0 1 {other}\n")
    combine(tmp_path / "out", [one, two, three])
    if name == "stm" and other:
        assert len(read(tmp_path / "out", "stm")) == 3 and not caplog.records
        return
    assert not (tmp_path / "out" / name).exists()
    why = f"{three}/{name} differs from {one}/{name}" if other else f"{three} lacks it"
    assert [record.message for record in caplog.records] == [f"{name} is left out: {why}"]
    combine(tmp_path / "same", [one, two])
    assert (tmp_path / "same" / name).exists()


def test_channels_are_letters_or_numbers(tmp_path):
    assert DataDir(small_dir(tmp_path / "d", **EXTRA)).channels == {"r1": 0, "r2": 1}
    folder = small_dir(tmp_path / "e", reco2file_and_channel="r1 f 1\nr2 f 2")
    assert DataDir(folder).channels == {"r1": 0, "r2": 1}


def test_open_segments_stay_open(tmp_path):
    """An end of -1 is the end of the recording: valid, kept by fix, not scaled with the speed."""
    folder = small_dir(tmp_path / "d", segments="a-1 r1 0 1\na-2 r1 1.5 -1\nb-1 r2 0.25 3")
    assert validate(folder, feats=False)["utt"] == 3
    assert fix(folder).kept == 3
    perturb_speed(folder, tmp_path / "sp", [0.5])
    assert read(tmp_path / "sp", "segments")[1] == "sp0.5-a-2 sp0.5-r1 3 -1"


def test_few_speakers_are_split_between_recordings(tmp_path):
    segments = "\n".join(f"a-{n} r{n // 3} {n} {n + 1}" for n in range(6))
    text = "\n".join(f"a-{n} X" for n in range(6))
    utt2spk = "\n".join(f"a-{n} a" for n in range(6))
    spk2utt = "a " + " ".join(f"a-{n}" for n in range(6))
    source = small_dir(
        tmp_path / "d", wav_scp="r0 a.wav\nr1 b.wav", segments=segments, text=text, utt2spk=utt2spk, spk2utt=spk2utt
    )
    parts = split_data_dir(source, 2)
    assert [read(parts / number, "wav.scp") for number in "12"] == [["r0 a.wav"], ["r1 b.wav"]]
    assert len(read(split_data_dir(source, 3) / "1", "text")) == 2, "too few recordings: by utterance"


@pytest.mark.parametrize("segmented", [True, False])
@pytest.mark.parametrize("per_utt", [True, False])
def test_splitting_line_by_line_and_in_memory_are_the_same(tmp_path, monkeypatch, segmented, per_utt):
    utts = [(f"s{n % 7}-{n:03d}", f"s{n % 7}", f"r{n % 5}") for n in range(40)]
    utts.sort()
    tables = {
        "wav_scp": [f"r{n} {n}.wav" for n in range(5)] if segmented else [f"{utt} {utt}.wav" for utt, _, _ in utts],
        "text": [f"{utt} X" for utt, _, _ in utts],
        "utt2spk": [f"{utt} {speaker}" for utt, speaker, _ in utts],
        "spk2gender": [f"s{n} f" for n in range(7)],
        "feats_scp": [f"{utt} f:1" for utt, _, _ in utts[3:]],
    }
    if segmented:
        tables["segments"] = [f"{utt} {recording} 0 1" for utt, _, recording in utts]
    source = write_dir(tmp_path / "d", **{name: "\n".join(lines) for name, lines in tables.items()})
    (source / "fbank.conf").write_text("--num-mel-bins=5\n")
    fast = snapshot(split_data_dir(source, 4, per_utt))

    def refuse(self):
        raise split_module._Unsorted

    monkeypatch.setattr(split_module._Splitter, "write", refuse)
    assert snapshot(split_data_dir(source, 4, per_utt)) == fast
    assert sum(name.endswith("utt2spk") for name in fast) == 4


def snapshot(folder):
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
