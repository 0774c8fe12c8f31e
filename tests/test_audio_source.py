import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from omni_asr.audio.source import AudioError, Recording
from omni_asr.kaldi.pipes import run_pipe

RATE = 16000
SINE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def reason(value):
    with pytest.raises(AudioError) as error:
        recording = Recording(str(value))
        recording.read(0, recording.frames)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("suffix", "options", "tolerance"),
    [
        ("wav", {"subtype": "PCM_16"}, 1),
        ("wav", {"subtype": "PCM_U8"}, 260),
        ("wav", {"subtype": "PCM_24"}, 1),
        ("wav", {"subtype": "PCM_32"}, 1),
        ("wav", {"subtype": "FLOAT"}, 0.01),
        ("wav", {"subtype": "DOUBLE"}, 0.01),
        ("wav", {"subtype": "ULAW"}, 600),
        ("wav", {"subtype": "ALAW"}, 600),
        ("flac", {"subtype": "PCM_16"}, 1),
        ("flac", {"subtype": "PCM_24"}, 1),
        ("ogg", {}, 1500),
        ("ogg", {"subtype": "OPUS"}, 3000),
        ("mp3", {}, 3000),
        ("sph", {"format": "NIST", "subtype": "PCM_16"}, 1),
        ("sph", {"format": "NIST", "subtype": "ULAW"}, 600),
    ],
)
def test_formats(tmp_path, suffix, options, tolerance):
    path = tmp_path / f"a.{suffix}"
    try:
        soundfile.write(path, SINE, RATE, **options)
    except soundfile.LibsndfileError as error:
        pytest.skip(f"this libsndfile does not write it: {error}")
    recording = Recording(str(path))
    assert (recording.rate, recording.frames, recording.channels) == (RATE, RATE, 1)
    samples = recording.read(0, RATE)
    assert samples.dtype == np.float32
    middle = slice(2000, 14000)
    assert np.abs(samples - 32768 * SINE)[middle].max() < tolerance
    for start, stop in ((3000, 5000), (5000, 5500), (100, 200)):
        np.testing.assert_allclose(recording.read(start, stop), samples[start:stop], atol=2)


@pytest.mark.parametrize("name", ["a.raw", "b.RAW"])
def test_audio_without_a_header_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(32000))
    assert "read it by a pipe such as 'sox -t raw -r 16000 " in reason(tmp_path / name)


def test_channels(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([SINE, -SINE, 0 * SINE], 1), RATE, subtype="FLOAT")
    recording = Recording(str(tmp_path / "a.wav"))
    np.testing.assert_array_equal(recording.read(0, 99, 1), -recording.read(0, 99, 0))
    with pytest.raises(AudioError, match="channel 3 asked for, but there are 3"):
        recording.read(0, 99, 3)


def test_broken_files_are_named(tmp_path):
    (tmp_path / "empty.wav").touch()
    assert reason(tmp_path / "empty.wav") == "the file is empty (0 bytes)"
    (tmp_path / "text.wav").write_text("hello")
    assert "not audio that libsndfile reads" in reason(tmp_path / "text.wav")
    assert "No such file or directory" in reason(tmp_path / "missing.wav")
    assert "Is a directory" in reason(tmp_path)
    soundfile.write(tmp_path / "none.wav", SINE[:0], RATE)
    assert reason(tmp_path / "none.wav") == "the audio holds no samples"
    bad = SINE.copy()
    bad[77] = np.nan
    soundfile.write(tmp_path / "nan.wav", bad, RATE, subtype="FLOAT")
    assert reason(tmp_path / "nan.wav") == "a sample is not a finite number"


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_truncated_files_are_named(tmp_path, suffix):
    noise = np.random.default_rng(1).normal(0, 0.1, 6 * RATE).astype(np.float32)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise, RATE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert any(word in reason(path) for word in ("truncated", "lost sync", "decoding fails"))


@pytest.mark.parametrize("options", [{}, {"subtype": "OPUS"}])
def test_parts_of_ogg_are_those_of_the_whole(tmp_path, options):
    """Libsndfile's own seek misses parts of this file."""
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(6 * RATE) / RATE * (1 + np.arange(6 * RATE) // 3200 % 5 / 5))
    soundfile.write(tmp_path / "a.ogg", tone, RATE, format="OGG", **options)
    recording = Recording(str(tmp_path / "a.ogg"))
    whole = Recording(str(tmp_path / "a.ogg")).read(0, recording.frames)
    for start in (4 * RATE, 64000, 76000, 1600, 16000, 65435, 80180, 93000):
        np.testing.assert_allclose(recording.read(start, start + 2000), whole[start : start + 2000], atol=2)


def test_ogg_that_is_cut_within_its_last_page(tmp_path):
    soundfile.write(tmp_path / "a.ogg", SINE, RATE)
    data = (tmp_path / "a.ogg").read_bytes()
    last = data.rindex(b"OggS")
    assert Recording(str(tmp_path / "a.ogg")).frames == RATE
    for size in (last + 10, last + 26, last + 30, (last + len(data)) // 2, len(data) - 1):
        (tmp_path / "a.ogg").write_bytes(data[:size])
        assert reason(tmp_path / "a.ogg").startswith("truncated") or "no samples" in reason(tmp_path / "a.ogg")


def test_compressed_sphere_gets_a_hint(tmp_path):
    header = b"NIST_1A\n   1024\nchannel_count -i 1\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    (tmp_path / "a.wv1").write_bytes(header.ljust(1024) + b"ajkg" + bytes(99))
    assert "sph2pipe" in reason(tmp_path / "a.wv1")


def test_the_good_part_of_a_broken_file_can_be_read(tmp_path):
    noise = np.random.default_rng(1).normal(0, 0.1, 6 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", noise, RATE)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    recording = Recording(str(tmp_path / "a.flac"))
    with pytest.raises(AudioError):
        recording.read(4 * RATE, 5 * RATE)
    np.testing.assert_allclose(recording.read(RATE, 2 * RATE), noise[RATE : 2 * RATE] * 32768, atol=1)


def test_pipes(tmp_path):
    soundfile.write(tmp_path / "a.flac", SINE, RATE)
    recording = Recording(f"cat {tmp_path}/a.flac |")
    assert recording.frames == RATE
    np.testing.assert_array_equal(recording.read(99, 200), Recording(str(tmp_path / "a.flac")).read(99, 200))


@pytest.mark.parametrize("tool", ["sox", "ffmpeg"])
def test_pipes_that_do_not_know_their_length(tmp_path, tool):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    soundfile.write(tmp_path / "a.flac", SINE, RATE)
    commands = {"sox": "sox -t flac - -t wav - |", "ffmpeg": "ffmpeg -loglevel error -i - -f wav - |"}
    assert Recording(f"cat {tmp_path}/a.flac | {commands[tool]}").frames == RATE


def test_failing_pipes_are_named():
    assert reason("echo oh no >&2; exit 3 |") == "the pipe fails with status 3: oh no"
    assert reason("false | cat |") == "the pipe fails with status 1"
    assert reason("true |") == "the pipe gives no output"
    assert "not audio" in reason("echo hello |")
    assert "status 127" in reason("no-such-program-here |")


def test_an_interrupted_pipe_leaves_no_process(tmp_path, root):
    script, pid = tmp_path / "run.py", tmp_path / "pid"
    command = f"(echo $BASHPID > {pid}; exec sleep 600) | cat"
    script.write_text(f"from omni_asr.kaldi.pipes import run_pipe\nrun_pipe({command!r})\n")
    environment = os.environ | {"PYTHONPATH": str(root)}
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL, env=environment)
    assert wait_for(lambda: pid.is_file() and pid.read_text().strip() != "")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    assert wait_for(lambda: not is_running(int(pid.read_text())))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_pipe_is_started_leaves_no_process(monkeypatch, number):
    """It comes when the process is there, but nobody knows it yet."""
    popen, started = subprocess.Popen, []

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        signal.raise_signal(number)
        return started[0]

    before = signal.signal(number, signal.default_int_handler)
    try:
        monkeypatch.setattr(subprocess, "Popen", start)
        with pytest.raises(KeyboardInterrupt):
            run_pipe("sleep 600")
        assert started[0].poll() == -signal.SIGKILL
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
        monkeypatch.undo()
    blocked, ignored = run_pipe("grep -E 'Sig(Blk|Ign)' /proc/self/status").decode().split()[1::2]
    mask = 1 << signal.SIGINT - 1 | 1 << signal.SIGTERM - 1
    assert not (int(blocked, 16) | int(ignored, 16)) & mask, "the command itself can be interrupted"


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc/self/stat").is_file():
        return True
    try:  # a dead process may wait for its parent to fetch its status
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_pipe_output_is_returned_whole():
    assert len(run_pipe("head -c 3000000 /dev/zero")) == 3000000


def test_entries_of_archives(tmp_path):
    ark = tmp_path / "wav.ark"
    samples = (SINE * 32767).astype(np.int16)
    with open(ark, "wb") as file:
        for key in ("u1 ", "u2 "):
            file.write(key.encode())
            place = file.tell()
            soundfile.write(buffer := io.BytesIO(), samples, RATE, format="WAV")
            file.write(buffer.getvalue())
        file.write(b"u3 \0B")
    assert Recording(f"{ark}:{place}").frames == RATE
    assert Recording(f"{ark}:3").frames == RATE
    other = str(tmp_path / "flac.ark")
    entries = {"u1": (samples, RATE), "u2": (samples[:500], RATE)}
    scp = str(tmp_path / "flac.scp")
    kaldiio.save_ark(other, entries, scp=scp, write_function="soundfile", write_kwargs={"format": "flac"})
    values = dict(line.split() for line in Path(scp).read_text().splitlines())
    assert [Recording(values[key]).frames for key in ("u1", "u2")] == [RATE, 500]
    assert "No such file" in reason(f"{tmp_path}/missing.ark:5")


def test_a_path_with_a_colon_is_a_path(tmp_path):
    soundfile.write(tmp_path / "a:12", SINE, RATE, format="WAV")
    assert Recording(str(tmp_path / "a:12")).frames == RATE
