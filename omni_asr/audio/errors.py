"""The error of audio that cannot be read."""


class AudioError(Exception):
    """Audio that cannot be read, with the reason in one line."""
