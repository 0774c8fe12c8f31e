"""AMI: layouts, cutting of segments, words, scoring, fetching, and what goes wrong."""

import functools
import http.server
import re
import shutil
import threading
import zipfile

import pytest
from corpora import ami
from corpora.audio import write_audio
from corpora.programs import ROOT, local_module, run_local, tables

nxt, cutting, meetings, spelling = (local_module("ami", name) for name in ("nxt", "pieces", "meetings", "spelling"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return ami.make(tmp_path_factory.mktemp("ami"))[0]


@pytest.fixture(scope="module")
def prepared(corpus):
    data = corpus.parent / "data"
    done = run_local("ami", "prepare.py", f"--corpus-dir={corpus}", f"--data-dir={data}", "--max-removed=0.9")
    assert done.returncode == 0, done.stderr
    return data


def test_the_partition():
    assert {name: len(set(sets)) for name, sets in meetings.SETS.items()} == {"train": 137, "dev": 18, "eval": 16}
    assert len(set().union(*meetings.SETS.values())) == 171


@pytest.mark.parametrize(
    ("annotations", "audio", "folders"),
    [
        ("A/ami_public_manual_1.6.1", "B/wav_db", ("A", "B")),  # unpacked with a folder of its own
        ("A", "amicorpus", ("A", "amicorpus")),  # ... and without, and the audio's own folder
    ],
)
def test_other_layouts(corpus, prepared, tmp_path, annotations, audio, folders):
    for place, source in ((annotations, "annotations"), (audio, "amicorpus")):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).symlink_to(corpus / source)
    options = [f"--corpus-dir={tmp_path / folder}" for folder in folders]
    done = run_local("ami", "prepare.py", *options, f"--data-dir={tmp_path / 'data'}", "--max-removed=0.9")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "data", tmp_path / audio) == tables(prepared, corpus / "amicorpus")


def test_folders_above_the_copy_and_a_copy_without_headsets(corpus, prepared, tmp_path):
    (tmp_path / "all/corpora").mkdir(parents=True)
    (tmp_path / "all/corpora/AMI").symlink_to(corpus)
    options = [f"--data-dir={tmp_path / 'data'}", "--max-removed=0.9"]
    done = run_local("ami", "prepare.py", f"--corpus-dir={tmp_path / 'all'}", *options)
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "data", tmp_path / "all/corpora/AMI") == tables(prepared, corpus)
    done = run_local("ami", "prepare.py", f"--corpus-dir={corpus / 'annotations'}", *options)
    assert done.returncode == 1
    assert f"<meeting>/audio/<meeting>.Headset-0.wav is not in {corpus / 'annotations'}" in done.stderr


def piece(text):
    """Pieces of a segment, written as in the fake copy."""
    tokens = []
    for part in text.split():
        _, start, end, word = re.fullmatch(r"(~?)([\d.]+)(?:-([\d.]+))?:(.*)", part).groups()
        tokens.append(nxt.Token(word, float(start), float(end or start), not end))
    return [(p.start, p.end, p.words) for p in cutting.pieces(nxt.Segment("s", 0.0, 9.0, tokens))]


def words(first, count):
    return " ".join(f"{(first + n) / 10:.1f}-{(first + n + 1) / 10:.1f}:w" for n in range(count))


def test_pieces_end_at_full_stops_and_begin_there():
    assert piece("0.5-1:a 1:. 1.5-2:b 2:? 2.1-2.4:c 2.4:! 2.4-3:d") == [
        (0.5, 1.0, "A"),
        (1.0, 2.0, "B"),
        (2.0, 3.0, "C D"),
    ]
    assert piece("0.5:. 0.6:. 0.7-0.9:a 0.9:.") == [(0.6, 0.9, "A")]
    assert piece("0.5:.") == []


def test_commas_count_and_cut_only_what_is_too_long():
    assert len(piece(f"{words(0, 15)} 1.5:, {words(15, 14)}")) == 1  # 29 words and a comma
    assert [p[:2] for p in piece(f"{words(0, 15)} 1.5:, {words(15, 15)}")] == [(0.0, 1.5), (1.5, 3.0)]
    assert len(piece(words(0, 50))) == 1  # nothing to cut at
    assert len(piece(f"0.0:, {words(0, 40)} 4.0:,")) == 1  # nor at its ends


def test_a_part_that_is_still_too_long_is_cut_again():
    found = piece(f"{words(0, 5)} 0.5:, {words(5, 35)} 4.0:, {words(40, 3)}")
    assert [(p[0], p[1], len(p[2].split())) for p in found] == [(0.0, 0.5, 5), (0.5, 4.0, 35), (4.0, 4.3, 3)]


@pytest.mark.parametrize(
    ("said", "scored"),
    [
        ("X_M_L T_V_", "X. M. L. T. V."),
        ("Mm-hmm uh-huh Uh - huh", "MM-HMM UH-HUH UH-HUH"),
        ("hmm hmm", "HMM HMM"),
        ("anti-trust co- -", "ANTI TRUST CO"),
        ("um,I", "UM I"),
        ("don’t 'kay `em", "DON'T 'KAY 'EM"),
        ("naïve (sic) {a} / @ <b>", "NAIVE SIC A B"),
        ("-", ""),
    ],
)
def test_words_as_kaldi_scores_them(said, scored):
    assert cutting.spoken(said.split()) == scored


def write_decoding(data, folder, hypotheses):
    folder.mkdir(parents=True)
    names = [line.split()[0] for line in (data / "text").read_text().splitlines()]
    rows = [f"{name} {words}".rstrip() + "\n" for name, words in zip(names, hypotheses, strict=True)]
    (folder / "text").write_text("".join(rows))


def rate(path):
    return path.read_text().splitlines()[0]


def test_the_protocols(prepared, tmp_path):
    """References: um we're late / uh-huh / right / go on / yes / naive plan."""
    hypotheses = ["we're um late", "uh huh", "right", "go", "yes uh", "native plan"]
    write_decoding(prepared / "eval", tmp_path / "decode", hypotheses)
    for options in [["--by", "length"], ["--regime", "whisper"]]:
        done = run_local("ami", "score.sh", prepared / "eval", "-", tmp_path / "decode", *options)
        assert done.returncode == 0, done.stderr
    decode = tmp_path / "decode"
    assert rate(decode / "wer") == "%WER 22.22 [ 2 / 9, 0 ins, 1 del, 1 sub ]"
    assert "Scoring regime: glm" in (decode / "wer").read_text() and (decode / "scoring/by_length.md").exists()
    assert rate(decode / "plain/wer") == "%WER 50.00 [ 5 / 10, 2 ins, 2 del, 1 sub ]"
    assert (prepared / "eval/glm").read_bytes() == (ROOT / "egs/ami/conf/ami.glm").read_bytes()
    assert rate(decode / "wer_whisper") == "%WER 20.00 [ 2 / 10, 0 ins, 1 del, 1 sub ]"


OTHER_MAP = """;; in the shape of english.glm, which knows letters with points only
* name "other.glm"
* desc "rules that are written by other hands"
* format = 'NIST1'
* max_nrules = '2500'
* copy_no_hit = 'T'
* case_sensitive = 'F'

;;  backchannel mappings
mm-hmm  =>  %bcack     / [ ] __ [ ] ;; affirmative token
uh-huh  =>  %bcack     / [ ] __ [ ] ;; affirmative token
um-hum  =>  %bcack     / [ ] __ [ ] ;; affirmative token
um      =>             / [ ] __ [ ] ;; hesitation token
;; alternate acceptable spellings
ok                 => o. k. / [ ] __ [ ] ;; but not the other way round
okay               => o. k. / [ ] __ [ ]
schnÖder           => schnoeder
b.                 => bee / __ [ line]
[c. d.]            => [compact disc]
[ann's => [{ann's / ann is / ann has}
;; input_dependent_application = "ctm"
[don't]            => [{d. / don't / do not}] / [ ] __ [ ]
[t.'s] => [{t.'s / t. is / t. has}] / [ ] __ [ ]
[psed]  => [{psed /p. s. e. d.}]  / [ ] __ [ ]
"""


@pytest.mark.parametrize("rules", ["", OTHER_MAP])
def test_letters_okay_and_backchannels_in_two_words(corpus, prepared, tmp_path, rules):
    """References of dev: two halves of 34 words / right then / MM-HMM X M L WH UNTIMED / OKAY / I DON'T / UH-HUH /
    O K / A / UM-HUM / T V, which either map makes 34 + 2 + 6 + 2 + 2 + 1 + 2 + 1 + 1 + 2.
    """
    data = prepared
    if rules:
        (tmp_path / "other.glm").write_text(rules, encoding="latin-1")
        data = tmp_path / "data"
        options = [f"--corpus-dir={corpus}", f"--data-dir={data}", "--sets=dev", f"--glm={tmp_path / 'other.glm'}"]
        done = run_local("ami", "prepare.py", *options, "--max-removed=0.9")
        assert done.returncode == 0, done.stderr
    said = [line.split(" ", 1)[1] for line in (data / "dev/text").read_text().splitlines()]
    said[4], said[7], said[10] = "ok", "okay", "t. v."
    write_decoding(data / "dev", tmp_path / "decode", said)
    done = run_local("ami", "score.sh", data / "dev", "-", tmp_path / "decode")
    assert done.returncode == 0, done.stderr
    assert rate(tmp_path / "decode/wer") == "%WER 0.00 [ 0 / 53, 0 ins, 0 del, 0 sub ]"
    assert rate(tmp_path / "decode/plain/wer") == "%WER 5.66 [ 3 / 53, 0 ins, 1 del, 2 sub ]"  # OKAY and O K
    assert f"ESPnet does ({tmp_path / 'decode'}/plain/wer): %WER 5.66 [ 3 / 53" in done.stdout


def test_rules_for_letters_lose_the_point_and_nothing_else(tmp_path):
    path = tmp_path / "other.glm"
    path.write_text(OTHER_MAP, encoding="latin-1")
    given, mended = OTHER_MAP.splitlines(), list(spelling.unpointed_map(path))
    assert [line for line in mended if line not in given] == [
        "[ok] => [o k] / [ ] __ [ ]",
        "[okay] => [o k] / [ ] __ [ ]",
        "[b] => [bee] / [ ] __ [ line]",
        "[c d] => [compact disc] / [ ] __ [ ]",
        "[don't] => [{d / don't / do not}] / [ ] __ [ ]",
        "[t's] => [{t's / t is / t has}] / [ ] __ [ ]",
        "[psed] => [{psed /p s e d}] / [ ] __ [ ]",
    ]
    assert len(mended) == len(given) and "schnÖder           => schnoeder" in mended
    path.write_text(";; x\nno rule\n")
    with pytest.raises(nxt.UserError, match="other.glm:2: no '=>' in 'no rule'"):
        list(spelling.unpointed_map(path))


def test_contexts_of_letters_keep_their_bounds():
    rule = spelling.Rule
    assert spelling.unpointed_rule(rule("mail", "post", "e. ", " b.")) == rule("mail", "post", " e ", " b ")
    assert spelling.unpointed_rule(rule("a.m.", "am", " ", " ")) == rule("a.m.", "am", " ", " ")


def test_every_backchannel_is_one_word_to_the_map(prepared, tmp_path):
    """References of eval: um we're late / uh-huh / right / go on / yes / naive plan; um is not scored."""
    for heard in ("um hum", "uh hum", "mm hm", "um hmm", "Uh Huh"):
        write_decoding(
            prepared / "eval", tmp_path / heard, ["we're late", heard, "right", "go on", "yes", "naive plan"]
        )
        done = run_local("ami", "score.sh", prepared / "eval", "-", tmp_path / heard)
        assert done.returncode == 0, done.stderr
        assert rate(tmp_path / heard / "wer") == "%WER 0.00 [ 0 / 9, 0 ins, 0 del, 0 sub ]", heard


def test_a_copy_of_the_tests_alone(corpus, prepared, tmp_path):
    for meeting in ("EN2002a", "ES2004a"):
        (tmp_path / "amicorpus").mkdir(exist_ok=True)
        (tmp_path / "amicorpus" / meeting).symlink_to(corpus / "amicorpus" / meeting)
    (tmp_path / "annotations").symlink_to(corpus / "annotations")
    done = run_local("ami", "prepare.py", f"--corpus-dir={tmp_path}", f"--data-dir={tmp_path / 'data'}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["eval"]


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda root: None, ["--sets=test"], "--sets: there is no set test; there are train, dev, eval"),
        (lambda root: None, ["--sets=train"], "train: 6 of 11 utterances are lost, more than 5%"),
        (lambda root: (root / "annotations").unlink(), [], "corpusResources/meetings.xml is not in"),
        (
            lambda root: ((root / "annotations").unlink(), (root / "ami_public_manual_1.6.2.zip").touch()),
            [],
            "ami_public_manual_1.6.2.zip is not unpacked",
        ),
    ],
)
def test_errors_in_one_line(corpus, tmp_path, spoil, options, message):
    for name in ("annotations", "amicorpus"):
        (tmp_path / name).symlink_to(corpus / name)
    spoil(tmp_path)
    done = run_local("ami", "prepare.py", f"--corpus-dir={tmp_path}", f"--data-dir={tmp_path / 'data'}", *options)
    assert done.returncode and message in done.stderr.splitlines()[-1]


def test_a_broken_xml_is_named(tmp_path):
    (tmp_path / "meetings.xml").write_text("<root><meeting")
    with pytest.raises(nxt.UserError, match=r"meetings.xml is no XML .*; unpack the annotations again"):
        nxt.read_speakers(tmp_path / "meetings.xml")
    (tmp_path / "meetings.xml").write_text('<root><meeting observation="m"><speaker nxt_agent="A"/></meeting></root>')
    with pytest.raises(nxt.UserError, match=r"meetings.xml: a speaker or meeting has no global_name"):
        nxt.read_speakers(tmp_path / "meetings.xml")


@pytest.fixture
def server(corpus, tmp_path):
    """A server with the headsets of eval, and the annotations in a zip without a folder of their own."""
    site = tmp_path / "site"
    for meeting in meetings.SETS["eval"]:
        for number in range(4):
            path = site / "AMICorpusMirror/amicorpus" / meeting / "audio" / f"{meeting}.Headset-{number}.wav"
            write_audio(path, 0.1)
    (site / "AMICorpusAnnotations").mkdir()
    with zipfile.ZipFile(site / "AMICorpusAnnotations/ami_public_manual_1.6.2.zip", "w") as file:
        for path in sorted((corpus / "annotations").rglob("*.xml")):
            file.write(path, path.relative_to(corpus / "annotations"))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(self.path)

    asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


def test_it_fetches_what_is_missing_once(server, tmp_path):
    url, asked = server
    there = tmp_path / "corpus/wav_db/ES2004a/audio/ES2004a.Headset-3.wav"
    write_audio(there, 0.1)
    options = ["download.py", f"--corpus-dir={tmp_path / 'corpus'}", "--sets=eval", f"--url={url}"]
    done = run_local("ami", *options)
    assert done.returncode == 0, done.stderr
    assert "1 of 64 recordings of eval are there" in done.stdout and len(asked) == 64
    assert (tmp_path / "corpus/amicorpus/EN2002d/audio/EN2002d.Headset-0.wav").stat().st_size > 3000
    assert (tmp_path / "corpus/annotations/corpusResources/meetings.xml").exists()
    words = tmp_path / "corpus/annotations/words/ES2004a.A.words.xml"
    words.unlink()  # as if unpacking had been interrupted
    zipped = tmp_path / "site/AMICorpusAnnotations/ami_public_manual_1.6.2.zip"
    (tmp_path / "corpus/annotations/.archives").mkdir()
    shutil.copy(zipped, tmp_path / "corpus/annotations/.archives")
    (tmp_path / "corpus/annotations/.unpacked" / zipped.name).unlink()
    done = run_local("ami", *options)
    assert words.exists()
    assert "64 of 64 recordings of eval are there" in done.stdout and len(asked) == 64
    done = run_local("ami", *options, "--sets=dev")
    assert done.returncode and "the server says 404" in done.stderr.splitlines()[-1]
