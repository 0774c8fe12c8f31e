"""Broken input to scoring: an error of one line or a right answer, never a traceback, and never fewer utterances."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omni_asr.errors import UserError
from omni_asr.kaldi.trn import read_marked_trn, read_trn
from omni_asr.scoring.decoded import decoded_tokens
from omni_asr.scoring.per_utt import read_per_utterance
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.score import score

PARTS = [
    "u1", "u2", "a", "(s-1)", "{ a / b }", "{", "}", "/", "@", "(a)", "(", ")", ";;", "*", "f A", "s", "0", "1", "2.5",
    "<O>", "<ALT>", "<ALT_BEGIN>", "=>", "__", "[ ]", "\t", "\n", "\n", "\r\n", "\x00", "é", "\u2028", "#csid", "ref",
    ";x", "a;x", "a;", "\\", "\v", "\ufeff", "<F", "<unk>", "()", "(S-1)", "f A s 9", '{"utt": "u1", "tokens": ["a"],',
    '"start": [0], "end": [NaN]}', '"start": [0], "end": [1]}',
]  # fmt: skip
near = st.lists(st.sampled_from(PARTS), max_size=25).map(" ".join).map(str.encode)
contents = st.binary(max_size=60) | near
GOOD = {
    "data/text": "u1 a b\nu2 c\n",
    "data/utt2spk": "u1 s\nu2 s\n",
    "data/segments": "u1 f 0 1\nu2 f 1 2\n",
    "data/wav.scp": "f f.wav\n",
    "decode/text": "u1 a b\nu2 c\n",
    "decode/tokens.jsonl": json.dumps({"utt": "u1", "tokens": ["▁a"], "start": [0], "end": [1]}) + "\n",
    "stm": "f A s 0 1 a b\nf A s 1 2 c\n",
    "glm": ";; x\nA => B / [ ] __ [ ]\n",
    "ctm": "f A 0 0.5 a\nf A 1 0.5 c\n",
}
checked = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("set")
    monkeypatch.chdir(folder)
    return folder


def write(folder, **changed):
    shutil.rmtree(folder / "decode", ignore_errors=True)  # the results of the example before
    for name, text in GOOD.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(changed.get(name, text.encode()))


def is_one_line(error):
    return "\n" not in str(error) and "Traceback" not in str(error)


@checked
@given(st.sampled_from(["data/text", "data/utt2spk", "decode/text"]), contents)
def test_scoring_texts(folder, name, content):
    write(folder, **{name: content})
    try:
        score("data", "decode")
    except UserError as error:
        assert is_one_line(error)
        assert not Path("decode/wer").exists()
    else:
        lines = Path("data/text").read_bytes().split(b"\n")
        assert f"Scored {sum(map(bool, lines))} sentences" in Path("decode/wer").read_text()


@checked
@given(st.sampled_from(["stm", "glm", "ctm", "data/segments", "decode/tokens.jsonl"]), contents, st.booleans())
def test_scoring_times(folder, name, content, with_ctm):
    write(folder, **{name: content})
    protocol = Protocol("glm", Path("stm"), Path("ctm") if with_ctm else None, Path("glm"))
    try:
        score("data", "decode", protocol)
    except UserError as error:
        assert is_one_line(error)
        assert not Path("decode/wer").exists()
    else:
        lines = Path("stm").read_text(encoding="utf-8").split("\n")
        segments = [line for line in lines if line.strip(" \t\r") and not line.startswith(";;")]
        assert f"Scored {len(segments)} sentences" in Path("decode/wer").read_text()


@checked
@given(contents)
def test_reading(folder, content):
    write(folder, **{"decode/tokens.jsonl": content})
    for read in (read_trn, read_marked_trn, read_per_utterance, lambda path: decoded_tokens("data", path.parent)):
        try:
            read(folder / "decode" / "tokens.jsonl")
        except UserError as error:
            assert is_one_line(error)
