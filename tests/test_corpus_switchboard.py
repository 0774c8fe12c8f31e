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
from corpora.audio import convert
from corpora.eval2000 import make_eval2000

from omni_asr.audio.reader import AudioReader
from omni_asr.corpora.eval2000 import Span, find_eval2000, mended, read_pem, spoken_words, whisper_words, widened
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError
from omni_asr.kaldi.stm import read_stm

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
        ("WWF", "d ah b l y uw d ah b ax l y uw eh f", "w w f"),
        ("W", "d ah b ax l y uw", None),
        ("as", "ax z", None),
        ("CD'x", "s iy d iy", None),
        ("us", "ah s", None),
        ("I", "ay", None),
        ("as", "ae z", None),
    ],
)
def test_acronyms_are_pronounced_as_their_letters(word, phones, spelt):
    words = load("words")
    names = {letter: {name} for letter, name in words.LETTERS.items()}
    names["w"].add("d ah b l y uw")
    assert words.spelt_out(word, phones.split(), names) == spelt


def test_names_of_letters_are_also_those_of_the_dictionary(tmp_path):
    (tmp_path / "dict").write_text(
        "a ax\nW d ah b y uw\nz z eh d\nWZ d ah b y uw z eh d\nWA d ah b ax l y uw ey\nas ax z\n"
    )
    assert load("words").read_acronyms(tmp_path / "dict") == {"WZ": "w z", "WA": "w a"}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("so[me]thing ammu[n]ition [noise]", 2),
        ("ex[specially]-/especially] [laughter-wha[t]-] yes", 1),
        ("to[morrow]- [laughter-yes] [rowin'/rowing] <b_aside>", 0),
    ],
)
def test_words_without_their_middle_are_counted(text, count):
    assert load("words").gaps(text) == count
    assert "[" not in load("words").spoken_words(text, {})


def test_the_log_counts_words_without_their_middle(corpus):
    log, _ = prepare(corpus, sets=["train_nodup"], options=SMALL)
    assert "train_nodup: words without their middle, such as so[me]thing, were left out: 3" in log


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


def test_what_is_lost_does_not_count_for_the_first_utterances(corpus):
    """A line that is there twice, one that ends before its start, and one of which clipping leaves nothing."""
    side = corpus / "transcripts/swb_ms98_transcriptions/29/2901/sw2901A-ms98-a-trans.text"
    side.write_text("sw2901A-ms98-a-0000 5.9998 7.0 nothing is left\n" + side.read_text())
    _, out = prepare(corpus, sets=["train_dev", "train_nodev"], options=("--dev-utterances=7",))
    held_out = column(out / "train_dev" / "text")
    times = ("000040-000144", "000144-000250", "000250-000300", "000300-000340", "000340-000380", "000550-000900")
    assert held_out == [*(f"sw02901-A_{time}" for time in times), "sw02901-B_000070-000120"]
    assert (out / "train_dev/removed_in_preparation").read_text() == (
        "sw02901-A_000250-000300 occurs twice in the corpus; the first is kept\n"
    )
    assert "sw02901-A_000600-000700 is shorter than a millisecond, at 5.9998 s" in (
        (out / "train_nodev/removed_in_preparation").read_text()
    )


def test_a_validation_set_of_everything_is_an_error(corpus):
    _, out = prepare(corpus, sets=["train_dev"])
    everything = len(column(out / "train_dev" / "text"))
    said = f"train_dev takes all {everything} utterances; --dev_utterances ("
    for count, ok in ((4000, False), (everything, False), (everything - 1, True)):
        options = (f"--dev-utterances={count}",)
        message, _ = prepare(
            corpus, sets=["train_dev", "train_nodup"], options=options, ok=ok, out=corpus.parent / str(count)
        )
        assert (f"{said}{count}) must be fewer than there are" in message) != ok
        assert (corpus.parent / str(count)).exists() == ok


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


@pytest.mark.parametrize("name", ["swb_ms98_transcriptions", "transcripts of 1998"])
def test_the_folder_of_the_transcripts_may_be_named_itself(corpus, tmp_path, name):
    _, expected = prepare(*corpus.iterdir(), sets=["train_nodup"], options=SMALL)
    folder = tmp_path / name
    (corpus / "transcripts" / "swb_ms98_transcriptions").rename(folder)
    packages = [path for path in corpus.iterdir() if path.name != "transcripts"]
    _, out = prepare(*packages, folder, sets=["train_nodup"], options=SMALL, out=tmp_path / "named")
    assert (out / "train_nodup" / "text").read_text() == (expected / "train_nodup" / "text").read_text()
    told = run("download", *(f"--corpus-dir={path}" for path in [*packages, folder]), "--transcripts-dir=/nowhere")
    assert f"{folder} is there: nothing to fetch" in told


def heard(data):
    """Samples of the utterances of a set."""
    reader = AudioReader(data, 8000)
    return {name: reader.read(name).samples.tolist() for name in column(data / "utt2spk")}


def test_converted_copies(corpus):
    sets = ["train_dev", "train_nodup", "eval2000"]
    _, expected = prepare(corpus, sets=sets, options=SMALL)
    samples = {name: heard(expected / name) for name in sets}
    for path, suffix in [
        ("LDC97S62/swb1_d1/data/sw02901.sph", ".flac"),
        ("LDC2002S09/hub5e_00/english/en_4911.sph", ".wav"),
        ("LDC2002S09/hub5e_00/english/sw_4901.sph", ".FLAC"),
    ]:
        convert(corpus / path, suffix)
    (corpus / "LDC97S62/swb1_d1/data/sw02901.txt").write_text("no audio")
    _, out = prepare(corpus, sets=sets, options=SMALL, out=corpus.parent / "other")
    flac = corpus / "LDC97S62/swb1_d1/data/sw02901.flac"
    assert f"sw02901-B sox {flac} -t wav - remix 2 |\n" in (out / "train_nodup/wav.scp").read_text()
    for name in sets:
        assert (out / name / "segments").read_text() == (expected / name / "segments").read_text()
        assert heard(out / name) == samples[name]


def test_packages_that_were_unpacked_into_folders_of_their_own(corpus, tmp_path):
    for package in ("LDC2002S09", "LDC2002T43"):
        (tmp_path / "ldc" / "hub5" / package).mkdir(parents=True)
        (corpus / package).rename(tmp_path / "ldc" / "hub5" / package / package)
    _, out = prepare(tmp_path / "ldc", sets=["eval2000"])
    assert (out / "eval2000" / "text").exists()
    message, _ = prepare(corpus, sets=["eval2000"], ok=False)
    assert f"hub5e_00.pem is not in {corpus}, down to 5 folders below; order LDC2002S09" in message


def test_calls_without_audio_are_named(corpus):
    (corpus / "LDC2002S09/hub5e_00/english/en_4912.sph").unlink()
    log, _ = prepare(corpus, sets=["eval2000"])
    assert "eval2000: no audio of 3 calls: en_4912, en_4913, sw_4903; by the stm their words count as deleted" in log


def test_labels_without_a_declaration_are_declared(corpus):
    reference = corpus / "LDC2002T43/2000_hub5_eng_eval_tr/reference/hub5e00.english.000405.stm"
    text = "".join(line for line in reference.read_text().splitlines(True) if '"en-' not in line and '"M"' not in line)
    reference.write_text(text)
    log, out = prepare(corpus, sets=["eval2000"])
    assert f"{reference}: labels without a declaration, which the set's stm gets: en-F, M, en-M" in log
    labels = {label.id for label in read_stm(out / "eval2000" / "stm")[1]}
    assert labels == {"O", "en", "sw", "F", "M", "en-F", "en-M", "sw-F", "sw-M"}


def test_files_in_latin_1(corpus):
    _, expected = prepare(corpus, sets=["eval2000"])
    reference = corpus / "LDC2002T43/2000_hub5_eng_eval_tr/reference"
    for path in [*reference.glob("*.*"), corpus / "LDC2002S09/hub5e_00/english/hub5e_00.pem"]:
        path.write_text(path.read_text().replace("’", "'") + ";; à la carte\n", encoding="latin-1")
    _, out = prepare(corpus, sets=["eval2000"], out=corpus.parent / "other")
    for name in ("stm", "glm"):
        text = (expected / "eval2000" / name).read_text().replace("’", "'")
        assert (out / "eval2000" / name).read_text() == f"{text};; à la carte\n"


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
        (
            "transcripts/swb_ms98_transcriptions/sw-ms98-dict.text",
            "sw-ms98-dict.text, which lies in the folder of the MS-State transcripts (swb_ms98_transcriptions)",
        ),
        ("transcripts/swb_ms98_transcriptions", "stage 0 fetches them, or name their folder with --corpus_dir"),
        ("transcripts/swb_ms98_transcriptions/29", "but no transcript NN/NNNN/sw*-trans.text; stage 0 fetches them"),
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
    reference.write_text("\n".join([*lines, "sw_4901 A x 3.0 2,0 <O> LATE"]) + "\n")
    message, _ = prepare(corpus, sets=["eval2000"], ok=False)
    assert f"{reference}:{len(lines) + 1}: time '2,0' is not a number" in message
    reference.write_text("\n".join([*lines, "sw_4901 A x 3.0 2.0 <O> LATE"]) + "\n")
    message, out = prepare(corpus, sets=["eval2000"])
    assert f"{reference}:{len(lines) + 1}: the segment ends at 2, before it begins at 3" in message
    assert "sw_4901-A_000300-000200 ends at" in (out / "eval2000" / "removed_in_preparation").read_text()
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
        (tmp_path / "empty").mkdir()
        empty = f"--corpus-dir={tmp_path / 'empty'}"
        assert "order LDC2002S09 (audio)" in run("download", empty, folder, "--sets=eval2000", ok=False)
        assert "order LDC97S62" in run("download", empty, folder, url, ok=False)
        nowhere = run("download", empty, "--corpus-dir=/nowhere", folder, url, ok=False)
        assert "there is no folder /nowhere; --corpus_dir names where the packages are: LDC97S62, LDC2" in nowhere
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


@pytest.mark.parametrize("recipe", ["switchboard", "callhome"])
def test_the_normaliser_is_asked_for_before_training(recipe):
    text = (LOCAL.parents[1] / recipe / "run.sh").read_text()
    assert "\nregime=whisper" in text and "\nPYTHON_MODULES=whisper_normalizer" in text


def test_no_copy_at_all(tmp_path):
    assert find_eval2000(CorpusTree([tmp_path])) is None
