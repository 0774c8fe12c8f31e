"""Corpora joined for training, and how often an epoch has each."""

import numpy as np
import pytest
from manifest_helpers import UNITS, write_features

from omni_asr.bin import join as program
from omni_asr.bin import run_program
from omni_asr.data.corpora import Corpus, as_weights, corpora_of, describe, read_weights
from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.shard import write_shards
from omni_asr.errors import UserError
from omni_asr.kaldi.join import join_corpora
from omni_asr.kaldi.tables import read_table, write_table
from omni_asr.kaldi.validate import validate
from omni_asr.text.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer(UNITS)


def corpus(folder, seed=0, **tables):
    """A data directory with features, whose ids are those of every other."""
    write_features(folder, arks=2, each=5, seed=seed)
    utts = list(read_table(folder / "feats.scp"))
    write_table(folder / "utt2spk", {utt: utt.partition("-")[0] for utt in utts})
    write_table(folder / "spk2utt", {f"u{n:03d}": f"u{n:03d}-0 u{n:03d}-1" for n in range(5)})
    write_table(folder / "wav.scp", {utt: f"audio/{utt}.wav" for utt in utts})
    (folder / "fbank.conf").write_text("--num-mel-bins=5\n")
    for name, table in tables.items():
        write_table(folder / name, table)
    return folder


def test_ids_get_their_corpus_and_features_stay_where_they_are(tmp_path):
    reco = {f"r{n}": f"cat {n}.wav |" for n in range(5)}
    segments = {f"u{n:03d}-{ark}": f"r{n} {ark} {ark + 1}" for n in range(5) for ark in range(2)}
    a, b = corpus(tmp_path / "e/data/a"), corpus(tmp_path / "f/data/b", 1, segments=segments, utt2dur={})
    write_table(b / "wav.scp", reco)
    write_table(b / "utt2dur", dict.fromkeys(segments, "1"))
    assert join_corpora(tmp_path / "out", {"zoo": a, "bee": b}) == {"zoo": 10, "bee": 10}
    validate(tmp_path / "out")
    text = read_table(tmp_path / "out/text")
    assert list(text) == sorted(text) and len(text) == 20
    assert text["zoo-u001-0"] == read_table(a / "text")["u001-0"]
    assert read_table(tmp_path / "out/utt2spk")["bee-u001-0"] == "bee-u001"
    assert read_table(tmp_path / "out/spk2utt")["bee-u001"] == "bee-u001-0 bee-u001-1"
    assert read_table(tmp_path / "out/segments")["bee-u002-1"] == "bee-r2 1 2"
    assert read_table(tmp_path / "out/segments")["zoo-u002-1"] == "zoo-u002-1 0 -1", "a whole recording"
    assert read_table(tmp_path / "out/wav.scp")["zoo-u002-1"] == f"{tmp_path}/e/audio/u002-1.wav"
    assert read_table(tmp_path / "out/corpora") == {"zoo": str(a), "bee": str(b)}
    assert not (tmp_path / "out/utt2dur").exists(), "one source lacks it"
    joined, source = UtteranceSet(tmp_path / "out", TOKENIZER), UtteranceSet(b, TOKENIZER)
    assert np.array_equal(joined.load(3), source.load(3)) and joined.utts[3] == f"bee-{source.utts[3]}"


def test_texts_are_put_into_one_convention(tmp_path, caplog):
    caplog.set_level("INFO")
    a, b = corpus(tmp_path / "a"), corpus(tmp_path / "b")
    texts = read_table(a / "text") | {"u000-0": "WELL, IT’S ME", "u001-0": "ROOM 12", "u002-0": "Salt & pepper"}
    texts["u003-0"] = "O' TH' MOOR"
    write_table(a / "text", texts)
    join_corpora(tmp_path / "out", {"a": a, "b": b})
    text = read_table(tmp_path / "out/text", may_be_empty=True)
    assert text["a-u000-0"] == "well it's me" and text["a-u001-0"] == text["a-u002-0"] == ""
    assert text["a-u003-0"] == "o' th' moor"
    assert "2 texts were put into plain words" in caplog.text and "the first is u001-0" in caplog.text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a, b: (b / "feats.scp").unlink(), "feats.scp does not exist; join directories with features"),
        (lambda a, b: (b / "fbank.conf").write_text("--num-mel-bins=6\n"), "fbank.conf differs from"),
        (lambda a, b: (b / "text").write_text("u1 a\nu0 b\n"), "text:2: 'u0' comes after 'u1'; omni-asr fix"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(tmp_path, capsys, damage, message):
    a, b = corpus(tmp_path / "a"), corpus(tmp_path / "b")
    damage(a, b)
    assert run_program(program.main, [str(tmp_path / "out"), f"a={a}", f"b={b}"]) == 1
    err = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(err) == 1 and message in err[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_names_and_sources_are_given_once(tmp_path):
    a = corpus(tmp_path / "a")
    for sources, message in (({"a": a, "b": a}, "a weight of 2"), ({"a-b": a}, "cannot be the name")):
        with pytest.raises(UserError, match=message):
            join_corpora(tmp_path / "out", sources)
    with pytest.raises(SystemExit):
        program.main([str(tmp_path / "out"), f"a={a}", f"a={a}"])


@pytest.fixture
def joined(tmp_path):
    sources = {name: corpus(tmp_path / name, seed) for seed, name in enumerate(("ami", "ami_x", "ami.y"))}
    join_corpora(tmp_path / "out", sources)
    return tmp_path / "out"


def test_corpora_are_ranges_also_after_filters_and_shards(joined, tmp_path):
    utterances = UtteranceSet(joined, TOKENIZER)
    weights = "ami_x=0.5 ami.y=2"
    expected = [Corpus("ami", 0, 10, 1), Corpus("ami.y", 10, 20, 2), Corpus("ami_x", 20, 30, 0.5)]
    assert corpora_of(utterances, weights) == expected
    assert as_weights(corpora_of(utterances, "")) is None
    assert as_weights(expected).bounds.tolist() == [0, 10, 20, 30]
    write_shards(joined, tmp_path / "shards", 7, 1)
    assert corpora_of(UtteranceSet(tmp_path / "shards", TOKENIZER), weights) == expected
    utterances._see(np.arange(3, 30))
    assert [corpus.end for corpus in corpora_of(utterances, weights)] == [7, 17, 27]
    hours = utterances.frames[17:].sum() / 360000
    assert describe(utterances, corpora_of(utterances, weights), 10)[2] == (
        f"an epoch has {hours / 2:.2f} h of ami_x: 10 utterances, {hours:.2f} h, weight 0.5"
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("ami", "'ami' is not <corpus>=<weight above 0>"),
        ("ami=0", "'ami=0' is not"),
        ("ami=nan", "is not <corpus>"),
        ("ami=1 ami=2", "'ami=2' is not"),
        ("wsj=1", "names wsj; .*/corpora has ami, ami_x, ami.y"),
    ],
)
def test_wrong_weights_are_named(joined, weights, message):
    with pytest.raises(UserError, match=message):
        corpora_of(UtteranceSet(joined, TOKENIZER), weights)


def test_weights_want_a_joined_directory(tmp_path, joined):
    plain = UtteranceSet(corpus(tmp_path / "plain"), TOKENIZER)
    assert corpora_of(plain, "") == []
    with pytest.raises(UserError, match="nothing was joined"):
        corpora_of(plain, "a=2")
    (joined / "corpora").write_text("ami x\nami_x y\n")
    with pytest.raises(UserError, match="ami.y-u000-0 is of none of the corpora"):
        corpora_of(UtteranceSet(joined, TOKENIZER), "")


def test_weights_are_read_by_name():
    assert read_weights("a=1 b=.5") == {"a": 1.0, "b": 0.5} and read_weights("") == {}
