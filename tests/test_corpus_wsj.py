"""egs/wsj: other layouts than that of the table of recipes, its text, its errors, its scores."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from corpora import wsj
from corpora.audio import write_sphere

from omni_asr.audio.reader import AudioReader
from omni_asr.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "egs" / "wsj"
DISCS = ["LDC93S6B/11-1.1", "LDC93S6B/11-2.1", "LDC93S6B/11-4.1", "LDC93S6B/11-13.1"]


def load(name):
    """A module of the recipe, which is no package."""
    spec = importlib.util.spec_from_file_location(name, RECIPE / "local" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepare(monkeypatch, tmp_path):
    """Run the preparation: folders of the corpus and options in, the folder of the sets out."""
    monkeypatch.setattr("omni_asr.corpora.sphere.shutil.which", lambda name: name if name == "ffmpeg" else None)
    monkeypatch.setitem(sys.modules, "dot", load("dot"))
    module = load("prepare")

    def run(folders, *options):
        data = tmp_path / "data"
        shutil.rmtree(data, ignore_errors=True)
        arguments = [f"--corpus_dir={folder}" for folder in folders]
        module.main([*arguments, f"--data_dir={data}", "--max_removed=0.9", *options])
        return data

    return run


def tables(data, corpus):
    """Every table of every set; without the folders of the corpus, but with the names of its files in lower case."""
    found = {}
    for path in sorted(data.glob("*/*")):
        lines = []
        for line in path.read_text().splitlines():
            words = [word.rsplit("/", 1)[-1].lower() if str(corpus) in word else word for word in line.split()]
            lines.append(" ".join(words))
        found[f"{path.parent.name}/{path.name}"] = lines
    return found


def test_layouts(prepare, tmp_path):
    discs, flat = tmp_path / "discs", tmp_path / "flat"
    folders = wsj.make(discs)
    expected = tables(prepare(folders), discs)
    assert len(expected) == 6 * 7 + 2 * 6 and expected["test_eval93_5k/text"] == ["4oxc0301 rain", "4oyc0301 snow"]
    assert tables(prepare([discs]), discs) == expected  # what the packages are in
    one_by_one = sorted(path for package in folders for path in package.iterdir())
    assert tables(prepare(reversed(one_by_one)), discs) == expected
    wsj.write_copy(flat, wsj.flattened)
    assert tables(prepare([flat]), flat) == expected
    assert tables(prepare([flat / "wsj0", flat / "wsj1"]), flat) == expected
    for path in sorted(flat.rglob("*"), reverse=True):  # everything in upper case
        path.rename(path.with_name(path.name.upper()))
    assert tables(prepare([flat]), flat) == expected


def test_a_part_of_the_corpus_is_enough_for_its_sets(prepare, tmp_path):
    wsj.make(tmp_path)
    data = prepare([tmp_path / disc for disc in DISCS], "--sets=train_si84")
    assert [path.name for path in data.iterdir()] == ["train_si84"]
    data = prepare([tmp_path / "LDC94S13B"])
    assert {path.name for path in data.iterdir()} == {
        "test_dev93", "test_dev93_5k", "test_eval93", "test_eval93_5k"
    }  # fmt: skip
    with pytest.raises(UserError, match=r"wsj0/doc/indices/test/nvp/si_et_20\.ndx is not in .*LDC94S13B"):
        prepare([tmp_path / "LDC94S13B"], "--sets=test_eval92")
    with pytest.raises(UserError, match=r"^wsj1/doc/indices/si_tr_s\.ndx is not in .*LDC93S6B; is --corpus_dir the"):
        prepare([tmp_path / wsj.WSJ0], "--sets=train_si284")


def test_converted_audio_has_a_path(prepare, tmp_path):
    wsj.write_copy(tmp_path, wsj.flattened)
    old = tmp_path / "wsj0" / "si_et_20" / "44x" / "44xc0201.wv1"
    subprocess.run(["ffmpeg", "-v", "error", "-i", old, old.with_suffix(".wav")], check=True)
    old.unlink()
    data = prepare([tmp_path], "--sets=test_eval92")
    assert (data / "test_eval92" / "wav.scp").read_text().startswith(f"44xc0201 {old.with_suffix('.wav')}\n")


@pytest.mark.parametrize(
    ("line", "official", "training"),
    [
        (r"It isn\'t [loud_breath] so", "IT ISN'T SO", "it isn't so"),
        (r"[<tap] a[cough] [tap>] b [x/] c [/x] .  ~", "A B C", "a b c"),
        (r"<and> then <don\'t>", "AND THEN DON'T", "and then don't"),
        (r"Up .POINT five %PERCENT --DASH no", "UP POINT FIVE PERCENT -DASH NO", "up point five percent dash no"),
        (r"U\. Q\. Z\. rose", "U. Q. Z. ROSE", "u q z rose"),
        (r"the C\. Q\.s and U\. Q\.\'s", "THE C. Q.S AND U. Q.'S", "the c qs and u q's"),
        (r"Mr\. Vale, Inc\.", "MR. VALE, INC.", "mr vale inc"),
        (r"half\-built", "HALF-BUILT", "half built"),
        (r"*wrong* lo:ng !loud", "WRONG LONG !LOUD", "wrong long loud"),
        (r"reve(nue)- revenue -(un)happy", "REVE(NUE)- REVENUE -(UN)HAPPY", "reve revenue happy"),
        (r'"DOUBLE\-QUOTE ,COMMA .PERIOD', '"DOUBLE-QUOTE ,COMMA .PERIOD', "double quote comma period"),
        ("'SINGLE-QUOTE the dogs' 'SINGLE-QUOTE", None, "single quote the dogs' single quote"),
        ("(LEFT-PAREN x )RIGHT-PAREN &AMPERSAND ...ELLIPSIS", None, "left paren x right paren ampersand ellipsis"),
        ("share -holder compaign approaches- reseachers", "SHARE HOLDER CAMPAIGN APPROACHES RESEARCHERS", None),
        ("they don’t", "THEY DON’T", "they don't"),  # noqa: RUF001
        ("[tongue_click] . ~", "", ""),
    ],
)
def test_words(line, official, training):
    dot = load("dot")
    words = dot.official_words(line)
    assert official is None or " ".join(words) == official
    assert training is None or dot.training_words(words) == training


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (
            f"{wsj.WSJ0}/11-13.1/wsj0/doc/indices/test/nvp/si_et_20.ndx",
            ";\n44xc0201\n",
            r"ndx:2: expected '<disc>:wsj0/",
        ),
        (f"{wsj.WSJ0}/11-14.1/wsj0/si_et_20/44x/44xc0200.dot", "So it goes\n", r"44xc0200\.dot:1: expected the words"),
    ],
)
def test_damaged_files_are_named(prepare, tmp_path, path, content, message):
    folders = wsj.make(tmp_path)
    (tmp_path / path).write_text(content)
    with pytest.raises(UserError, match=message) as error:
        prepare(folders, "--sets=test_eval92")
    assert "\n" not in str(error.value)


def test_too_much_missing_is_an_error(prepare, tmp_path):
    folders = wsj.make(tmp_path)
    shutil.rmtree(tmp_path / wsj.WSJ0 / "11-14.1" / "wsj0" / "si_et_20" / "44y")
    with pytest.raises(UserError, match="2 of 4 utterances are lost.*has no audio file"):
        prepare(folders, "--sets=test_eval92", "--max_removed=0.1")


def test_unknown_sets_are_named(prepare, tmp_path, capsys):
    (tmp_path / "wsj0").mkdir()
    with pytest.raises(SystemExit):
        prepare([tmp_path], "--sets=eval92")
    assert "there is no set eval92; there are train_si84, " in capsys.readouterr().err


def test_shorten_without_a_decoder_is_one_line(prepare, tmp_path, monkeypatch):
    folders = wsj.make(tmp_path)
    monkeypatch.setattr("omni_asr.corpora.sphere.shutil.which", lambda name: None)
    with pytest.raises(UserError, match="compressed by shorten.*sph2pipe or ffmpeg is not installed"):
        prepare(folders, "--sets=test_eval92")
    for path in (tmp_path / wsj.WSJ0).rglob("44*.wv1"):
        write_sphere(path, 0.5)
    scp = (prepare(folders, "--sets=test_eval92") / "test_eval92" / "wav.scp").read_text()
    assert "|" not in scp and "44xc0201.wv1\n" in scp


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg not installed")
def test_a_cut_shorten_file_fails_as_features(prepare, tmp_path):
    """Its decoder says nothing; what the header promised does."""
    folders = wsj.make(tmp_path)
    data = prepare(folders, "--sets=test_eval92") / "test_eval92"
    path = next((tmp_path / wsj.WSJ0).rglob("44xc0201.wv1"))
    path.write_bytes(path.read_bytes()[:3000])
    audio = {item.utterance: item for item in AudioReader(data)}
    assert "s, but utt2dur has 0.5 s: it was cut" in audio["44xc0201"].reason
    assert len(audio["44xc0202"].samples) == 9600


def test_stage_0_says_what_to_order(tmp_path):
    def stage_0(*options):
        return subprocess.run([RECIPE / "local" / "download.sh", *options], capture_output=True, text=True)

    done = stage_0(f"--corpus_dir={tmp_path}/no")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"there is no folder {tmp_path}/no; --corpus_dir names where the packages are: LDC93S6B (WSJ0) and " in (
        done.stderr
    )
    (tmp_path / "empty").mkdir()
    done = stage_0(f"--corpus_dir={tmp_path}/empty")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    for part in (
        "/empty: no wsj0/doc/indices/train/tr_s_wv1.ndx in it",
        "LDC93S6B (WSJ0)",
        "ldc.upenn.edu",
        "--corpus_dir",
    ):
        assert part in done.stderr
    assert "needed for train_si84, train_si284; order" in done.stderr
    folders = wsj.make(tmp_path)
    everything = [f"--corpus_dir={folder}" for folder in folders]
    assert stage_0(*everything).returncode == 0
    wsj0 = f"--corpus_dir={tmp_path / wsj.WSJ0}"
    assert stage_0(wsj0, "--sets=test_eval92").returncode == 0
    done = stage_0(wsj0, "--sets=test_eval92", "--sets=test_dev93")
    assert "needed for test_dev93; order LDC94S13B (WSJ1)" in done.stderr and "--test_sets test_eval92" in done.stderr


def test_remains_of_dos_and_empty_copies_of_transcripts(prepare, tmp_path):
    folders = wsj.make(tmp_path)
    whole = tables(prepare(folders, "--sets=test_eval92"), tmp_path)
    dot = next(path for path in sorted((tmp_path / wsj.WSJ0).rglob("*.dot")) if path.stem == "44xc0200")
    first = dot.parents[2] / "aaa"
    first.mkdir()
    (first / dot.name).touch()
    dot.write_bytes(dot.read_bytes() + b"\x1a")
    index = next((tmp_path / wsj.WSJ0).rglob("si_et_20.ndx"))
    index.write_bytes(index.read_bytes() + b"\r\n\x1a")
    assert tables(prepare(folders, "--sets=test_eval92"), tmp_path) == whole


def test_scores_of_both_regimes(prepare, tmp_path):
    """11 + 7 + 0 + 5 words as they are, with ``mister`` for ``mr``, a word in silence and a lost word.

    Whisper's normaliser makes 9 of the first (``.6%``), 9 of the second (``mister vale is``) and 6 of the last; the
    utterance without words is left out.
    """
    pytest.importorskip("whisper_normalizer")
    data = prepare(wsj.make(tmp_path), "--sets=test_eval92") / "test_eval92"
    decoded = tmp_path / "decode"
    decoded.mkdir()
    (decoded / "text").write_text(
        "44xc0201 shares and bonds rose point six percent at u q z\n"
        "44xc0202 mister vale's dash well half built mill closed\n"
        "44yc0201 oh\n"
        "44yc0202 u q z's ended\n"
    )
    for options, name, line in (
        ([], "wer", "%WER 13.04 [ 3 / 23, 1 ins, 1 del, 1 sub ]"),
        (["--regime", "whisper"], "wer_whisper", "%WER 4.17 [ 1 / 24, 0 ins, 1 del, 0 sub ]"),
    ):
        subprocess.run([RECIPE / "local" / "score.sh", data, "-", decoded, *options], check=True, capture_output=True)
        assert line in (decoded / name).read_text()
