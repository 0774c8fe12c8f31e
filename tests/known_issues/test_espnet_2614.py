"""Statistics of features with one nan, from https://github.com/espnet/espnet/issues/2614.

Everything that reads features or their statistics refuses numbers that are not finite, or no features, in one line
that names the utterance.
"""

import re

import numpy as np
import pytest
from manifest_helpers import write_features

from omni_asr.bin import run_program
from omni_asr.bin import validate as validate_program
from omni_asr.data.dataset import UtteranceSet
from omni_asr.errors import UserError
from omni_asr.features.check import matrix_faults
from omni_asr.features.cmvn import compute_cmvn, read_cmvn_stats
from omni_asr.kaldi.ark import ArkWriter, read_matrix
from omni_asr.kaldi.fix import fix
from omni_asr.kaldi.tables import read_table, write_table

BAD = [(np.nan, "a value is not a finite number"), (-np.inf, "a value is not a finite number")]
BAD += [(1e30, r"a value of 1e\+30, which no log energy reaches"), (-2000.0, "a value of -2000, which no log energy")]


def rewrite(folder, compression, change):
    """Write the features of a directory again, those of the utterance u003-0 changed."""
    matrices = {key: read_matrix(value) for key, value in read_table(folder / "feats.scp").items()}
    matrices["u003-0"] = change(matrices["u003-0"].copy())
    with np.errstate(all="ignore"), ArkWriter(folder / "x.ark", folder / "feats.scp", compression) as write:
        for key, matrix in matrices.items():
            write(key, matrix)


def with_value(value):
    def change(matrix):
        matrix[5, 2] = value
        return matrix

    return change


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("compression", [None, 2, 3, 5])
@pytest.mark.parametrize(("value", "reason"), BAD)
def test_one_value_is_refused_wherever_features_are_read(tmp_path, value, reason, compression):
    folder = write_features(tmp_path / "d")
    rewrite(folder, compression, with_value(value))
    utterances = UtteranceSet(folder, None)
    index = list(utterances.utts).index("u003-0")
    reason = reason if compression is None else r"a value (is not|of)"  # nothing but a range of it is left
    for read in (utterances.load, utterances.load_bytes):
        with pytest.raises(UserError, match=rf"features of u003-0: .*x\.ark:\d+: {reason}"):
            read(index)
    for index, utt in enumerate(utterances.utts):
        assert utt == "u003-0" or np.isfinite(utterances.load(index)).all()
    with pytest.raises(UserError, match=rf"feats\.scp: features of u003-0: .*x\.ark:\d+: {reason}"):
        compute_cmvn(folder, tmp_path / "cmvn.ark")
    assert not (tmp_path / "cmvn.ark").exists()
    faults = list(matrix_faults(folder))
    assert len(faults) == 1
    assert re.search(rf"feats\.scp:10: features of 'u003-0': .*x\.ark:\d+: {reason}", faults[0])


def test_validate_names_it(tmp_path, capsys):
    folder = write_features(tmp_path / "d")
    utts = list(read_table(folder / "text"))
    write_table(folder / "utt2spk", dict(zip(utts, utts, strict=True)))
    write_table(folder / "wav.scp", {utt: f"{utt}.wav" for utt in utts})
    fix(folder)
    assert run_program(validate_program.main, [str(folder)]) == 0
    rewrite(folder, None, with_value(np.nan))
    assert run_program(validate_program.main, [str(folder)]) == 0, "only headers are read"
    assert run_program(validate_program.main, ["--feats", str(folder)]) == 1
    assert "u003-0" in capsys.readouterr().err


@pytest.mark.parametrize("place", [(0, 3), (1, 3), (0, -1)])  # a sum, a sum of squares, the number of frames
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_statistics_with_such_a_number_are_refused(tmp_path, place, value):
    stats = np.stack([np.append(np.full(5, 200.0), 100), np.append(np.full(5, 500.0), 0)])
    with ArkWriter(tmp_path / "good.ark", compression_method=None) as write:
        write("global", stats)
    assert np.isfinite(read_cmvn_stats(tmp_path / "good.ark")).all()
    stats[place] = value
    with ArkWriter(tmp_path / "cmvn.ark", compression_method=None) as write:
        write("global", stats)
    with pytest.raises(UserError, match=r"cmvn\.ark (holds a number that is not finite, or too large|does not hold)"):
        read_cmvn_stats(tmp_path / "cmvn.ark")
