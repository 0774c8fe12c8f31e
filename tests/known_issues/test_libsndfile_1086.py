"""MP3 files whose first frame tells a wrong length, or none: libsndfile#1086, lhotse#1250."""

import struct

import numpy as np
import pytest
from audio_helpers import bursts, mp3, without_first_frame
from kaldi_helpers import write_dir

from omni_asr.audio.reader import Audio, AudioReader
from omni_asr.audio.source import AudioError, Recording
from omni_asr.bin.combine import main as combine
from omni_asr.bin.validate import main as validate
from omni_asr.corpora.audio import probe

LOUD, QUIET = 0.3, 0.0001
RATE = 16000
FRAME = 576
"""Samples of a frame at this rate."""


def read(path, data):
    path.write_bytes(data)
    recording = Recording(str(path))
    return recording.read(0, recording.frames)


def loudness(samples):
    """Deviation in the second half of each second, since encoders delay the sound."""
    halves = samples[: len(samples) // RATE * RATE].reshape(-1, 2, RATE // 2)[:, 1]
    return list(halves.std(1))


@pytest.mark.parametrize("levels", [(LOUD, QUIET, QUIET), (QUIET, QUIET, LOUD), (0, 0, LOUD)])
def test_a_stream_without_a_first_frame_is_read_to_its_end(tmp_path, levels):
    data = without_first_frame(mp3(bursts(*levels)))
    samples = read(tmp_path / "a.mp3", data)
    assert 3 * RATE <= len(samples) <= 3 * RATE + 4 * FRAME
    assert len(samples) % FRAME == 0
    assert [level > 1000 for level in loudness(samples)] == [level > 0.1 for level in levels]
    assert probe(tmp_path / "a.mp3").seconds == len(samples) / RATE


def test_a_pipe_gives_the_same(tmp_path):
    samples = read(tmp_path / "a.mp3", without_first_frame(mp3(bursts(LOUD, QUIET))))
    recording = Recording(f"cat {tmp_path}/a.mp3 |")
    np.testing.assert_array_equal(recording.read(0, recording.frames), samples)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (44100, 1), (44100, 2)])
def test_samples_are_those_of_the_decoder_alone(tmp_path, rate, channels):
    """At a constant bitrate libsndfile's own estimate is right up to a frame."""
    soundfile = pytest.importorskip("soundfile")
    data = without_first_frame(mp3(bursts(LOUD, LOUD, rate=rate, channels=channels), rate, "CONSTANT"))
    samples = read(tmp_path / "a.mp3", data)
    alone = 32768 * soundfile.read(tmp_path / "a.mp3", dtype="float32", always_2d=True)[0][:, 0]
    shared = min(len(samples), len(alone))
    assert shared > 2 * rate
    np.testing.assert_array_equal(samples[:shared], alone[:shared])


@pytest.mark.parametrize("between", [b"", b"ID3\4\0\0\0\0\1\0" + bytes(128), bytes(range(200)) * 7])
def test_two_files_in_one_are_both_read(tmp_path, between):
    first, second = bursts(LOUD), bursts(LOUD, QUIET)
    samples = read(tmp_path / "a.mp3", mp3(first) + between + mp3(second))
    parts = [read(tmp_path / "b.mp3", mp3(part)) for part in (first, second)]
    np.testing.assert_array_equal(samples, np.concatenate(parts))


def test_a_second_file_without_a_first_frame_is_read(tmp_path):
    samples = read(tmp_path / "a.mp3", mp3(bursts(LOUD)) + without_first_frame(mp3(bursts(QUIET, LOUD))))
    assert 3 * RATE <= len(samples) <= 3 * RATE + 4 * FRAME
    assert loudness(samples)[-1] > 1000


def test_parts_are_those_of_the_whole(tmp_path):
    data = mp3(bursts(LOUD, QUIET)) + mp3(bursts(LOUD, LOUD))
    whole = read(tmp_path / "a.mp3", data)
    recording = Recording(str(tmp_path / "a.mp3"))
    for start, stop in ((3 * RATE, 4 * RATE), (2 * RATE - 50, 2 * RATE + 50), (0, 10), (2 * RATE, 2 * RATE + 10)):
        np.testing.assert_array_equal(recording.read(start, stop), whole[start:stop])


def test_streams_of_other_rates_are_named(tmp_path):
    data = mp3(bursts(LOUD)) + mp3(bursts(LOUD, rate=44100), 44100)
    with pytest.raises(AudioError, match="stream 2 of 2 in the file has 44100 Hz and 1 channels, unlike the first"):
        read(tmp_path / "a.mp3", data)


def test_tags_at_both_ends_are_not_audio(tmp_path):
    data = mp3(bursts(LOUD))
    tagged = b"ID3\4\0\0\0\0\1\0" + bytes(128) + data + b"TAG" + bytes(125)
    np.testing.assert_array_equal(read(tmp_path / "a.mp3", tagged), read(tmp_path / "b.mp3", data))


def test_frames_that_are_missing_are_named(tmp_path):
    data = mp3(bursts(LOUD, LOUD))
    last = len(data) // 2
    with pytest.raises(AudioError, match=r"truncated: the first frame promises \d+ MPEG frames, \d+ are there"):
        read(tmp_path / "a.mp3", data[:last])
    count = data.index(b"Xing") + 8
    (frames,) = struct.unpack_from(">I", data, count)
    more = data[:count] + struct.pack(">I", 3 * frames) + data[count + 4 :]
    with pytest.raises(AudioError, match=f"promises {3 * frames} MPEG frames, {frames} are there"):
        read(tmp_path / "a.mp3", more)


@pytest.mark.parametrize("strip", [False, True])
def test_a_damaged_frame_becomes_silence_with_a_warning(tmp_path, caplog, strip):
    data = mp3(bursts(LOUD, LOUD, LOUD, LOUD))
    data = without_first_frame(data) if strip else data
    whole = read(tmp_path / "a.mp3", data)
    place = data.index(data[:2], len(data) // 2)
    samples = read(tmp_path / "a.mp3", data[:place] + bytes(4) + data[place + 4 :])
    assert f"a.mp3: damaged at byte {place}: 1 MPEG frames (0.04 s) are lost" in caplog.text
    assert len(samples) == len(whole)
    np.testing.assert_array_equal(samples[: RATE * 3 // 2], whole[: RATE * 3 // 2])
    np.testing.assert_allclose(samples[-RATE:], whole[-RATE:], atol=0.1)


def test_a_lost_last_frame_is_tolerated_with_a_warning(tmp_path, caplog):
    data = mp3(bursts(LOUD, LOUD))
    whole = read(tmp_path / "a.mp3", data)
    samples = read(tmp_path / "a.mp3", data[: data.rindex(data[:2])])
    assert "truncated: 1 MPEG frames" in caplog.text
    np.testing.assert_array_equal(samples, whole[: len(samples)])
    assert len(whole) - len(samples) <= 2 * FRAME


@pytest.mark.parametrize("strip", [False, True])
def test_long_damage_is_named_with_its_byte(tmp_path, strip):
    data = mp3(bursts(*[LOUD] * 4))
    data = without_first_frame(data) if strip else data
    place = data.index(data[:2], len(data) // 3)
    with pytest.raises(AudioError, match=f"damaged at byte {place}: "):
        read(tmp_path / "a.mp3", data[:place] + bytes(len(data) // 3) + data[place + len(data) // 3 :])


def test_programs_see_the_true_length(tmp_path, capsys):
    (tmp_path / "a.mp3").write_bytes(without_first_frame(mp3(bursts(LOUD, QUIET, QUIET))))
    segments = "a r 0.5 1.5\nb r 2 3.01"
    tables = {"wav_scp": f"r {tmp_path}/a.mp3", "segments": segments, "utt2spk": "a a\nb b", "spk2utt": "a a\nb b"}
    folder = write_dir(tmp_path / "d", **tables)
    lengths = [len(audio.samples) for audio in AudioReader(folder) if isinstance(audio, Audio)]
    assert lengths == [RATE, round(1.01 * RATE)]
    whole = write_dir(tmp_path / "e", wav_scp=f"w {tmp_path}/a.mp3", utt2spk="w w", spk2utt="w w")
    combine([str(tmp_path / "f"), str(folder), str(whole)])
    seconds = probe(tmp_path / "a.mp3").seconds
    assert (tmp_path / "f/segments").read_text().splitlines()[-1] == f"w w 0 {seconds:.6f}"
    assert validate(["--no-text", "--audio", str(folder)]) == 0
    assert "1 recordings, all of which can be read to their end" in capsys.readouterr().out


def test_validate_lists_all_that_cannot_be_read(tmp_path, capsys):
    data = mp3(bursts(LOUD, LOUD))
    (tmp_path / "a.mp3").write_bytes(data[: len(data) // 2])
    (tmp_path / "b.mp3").write_bytes(data)
    tables = {
        "wav_scp": f"a {tmp_path}/a.mp3\nb {tmp_path}/b.mp3\nc {tmp_path}/c.mp3",
        "utt2spk": "a a\nb b\nc c",
        "spk2utt": "a a\nb b\nc c",
        "utt2dur": "a 2\nb 4\nc 2",
    }
    folder = write_dir(tmp_path / "d", **tables)
    assert validate(["--no-text", "--audio", str(folder)]) == 1
    lines = capsys.readouterr().err
    assert len(lines.splitlines()) == 3
    assert f"{folder}: a: truncated: the first frame promises" in lines
    assert f"{folder}: b: the audio ends at 2.000 s, but utt2dur has 4 s" in lines
    assert f"{folder}: c: No such file or directory" in lines
