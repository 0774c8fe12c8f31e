"""espeak-ng 1.52 through ctypes, from the wheel ``espeakng-loader``: text in, samples out.

espeak-ng is licensed under the GPL version 3. Nothing but the synthesis of this recipe loads it, in processes of its
own. The library keeps its state in global variables: one instance per process, no threads.
"""

import _ctypes
import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omni_asr.errors import UserError

RETRIEVAL_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS without playing: samples go to the callback
CHARS_UTF8 = 1
RATE_WPM, VOLUME, PITCH, RANGE = 1, 2, 3, 4  # espeak_PARAMETER
QUIET = 20  # at the default volume of 100 many voices clip
POS_CHARACTER = 1


class Espeak:
    """The one espeak-ng instance of this process."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise UserError("espeak-ng is not installed: pip install espeakng-loader (or tools/install.sh)") from None
        data = espeakng_loader.get_data_path()
        self._data = str(data).encode()
        self._path = str(espeakng_loader.get_library_path())
        self._variants = {path.name for path in Path(data, "voices", "!v").iterdir()}
        self._chunks: list[NDArray[np.int16]] = []
        samples = ctypes.POINTER(ctypes.c_short)
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, samples, ctypes.c_int, ctypes.c_void_p)
        self._callback = prototype(self._receive)  # kept: the library only holds its address
        self._library = ctypes.CDLL(self._path)
        self._start(seed=0)

    def _start(self, seed: int) -> None:
        self.rate = self._library.espeak_Initialize(RETRIEVAL_SYNCHRONOUS, 0, self._data, 0)
        if self.rate <= 0:
            raise UserError(f"espeak-ng finds no voice data in {self._data.decode()}: reinstall espeakng-loader")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._library.espeak_SetSynthCallback(self._callback)

    def restart(self, seed: int) -> None:
        """Load the library afresh: what follows depends on ``seed`` alone, not on what was synthesised before.

        espeak-ng never resets its flutter and noise generators, not even in ``espeak_Terminate``.
        """
        self._library.espeak_Terminate()
        _ctypes.dlclose(self._library._handle)
        self._library = ctypes.CDLL(self._path)
        self._start(seed)

    def _receive(self, samples, count, _events) -> int:  # type: ignore[no-untyped-def]
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    def synthesise(self, text: str, voice: str, pitch: int, pitch_range: int, speed: int) -> NDArray[np.int16]:
        """Return the samples of ``text`` at ``self.rate`` Hz.

        ``voice`` is ``<accent>+<variant>``, ``pitch`` and ``pitch_range`` are 0-100 (50 is the voice's own), ``speed``
        is in words per minute. Raises ``UserError`` for an unknown voice (espeak-ng itself would fall back silently).
        """
        variant = voice.partition("+")[2]
        if (variant and variant not in self._variants) or self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UserError(f"espeak-ng has no voice {voice!r}: reinstall espeakng-loader (tools/install.sh)")
        for parameter, value in ((RATE_WPM, speed), (VOLUME, QUIET), (PITCH, pitch), (RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks = []
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int16)
