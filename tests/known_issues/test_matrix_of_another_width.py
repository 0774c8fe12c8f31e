"""Features whose matrix has another number of columns than the others.

One column was spread over all bins by broadcasting, any other number ended in a traceback.
"""

import re

import pytest
from manifest_helpers import BINS, write_features

from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.features import features_of
from omni_asr.errors import UserError
from omni_asr.features.check import matrix_faults
from omni_asr.features.cmvn import compute_cmvn
from omni_asr.kaldi.ark import ArkWriter, read_matrix
from omni_asr.kaldi.tables import read_table


@pytest.fixture(params=[1, BINS - 1])
def folder(request, tmp_path):
    """A directory whose first utterance has fewer columns."""
    folder = write_features(tmp_path / "d")
    with ArkWriter(folder / "x.ark", folder / "feats.scp") as write:
        for number, (key, value) in enumerate(read_table(folder / "feats.scp").items()):
            write(key, read_matrix(value)[:, : BINS if number else request.param].copy())
    (folder / "fbank.conf").write_text(f"--num-mel-bins={BINS}\n")
    return folder, f"{request.param} columns where {BINS} should be"


def test_it_is_refused_by_everything_that_reads_features(folder, tmp_path):
    folder, fault = folder
    utterances = UtteranceSet(folder, None)
    assert features_of(utterances).num_mel_bins == BINS
    for read in (utterances.load, utterances.load_bytes):
        with pytest.raises(UserError, match=f"features of u000-0: .*: {fault}"):
            read(0)
    assert utterances.load(1).shape[1] == BINS
    with pytest.raises(UserError, match=f"features of u000-0: .*: {fault}"):
        compute_cmvn(folder, tmp_path / "cmvn.ark")
    faults = list(matrix_faults(folder))
    assert len(faults) == 1 and re.search(f"feats.scp:1: features of 'u000-0': .*: {fault}$", faults[0])


def test_without_a_configuration_the_first_matrix_gives_the_width(folder, tmp_path):
    folder, _ = folder
    (folder / "fbank.conf").unlink()
    faults = list(matrix_faults(folder))
    assert len(faults) == 3 * 7 - 1 and "feats.scp:2: features of 'u000-1': " in faults[0]
    with pytest.raises(UserError, match=f"features of u000-1: .*: {BINS} columns where"):
        UtteranceSet(folder, None).load(1)
    with pytest.raises(UserError, match=f"features of u000-1: .*: {BINS} columns where"):
        compute_cmvn(folder, tmp_path / "cmvn.ark")


def test_a_length_that_differs_from_the_table_is_named(tmp_path):
    folder = write_features(tmp_path / "d")
    lines = (folder / "utt2num_frames").read_text().splitlines()
    lines[4] = f"{lines[4].split()[0]} 9"
    (folder / "utt2num_frames").write_text("\n".join(lines) + "\n")
    faults = list(matrix_faults(folder))
    assert len(faults) == 1
    assert re.search(r"feats.scp:5: features of 'u001-1': .* frames where utt2num_frames has 9$", faults[0])
