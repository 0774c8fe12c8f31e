"""SPHERE: what headers say, and that ffmpeg, libsndfile and our own reader hear what is in the files."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from corpora.audio import shorten, tone, ulaw, write_sphere
from corpora.programs import with_sph2pipe

from omni_asr.audio.reader import AudioReader
from omni_asr.audio.source import AudioError, Recording
from omni_asr.corpora.audio import probe
from omni_asr.corpora.sphere import Sphere, is_sphere, read_sphere, sphere_pipe
from omni_asr.errors import UserError

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
SHORTEN = "pcm,embedded-shorten-v2.00"
FIELDS = {
    "channel_count -i": 1,
    "sample_count -i": 100,
    "sample_rate -i": 16000,
    "sample_n_bytes -i": 2,
    "sample_byte_format -s2": "01",
    "sample_sig_bits -i": 16,
    "sample_coding -s3": "pcm",
}


def write(path, changes=None, data=bytes(200), size=1024):
    """Write a file whose header has FIELDS with some changes; None leaves a field out."""
    fields = {name: value for name, value in (FIELDS | (changes or {})).items() if value is not None}
    lines = "".join(f"{name} {value}\n" for name, value in fields.items())
    header = f"NIST_1A\n{size:7d}\n; a remark\ndatabase_id -s4 test\n{lines}end_head\n"
    path.write_bytes(header.encode().ljust(size, b"\0") + data)
    return path


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({}, {}, Sphere(16000, 1, 100, "pcm", False)),
        ({}, {"size": 2048}, Sphere(16000, 1, 100, "pcm", False)),
        ({"channel_count -i": None, "sample_coding -s3": None}, {}, Sphere(16000, 1, 100, "pcm", False)),
        ({"sample_n_bytes -i": None}, {}, Sphere(16000, 1, 100, "pcm", False)),
        ({"channel_count -i": 2, "sample_count -i": 50}, {}, Sphere(16000, 2, 50, "pcm", False)),
        ({"sample_n_bytes -i": 1, "sample_coding -s3": "ulaw"}, {}, Sphere(16000, 1, 100, "ulaw", False)),
        ({"sample_n_bytes -i": 1, "sample_coding -s3": "mu-law"}, {}, Sphere(16000, 1, 100, "ulaw", False)),
        ({"sample_n_bytes -i": None, "sample_coding -s3": "ALAW"}, {}, Sphere(16000, 1, 100, "alaw", False)),
        ({"sample_coding -s3": SHORTEN}, {"data": b"ajkg\2..."}, Sphere(16000, 1, 100, "pcm", True)),
        ({"sample_coding -s3": "ulaw,embedded-shorten-v2.00"}, {"data": b"ajkg"}, Sphere(16000, 1, 100, "ulaw", True)),
        ({"sample_rate -i": "  8000"}, {"data": bytes(500)}, Sphere(8000, 1, 100, "pcm", False)),
    ],
)
def test_headers(tmp_path, changes, options, expected):
    path = write(tmp_path / "a.sph", changes, **options)
    assert is_sphere(path)
    assert read_sphere(path) == expected
    assert read_sphere(path).seconds == expected.samples / expected.rate


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"sample_rate -i": None}, {}, "its SPHERE header has no sample_rate"),
        ({"sample_count -i": None}, {}, "its SPHERE header has no sample_count"),
        ({"sample_rate -i": "fast"}, {}, "its SPHERE header is broken .*'fast'"),
        ({"sample_rate -i": 0}, {}, "is broken .*not positive"),
        ({"sample_count -i": -1}, {}, "is broken .*not positive"),
        ({"sample_count -i": 101}, {}, "it is truncated: 200 of 202 bytes of samples"),
        ({"channel_count -i": 2}, {}, "it is truncated: 200 of 400 bytes of samples"),
        ({}, {"data": bytes(200) + b"x" * 600}, "it has 800 bytes of samples, but 200 by its header"),
        ({"sample_coding -s3": SHORTEN}, {"data": b""}, "it is truncated, or not compressed by shorten"),
        (
            {"sample_coding -s3": "pcm,embedded-wavpack"},
            {},
            "coded as 'pcm,embedded-wavpack', which nothing here reads",
        ),
        ({"sample_coding -s3": "celp"}, {}, "coded as 'celp', which nothing here reads"),
        ({}, {"size": 512}, "it is no SPHERE file"),
    ],
)
def test_broken_headers(tmp_path, changes, options, message):
    with pytest.raises(AudioError, match=message) as error:
        read_sphere(write(tmp_path / "a.sph", changes, **options))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"RIFF....WAVEfmt ", "it is no SPHERE file"),
        (b"NIST_1A\n", "it is no SPHERE file"),
        (b"NIST_1A\n  fast \n", "it is no SPHERE file"),
        (b"NIST_1A\n   1024\nsample_rate -i 8", "its SPHERE header of 1024 bytes is truncated"),
    ],
)
def test_what_is_no_sphere_file(tmp_path, content, message):
    path = tmp_path / "a.sph"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=message):
        read_sphere(path)


def test_missing_files(tmp_path):
    assert not is_sphere(tmp_path / "no.sph")
    assert not is_sphere(tmp_path)
    for read in (read_sphere, probe):
        with pytest.raises(AudioError, match=r"No such file or directory: .*no\.sph"):
            read(tmp_path / "no.sph")


def test_probe(tmp_path):
    write_sphere(tmp_path / "a.wv1", 0.5, coding=SHORTEN)
    audio = probe(tmp_path / "a.wv1")
    assert (audio.rate, audio.channels, audio.seconds) == (16000, 1, 0.5)
    write_sphere(tmp_path / "none.sph", 0.0)
    with pytest.raises(AudioError, match="the audio holds no samples"):
        probe(tmp_path / "none.sph")


def samples_of(value):
    recording = Recording(value)
    return np.stack([recording.read(0, recording.frames, channel) for channel in range(recording.channels)], 1)


def original(seconds, rate, channels):
    return np.round(tone(seconds, rate, channels) * 32767).astype(np.int16)


@needs_ffmpeg
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("coding", ["pcm", SHORTEN])
def test_ffmpeg_decodes_16_bits_exactly(tmp_path, monkeypatch, coding, channels):
    only(monkeypatch, tmp_path, "ffmpeg")
    path = tmp_path / "it's a.sph"
    write_sphere(path, 0.7, 16000, channels, coding)
    for channel in range(channels):
        samples = samples_of(probe(path).value(channel))
        assert np.array_equal(samples[:, 0], original(0.7, 16000, channels)[:, channel])


@needs_ffmpeg
@pytest.mark.parametrize("channel", [0, 1])
def test_ffmpeg_gives_the_side_of_a_call(tmp_path, monkeypatch, channel):
    only(monkeypatch, tmp_path, "ffmpeg")
    write_sphere(tmp_path / "call.sph", 0.5, 8000, 2, "ulaw")
    samples = samples_of(probe(tmp_path / "call.sph").value(channel))
    sides = original(0.5, 8000, 2)
    assert samples.shape == (4000, 1)
    assert np.abs(samples[:, 0] - sides[:, channel]).max() < 500  # the steps of mu-law
    assert np.abs(samples[:, 0] - sides[:, 1 - channel]).max() > 5000


@needs_ffmpeg
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("shape", ["silence", "loud noise", "one sample"])
def test_shorten_of_the_fixtures_is_what_ffmpeg_expects(tmp_path, big_endian, shape):
    noise = np.random.default_rng(1).integers(-32768, 32768, (700, 2), dtype=np.int16)
    samples = {"silence": np.zeros((600, 1), np.int16), "loud noise": noise, "one sample": noise[:1]}[shape]
    path = tmp_path / "a.wv1"
    changes = {
        "channel_count -i": samples.shape[1],
        "sample_count -i": len(samples),
        "sample_coding -s3": None,
        "sample_coding -s26": SHORTEN,
        "sample_byte_format -s2": "10" if big_endian else "01",
    }
    write(path, changes, shorten(samples, big_endian))
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-"]
    decoded = subprocess.run(command, check=True, capture_output=True).stdout
    assert np.array_equal(np.frombuffer(decoded, np.int16).reshape(-1, samples.shape[1]), samples)


@needs_ffmpeg
def test_ffmpeg_does_not_decode_shortened_ulaw(tmp_path, monkeypatch):
    """It has no name for this coding; should a later one decode it, :func:`sphere_pipe` can make use of that."""
    path = tmp_path / "call.sph"
    write_sphere(path, 0.2, 8000, 2, "ulaw,embedded-shorten-v2.00")
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "wav", "-"], capture_output=True)
    assert done.returncode and b"codec none" in done.stderr
    only(monkeypatch, tmp_path, "ffmpeg")
    with pytest.raises(UserError, match=r"is compressed by shorten, and sph2pipe is not installed; tools/install_sph2"):
        probe(path).value()


@pytest.mark.skipif(not with_sph2pipe(), reason="sph2pipe is not installed (tools/install_sph2pipe.sh makes it)")
@pytest.mark.parametrize("coding", ["pcm", "ulaw", SHORTEN, "ulaw,embedded-shorten-v2.00"])
@pytest.mark.parametrize("channel", [0, 1])
def test_sph2pipe_decodes_exactly(tmp_path, monkeypatch, coding, channel):
    monkeypatch.setenv("PATH", with_sph2pipe())
    write_sphere(tmp_path / "call.sph", 0.7, 8000, 2, coding)
    expected = original(0.7, 8000, 2)[:, channel]
    value = probe(tmp_path / "call.sph").value(channel)
    assert value.startswith("sph2pipe ")
    samples = samples_of(value)[:, 0]
    if coding.startswith("ulaw"):
        samples, expected = ulaw(samples.astype(np.int16)), ulaw(expected)
    assert np.array_equal(samples, expected)


def only(monkeypatch, tmp_path, *programs):
    """Leave only some programs, and what pipes need, on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("bash", *programs):
        (folder / program).symlink_to(shutil.which(program) or "/bin/true")
    monkeypatch.setenv("PATH", str(folder))


def test_values(tmp_path, monkeypatch):
    plain, packed = Sphere(8000, 2, 10, "ulaw", False), Sphere(16000, 1, 10, "pcm", True)
    path = "/my corpus/it's.sph"
    quoted = "'/my corpus/it'\"'\"'s.sph'"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sphere_pipe(path, plain, 1) is None
    with pytest.raises(UserError, match="sph2pipe or ffmpeg is not installed; tools/install_sph2pipe.sh makes it"):
        sphere_pipe(path, packed)
    only(monkeypatch, tmp_path, "ffmpeg")
    assert sphere_pipe(path, plain, 1) == (
        f"ffmpeg -nostdin -v error -i {quoted} -af 'pan=mono|c0=c1' -f wav -c:a pcm_s16le - |"
    )
    assert sphere_pipe(path, packed) == f"ffmpeg -nostdin -v error -i {quoted} -f wav -c:a pcm_s16le - |"
    (tmp_path / "bin" / "sph2pipe").symlink_to("/bin/true")
    for sphere in (plain, packed, Sphere(8000, 2, 10, "ulaw", True)):
        assert sphere_pipe(path, sphere, 1) == f"sph2pipe -f wav -p -c 2 {quoted} |"


@pytest.mark.parametrize("coding", ["pcm", "ulaw"])
@pytest.mark.parametrize("plain", [False, True])
def test_our_reader_reads_uncompressed_files_without_a_program(tmp_path, monkeypatch, coding, plain):
    monkeypatch.setenv("PATH", os.devnull)
    path = tmp_path / "call.sph"
    write_sphere(path, 0.5, 8000, 2, coding)
    values = [probe(path).value(channel, plain) for channel in (0, 1)]
    assert values == ([str(path)] * 2 if plain else [f"sox {path} -t wav - remix {number} |" for number in (1, 2)])
    tables = {
        "wav.scp": "call-A {}\ncall-B {}\n".format(*values),
        "reco2file_and_channel": "call-A call A\ncall-B call B\n",
        "segments": "a call-A 0.1 0.3\nb call-B 0.1 0.3\n",
        "utt2spk": "a a\nb b\n",
        "text": "a x\nb x\n",
    }
    for name, content in tables.items():
        (tmp_path / name).write_text(content)
    sides = original(0.5, 8000, 2)[800:2400].astype(np.float32)
    reader = AudioReader(tmp_path, 8000)
    for channel, name in enumerate("ab"):
        samples = reader.read(name).samples
        assert np.abs(samples - sides[:, channel]).max() <= (500 if coding == "ulaw" else 0)
        assert np.abs(samples - sides[:, 1 - channel]).max() > 5000
