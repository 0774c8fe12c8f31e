"""``conf/fbank.conf``: Kaldi's ``--name=value`` lines for :class:`FeaturesConfig`."""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

from omni_asr.config import FeaturesConfig
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import read_lines

FIELDS = {
    "sample-frequency": "sample_rate",
    "num-mel-bins": "num_mel_bins",
    "frame-length": "frame_length_ms",
    "frame-shift": "frame_shift_ms",
    "window-type": "window_type",
    "preemphasis-coefficient": "preemphasis_coefficient",
    "dither": "dither",
    "low-freq": "low_freq",
    "high-freq": "high_freq",
    "snip-edges": "snip_edges",
}
"""Kaldi's option names and the fields they set."""

FIXED = {
    "use-energy": "false",
    "use-log-fbank": "true",
    "use-power": "true",
    "remove-dc-offset": "true",
    "round-to-power-of-two": "true",
    "htk-compat": "false",
    "subtract-mean": "false",
    "vtln-warp": "1.0",
}
"""Kaldi options that are understood at Kaldi's default only."""

UPSAMPLE = "allow-upsample"
"""Kaldi's permission for audio of a lower rate; it changes no feature, so it is no field: see :func:`may_upsample`."""

IGNORED = {"allow-downsample", "energy-floor", "raw-energy", "channel", "vtln-low", "vtln-high"}
"""Kaldi options without a meaning here: a higher rate is always brought down, energy is not computed."""

WINDOWS = ("povey", "hamming", "hanning", "blackman", "rectangular")


def read_fbank_conf(path: str | os.PathLike[str]) -> FeaturesConfig:
    """Read options, one a line; ``#`` starts a comment.

    Raises:
        UserError: an unknown option (the nearest is named), a bad value, or an option that is not supported.
    """
    values: dict[str, object] = {}
    for where, name, text in _options(path):
        if name in IGNORED:
            continue
        if name == UPSAMPLE:
            _boolean(where, name, text)
        elif name in FIXED:
            _check_fixed(where, name, text)
        elif name in FIELDS:
            values[FIELDS[name]] = _convert(where, name, text)
        else:
            nearest = difflib.get_close_matches(name, [*FIELDS, *FIXED, UPSAMPLE], n=1)
            hint = f"did you mean --{nearest[0]}?" if nearest else f"known: {', '.join('--' + key for key in FIELDS)}"
            raise UserError(f"{where}: unknown option --{name}; {hint}")
    config = FeaturesConfig(**values)  # type: ignore[arg-type]
    check_options(config, str(path))
    return config


def columns_of(data_dir: str | os.PathLike[str]) -> int | None:
    """Width of the features by the ``fbank.conf`` of a data directory; None where there is none."""
    path = Path(data_dir) / "fbank.conf"
    return read_fbank_conf(path).num_mel_bins if path.exists() else None


def may_upsample(path: str | os.PathLike[str]) -> bool:
    """Whether the file allows audio of a lower rate than ``--sample-frequency``, as Kaldi's ``--allow-upsample`` does.

    Raises:
        UserError: the value is neither true nor false.
    """
    return any([_boolean(where, name, text) for where, name, text in _options(path) if name == UPSAMPLE][-1:])


def _options(path: str | os.PathLike[str]) -> Iterator[tuple[str, str, str]]:
    """Place, name with dashes, and value of each option."""
    for number, line in enumerate(read_lines(path), 1):
        option = line.partition("#")[0].strip()
        if not option:
            continue
        where = f"{path}:{number}"
        if not option.startswith("--"):
            raise UserError(f"{where}: expected '--name=value', found {option!r}")
        name, equals, text = option.removeprefix("--").partition("=")
        yield where, name.strip().replace("_", "-"), text.strip() if equals else "true"


def write_fbank_conf(path: str | os.PathLike[str], config: FeaturesConfig) -> None:
    """Write every option, so that Kaldi's ``compute-fbank-feats --config`` makes the same features."""
    with atomic_write(path) as file:
        for name, field in FIELDS.items():
            value = getattr(config, field)
            file.write(f"--{name}={str(value).lower() if isinstance(value, bool) else value}\n")


def check_options(config: FeaturesConfig, where: str) -> None:
    """Reject values that give no features.

    Raises:
        UserError: names the first bad value.
    """
    nyquist = config.sample_rate / 2
    high = config.high_freq if config.high_freq > 0 else nyquist + config.high_freq
    checks = {
        f"--sample-frequency={config.sample_rate} must be positive": config.sample_rate > 0,
        f"--num-mel-bins={config.num_mel_bins} must be at least 4": config.num_mel_bins > 3,
        f"--frame-shift={config.frame_shift_ms} must be positive": config.frame_shift_ms > 0,
        f"--frame-length={config.frame_length_ms} must be positive": config.frame_length_ms > 0,
        f"--dither={config.dither} must not be negative": config.dither >= 0,
        f"--window-type={config.window_type} must be one of {', '.join(WINDOWS)}": config.window_type in WINDOWS,
        f"--low-freq={config.low_freq} and --high-freq={config.high_freq} leave no band below {nyquist:g} Hz": (
            0 <= config.low_freq < high <= nyquist
        ),
    }
    for message, passed in checks.items():
        if not passed:
            raise UserError(f"{where}: {message}")


def _check_fixed(where: str, name: str, text: str) -> None:
    expected = FIXED[name]
    same = float(text) == float(expected) if name == "vtln-warp" else text.lower() == expected
    if not same:
        raise UserError(f"{where}: --{name}={text} is not supported; only --{name}={expected} is")


def _convert(where: str, name: str, text: str) -> object:
    kind = type(getattr(FeaturesConfig, FIELDS[name]))
    if kind is bool:
        return _boolean(where, name, text)
    if kind is str:
        return text
    try:
        number = float(text)
        if kind is int and number != int(number):
            raise ValueError
        return kind(number)
    except (ValueError, OverflowError):
        words = "a whole number" if kind is int else "a number"
        raise UserError(f"{where}: --{name} must be {words}, not {text!r}") from None


def _boolean(where: str, name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UserError(f"{where}: --{name} must be true or false, not {text!r}")
    return text.lower() == "true"
