"""WAV of a program that writes to a pipe has the sizes 0: kaldi#1590. Headers of other containers are alike."""

import struct

import numpy as np
import pytest
from audio_helpers import bursts, encode

from omni_asr.audio.source import AudioError, Recording

SAMPLES = bursts(0.1, 0.1)
RATE = 16000
CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST")


def read(path, data, pipe=False):
    path.write_bytes(data)
    recording = Recording(f"cat {path} |" if pipe else str(path))
    return recording.read(0, recording.frames)


def with_size(data, kind, size):
    """The file with another promise of its size; that of the whole file is then 0 or the largest, too."""
    data = bytearray(data)
    whole = 0 if size == 0 else (1 << 32) - 1
    if kind in ("WAV", "WAVEX"):
        struct.pack_into("<I", data, data.index(b"data") + 4, size)
        struct.pack_into("<I", data, 4, whole)
    elif kind == "RF64":
        struct.pack_into("<QQQ", data, data.index(b"ds64") + 8, 0, 0, 0)
    elif kind == "W64":
        struct.pack_into("<Q", data, data.index(b"data") + 16, size and (1 << 63) - 1)
    elif kind == "AIFF":
        struct.pack_into(">I", data, data.index(b"SSND") + 4, size)
    elif kind == "AU":
        struct.pack_into(">I", data, 8, size)
    elif kind == "CAF":
        struct.pack_into(">Q", data, data.index(b"data") + 4, size and (1 << 64) - 1)
    return bytes(data)


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("kind", [kind for kind in CONTAINERS if kind != "NIST"])
def test_sizes_of_streams_mean_the_end_of_the_file(tmp_path, kind, size, pipe):
    data = encode(SAMPLES, format=kind, subtype="PCM_16")
    samples = read(tmp_path / "a", with_size(data, kind, size), pipe)
    np.testing.assert_array_equal(samples, read(tmp_path / "b", data))


def test_a_wav_without_samples_is_refused(tmp_path):
    empty = encode(SAMPLES[:0], format="WAV", subtype="PCM_16")
    with pytest.raises(AudioError, match="the audio holds no samples"):
        read(tmp_path / "a.wav", empty)
    with pytest.raises(AudioError, match="the audio holds no samples"):
        read(tmp_path / "a.wav", empty + b"LIST" + struct.pack("<I", 1000) + bytes([1]) * 1000)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_files_that_were_cut_are_named(tmp_path, kind):
    data = encode(SAMPLES, format=kind, subtype="PCM_16")
    with pytest.raises(AudioError, match="truncated: the header promises 64000 bytes of samples, 34000 are there"):
        read(tmp_path / "a", data[:-30000])


@pytest.mark.parametrize("kind", CONTAINERS)
def test_samples_behind_those_of_the_header_are_named(tmp_path, kind):
    data = encode(SAMPLES, format=kind, subtype="PCM_16")
    for rest in (data[-30000:], data):
        with pytest.raises(AudioError, match=f"and {len(rest)} bytes that are not a chunk follow"):
            read(tmp_path / "a", data + rest)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_what_is_no_audio_may_follow(tmp_path, kind):
    data = encode(SAMPLES, format=kind, subtype="PCM_16")
    expected = read(tmp_path / "a", data)
    for rest in (bytes(5000), b"TAG" + bytes([7]) * 125):
        np.testing.assert_array_equal(read(tmp_path / "a", data + rest), expected)


@pytest.mark.parametrize(("kind", "form"), [("WAV", "<4sI"), ("AIFF", ">4sI"), ("CAF", ">4sQ"), ("W64", "<16sQ")])
def test_chunks_may_follow(tmp_path, kind, form):
    data = encode(SAMPLES, format=kind, subtype="PCM_16")
    counted = 24 if kind == "W64" else 0
    chunk = struct.pack(form, b"LIST", 2000 + counted) + bytes([1]) * 2000
    np.testing.assert_array_equal(read(tmp_path / "a", data + chunk + chunk), read(tmp_path / "b", data))


def test_formats_whose_cuts_are_not_seen_are_refused(tmp_path):
    with pytest.raises(AudioError, match="VOC audio may be cut unseen; read it by a pipe"):
        read(tmp_path / "a", encode(SAMPLES, format="VOC", subtype="PCM_16"))


@pytest.mark.parametrize("size", [0x7F100000, 0x90000000, 0xFFFE0000])
def test_large_files_that_were_cut_are_named(tmp_path, size):
    data = encode(SAMPLES, format="WAV", subtype="PCM_16")
    with pytest.raises(AudioError, match=f"truncated: the header promises {size} bytes"):
        read(tmp_path / "a", with_size(data, "WAV", size))


def test_the_size_of_sox_s_aiff_means_the_end_of_the_file(tmp_path):
    data = encode(SAMPLES, format="AIFF", subtype="PCM_16")
    samples = read(tmp_path / "a", with_size(data, "AIFF", 0x7F000008))
    np.testing.assert_array_equal(samples, read(tmp_path / "b", data))
