"""Chained Ogg, and FLAC whose header gives another number of samples than there are."""

import io

import numpy as np
import pytest
from audio_helpers import bursts, encode

from omni_asr.audio.containers.content import BLOCK, Content
from omni_asr.audio.containers.flac import INFO, TOTAL_BITS, _crc8
from omni_asr.audio.source import AudioError, Recording

FIRST, SECOND = bursts(0.1, 0.2), bursts(0.3)
RATE = 16000
TOTAL = INFO + 10
"""Byte of a FLAC file from which eight hold, among others, the number of samples."""


def read(path, data):
    path.write_bytes(data)
    recording = Recording(str(path))
    return recording.read(0, recording.frames)


def with_total(data, total):
    fields = int.from_bytes(data[TOTAL : TOTAL + 8], "big") >> TOTAL_BITS << TOTAL_BITS
    return data[:TOTAL] + (fields | total).to_bytes(8, "big") + data[TOTAL + 8 :]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_streams_are_all_read(tmp_path, subtype):
    parts = [encode(part, format="OGG", subtype=subtype) for part in (FIRST, SECOND, FIRST)]
    whole = read(tmp_path / "a.ogg", b"".join(parts))
    np.testing.assert_array_equal(whole, np.concatenate([read(tmp_path / "b.ogg", part) for part in parts]))
    recording = Recording(f"cat {tmp_path}/a.ogg |")
    assert recording.frames == 5 * RATE
    for start, stop in ((4 * RATE, 5 * RATE), (2 * RATE - 30, 3 * RATE + 30), (0, 50)):
        np.testing.assert_allclose(recording.read(start, stop), whole[start:stop], atol=2)


def test_a_chained_stream_that_is_cut_is_named(tmp_path):
    parts = [encode(part, format="OGG", subtype="VORBIS") for part in (FIRST, SECOND)]
    cut = parts[0][: parts[0].rindex(b"OggS")]
    for data in (cut + parts[1], parts[1] + cut):
        with pytest.raises(AudioError, match="truncated: the last page of the Ogg stream is missing"):
            read(tmp_path / "a.ogg", data)


def test_a_chained_stream_of_another_rate_is_named(tmp_path):
    parts = [encode(FIRST, rate, format="OGG", subtype="VORBIS") for rate in (RATE, 44100)]
    with pytest.raises(AudioError, match="stream 2 of 2 in the file has 44100 Hz"):
        read(tmp_path / "a.ogg", b"".join(parts))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("total", [0, 20000])
def test_flac_is_read_beyond_its_header(tmp_path, total, subtype):
    data = encode(FIRST, format="FLAC", subtype=subtype)
    samples = read(tmp_path / "a.flac", with_total(data, total))
    np.testing.assert_array_equal(samples, read(tmp_path / "b.flac", data))
    recording = Recording(f"cat {tmp_path}/a.flac |")
    np.testing.assert_array_equal(recording.read(19000, 21000), samples[19000:21000])


def test_flac_whose_header_promises_more_is_named(tmp_path):
    data = encode(FIRST, format="FLAC", subtype="PCM_16")
    with pytest.raises(AudioError, match="decoding ends after 32000 of 40000 samples|decoding fails"):
        read(tmp_path / "a.flac", with_total(data, 40000))


def test_two_flac_files_in_one_are_both_read(tmp_path):
    parts = [encode(part, format="FLAC", subtype="PCM_16") for part in (FIRST, FIRST[::-1].copy(), SECOND)]
    samples = read(tmp_path / "a.flac", b"".join(parts))
    np.testing.assert_array_equal(samples, np.concatenate([read(tmp_path / "b.flac", part) for part in parts]))


def test_samples_like_a_frame_s_header_do_not_count(tmp_path):
    """Noise is coded as it is, so that samples may hold any bytes."""
    noise = np.random.default_rng(0).integers(-32768, 32767, 5 * 4096).astype(">i2")
    header = b"\xff\xf8\xc9\x08" + "\u3000".encode()
    header += bytes([_crc8(header)])
    noise[-1000:-996] = np.frombuffer(header, ">i2")
    data = encode(noise.astype(np.int16), format="FLAC", subtype="PCM_16")
    assert header in data
    np.testing.assert_array_equal(read(tmp_path / "a.flac", data), noise.astype(np.float32))
    np.testing.assert_array_equal(read(tmp_path / "a.flac", with_total(data, 0)), noise.astype(np.float32))


def test_a_file_that_is_cut_while_it_is_open_is_named(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(BLOCK * 3))
    with path.open("rb") as file:
        content = Content(file, "a", True)
        assert content[:4] == bytes(4)
        path.write_bytes(bytes(10))
        with pytest.raises(AudioError, match="the file became shorter while it was read"):
            content.find(b"OggS", BLOCK)


def test_content_is_found_across_blocks():
    data = bytes(BLOCK - 2) + b"Xing" + bytes(BLOCK) + b"Xing"
    content = Content(io.BytesIO(data), "a", False)
    assert list(content.find_all(b"Xing")) == [BLOCK - 2, 2 * BLOCK + 2]
    assert content.find(b"Xing") == BLOCK - 2 and content.find(b"Xing", BLOCK) == 2 * BLOCK + 2
    assert content[BLOCK - 4 : BLOCK + 4] == data[BLOCK - 4 : BLOCK + 4] and content[:] == data
