"""The page of errors: what it shows, hears and finds; hostile names, missing parts, and its size."""

import base64
import html
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from report_helpers import CHROMIUM, Page, browse, make_experiment

from omni_asr.analysis import errors as read
from omni_asr.analysis import errors_page
from omni_asr.bin import errors, report, run_program
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.score import score

RATE = 8000
TEXT = {"a-1": "one two three", "a-2": "four five", "b-1": "six", "b-2": "seven"}
HYPOTHESES = {"a-1": "one too three uh", "a-2": "four", "b-1": "six", "b-2": "eleven"}
SPEAKERS = {"a-1": "ann", "a-2": "ann", "b-1": "bob", "b-2": "bob"}
TIMES = {"a-1": [0.1, 0.3, 0.6, 0.8], "a-2": [0.2], "b-1": [0.1], "b-2": [0.05]}


def write_table(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} {value}\n" for key, value in table.items()), encoding="utf-8")


def write_tone(path, seconds, channels=1):
    """Every channel a constant of its own, so that one can tell which was taken."""
    samples = np.tile(0.1 * (1 + np.arange(channels, dtype=np.float32)), (round(seconds * RATE), 1))
    soundfile.write(path, samples, RATE, subtype="PCM_16")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, decode = tmp_path / "data/test", tmp_path / "exp/omni/decode_test"
    for path, table in [(data / "text", TEXT), (data / "utt2spk", SPEAKERS), (decode / "text", HYPOTHESES)]:
        write_table(path, table)
    for name in TEXT:
        write_tone(tmp_path / f"{name}.wav", 1 + int(name[-1]))
    write_table(data / "wav.scp", {name: f"{name}.wav" for name in TEXT})
    rows = [
        {"utt": name, "tokens": [f"▁{w}" for w in text.split()], "start": TIMES[name], "end": TIMES[name]}
        for name, text in HYPOTHESES.items()
    ]
    (decode / "tokens.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(data, decode, Protocol(by=["length"], train_text=data / "text"))
    return tmp_path


def run(*options, out="exp/omni/decode_test/scoring/errors.html"):
    assert run_program(errors.main, [*options, "data/test", "exp/omni/decode_test"]) == 0
    text = Path(out).read_text(encoding="utf-8")
    return text, Page(text)


def articles(text):
    """Articles by utterance, in the order of the page."""
    found = re.findall(r"<article .*?</article>", text, re.DOTALL)
    return {html.unescape(re.search(r'data-id="([^"]*)"', one)[1]): one for one in found}


def sound(article):
    """Samples and rate of an article's player."""
    data = re.search(r'src="data:audio/flac;base64,([^"]*)"', article)[1]
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


def test_refused_commands_leave_a_page_without_audio(folder, monkeypatch):
    monkeypatch.setenv("OMNI_ASR_PIPES", "")
    wav = {name: f"{name}.wav" for name in TEXT} | {"b-1": "touch marker; cat b-1.wav |"}
    write_table(folder / "data/test/wav.scp", wav)
    text, found = run("--pipes", "refuse")
    assert "data:audio" not in text and not (folder / "marker").exists()
    assert "audio: data/test/wav.scp:3: 'b-1' has a command, and commands are refused" in found.seen


def test_what_it_shows(folder, capsys):
    text, found = run()
    assert capsys.readouterr().out.strip() == "exp/omni/decode_test/scoring/errors.html"
    for expected in (
        "recognised by omni; scoring regime verbatim", "57.14 % WER", "95 %: [50.00, 60.00], over 2 speakers",
        "3 of 4 have an error", "0.00 % OOV", "length in words", "two → too", "seven → eleven", "Hardest speakers",
        "3 of 3 utterances with errors",
    ):  # fmt: skip
        assert expected in found.seen, expected
    assert list(articles(text)) == ["a-1", "b-2", "a-2"], "most errors first, then the higher rate; b-1 is right"
    assert "Not on this page" not in found.seen
    assert all(link.startswith(("#", "data:audio/flac;base64,")) for link in found.links)


def test_audio_and_times_of_words(folder):
    text, _ = run()
    shown = articles(text)
    for name, article in shown.items():
        samples, rate = sound(article)
        assert rate == 16000 and len(samples) == (1 + int(name[-1])) * 16000
        assert samples[8000] == pytest.approx(0.1, abs=1e-3)
    words = re.findall(r'<button type="button" data-from="([^"]*)">([^<]*)</button>', shown["a-1"])
    assert words == [("0.00", "one"), ("0.15", "too"), ("0.45", "three"), ("0.65", "uh")]
    assert shown["a-2"].count("<button") == 1, "a deleted word has no time"


def test_segments_channels_and_pipes(folder):
    data = folder / "data/test"
    write_tone("whole.wav", 10, channels=2)
    write_table(data / "wav.scp", {"r1": "cat whole.wav |", "r2": "whole.wav"})
    write_table(data / "segments", {"a-1": "r1 1 2.5", "a-2": "r2 3 4", "b-1": "r2 4 5", "b-2": "r2 9 20"})
    write_table(data / "reco2file_and_channel", {"r1": "whole B", "r2": "whole A"})
    text, found = run()
    shown = articles(text)
    samples, _ = sound(shown["a-1"])
    assert len(samples) == 24000 and samples[100:-100] == pytest.approx(0.2, abs=1e-3)
    assert sound(shown["a-2"])[0][8000] == pytest.approx(0.1, abs=1e-3)
    assert "<audio" not in shown["b-2"] and "No audio: the segment from 9 to 20 s ends after" in found.seen
    assert "audio of 1 of the 3 utterances: each says why" in found.seen
    assert "<button" not in shown["b-2"], "nothing to play, nothing to click"


@pytest.mark.parametrize("audio", [True, False])
def test_without_audio(folder, audio):
    if audio:
        (folder / "data/test/wav.scp").unlink()
    text, found = run(*([] if audio else ["--no-audio"]))
    assert "<audio" not in text and "<button" not in text and len(articles(text)) == 3
    assert ("audio: data/test/wav.scp does not exist" in found.seen) == audio


def test_times_of_other_words_are_not_used(folder):
    path = folder / "exp/omni/decode_test/tokens.jsonl"
    path.write_text(path.read_text().replace("too", "to").replace("eleven", "seven"))
    shown = articles(run()[0])
    assert "<button" in shown["a-2"] and "<button" not in shown["a-1"] + shown["b-2"]
    path.write_text("{}\n")
    text, found = run()
    assert "<button" not in text and "tokens.jsonl:1: expected utt, tokens" in found.seen


def test_size_is_bounded(folder, monkeypatch):
    first = re.search(r'src="(data:[^"]*)"', articles(run()[0])["a-1"])[1]
    monkeypatch.setattr(read, "AUDIO_BYTES", len(first))
    monkeypatch.setattr(errors_page, "MOST_COLUMNS", 2)
    monkeypatch.setattr(errors_page, "MOST_ROWS", 1)
    text, found = run("--most", "2")
    shown = articles(text)
    assert list(shown) == ["a-1", "b-2"] and "2 of 3 utterances with errors" in found.seen
    assert "<audio" in shown["a-1"], "the worst comes first"
    assert "<audio" not in shown["b-2"] and "No audio: the page holds" in found.seen
    assert "2 more columns are left out." in found.seen and "2 more rows are left out." in found.seen


def test_everything_is_escaped(folder):
    bad = "<script>alert(1)</script>&\"'</style>"
    name = '<b>"x"\'&amp;'
    data, decode = folder / "data/test", folder / "exp/omni/decode_test"
    write_table(data / "text", {name: f"{bad} {bad}"})
    write_table(data / "utt2spk", {name: "<i>"})
    write_table(data / "utt2kind", {name: bad})
    write_table(data / "wav.scp", {name: "<img>.wav"})
    write_table(decode / "text", {name: f"{bad}x"})
    score(data, decode, Protocol(by=["utt2kind"]))
    text, found = run()
    assert text.count("<script") == 1 and "<b>x" not in text and "<i>" not in text and "<img" not in text
    assert list(articles(text)) == [name]
    assert bad in found.seen and name in found.seen and "<img>.wav" in found.seen


def test_a_set_without_errors(folder):
    data, decode = folder / "data/test", folder / "exp/omni/decode_test"
    write_table(decode / "text", TEXT)
    score(data, decode)
    _, found = run()
    assert "All 4 utterances are right." in found.seen and "0.00 % WER" in found.seen


def test_a_group_without_reference_words(folder):
    data, decode = folder / "data/test", folder / "exp/omni/decode_test"
    write_table(data / "text", TEXT | {"b-1": ""})
    score(data, decode, Protocol(by=["length"]))
    _, found = run()
    assert "* counts: no reference word" in found.seen


def test_segments_of_an_stm(folder):
    write_tone("whole.wav", 10, channels=2)
    write_table(folder / "data/test/wav.scp", {"F-A": "whole.wav", "F-B": "whole.wav"})
    write_table(folder / "data/test/reco2file_and_channel", {"F-A": "F A", "F-B": "F B"})
    lines = ["f b ann 5 6 six", "f a ANN 0 1 IGNORE_TIME_SEGMENT_IN_SCORING", "f a ann 2 3.5 one two", "g A bob 0 1 x"]
    (folder / "stm").write_text("".join(f"{line}\n" for line in lines))
    (folder / "ctm").write_text("f A 2 0.2 one\ng A 0 0.2 y\n")
    score("data/test", "exp/omni/decode_test", Protocol(stm=Path("stm"), ctm=Path("ctm")))
    text, found = run()
    shown = articles(text)
    assert list(shown) == ["ann-001", "bob-000", "ann-000"]
    for name, seconds, level in (("ann-000", 1.5, 0.1), ("ann-001", 1, 0.2)):
        samples, rate = sound(shown[name])
        assert len(samples) == seconds * rate and samples[8000] == pytest.approx(level, abs=1e-3)
    assert "No audio: data/test has no such utterance or recording" in found.seen
    assert "bob 100.0 % 1 words" in found.seen and "<button" not in text


def test_segments_have_speakers_and_audio_in_whispers_regime_too(folder, monkeypatch):
    monkeypatch.setattr("omni_asr.scoring.rewriting.whisper_normalizer", lambda: str.lower)
    write_table(folder / "data/test/wav.scp", {"f": "a-1.wav"})
    write_table(folder / "data/test/utt2spk", {"f": "f"})
    (folder / "stm").write_text("f A ann-x 0 1 ONE\nf A ann-x 1 2 two\n")
    (folder / "ctm").write_text("f A 0.2 0.2 one\nf A 1.2 0.2 too\n")
    write_table(folder / "exp/omni/decode_test/text", {"f": "one too"})
    score("data/test", "exp/omni/decode_test", Protocol("whisper", stm=Path("stm"), ctm=Path("ctm")))
    text, found = run("--regime", "whisper", out="exp/omni/decode_test/scoring_whisper/errors.html")
    shown = articles(text)
    assert list(shown) == ["ann-x-001"] and len(sound(shown["ann-x-001"])[0]) == 16000
    assert "1 errors in 1 words, 100.0 %, ann-x" in found.seen


def test_a_foreign_table_is_named(folder):
    (folder / "exp/omni/decode_test/scoring/by_hand.md").write_text("| a | b |\n|---|---|\n| 1 | 2 |\n")
    _, found = run()
    assert "by_hand.md is no table of results; score this set again (stage 5)" in found.seen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["data/test", "exp/omni/none"], "exp/omni/none: none has no wer"),
        (
            ["data/test", "exp/omni"],
            "exp/omni is an experiment; name one of its decodings, such as exp/omni/decode_test",
        ),
        (["--most", "0", "data/test", "exp/omni/decode_test"], "--most 0: at least one utterance was expected"),
    ],
)
def test_what_is_refused(folder, capsys, options, message):
    assert run_program(errors.main, options) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_the_report_links_to_it(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    exp = make_experiment(tmp_path)
    assert run_program(errors.main, ["data/test", str(exp / "decode_test")]) == 0
    assert run_program(report.main, [str(exp), "test", "test_noisy"]) == 0
    links = Page((exp / "report/index.html").read_text(encoding="utf-8")).links
    local = [link for link in links if not link.startswith(("#", "data:"))]
    assert local == ["../decode_test/scoring/errors.html"] and (exp / "report" / local[0]).exists()


TRY = """<script>(async () => {
  const seen = [], shown = () => [...document.querySelectorAll("#worst article")].filter(a => !a.hidden);
  const set = (id, value, event) => {
    document.getElementById(id).value = value;
    document.getElementById(id).dispatchEvent(new Event(event));
    seen.push(shown().map(a => a.dataset.id).join(" "));
  };
  set("order", "rate", "change"); set("order", "id", "change"); set("find", "Two Three", "input");
  const word = shown()[0].querySelectorAll("button")[2], player = shown()[0].querySelector("audio");
  await new Promise(done => player.readyState ? done() : player.addEventListener("loadedmetadata", done));
  word.click();
  await new Promise(done => setTimeout(done, 300));
  seen.push(player.paused, player.currentTime >= 0.45, document.querySelector(".now").textContent);
  document.title = seen.join("; ");
})()</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to try the page in")
def test_sorting_finding_and_playing_in_a_browser(folder):
    text, _ = run()
    (folder / "try.html").write_text(text.replace("</body>", TRY), encoding="utf-8")
    options = ["--mute-audio", "--autoplay-policy=no-user-gesture-required", "--virtual-time-budget=8000", "--dump-dom"]
    dom = browse(folder / "try.html", folder / "browser", *options)
    title = re.search(r"<title>(.*?)</title>", dom)[1]
    assert title == "b-2 a-1 a-2; a-1 a-2 b-2; a-1; false; true; three"
