"""What the table of recipes does not see of CallHome: other spellings, turns, words, errors in one line."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from corpora import callhome
from corpora.audio import convert
from corpora.programs import with_sph2pipe

from omni_asr.audio.reader import AudioReader
from omni_asr.errors import UserError

LOCAL = Path(__file__).resolve().parents[1] / "egs" / "callhome" / "local"


def load(name):
    spec = importlib.util.spec_from_file_location(f"callhome_{name}", LOCAL / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def corpus(tmp_path):
    callhome.make(tmp_path / "corpus")
    return tmp_path / "corpus"


def run(program, *options, ok=True, **environment):
    command = [sys.executable, LOCAL / f"{program}.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert (done.returncode == 0) == ok, done.stderr
    if not ok:
        assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
    return done.stdout + done.stderr


def prepare(corpus, *sets, out="data", **more):
    out = corpus.parent / out
    sets = [f"--sets={name}" for name in sets]
    return run("prepare", f"--corpus-dir={corpus}", f"--data-dir={out}", "--max-removed=0.9", *sets, **more), out


def test_either_spelling_of_a_folder_and_capitals(corpus):
    _, expected = prepare(corpus, "train", "evltest")
    audio, text = corpus / "LDC97S42" / "data", corpus / "LDC97T14" / "transcrpt"
    (audio / "evltest").rename(audio / "EVALTEST")
    (text / "evaltest").rename(text / "EVLTEST")
    for path in [*audio.glob("*/*.sph"), *text.glob("*/*.txt")]:
        path.rename(path.with_name(path.name.upper()))
    text.rename(text.with_name("TRANSCRIPTS"))
    _, out = prepare(corpus, "train", "evltest", out="other")
    for path in expected.glob("*/text"):
        assert path.read_text() == (out / path.relative_to(expected)).read_text()


def test_converted_copies(corpus):
    _, expected = prepare(corpus, "devtest")
    convert(corpus / "LDC97S42/data/devtest/en_4811.sph", ".flac")
    convert(corpus / "LDC97S42/data/devtest/en_4812.sph", ".wav")
    _, out = prepare(corpus, "devtest", out="other")
    flac = corpus / "LDC97S42/data/devtest/en_4811.flac"
    assert f"en_4811-B sox {flac} -t wav - remix 2 |\n" in (out / "devtest" / "wav.scp").read_text()
    for name in ("segments", "text", "reco2file_and_channel"):
        assert (out / "devtest" / name).read_text() == (expected / "devtest" / name).read_text()
    run("download", f"--corpus-dir={corpus}", "--sets=devtest")


def test_calls_of_eval2000_are_never_trained_on(corpus):
    log, out = prepare(corpus, "train")
    assert "en_4911" not in (out / "train" / "text").read_text() and "cannot be kept out" not in log
    for package in ("LDC2002S09", "LDC2002T43"):
        shutil.rmtree(corpus / package)
    log, out = prepare(corpus, "train", out="other")
    assert "train: without a copy of eval2000, its calls cannot be kept out of this set" in log
    assert "en_4911" in (out / "train" / "text").read_text()


def test_compressed_speech_needs_sph2pipe(corpus, tmp_path):
    path = corpus / "LDC97S42" / "data" / "evltest" / "en_4821.sph"
    data = path.read_bytes().replace(b"sample_coding -s4 ulaw", b"sample_coding -s26 ulaw,embedded-shorten-v2.00")
    path.write_bytes(data[:1024].rstrip(b"\n").ljust(1024, b"\n")[:1024] + b"ajkg\2")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sort").symlink_to(shutil.which("sort"))
    message, _ = prepare(corpus, "evltest", ok=False, PATH=str(tools))
    assert "en_4821.sph is compressed by shorten, and sph2pipe is not installed" in message
    (tools / "sph2pipe").write_text("#!/bin/sh\n")
    (tools / "sph2pipe").chmod(0o755)
    _, out = prepare(corpus, "evltest", PATH=str(tools))
    assert f"en_4821-B sph2pipe -f wav -p -c 2 {path} |" in (out / "evltest" / "wav.scp").read_text()


@pytest.mark.skipif(not with_sph2pipe(), reason="sph2pipe is not installed (tools/install_sph2pipe.sh makes it)")
def test_compressed_speech_is_heard(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", with_sph2pipe())
    heard = []
    for coding in ("ulaw,embedded-shorten-v2.00", "ulaw"):
        corpus = tmp_path / coding[:8]
        callhome.make(corpus, coding)
        _, out = prepare(corpus, "evltest", out=f"data.{corpus.name}")
        reader = AudioReader(out / "evltest", 16000, allow_upsample=True)
        heard.append({line.split()[0]: reader.read(line.split()[0]).samples for line in open(out / "evltest" / "text")})
    assert heard[0].keys() == heard[1].keys() and len(heard[0]) == 3
    for name, samples in heard[0].items():
        assert np.array_equal(samples, heard[1][name]) and np.abs(samples).max() > 5000


def test_turns(tmp_path):
    path = tmp_path / "en_4999.txt"
    path.write_bytes(b"# head\n\n 1.5 2.25 A: se\xf1or\n\n2.0 1.0 B2: dropped\n#with# all of it\n# end\n3 4 B : last")
    turns = list(load("turns").read_turns(path))
    assert [(turn.start, turn.end, turn.side, turn.number, turn.text) for turn in turns] == [
        (1.5, 2.25, "A", "", "señor"),
        (2.0, 1.0, "B", "2", "dropped #with# all of it"),
        (3.0, 4.0, "B", "", "last"),
    ]
    path.write_text("1 2 a: one\n# 5 6 #END\n#\n#fin\n2 3 B two\nand on\n3 4 C: three\n4 5 b1: four\n5 6\n7 7th\n")
    turns = list(load("turns").read_turns(path))
    assert [(turn.start, turn.side + turn.number, turn.text) for turn in turns if not turn.problem] == [
        (1.0, "A", "one"),
        (4.0, "B1", "four"),
    ]
    problems = [turn.problem for turn in turns if turn.problem]
    assert problems == [f"is no turn '<start> <end> A: words', at en_4999.txt:{line}" for line in (5, 7, 9)]
    path.write_text("# head\nand so on\n")
    with pytest.raises(UserError, match=r"en_4999.txt:2: expected '<start> <end> A: words'"):
        list(load("turns").read_turns(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("%um, so &Ines said [[aside]] ((perhaps)) late {laugh}", "um so ines said perhaps late"),
        ("mhm (( )) [static] -- you're (()) it", "mhm you're it"),
        ("[noise/] so [/noise] th- -cause -- ~NBC's", "so cause n b c's"),
        ("*glimmed* +wen+ #both# //not you//", "glimmed wen both not you"),
        ("<contraction e_form=\"[he=>he]['s=>has]\">he's it’s", "he's it's"),
        ("well-known; café?", "well known cafe"),
        ("{breath} [click]", ""),
    ],
)
def test_words(text, words):
    assert load("turns").spoken_words(text) == words


def test_stage_0_names_what_to_order(corpus):
    assert "all packages are there" in run("download", f"--corpus-dir={corpus}")
    nowhere = run("download", "--corpus-dir=/nowhere", ok=False)
    assert "there is no folder /nowhere; --corpus_dir names where the packages are: LDC97S42, LDC97T14" in nowhere
    (corpus / "empty").mkdir()
    missing = run("download", f"--corpus-dir={corpus / 'empty'}", ok=False)
    assert "order LDC97S42 (speech) and LDC97T14" in missing
    shutil.rmtree(corpus / "LDC97T14")
    assert "no devtest/en_NNNN.txt in it" in run("download", f"--corpus-dir={corpus}", "--sets=devtest", ok=False)
    run("download", f"--corpus-dir={corpus}", "--sets=eval2000_callhm")
    otherwise = "; eval2000 is there: --test_sets eval2000_callhm evaluates on it alone"
    asked = run("download", f"--corpus-dir={corpus}", "--sets=eval2000_callhm", "--sets=evltest", ok=False)
    assert asked.strip().endswith(otherwise)
    assert otherwise in prepare(corpus, "evltest", ok=False)[0]
    assert "evltest/en_*.txt of LDC97T14 is not in" in prepare(corpus, "evltest", ok=False)[0]
    shutil.rmtree(corpus / "LDC2002S09")
    assert "order LDC2002S09" in run("download", f"--corpus-dir={corpus}", "--sets=eval2000_callhm", ok=False)
