"""Metadata and dependencies. Tool settings are in pyproject.toml, tested versions in tools/constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
INIT = (HERE / "omni_asr/__init__.py").read_text(encoding="utf-8")

EXTRAS = {
    "mini": ["espeakng-loader>=0.2.4"],
    "report": ["matplotlib>=3.9", "tensorboard>=2.18"],
    "normalize": ["whisper-normalizer>=0.1"],
    "dev": [
        "pytest>=8",
        "pytest-xdist>=3.6",
        "hypothesis>=6.100",
        "ruff>=0.12",
        "mypy>=1.15",
        "types-PyYAML",
        "types-tqdm",
        "kaldi-native-fbank>=1.20",
    ],
}

setup(
    name="omni-asr",
    version=re.search(r'__version__ = "(.+?)"', INIT)[1],
    description="Sparse mixture-of-experts CTC speech recognition with one router shared by all layers",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
    packages=find_packages(include=["omni_asr", "omni_asr.*"]),
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.11,<2.14",
        "torchaudio>=2.11,<2.12",
        "numpy>=1.26",
        "kaldiio>=2.18",
        "soundfile>=0.12",
        "sentencepiece>=0.2",
        "pyyaml>=6",
        "jiwer>=3",
        "tqdm>=4.60",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["omni-asr = omni_asr.bin.cli:main"]},
)
