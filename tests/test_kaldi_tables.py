import pytest

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_ids, read_lines, read_table, stream_lines, write_table


def test_fields_are_separated_by_blank_or_tab_and_nothing_else(tmp_path):
    path = tmp_path / "text"
    path.write_text("u1  a b \nu2\tc\u00a0d\nu3\n", encoding="utf-8")
    assert read_table(path, may_be_empty=True) == {"u1": "a b", "u2": "c\u00a0d", "u3": ""}


def test_line_separators_of_unicode_do_not_end_a_line(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("u1 a\u2028b\x0bc\nu2 d".encode())
    assert read_lines(path) == ["u1 a\u2028b\x0bc", "u2 d"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"u1 a\nu2 \xff\n", ":2: not UTF-8"),
        (b"u1 a\nu1 b\n", ":2: 'u1' occurs a second time"),
        (b"u1 a\n\n", ":2: the line starts with a blank or is empty"),
        (b"u1 a\nu2\n", ":2: nothing follows 'u2'"),
    ],
)
def test_bad_lines_are_named(tmp_path, content, message):
    path = tmp_path / "wav.scp"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_table(path)
    assert f"{path}{message}" in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="text does not exist"):
        read_table(tmp_path / "text")


def test_written_tables_are_sorted_by_bytes(tmp_path):
    path = tmp_path / "table"
    write_table(path, {"b": "1", "B": "2", "a_1": "3", "a-1": "4", "\u00e9": "", "a1": "5"})
    assert path.read_text(encoding="utf-8").split("\n") == ["B 2", "a-1 4", "a1 5", "a_1 3", "b 1", "\u00e9", ""]
    assert read_ids(path) == ["B", "a-1", "a1", "a_1", "b", "\u00e9"]


def test_a_byte_order_mark_is_refused_or_dropped(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_bytes(b"\xef\xbb\xbfa\xef\xbb\xbf\nb\n")
    with pytest.raises(UserError, match="list.tsv:1: begins with a byte order mark; remove it"):
        read_lines(path)
    assert list(stream_lines(path, drop_mark=True)) == ["a\ufeff", "b"]
