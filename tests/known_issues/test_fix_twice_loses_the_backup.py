"""A second ``fix`` keeps the backup of the first, and what it removed."""

from kaldi_helpers import read, small_dir, write_dir

from omni_asr.bin import fix as program
from omni_asr.bin import run_program
from omni_asr.kaldi.fix import fix


def test_every_fix_has_a_backup_of_its_own_and_the_removed_are_all_listed(tmp_path):
    folder = small_dir(tmp_path / "d", text="a-1 ONE\na-2 TWO")
    assert fix(folder).kept == 2
    write_dir(folder, text="a-1 ONE")
    assert fix(folder).kept == 1
    assert read(folder / ".backup", "utt2spk") == ["a-1 a", "a-2 a", "b-1 b"]
    assert read(folder / ".backup.1", "utt2spk") == ["a-1 a", "a-2 a"]
    assert read(folder, "removed_by_fix") == [
        "b-1 text has no line for it",
        "r2 a recording without an utterance",
        "a-2 text has no line for it",
    ]


def test_a_fix_that_changes_nothing_leaves_nothing(tmp_path):
    folder = small_dir(tmp_path / "d", text="a-1 ONE\na-2 TWO")
    fix(folder)
    removed = read(folder, "removed_by_fix")
    assert fix(folder).removed == {}
    assert read(folder, "removed_by_fix") == removed and not (folder / ".backup.1").exists()
    valid = small_dir(tmp_path / "valid")
    fix(valid)
    assert not (valid / ".backup").exists() and not (valid / "removed_by_fix").exists()


def test_several_directories_are_mended_in_one_run(tmp_path, capsys):
    folders = [
        small_dir(tmp_path / name, text=text) for name, text in {"d": "a-1 X", "e": "x-1 X", "f": "b-1 X"}.items()
    ]
    assert run_program(program.main, [*map(str, folders)]) == 1
    out, err = capsys.readouterr()
    assert [line.partition(",")[0] for line in out.splitlines()] == [
        f"{folder}: 1 of 3 utterances kept" for folder in (folders[0], folders[2])
    ]
    assert err.startswith(f"fix: error: {folders[1]}: no utterance would be left; ") and err.count("\n") == 1
