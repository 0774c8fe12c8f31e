"""Error counts as sclite makes them, and tables of results."""

from omni_asr.scoring.process import process_characters, process_words

__all__ = ["process_characters", "process_words"]
