"""One absurd sample in a float WAV, from https://github.com/Plachtaa/seed-vc/pull/108.

Its power overflows, and all features of the utterance, the statistics of the set and every loss become nan.
"""

import numpy as np
import pytest
import soundfile
from kaldi_helpers import write_dir

from omni_asr.audio import make_fbank as program
from omni_asr.audio.fbank import Fbank
from omni_asr.audio.make_fbank import make_fbank
from omni_asr.audio.source import LARGEST_SAMPLE, AudioError, Recording
from omni_asr.config import FeaturesConfig
from omni_asr.kaldi.ark import read_ark
from omni_asr.kaldi.matrix import feature_fault
from omni_asr.kaldi.tables import read_table

RATE = 16000


def write_recording(path, value):
    samples = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    samples[5000] = value
    soundfile.write(path, samples, RATE, subtype="FLOAT")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3e20, "a sample of 3e+20, where audio in floats lies within -1 and 1: the file is damaged"),
        (-1e15, "a sample of -1e+15, where audio in floats lies within -1 and 1: the file is damaged"),
        (np.nan, "a sample is not a finite number"),
        (-np.inf, "a sample is not a finite number"),
    ],
)
def test_the_utterance_is_listed_as_failed_and_the_others_keep_their_features(tmp_path, value, reason):
    write_recording(tmp_path / "a.wav", value)
    write_recording(tmp_path / "b.wav", 1.0)
    data = write_dir(tmp_path / "data", wav_scp=f"a {tmp_path}/a.wav\nb {tmp_path}/b.wav", utt2spk="a a\nb b")
    assert make_fbank(data, tmp_path / "fb", FeaturesConfig()) == (1, 1)
    assert read_table(tmp_path / "fb.failed") == {"a": reason}
    ((utterance, features),) = read_ark(tmp_path / "fb.ark")
    assert utterance == "b" and np.isfinite(features).all()


def test_features_that_are_not_finite_are_not_written(tmp_path, monkeypatch):
    write_recording(tmp_path / "a.wav", 1.0)
    data = write_dir(tmp_path / "data", wav_scp=f"a {tmp_path}/a.wav", utt2spk="a a")
    monkeypatch.setattr(program.Fbank, "__call__", lambda self, samples: np.full((98, 80), np.inf, np.float32))
    assert make_fbank(data, tmp_path / "fb", FeaturesConfig()) == (0, 1)
    assert read_table(tmp_path / "fb.failed") == {"a": "a value is not a finite number"}


def test_samples_up_to_the_limit_have_finite_features(tmp_path):
    """Integers of 32 bits, which some programs write into float files as they are."""
    noise = np.random.default_rng(0).uniform(-LARGEST_SAMPLE, LARGEST_SAMPLE, RATE).astype(np.float32)
    noise[:400] = LARGEST_SAMPLE * np.sign(np.sin(np.arange(400)))
    soundfile.write(tmp_path / "a.wav", noise, RATE, subtype="FLOAT")
    samples = Recording(str(tmp_path / "a.wav")).read(0, RATE)
    assert feature_fault(Fbank(FeaturesConfig())(samples), 80) == ""
    soundfile.write(tmp_path / "a.wav", np.nextafter(2 * noise, np.inf), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="the file is damaged"):
        Recording(str(tmp_path / "a.wav")).read(0, RATE)
