"""True lengths of audio files: how much a file holds, whatever its header says.

Each module knows one family of containers. ``streams`` returns the files that libsndfile is to read one after the other
instead of the given one, so that it reads all of the audio; none where it does so with the file itself.
"""

from omni_asr.audio.containers import flac, mpeg, ogg, pcm
from omni_asr.audio.containers.content import Content, skip_id3


def streams(content: Content) -> list[bytes]:
    """Files that libsndfile reads to their ends, where it would not read this one to its end; mostly none.

    Raises:
        AudioError: the file does not hold what its header promises, in one line.
    """
    if content[:4] in pcm.MAGICS:
        return pcm.streams(content)
    if content[:4] == ogg.MAGIC:
        return ogg.streams(content)
    start = skip_id3(content, 0)
    if content[start : start + 4] == flac.MAGIC:
        return flac.streams(content)
    return mpeg.streams(content) if start or mpeg.is_frame(content) else []
