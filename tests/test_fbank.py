import numpy as np
import pytest
import soundfile

from omni_asr.audio.fbank import Fbank
from omni_asr.audio.fbank_conf import read_fbank_conf, write_fbank_conf
from omni_asr.audio.resample import resample
from omni_asr.config import FeaturesConfig
from omni_asr.errors import UserError


def by_native(samples, config):
    native = pytest.importorskip("kaldi_native_fbank", reason="kaldi-native-fbank is not installed")
    options = native.FbankOptions()
    frames, mel = options.frame_opts, options.mel_opts
    frames.samp_freq, frames.dither, frames.snip_edges = config.sample_rate, 0.0, config.snip_edges
    frames.frame_length_ms, frames.frame_shift_ms = config.frame_length_ms, config.frame_shift_ms
    frames.window_type, frames.preemph_coeff = config.window_type, config.preemphasis_coefficient
    mel.num_bins, mel.low_freq, mel.high_freq = config.num_mel_bins, config.low_freq, config.high_freq
    computer = native.OnlineFbank(options)
    computer.accept_waveform(config.sample_rate, samples)
    computer.input_finished()
    found = [computer.get_frame(index) for index in range(computer.num_frames_ready)]
    return np.stack(found) if found else np.empty((0, config.num_mel_bins), np.float32)


def noise(seconds=1.0, rate=16000, scale=1000.0):
    return np.random.default_rng(1).normal(0, scale, round(rate * seconds)).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"snip_edges": False},
        {"window_type": "hamming", "num_mel_bins": 40},
        {"window_type": "hanning", "high_freq": -400.0},
        {"window_type": "blackman", "low_freq": 64.0, "high_freq": 7600.0},
        {"window_type": "rectangular", "preemphasis_coefficient": 0.0},
        {"sample_rate": 8000, "num_mel_bins": 23},
        {"frame_length_ms": 32.0, "frame_shift_ms": 8.0},
    ],
)
def test_equals_kaldi_native_fbank_on_noise(options):
    config = FeaturesConfig(**options)
    samples = noise(3.0, config.sample_rate)
    features = Fbank(config)(samples)
    assert features.dtype == np.float32
    assert np.abs(features - by_native(samples, config)).max() < 0.02


def exact(samples):
    """Kaldi's definition with its default options, in double precision."""
    phase = 2 * np.pi * np.arange(400) / 399
    low, high = (1127 * np.log1p(hertz / 700) for hertz in (20.0, 8000.0))
    step = (high - low) / 81
    mel = 1127 * np.log1p(np.arange(257) * 16000 / 512 / 700)
    rise = (mel[:, None] - low - step * np.arange(80)) / step
    weights = np.clip(np.minimum(rise, 2 - rise), 0, None)
    weights[-1] = 0
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 400)[::160]
    frames = frames - frames.mean(1, keepdims=True)
    emphasised = np.concatenate([0.03 * frames[:, :1], frames[:, 1:] - 0.97 * frames[:, :-1]], 1)
    power = np.abs(np.fft.rfft(emphasised * (0.5 - 0.5 * np.cos(phase)) ** 0.85, 512)) ** 2
    return np.log(np.maximum(power @ weights, np.finfo(np.float32).eps))


def test_equals_kaldi_native_fbank_on_speech(speech):
    config = FeaturesConfig()
    fbank = Fbank(config)
    paths = sorted(speech.glob("LibriSpeech/**/*.flac")) + sorted(speech.glob("LJSpeech-1.1/wavs/*.wav"))[5:100:10]
    paths += sorted(speech.glob("free-spoken-digit-dataset/recordings/*.wav"))[::75]
    assert paths
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        samples = resample(samples * 32768, rate, 16000)
        features, native, truth = fbank(samples), by_native(samples, config), exact(samples)
        assert np.abs(features - truth).max() < 0.02, path
        # In single bins far below the rest of their frame, kaldi-native-fbank's own FFT rounds by up to 0.04.
        assert (np.abs(features - native) >= 0.02).sum() <= 1, path


@pytest.mark.parametrize("snip_edges", [True, False])
@pytest.mark.parametrize("length", [1, 79, 80, 159, 160, 399, 400, 401, 559, 560, 41360, 41361])
def test_number_of_frames_at_the_edges(length, snip_edges):
    config = FeaturesConfig(snip_edges=snip_edges)
    samples = noise()[:1].repeat(length) * np.linspace(-1, 1, length, dtype=np.float32) if length else noise()[:0]
    fbank = Fbank(config)
    features = fbank(samples)
    expected = by_native(samples, config)
    assert features.shape == expected.shape == (fbank.num_frames(length), 80)


def test_silence_is_the_floor():
    features = Fbank(FeaturesConfig())(np.full(4000, 1000, np.float32))
    np.testing.assert_allclose(features, np.log(np.finfo(np.float32).eps), rtol=1e-6)


def test_a_sine_peaks_in_its_band():
    fbank = Fbank(FeaturesConfig())
    low, high = (
        fbank((3000 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)).astype(np.float32)).mean(0).argmax()
        for hertz in (440, 1760)
    )
    mel = [1127 * np.log1p(hertz / 700) for hertz in (20, 440, 1760, 8000)]
    assert abs(low - (81 * (mel[1] - mel[0]) / (mel[3] - mel[0]) - 1)) <= 1
    assert abs(high - (81 * (mel[2] - mel[0]) / (mel[3] - mel[0]) - 1)) <= 1


def test_an_instance_keeps_no_state():
    fbank = Fbank(FeaturesConfig())
    first = fbank(noise(6.0))
    fbank(noise(0.5, scale=9.0))
    np.testing.assert_array_equal(fbank(noise(6.0)), first)


def test_dither_adds_noise():
    fbank = Fbank(FeaturesConfig(dither=1.0))
    assert fbank(np.zeros(4000, np.float32)).min() > -15


def test_conf_reads_kaldis_lines(tmp_path):
    path = tmp_path / "fbank.conf"
    path.write_text(
        "# options\n--num-mel-bins=40   # fewer\n\n--sample_frequency=8000.0\n--snip-edges=false\n"
        "--window-type=hamming\n"
        "--use-energy=false\n--allow-downsample=true\n--high-freq=-200\n"
    )
    config = read_fbank_conf(path)
    assert config == FeaturesConfig(
        sample_rate=8000, num_mel_bins=40, snip_edges=False, window_type="hamming", high_freq=-200.0
    )
    write_fbank_conf(tmp_path / "out.conf", config)
    assert read_fbank_conf(tmp_path / "out.conf") == config


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--num-mel-bin=40", ":2: unknown option --num-mel-bin; did you mean --num-mel-bins?"),
        ("--colour=red", ":2: unknown option --colour; known: --sample-frequency"),
        ("num-mel-bins=40", ":2: expected '--name=value'"),
        ("--num-mel-bins=40.5", ":2: --num-mel-bins must be a whole number, not '40.5'"),
        ("--snip-edges=yes", ":2: --snip-edges must be true or false, not 'yes'"),
        ("--use-energy=true", ":2: --use-energy=true is not supported; only --use-energy=false is"),
        ("--use-energy", ":2: --use-energy=true is not supported"),
        ("--window-type=round", "--window-type=round must be one of povey"),
        ("--high-freq=9000", "leave no band below 8000 Hz"),
    ],
)
def test_conf_names_what_is_wrong(tmp_path, line, message):
    path = tmp_path / "fbank.conf"
    path.write_text(f"--dither=0\n{line}\n")
    with pytest.raises(UserError) as error:
        read_fbank_conf(path)
    assert str(path) in str(error.value) and message in str(error.value)
