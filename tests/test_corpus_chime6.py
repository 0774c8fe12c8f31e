"""CHiME-6: layouts, forms of transcripts, words, the challenge's scoring, fetching, and what goes wrong."""

import functools
import http.server
import json
import shutil
import tarfile
import threading

import pytest
from corpora import chime6
from corpora.audio import write_audio
from corpora.programs import local_module, run_local, tables

from omni_asr.text.plain import plain_words

words = local_module("chime6", "words")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return chime6.make(tmp_path_factory.mktemp("chime6"))[0]


@pytest.fixture(scope="module")
def prepared(corpus):
    done = prepare(corpus, corpus.parent / "data", "--max-removed=0.9")
    assert done.returncode == 0, done.stderr
    return corpus.parent / "data"


def prepare(corpus, data, *options):
    return run_local("chime6", "prepare.py", f"--corpus-dir={corpus}", f"--data-dir={data}", *options)


def pack(corpus, folder):
    """The archives of OpenSLR 150: audio two folders deep, transcripts in a folder of the same name."""
    folder.mkdir(parents=True)
    for name in ("train", "dev", "eval"):
        with tarfile.open(folder / f"CHiME6_{name}.tar.gz", "w:gz") as tar:
            tar.add(corpus / "audio" / name, f"CHiME6_{name}/CHiME6/audio/{name}")
    with tarfile.open(folder / "CHiME6_transcriptions.tar.gz", "w:gz") as tar:
        tar.add(corpus / "transcriptions", "transcriptions/transcriptions")


def audio_aside(found):
    """Tables without the folders of the audio, which other layouts have elsewhere."""
    return {
        name: "\n".join(
            line.replace(line.rpartition("/")[0], "") if "wav.scp" in name else line for line in text.split("\n")
        )
        for name, text in found.items()
    }


def test_sessions_of_chime7_stay_where_chime6_has_them(corpus, prepared, tmp_path):
    shutil.copytree(corpus, tmp_path / "CHiME7")
    for path in ("transcriptions/{}/S19.json", "audio/{}/S19_P49.wav", "audio/{}/S19_P52.wav"):
        (tmp_path / "CHiME7" / path.format("train")).rename(tmp_path / "CHiME7" / path.format("eval"))
    done = prepare(tmp_path / "CHiME7", tmp_path / "data", "--max-removed=0.9")
    assert done.returncode == 0, done.stderr
    found, expected = audio_aside(tables(tmp_path / "data", tmp_path)), audio_aside(tables(prepared, corpus))
    for name in expected:
        if "wav.scp" not in name:
            assert found[name] == expected[name], name
    assert "S19" not in found["eval/segments"] and "S19" in found["train/segments"]


def test_transcripts_of_chime5_have_a_time_for_each_device(corpus, prepared, tmp_path):
    for source in (corpus / "transcriptions").rglob("*.json"):
        rows = json.loads(source.read_text())
        for row in rows:
            for side in ("start_time", "end_time"):
                time = row[side]
                other = time.replace("0:00:", "0:01:")
                row[side] = (
                    {"original": time, "U01": other} if side == "end_time" else {"original": other, "U01": other}
                )
                if "speaker" in row:
                    row[side][row["speaker"]] = time
        path = tmp_path / "CHiME5" / source.relative_to(corpus)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    (tmp_path / "CHiME5" / "audio").symlink_to(corpus / "audio")
    done = prepare(tmp_path / "CHiME5", tmp_path / "data", "--max-removed=0.9")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "data", tmp_path / "CHiME5") == tables(prepared, corpus)
    assert "dev: times in the form of CHiME-5, of each speaker's own device" in done.stderr


def test_a_recording_with_one_channel_is_the_left_one(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "CHiME6")
    write_audio(tmp_path / "CHiME6/audio/train/S03_P09.wav", 4.0)
    done = prepare(tmp_path / "CHiME6", tmp_path / "data", "--max-removed=0.9", "--sets=train")
    assert done.returncode == 0, done.stderr
    recordings = (tmp_path / "data/train/reco2file_and_channel").read_text().splitlines()
    assert recordings[:3] == ["P09_S03.L S03_P09 A", "P09_S04.L S04_P09 A", "P09_S04.R S04_P09 B"]


def test_audio_without_transcripts_is_an_error(corpus, tmp_path):
    done = prepare(corpus / "audio", tmp_path / "data")
    assert done.returncode == 1 and f"transcriptions/*/S*.json is not in {corpus / 'audio'}" in done.stderr


@pytest.mark.parametrize(
    ("said", "scored", "whisper"),
    [
        ('Mm-, he\'s [laughs] - under: "look"?', "mm he's under look", 'Mm-, he\'s - under: "look"?'),
        ("[inaudible 0:12:03.40] and th- that’s IT;", "and th that's it", "and th- that's IT;"),
        ("Mm-hmm. Uh-huh! Hmm...", "mmhmm uh-huh hmm", "Mm-hmm. Uh-huh! Hmm"),
        ("[noise] [laughs]", "", ""),
        ("-", "", "-"),
    ],
)
def test_words(said, scored, whisper):
    assert words.scored_words(said) == scored
    assert words.whisper_words(said) == whisper


def score(data, folder, hypotheses, *options):
    folder.mkdir(parents=True, exist_ok=True)
    names = [line.split()[0] for line in (data / "text").read_text().splitlines()]
    (folder / "text").write_text("".join(f"{n} {h}".rstrip() + "\n" for n, h in zip(names, hypotheses, strict=True)))
    done = run_local("chime6", "score.sh", data, "-", folder, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_protocols(prepared, tmp_path):
    """References: mm he's under there look / nothing / it is late / mhm mmm; of eval: so-called gravy / bye now."""
    said = ["hmm he's under there look", "uh", "it's late", "mm mm"]
    assert score(prepared / "dev", tmp_path / "dev", said) == "%WER 30.00 [ 3 / 10, 1 ins, 1 del, 1 sub ] glm"
    assert "Scoring regime: glm" in (tmp_path / "dev/wer").read_text()
    whisper = score(prepared / "dev", tmp_path / "dev", said, "--regime", "whisper")
    assert whisper == "%WER 0.00 [ 0 / 8, 0 ins, 0 del, 0 sub ] whisper"  # nothing is left of two references
    assert len((tmp_path / "dev/scoring_whisper/dropped_utts").read_text().split()) == 2
    said = ["so called gravy", "[laughs] bye"]
    assert score(prepared / "eval", tmp_path / "eval", said) == "%WER 25.00 [ 1 / 4, 0 ins, 1 del, 0 sub ] glm"


def test_mm_hmm_is_one_word_to_the_challenge_and_two_in_texts(tmp_path):
    assert words.scored_words("Mm-hmm. Uh-huh!") == "mmhmm uh-huh"
    assert plain_words(words.said_words("Mm-hmm. Uh-huh!")) == "mm hmm uh huh"
    data = tmp_path / "data"
    data.mkdir()
    for name, said in {"text": "mm hmm uh huh", "text_glm": "mmhmm uh-huh", "text_whisper": "Mm-hmm. Uh-huh!"}.items():
        (data / name).write_text(f"a-1 {said}\na-2 yes\n")
    (data / "utt2spk").write_text("a-1 a\na-2 a\n")
    for said in ("mm hmm uh huh", "mmhmm uh-huh", "Mm-hmm. Uh-huh!"):
        plain = said.lower().translate(str.maketrans("", "", ".!"))
        assert score(data, tmp_path / "d", [plain, "yes"]) == "%WER 0.00 [ 0 / 3, 0 ins, 0 del, 0 sub ] glm"
    whisper = score(data, tmp_path / "d", ["mm hmm uh huh", "yes"], "--regime", "whisper")
    assert whisper.startswith("%WER 0.00 [ 0 / ")


def test_a_copy_of_the_tests_alone(corpus, tmp_path):
    for kind in ("audio", "transcriptions"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "eval").symlink_to(corpus / kind / "eval")
    done = prepare(tmp_path, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["eval"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("[]", ["--sets=test"], "--sets: there is no set test; there are train, dev, eval"),
        (None, ["--sets=eval"], "transcriptions/eval/S21.json is not in"),
        ('[{"words": ', ["--sets=eval"], "S21.json is not JSON (Expecting value"),
        ('{"words": "a"}', ["--sets=eval"], "S21.json: expected a list of utterances"),
        ('[{"words": "a", "speaker": "P45"}]', ["--sets=eval"], "S21.json: utterance 1: time 'None' is not a number"),
        ('[{"words": "a"}]', ["--sets=eval"], "eval: 1 of 2 utterances are lost"),
    ],
)
def test_errors_in_one_line(corpus, tmp_path, content, options, message):
    (tmp_path / "audio").symlink_to(corpus / "audio")
    shutil.copytree(corpus / "transcriptions/eval", tmp_path / "transcriptions/eval")
    path = tmp_path / "transcriptions/eval/S21.json"
    path.unlink() if content is None else path.write_text(content)
    done = prepare(tmp_path, tmp_path / "data", *options)
    assert done.returncode and message in done.stderr.splitlines()[-1]


@pytest.fixture
def server(corpus, tmp_path):
    pack(corpus, tmp_path / "site")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(self.path)

    asked = []
    handler = functools.partial(Handler, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


def test_it_fetches_what_is_missing_once_and_reads_it(server, corpus, prepared, tmp_path):
    url, asked = server
    fetch = ["download.py", f"--corpus-dir={tmp_path / 'corpus'}", f"--url={url}", "--sets=dev", "--sets=eval"]
    done = run_local("chime6", *fetch)
    assert done.returncode == 0, done.stderr
    assert asked == [f"/CHiME6_{name}.tar.gz" for name in ("dev", "eval", "transcriptions")]
    done = run_local("chime6", *fetch)
    assert "nothing to fetch" in done.stdout and len(asked) == 3
    (tmp_path / "corpus/.archives").mkdir()  # as if unpacking had been interrupted
    shutil.copy(tmp_path / "site/CHiME6_dev.tar.gz", tmp_path / "corpus/.archives")
    (tmp_path / "corpus/.unpacked/CHiME6_dev.tar.gz").unlink()
    (tmp_path / "corpus/CHiME6_dev/CHiME6/audio/dev/S02_P06.wav").unlink()
    done = run_local("chime6", *fetch)
    assert done.returncode == 0 and len(asked) == 3, done.stderr
    done = prepare(tmp_path / "corpus", tmp_path / "data", "--sets=dev", "--sets=eval", "--max-removed=0.9")
    assert done.returncode == 0, done.stderr
    expected = {name: text for name, text in tables(prepared, corpus).items() if not name.startswith("train")}
    assert audio_aside(tables(tmp_path / "data", tmp_path)) == audio_aside(expected)
