"""How the features of a data directory were made."""

from omni_asr.audio.fbank_conf import read_fbank_conf
from omni_asr.config import FeaturesConfig
from omni_asr.data.dataset import UtteranceSet
from omni_asr.errors import UserError


def features_of(utterances: UtteranceSet) -> FeaturesConfig:
    """Return the options in the directory's ``fbank.conf``; features of other tools get the defaults and their width.

    Raises:
        UserError: ``fbank.conf`` is malformed.
    """
    path = utterances.data_dir / "fbank.conf"
    if path.exists():
        return read_fbank_conf(path)
    return FeaturesConfig(num_mel_bins=utterances.columns)


def check_features(utterances: UtteranceSet, wanted: FeaturesConfig) -> None:
    """Refuse features whose options differ from the model's, or whose width does where the options are not known.

    Raises:
        UserError: naming the first option that differs.
    """
    found = features_of(utterances)
    for name, value in vars(wanted).items():
        if getattr(found, name) != value and ((utterances.data_dir / "fbank.conf").exists() or name == "num_mel_bins"):
            raise UserError(
                f"{utterances.data_dir}: features have {name} {getattr(found, name)}, but the model wants {value}; "
                f"extract them again with the model's options"
            )
