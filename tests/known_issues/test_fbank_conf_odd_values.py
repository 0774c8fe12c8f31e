"""Values of ``fbank.conf`` that gave a traceback, features of nan, or frames of no length."""

import pytest

from omni_asr.audio.fbank_conf import read_fbank_conf
from omni_asr.errors import UserError


def error_of(tmp_path, option):
    path = tmp_path / "fbank.conf"
    path.write_text(f"# Kaldi's options\n--{option}\n")
    with pytest.raises(UserError) as caught:
        read_fbank_conf(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:2: --{option.partition('=')[0]}") and "\n" not in message
    return message


@pytest.mark.parametrize(
    "option",
    [
        "vtln-warp=x", "frame-length=1e300", "frame-shift=1e300", "num-mel-bins=1e18", "sample-frequency=1e300",
        "dither=1e300", "preemphasis-coefficient=nan", "preemphasis-coefficient=1e300", "num-mel-bins=inf",
        "high-freq=-inf", "low-freq=nan", "frame-length=-25", "num-mel-bins=3", "sample-frequency=0",
    ],
)  # fmt: skip
def test_odd_values_are_refused_with_their_line(tmp_path, option):
    assert " must be " in error_of(tmp_path, option) or option == "vtln-warp=x"


@pytest.mark.parametrize("name", ["frame-length", "frame-shift"])
def test_seconds_are_recognised(tmp_path, name):
    assert error_of(tmp_path, f"{name}=0.01").endswith("must be from 1 to 1000 ms; did you mean 10, 0.01 s?")


def test_a_frame_needs_some_samples(tmp_path):
    path = tmp_path / "fbank.conf"
    path.write_text("--sample-frequency=1000\n--frame-length=2\n")
    with pytest.raises(UserError, match="is 2 samples; at least 8 are needed"):
        read_fbank_conf(path)
