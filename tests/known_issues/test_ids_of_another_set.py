"""A page of errors was replaced by an empty one when the data directory of another set was named, with status 0."""

import shutil

import pytest

from omni_asr.analysis.errors_page import write_errors
from omni_asr.analysis.report import write_report
from omni_asr.bin import errors, run_program
from omni_asr.errors import UserError
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.score import score

TEXT = {"a-1": "one two", "a-2": "three"}


def write_set(folder, text):
    folder.mkdir(parents=True)
    (folder / "text").write_text("".join(f"{name} {words}\n" for name, words in text.items()))
    (folder / "utt2spk").write_text("".join(f"{name} {name[0]}\n" for name in text))
    (folder / "wav.scp").write_text("".join(f"{name} {name}.wav\n" for name in text))


@pytest.fixture
def scored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "data/test", TEXT)
    write_set(tmp_path / "data/other", {"b-1": "one", "b-2": "two", "b-3": "three"})
    decode = tmp_path / "exp/omni/decode_test"
    decode.mkdir(parents=True)
    (decode / "text").write_text("a-1 one too\na-2 three\n")
    score("data/test", decode, Protocol())
    write_errors("data/test", decode, decode / "scoring/errors.html", with_audio=False)
    return decode


@pytest.mark.parametrize("options", [[], ["--no-audio"]])
def test_the_page_of_errors_stays_and_one_line_names_both_sets(scored, capsys, options):
    page = scored / "scoring/errors.html"
    before = page.read_bytes()
    assert run_program(errors.main, [*options, "data/other", str(scored)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and page.read_bytes() == before
    assert "none of the 2 ids, such as 'a-1', is among the 3 there, such as 'b-1'" in error


def test_recordings_of_segments_have_to_meet_too(scored):
    (scored.parents[2] / "stm").write_text("a-1 A ann 0 1 one\n")
    (scored.parents[2] / "ctm").write_text("a-1 A 0.2 0.2 one\n")
    score("data/test", scored, Protocol(stm=scored.parents[2] / "stm", ctm=scored.parents[2] / "ctm"))
    write_errors("data/test", scored, "page.html", with_audio=False)
    with pytest.raises(UserError, match="none of the 1 ids, such as 'a-1', is among the 3 there"):
        write_errors("data/other", scored, "page.html", with_audio=False)


def test_an_empty_decoding_keeps_the_results(scored):
    (scored / "text").write_text("")
    before = (scored / "wer").read_bytes()
    with pytest.raises(UserError, match="text is empty, but data/test/text has 2 utterances such as 'a-1'"):
        score("data/test", scored, Protocol())
    assert (scored / "wer").read_bytes() == before


def test_a_report_is_not_replaced_by_one_of_no_set(scored):
    pytest.importorskip("matplotlib")
    with pytest.raises(UserError, match="has decoded none of tset; there are test"):
        write_report(scored.parent, ["tset"])
    shutil.rmtree(scored)
    assert write_report(scored.parent, ["test"]).exists(), "nothing is decoded while training is under way"
