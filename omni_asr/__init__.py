"""omni_asr: sparse mixture-of-experts CTC speech recognition with one router shared by all layers."""

__version__ = "0.1.0"
