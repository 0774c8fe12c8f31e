"""``conf/fbank.conf``: Kaldi's ``--name=value`` lines for :class:`FeaturesConfig`."""

import difflib
import math
import os
from collections.abc import Iterator
from pathlib import Path

from omni_asr.config import FeaturesConfig
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import read_lines
from omni_asr.read_files import shortened

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

LIMITS = {
    "sample-frequency": (1000, 384_000, "Hz"),  # no interface records faster
    "num-mel-bins": (4, 1024, "bands"),  # a frame of 25 ms at 16 kHz has 257 points of the spectrum
    "frame-length": (1, 1000, "ms"),  # speech changes many times a second
    "frame-shift": (1, 1000, "ms"),
    "preemphasis-coefficient": (0, 1, ""),  # the share of the sample before that is taken away
    "dither": (0, 32768, ""),  # samples are scaled as 16-bit integers
    "low-freq": (0, 192_000, "Hz"),
    "high-freq": (-192_000, 192_000, "Hz"),
}
"""Least and largest value of each numeric option, and its unit."""

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
    for name in LIMITS:
        _check_limits(where, name, getattr(config, FIELDS[name]))
    samples, nyquist = config.sample_rate * 0.001 * config.frame_length_ms, config.sample_rate / 2
    high = config.high_freq if config.high_freq > 0 else nyquist + config.high_freq
    checks = {
        f"--frame-length={config.frame_length_ms:g} is {samples:g} samples; at least 8 are needed": samples >= 8,
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
    if text.lower() != expected and not (name == "vtln-warp" and _is_one(text)):
        raise UserError(f"{where}: --{name}={text} is not supported; only --{name}={expected} is")


def _is_one(text: str) -> bool:
    try:
        return float(text) == 1.0
    except ValueError:
        return False


def _convert(where: str, name: str, text: str) -> object:
    kind = type(getattr(FeaturesConfig, FIELDS[name]))
    if kind is bool:
        return _boolean(where, name, text)
    if kind is str:
        return text
    try:
        number = float(text)
        if not math.isfinite(number) or kind is int and number != int(number):
            raise ValueError
    except ValueError:
        words = "a whole number" if kind is int else "a number"
        raise UserError(f"{where}: --{name} must be {words}, not {shortened(text)}") from None
    _check_limits(where, name, number)
    return kind(number)


def _check_limits(where: str, name: str, number: float) -> None:
    """Reject a number that is out of range, whatever the other options."""
    low, high, unit = LIMITS[name]
    if low <= number <= high:
        return
    milliseconds = 1000 * number
    hint = f"; did you mean {milliseconds:g}, {number:g} s?" if unit == "ms" and low <= milliseconds <= high else ""
    raise UserError(f"{where}: --{name}={number:g} must be from {low:g} to {high:g} {unit}".rstrip() + hint)


def _boolean(where: str, name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UserError(f"{where}: --{name} must be true or false, not {shortened(text)}")
    return text.lower() == "true"
