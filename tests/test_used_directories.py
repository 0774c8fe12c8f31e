"""Data directories as Kaldi, ESPnet and editors leave them."""

import numpy as np
import pytest
import soundfile
from kaldi_helpers import read, small_dir, used_dir, write_dir

from omni_asr.bin import collect_feats as collect_program
from omni_asr.bin import fix as fix_program
from omni_asr.bin import make_fbank as fbank_program
from omni_asr.bin import run_program
from omni_asr.errors import UserError
from omni_asr.kaldi.combine import combine
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.fix import fix
from omni_asr.kaldi.rename import copy_data_dir, perturb_speed
from omni_asr.kaldi.split import split_data_dir
from omni_asr.kaldi.subset import first, shortest, write_subset
from omni_asr.kaldi.validate import validate

CARRIED = """cmvn.scp feats.scp frame_shift reco2dur reco2file_and_channel segments spk2gender spk2utt text utt2dur
utt2lang utt2num_frames utt2spk utt2uniq vad.scp wav.scp""".split()


@pytest.fixture
def used(tmp_path):
    return used_dir(tmp_path / "used")


def test_it_is_valid(used):
    assert validate(used) == {"utt": 5, "spk": 3, "reco": 2}


def test_it_is_subset_split_and_copied_without_old_files(used, tmp_path):
    data = DataDir(used)
    for chosen in (first(data, 3), shortest(data, 3)):
        write_subset(data, chosen, tmp_path / "sub")
        assert validate(tmp_path / "sub")["utt"] == 3
    parts = split_data_dir(used, 2)
    assert sum(validate(parts / part)["utt"] for part in "12") == 5
    assert copy_data_dir(used, tmp_path / "copy") == validate(tmp_path / "copy")["utt"] == 5
    for out in (tmp_path / "sub", parts / "1", tmp_path / "copy"):
        assert sorted(file.name for file in out.iterdir()) == CARRIED


def test_it_is_combined_and_perturbed(used, tmp_path, caplog):
    copy_data_dir(used, tmp_path / "copy", ("ü-", ""), ("ü-", ""))
    assert combine(tmp_path / "both", [used, tmp_path / "copy"]) == validate(tmp_path / "both")["utt"] == 10
    assert sorted(file.name for file in (tmp_path / "both").iterdir()) == CARRIED
    (used / "stm").write_text("reca A x 0 1 words\n")
    assert perturb_speed(used, tmp_path / "sp", [0.5, 1]) == 10
    assert "stm is left out" in caplog.text and not (tmp_path / "sp/stm").exists()
    assert validate(tmp_path / "sp", feats=False) == {"utt": 10, "spk": 6, "reco": 4}
    assert "sp0.5-zoë-1 sp0.5-reca 8 -1" in read(tmp_path / "sp", "segments")
    assert "sp0.5-zoë-1 1.7" in read(tmp_path / "sp", "utt2dur")


def test_features_are_made_of_it(used, tmp_path):
    for side in "aä":
        soundfile.write(used / f"rec{side}.wav", np.sin(np.arange(16000 * 6) / 9), 16000)
    parts = split_data_dir(used, 2)
    for job in "12":
        assert run_program(fbank_program.main, [str(parts / job), str(tmp_path / f"f.{job}")]) == 0
    assert run_program(collect_program.main, [str(used), "2", str(tmp_path / "f")]) == 0
    assert validate(used)["utt"] == 5
    assert read(used, "feats.scp")[0].startswith(f"jörg-1 {tmp_path}/f.1.ark:")


def test_fix_keeps_every_utterance_of_it_and_every_old_file(used):
    names = sorted(file.name for file in used.iterdir())
    fixed = fix(used)
    assert (fixed.kept, fixed.total, fixed.removed) == (5, 5, {})
    assert sorted(file.name for file in used.iterdir()) == sorted([*names, ".backup.1", "removed_by_fix"])
    assert read(used / ".backup.1", "text")[0] == "jörg-1\ttwo words", "beside the backup that was there"
    assert read(used, "text.old")[-1] == "nobody here"
    assert validate(used)["utt"] == 5


@pytest.mark.parametrize("name", ["utt2dur", "utt2num_frames", "vad.scp", "utt2uniq", "spk2gender", "reco2dur"])
def test_fix_drops_a_partial_side_table_and_keeps_the_utterances(used, name, caplog):
    lines = read(used, name)
    (used / name).write_text(f"{lines[0]}\nunknown 1\n", encoding="utf-8")
    fixed = fix(used)
    assert (fixed.kept, fixed.removed) == (5, {})
    assert not (used / name).exists() and read(used / ".backup.1", name) == [lines[0], "unknown 1"]
    assert f"{used / name} lacks {len(lines) - 1} of {len(lines)} ids" in caplog.text


def test_fix_names_a_line_of_a_side_table_by_its_place(used):
    with open(used / "utt2dur", "ab") as file:
        file.write(b"mary-9 caf\xe9\nmary-8\n")
    assert fix(used).removed == {"utt2dur:6": "it is not UTF-8", "utt2dur:7": "it has no value"}
    assert read(used, "utt2dur")[0] == "jörg-1 0.85"


@pytest.mark.parametrize(("gone", "level"), [(2, "WARNING"), (1, "INFO")])
def test_fix_says_how_many_utterances_go(tmp_path, gone, level, caplog, capsys):
    utts = [f"s-{number:02d}" for number in range(20)]
    folder = write_dir(
        tmp_path / "d",
        wav_scp="\n".join(f"{utt} x.wav" for utt in utts),
        utt2spk="\n".join(f"{utt} s" for utt in utts),
        text="\n".join(utts[gone:]),
    )
    caplog.set_level("INFO")
    assert run_program(fix_program.main, [str(folder)]) == 0
    message = f"{folder}: {gone} of 20 utterances go ({gone / 20:.1%}), {gone} of them because text has no line for it"
    assert (level, message) in [(record.levelname, record.message) for record in caplog.records]
    assert f"{folder}: {20 - gone} of 20 utterances kept, {gone} ids or lines removed" in capsys.readouterr().out


def test_features_may_lack_removed_utterances_after_fix_too(used):
    for name in ("feats.scp", "utt2num_frames", "vad.scp"):
        (used / name).write_text("".join(f"{line}\n" for line in read(used, name)[1:]), encoding="utf-8")
    (used / "removed_utts").write_text("jörg-1 broken\nnobody broken\n", encoding="utf-8")
    assert fix(used).kept == 5
    assert read(used, "removed_utts") == ["jörg-1 broken"]
    assert len(read(used, "utt2num_frames")) == len(read(used, "vad.scp")) == 4
    assert validate(used)["utt"] == 5


def test_fix_keeps_the_stm_of_a_directory_without_audio_or_with_a_broken_table_of_files(used):
    (used / "stm").write_text("reca A x 0 1 words\nother A x 0 1 words\n")
    (used / "reco2file_and_channel").write_text("reca reca A\nreca other A\nrecä recä A\n", encoding="utf-8")
    (used / "wav.scp").unlink()
    assert fix(used).kept == 5
    assert read(used, "stm") == ["reca A x 0 1 words"]


@pytest.mark.parametrize(("old", "new"), [(b"\n", b"\r\n"), (b"j\xc3\xb6rg-1", b"\xef\xbb\xbfj\xc3\xb6rg-1")])
def test_windows_line_ends_and_byte_order_marks_are_refused_and_fixed(used, old, new):
    (used / "text").write_bytes((used / "text").read_bytes().replace(old, new, 5))
    with pytest.raises(UserError, match=r"text:1: (Windows line end .*omni-asr fix|begins with a byte order mark)"):
        validate(used)
    assert fix(used).kept == validate(used)["utt"] == 5
    assert read(used, "text")[0] == "jörg-1 two words"


def without_prefix(folder, utterances="s", speaker="spk", **changes):
    """A valid directory whose utterances do not begin with their speaker."""
    utts = [f"{utterances}-1", f"{utterances}-2"]
    tables = {
        "wav_scp": "\n".join(f"{utt} x.wav" for utt in utts),
        "utt2spk": "\n".join(f"{utt} {speaker}" for utt in utts),
        "spk2utt": f"{speaker} {' '.join(utts)}",
        "text": "\n".join(f"{utt} X" for utt in utts),
    }
    return write_dir(folder, **(tables | changes))


def test_utterances_that_do_not_begin_with_their_speaker_are_one_warning(tmp_path, caplog):
    folder = without_prefix(tmp_path / "d")
    assert validate(folder, feats=False)["spk"] == 1
    message = (
        "2 of 2 utterances do not begin with their speaker, which keeps both in one order; the first is s-1 in line 1"
    )
    assert [record.message for record in caplog.records] == [f"{folder}/utt2spk: {message}"]
    assert fix(folder).kept == 2
    parts = split_data_dir(folder, 2)
    assert [validate(parts / part, feats=False)["utt"] for part in "12"] == [1, 1]


def test_speakers_out_of_order_are_told_where_they_arise(tmp_path, caplog):
    one, two = without_prefix(tmp_path / "one"), without_prefix(tmp_path / "two", "t", "bob")
    combine(tmp_path / "both", [one, two])
    perturb_speed(one, tmp_path / "sp", [0.9, 1])
    hint = "call utterances <spk>-<rest>, in every file"
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/both: sorted by utterance, speaker 'bob' of 't-1' comes after 'spk'; {hint}",
        f"{tmp_path}/sp: sorted by utterance, speaker 'sp0.9-spk' of 'sp0.9-s-1' comes after 'spk'; {hint}",
    ]
    for name in ("both", "sp"):
        with pytest.raises(UserError, match="sorted by utterance, speaker"):
            validate(tmp_path / name, feats=False)


def test_fix_writes_nothing_where_speakers_are_out_of_order(tmp_path):
    folder = small_dir(tmp_path / "d", utt2spk="b-1 b\na-1 a\na-2 x")
    with pytest.raises(UserError, match=r"utt2spk: sorted by utterance, speaker 'b' of 'b-1' comes after 'x'"):
        fix(folder)
    assert read(folder, "utt2spk") == ["b-1 b", "a-1 a", "a-2 x"] and not (folder / ".backup").exists()


def test_gender_is_any_word(tmp_path):
    folder = small_dir(tmp_path / "d", spk2gender="a M\nb unknown")
    assert validate(folder, feats=False)["spk"] == 2
    assert fix(folder).kept == 3
    assert read(folder, "spk2gender") == ["a M", "b unknown"]
