"""Bytes of an audio file."""

import mmap

Content = bytes | mmap.mmap


def skip_id3(content: Content, position: int) -> int:
    """Skip the ID3v2 tags at a position; they come before MP3 and, rarely, FLAC."""
    while content[position : position + 3] == b"ID3" and len(content) >= position + 10:
        size = 0
        for byte in content[position + 6 : position + 10]:
            size = size << 7 | byte & 127
        has_footer = bool(content[position + 5] & 16)
        position += 10 + size + (10 if has_footer else 0)
    return position
