"""What the table of recipes does not see of Switchboard and eval2000: layouts, speakers, words, errors in one line."""

import functools
import http.server
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
from corpora import switchboard
from corpora.eval2000 import make_eval2000

from omni_asr.corpora.eval2000 import Span, find_eval2000, mended, read_pem, spoken_words, whisper_words, widened
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

LOCAL = Path(__file__).resolve().parents[1] / "egs" / "switchboard" / "local"


def load(name):
    spec = importlib.util.spec_from_file_location(f"switchboard_{name}", LOCAL / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def corpus(tmp_path):
    switchboard.make(tmp_path / "corpus")
    return tmp_path / "corpus"


def run(program, *options, ok=True):
    done = subprocess.run([sys.executable, LOCAL / f"{program}.py", *options], capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stderr
    if not ok:
        assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
    return done.stdout + done.stderr


def prepare(*folders, sets=(), options=(), ok=True, out=None):
    arguments = [*(f"--corpus-dir={folder}" for folder in folders), *(f"--sets={name}" for name in sets)]
    out = out or Path(folders[0]).parent / "data"
    return run("prepare", *arguments, f"--data-dir={out}", "--max-removed=0.9", *options, ok=ok), out


def column(path, number=0):
    return [line.split()[number] for line in path.read_text().splitlines()]


SMALL = ("--dev-utterances=2", "--max-same=2")


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("[laughter-maybe]", "maybe"),
        ("-[laughter-maybe]-", "-maybe-"),
        ("[rowin'/rowing]", "rowin'"),
        ("[laughter-[rowin'/rowing]]", "rowin'"),
        ("-[a]cross", "-cross"),
        ("[a]cross", "-cross"),
        ("to[morrow]-", "to-"),
        ("to[morrow]", "to-"),
        ("-[ab]so[lute]-", "-so-"),
        ("[lem[guini]-/linguini]", "lem-"),
        ("{glimmed}", "glimmed"),
        ("them_1", "them"),
        ("them_1's", "them's"),
    ],
)
def test_tokens(token, word):
    assert load("words").bare_word(token) == word


def test_words_of_a_line():
    words, acronyms = load("words"), {"IBM": "i b m", "CDs": "c d's"}
    line = "[silence] <b_aside> IBM [noise] CDs_1 i[t]- it’s [vocalized-noise] twenty-five uh-huh <E_ASIDE> [laughter]"
    assert words.spoken_words(line, acronyms) == "i b m c d's it's twenty five uh huh"


@pytest.mark.parametrize(
    ("word", "phones", "spelt"),
    [
        ("IBM", "ay b iy eh m", "i b m"),
        ("tv's", "t iy v iy z", "t v's"),
        ("CDs", "s iy d iy z", "c d's"),
        ("GPS", "jh iy p iy eh s", "g p s"),
        ("W", "d ah b ax l y uw", None),
        ("us", "ah s", None),
        ("I", "ay", None),
        ("as", "ae z", None),
    ],
)
def test_acronyms_are_pronounced_as_their_letters(word, phones, spelt):
    assert load("words").spelt_out(word, phones.split()) == spelt


def test_conv_tab_gives_the_speakers(corpus):
    (corpus / "LDC97S62" / "tables").mkdir()
    (corpus / "LDC97S62" / "tables" / "conv.tab").write_text(switchboard.CONV_TAB)
    log, out = prepare(corpus, sets=["train_dev", "train_nodev"], options=SMALL)
    assert "no tables/conv.tab" not in log
    assert column(out / "train_dev" / "utt2spk") == ["sw1005-02901-B_000070-000120", "sw1005-02901-B_000120-000200"]
    assert (out / "train_nodev" / "spk2utt").read_text().splitlines()[1:] == [
        "sw107 sw107-02902-B_000050-000150",
        "sw1077 sw1077-02901-A_000040-000144 sw1077-02901-A_000144-000250 sw1077-02901-A_000250-000300"
        " sw1077-02901-A_000300-000340 sw1077-02901-A_000340-000380 sw1077-02901-A_000550-000900",
    ]


def test_the_first_utterances_are_held_out_and_all_others_kept(corpus):
    _, out = prepare(corpus, sets=["train_dev", "train_nodev", "train_nodup"], options=("--dev-utterances=3",))
    held_out, others = column(out / "train_dev" / "text"), column(out / "train_nodev" / "text")
    assert held_out == [f"sw02901-A_{time}" for time in ("000040-000144", "000144-000250", "000250-000300")]
    assert max(held_out) < min(others)
    assert (out / "train_nodup" / "text").read_text() == (out / "train_nodev" / "text").read_text()  # nothing 300 times


def test_the_cap_is_exact_and_even(corpus):
    lines = [f"sw2902A-ms98-a-{n:04d} {n / 100} {(n + 1) / 100} yeah" for n in range(100)]
    side = corpus / "transcripts/swb_ms98_transcriptions/29/2902/sw2902A-ms98-a-trans.text"
    side.write_text("\n".join(lines) + "\n")
    _, out = prepare(corpus, sets=["train_nodup"], options=("--dev-utterances=0", "--max-same=10"))
    kept = [name for name in column(out / "train_nodup" / "text") if name.startswith("sw02902-A")]
    assert [name[10:16] for name in kept] == [f"{10 * n + 9:06d}" for n in range(10)]


def test_one_folder_with_everything_and_an_uppercase_copy(corpus):
    _, expected = prepare(*corpus.iterdir(), options=SMALL)
    out = corpus.parent / "other"
    shutil.move(corpus / "transcripts" / "swb_ms98_transcriptions", corpus / "LDC97S62" / "SWB_MS98_TRANSCRIPTIONS")
    english = corpus / "LDC2002S09" / "hub5e_00" / "english"
    for path in list(english.iterdir()):
        path.rename(path.with_name(path.name.upper()))
    english.rename(english.with_name("ENGLISH"))
    prepare(corpus, options=SMALL, out=out)
    for path in expected.rglob("text*"):
        assert path.read_text() == (out / path.relative_to(expected)).read_text()


def test_test_sets_need_no_training_data_and_the_other_way_round(corpus, tmp_path):
    _, out = prepare(*make_eval2000(tmp_path / "e", nested=False), sets=["eval2000_swbd"])
    assert sorted(path.name for path in out.iterdir()) == ["eval2000_swbd"]
    assert {name[:3] for name in column(out / "eval2000_swbd" / "text")} == {"sw_"}
    stm = (out / "eval2000_swbd" / "stm").read_text()
    assert "\nen_" not in stm and "\nsw_4903 A" in stm and ';; LABEL "sw"' in stm
    shutil.rmtree(corpus / "LDC2002S09")
    shutil.rmtree(corpus / "LDC2002T43")
    _, out = prepare(corpus, options=SMALL)
    assert sorted(path.name for path in out.iterdir()) == ["train_dev", "train_nodup"]


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("transcripts/swb_ms98_transcriptions/sw-ms98-dict.text", "sw-ms98-dict.text is not in"),
        ("transcripts/swb_ms98_transcriptions", "stage 0 fetches it, or name its folder with --corpus_dir"),
        ("LDC2002T43", "hub5e00.english.000405.stm is not in"),
        ("LDC2002S09", "hub5e_00.pem is not in"),
        ("LDC97S62", "sw0*.sph is not in"),
    ],
)
def test_what_is_missing_is_named(corpus, gone, message):
    path = corpus / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert message in prepare(corpus, sets=["eval2000", "train_dev"], ok=False)[0]


def test_broken_lines_are_named(corpus):
    reference = corpus / "LDC2002T43/2000_hub5_eng_eval_tr/reference/hub5e00.english.000405.stm"
    lines = reference.read_text().splitlines()
    reference.write_text("\n".join([*lines, "sw_4901 A x 3.0 2.0 <O> LATE"]) + "\n")
    message, _ = prepare(corpus, sets=["eval2000"], ok=False)
    assert f"{reference}:{len(lines) + 1}: the segment ends at" in message
    pem = corpus / "LDC2002S09/hub5e_00/english/hub5e_00.pem"
    pem.write_text("sw_4901 C unknown_speaker 1.0 2.0\n")
    with pytest.raises(UserError, match=r"hub5e_00.pem:1: expected '<call> A\|B"):
        read_pem(pem)
    side = corpus / "transcripts/swb_ms98_transcriptions/29/2902/sw2902A-ms98-a-trans.text"
    side.write_text("sw2902A-ms98-a-0001 0.0\n")
    assert f"{side}:1: expected 'swNNNNA" in prepare(corpus, sets=["train_dev"], ok=False)[0]
    assert "there is no set dev" in subprocess.run(
        [sys.executable, LOCAL / "prepare.py", f"--corpus-dir={corpus}", "--data-dir=x", "--sets=dev"],
        capture_output=True,
        text=True,
    ).stderr  # fmt: skip


def test_stage_0_names_what_to_order_and_fetches_what_is_free(corpus, tmp_path):
    archive = tmp_path / "www" / "switchboard_word_alignments.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(corpus / "transcripts" / "swb_ms98_transcriptions", "swb_ms98_transcriptions")
    shutil.rmtree(corpus / "transcripts")
    folder = f"--transcripts-dir={tmp_path / 'fetched'}"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=archive.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"--url=http://127.0.0.1:{server.server_port}"
        assert "order LDC2002S09 (audio)" in run(
            "download", "--corpus-dir=/nowhere", folder, "--sets=eval2000", ok=False
        )
        assert "order LDC97S62" in run("download", "--corpus-dir=/nowhere", folder, url, ok=False)
        assert not (tmp_path / "fetched").exists()
        run("download", f"--corpus-dir={corpus}", folder, "--sets=eval2000")
        assert not (tmp_path / "fetched").exists()
        run("download", f"--corpus-dir={corpus}", folder, url)
        server.shutdown()
    assert "nothing to fetch" in run("download", f"--corpus-dir={corpus}", folder, url)
    _, out = prepare(corpus, options=(*SMALL, folder))
    assert (out / "train_nodup" / "text").exists()


def test_ids_cut_binary_floats_as_awk_does():
    assert Span("sw_4999", "A", 2.30, 4.35).id == "sw_4999-A_000229-000434"
    assert Span("sw_4999", "B", 19.99, 120.5).id == "sw_4999-B_001998-012050"


def test_segments_grow_but_not_into_each_other():
    spans = [Span("c", "A", start, end) for start, end in [(4.0, 5.0), (0.05, 1.0), (1.1, 2.0), (1.9, 3.0)]]
    times = widened([*spans, Span("c", "B", 2.0, 2.5)])
    rounded = {name: (round(start, 3), round(end, 3)) for name, (start, end) in times.items()}
    assert list(rounded.values()) == [(0.0, 1.05), (1.05, 2.0), (1.9, 3.1), (3.9, 5.1), (1.9, 2.6)]


def test_references_are_mended_as_everywhere():
    line = "sw_4999 A s 1.0 2.0 <O>  YES <B_ASIDE> ((WAIT) <e_aside>"
    assert mended(line) == "sw_4999 A s 1.0 2.0 <O>  YES  (WAIT)"


@pytest.mark.parametrize(
    ("text", "spoken", "whisper"),
    [
        ("(%HESITATION) I SEE (%HESITATION) IT", "i see it", "i see it"),
        ("WE ARE (GO-) GOING (TO)", "we are going to", "we are going"),
        ("{ IT'S / IT IS } WELL-KNOWN", "it's well known", "it's well-known"),
        ("[LAUGHTER] I- DON’T <E_ASIDE>", "don't", "i- don't"),
        ("(%HESITATION)", "", ""),
    ],
)
def test_words_of_references(text, spoken, whisper):
    assert (spoken_words(text), whisper_words(text)) == (spoken, whisper)


def test_no_copy_at_all(tmp_path):
    assert find_eval2000(CorpusTree([tmp_path])) is None
