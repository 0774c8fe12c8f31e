"""Channel 0 or @ in reco2file_and_channel, and --channel -1, read the last channel."""

import numpy as np
import pytest
import soundfile
from kaldi_helpers import write_dir

from omni_asr.audio.reader import AudioReader
from omni_asr.audio.source import AudioError, Recording
from omni_asr.bin.make_fbank import main as make_fbank
from omni_asr.bin.validate import main as validate
from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.scoring.decoded import files_and_channels


@pytest.fixture
def stereo(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile(np.float32([0.25, 0.5]), (16000, 1)), 16000, subtype="FLOAT")

    def make(channel):
        tables = {"wav_scp": f"a {tmp_path}/a.wav", "utt2spk": "a a", "spk2utt": "a a"}
        return write_dir(tmp_path / "d", **tables, reco2file_and_channel=f"a call {channel}")

    return make


@pytest.mark.parametrize(("channel", "value"), [("A", 0.25), ("b", 0.5), ("1", 0.25), ("2", 0.5)])
def test_names_of_channels(stereo, channel, value):
    folder = stereo(channel)
    assert validate(["--no-text", str(folder)]) == 0
    (audio,) = AudioReader(folder)
    assert audio.samples[0] == 32768 * value
    assert files_and_channels(DataDir(folder), ["a"]) == {"a": ("call", channel)}


@pytest.mark.parametrize("channel", ["0", "@", "-1", "00", "²", "é", "left", "1.0"])
def test_other_names_are_refused_with_their_line(stereo, tmp_path, capsys, channel):
    folder = stereo(channel)
    message = f"reco2file_and_channel:1: '{channel}' does not name a channel; the first is 'A' or '1'"
    programs = [
        lambda: make_fbank([str(folder), str(tmp_path / "x")]),
        lambda: files_and_channels(DataDir(folder), ["a"]),
    ]
    for program in programs:
        with pytest.raises(UserError, match=message):
            program()
    assert validate(["--no-text", str(folder)]) == 1
    assert message in capsys.readouterr().err


def test_channels_below_0_are_refused(stereo, tmp_path, capsys):
    folder = stereo("A")
    with pytest.raises(SystemExit):
        make_fbank(["--channel", "-1", str(folder), str(tmp_path / "x")])
    assert "'-1' is not the number of a channel, which count from 0" in capsys.readouterr().err
    with pytest.raises(UserError, match="channel -1 does not exist; they count from 0"):
        AudioReader(folder, channel=-1)
    with pytest.raises(AudioError, match="channel -1 asked for, but there are 2"):
        Recording(str(tmp_path / "a.wav")).read(0, 9, -1)
