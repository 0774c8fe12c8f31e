"""Rows of tables with another number of columns than their header are named, and never taken as rows."""

import gzip

import pytest

from omni_asr.corpora.delimited import MOST_LINES, read_quoted, read_tsv
from omni_asr.errors import UserError


def rows(path, *arguments):
    return [(row.line, "|".join(row.fields.values()), row.problem) for row in read_tsv(path, *arguments)]


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "a.tsv").write_bytes(text.encode())
        return tmp_path / "a.tsv"

    return write


def test_quotes_blank_lines_and_line_ends_of_windows(table):
    path = table('\ufeffid\ttext \r\n1\t"open\r\n\r\n2\tclose" \n3\t\n')
    assert rows(path, ("id", "text")) == [(2, '1|"open', ""), (4, '2|close" ', ""), (5, "3|", "")]


def test_a_tab_or_a_column_that_lacks(table):
    path = table("id\ttext\tage\n1\ta\tb\t9\n2\ta\n3\ta\t9\n4\n")
    assert rows(path, ()) == [
        (2, "1|a|b", "has 4 columns, not 3 (a.tsv:2)"),
        (3, "2|a", "has 2 columns, not 3 (a.tsv:3)"),
        (4, "3|a|9", ""),
        (5, "4", "has 1 columns, not 3 (a.tsv:5)"),
    ]


def test_a_row_that_line_feeds_break_counts_once(table):
    path = table("id\ttext\tage\n1\n2\ta\n\nb\tc\td\n\n3\ta\nb\n\nc\t9\n4\ta\nb\t9\n")
    assert rows(path, ()) == [
        (2, "1", "has 1 columns, not 3 (a.tsv:2)"),
        (3, "2|a", "has 2 columns, not 3 (a.tsv:3)"),
        (5, "b|c|d", ""),
        (7, "3|a\nb\n\nc|9", "is broken over several lines by a line feed in a field (a.tsv:7-10)"),
        (11, "4|a\nb|9", "is broken over several lines by a line feed in a field (a.tsv:11-12)"),
    ]


def test_many_short_rows_are_not_kept(table):
    count = 20 * MOST_LINES
    path = table("id\ttext\n" + "1\n" * count)
    found = rows(path, ())
    assert len(found) == count and all("has 1 columns" in problem for _, _, problem in found)


def test_a_file_without_a_header(table):
    assert rows(table("1\ta\n2\n"), (), ("id", "text")) == [(1, "1|a", ""), (2, "2", "has 1 columns, not 2 (a.tsv:2)")]


@pytest.mark.parametrize(
    ("text", "message"), [("", "a.tsv is empty"), ("id\n1\n", "a.tsv:1: there is no column text; is this a table of")]
)
def test_no_table(table, text, message):
    with pytest.raises(UserError, match=message):
        rows(table(text), ("id", "text"))


def test_quoted_fields(tmp_path):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b'id|text|age\n1|"a|b\nc ""d"""|9\n2|a|b|9\n3|a\n'))
    assert [(row.fields, row.line, row.problem) for row in read_quoted(path, ("id",), "|")] == [
        ({"id": "1", "text": 'a|b\nc "d"', "age": "9"}, 3, ""),
        ({"id": "2", "text": "a", "age": "b"}, 4, "has 4 columns, not 3 (a.tsv.gz:4)"),
        ({"id": "3", "text": "a"}, 5, "has 2 columns, not 3 (a.tsv.gz:5)"),
    ]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot be read .*; fetch it again"):
        list(read_quoted(path, ("id",), "|"))
