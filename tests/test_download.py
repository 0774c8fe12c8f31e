"""Downloads from a server on this machine that does what servers in the wild do."""

import contextlib
import fcntl
import hashlib
import io
import logging
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from omni_asr.corpora import download, progress
from omni_asr.corpora.download import Archive, fetch, fetch_all, is_unpacked, unpack, unpack_beside, was_interrupted
from omni_asr.errors import UserError

CONTENT = bytes(range(256)) * 20_000  # 5 MB


class Server(ThreadingHTTPServer):
    """Serves CONTENT under every name, and notes what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges, self.content = [], CONTENT
        self.cuts = []  # bytes after which the next connections are cut; None: not at all
        self.answers = []  # status codes of the next answers
        self.knows_ranges, self.says_length, self.pause = True, True, 0.0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/data.bin"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if server.answers:
            return self.send_error(server.answers.pop(0))
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.knows_ranges else 0
        if start and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if server.says_length:
            self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else None
        end = len(server.content) if cut is None else start + cut
        with contextlib.suppress(ConnectionError):  # who asked was interrupted
            for first in range(start, end, 1 << 20):
                self.wfile.write(server.content[first : min(end, first + (1 << 20))])
                time.sleep(server.pause)
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.01)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def archive(server, **known):
    return Archive(server.url, **({"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()} | known))


def test_a_file_is_fetched_once(server, tmp_path):
    path = fetch(archive(server), tmp_path / "new")
    assert path == tmp_path / "new" / "data.bin" and path.read_bytes() == CONTENT
    assert fetch(archive(server), tmp_path / "new") == path
    assert server.ranges == [None]
    assert [file.name for file in path.parent.iterdir()] == ["data.bin"]


def test_cut_connections_are_gone_on_with(server, tmp_path):
    server.cuts = [3_000_000, 1_000_000]
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=3000000-", "bytes=4000000-"]


def test_as_many_cuts_as_it_takes_while_something_comes(server, tmp_path):
    server.cuts = [500_000] * 9
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert len(server.ranges) == 10


def test_a_server_that_cuts_before_the_first_byte_is_given_up(server, tmp_path):
    server.cuts = [0] * 9
    with pytest.raises(UserError, match=r"cannot be fetched \(the connection ended after 0 of 5120000 bytes\); start"):
        fetch(archive(server), tmp_path)
    assert len(server.ranges) == download.TRIES


def test_a_server_without_ranges_sends_it_all_again(server, tmp_path):
    server.knows_ranges, server.cuts = False, [2_000_000]
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=2000000-"]


def test_without_a_length_the_size_tells_that_something_is_missing(server, tmp_path):
    server.says_length, server.cuts = False, [1_000_000]
    with pytest.raises(UserError, match="has 1000000 bytes, not the 5120000"):
        fetch(archive(server), tmp_path)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("known", [{}, {"size": None}, {"size": None, "sha256": None}])
def test_a_part_that_is_complete_is_not_fetched_again(server, tmp_path, known):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert fetch(archive(server, **known), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ([] if not known else ["bytes=5120000-"])


def test_a_part_that_is_longer_than_the_file_is_begun_anew(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=5120004-", None]


def test_another_size_is_known_before_anything_is_fetched(server, tmp_path):
    with pytest.raises(UserError, match=r"data.bin has 5120000 bytes, not 7: it is not the file that is expected"):
        fetch(archive(server, size=7), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_checksum_in_capitals_and_another_for_what_is_there(server, tmp_path):
    right = Archive(server.url, sha256=hashlib.sha256(CONTENT).hexdigest().upper())
    assert fetch(right, tmp_path).read_bytes() == CONTENT
    with pytest.raises(UserError, match="has the SHA256 sum .*, not the 00 of"):
        fetch(Archive(server.url, sha256="00"), tmp_path)


def test_another_checksum_is_an_error_and_nothing_stays(server, tmp_path):
    with pytest.raises(UserError, match="has the SHA256 sum .*, not the 0123 of .*; what was fetched is removed"):
        fetch(archive(server, sha256="0123"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_and_is_another_one(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"else")
    with pytest.raises(UserError, match="has 4 bytes, not the 5120000 of .*; remove it and start again"):
        fetch(archive(server), tmp_path)
    assert server.ranges == []


def test_a_local_file_that_is_not_there_is_one_line_at_once(tmp_path, caplog):
    url = (tmp_path / "mirror/data.bin").as_uri()
    with pytest.raises(UserError, match=f"{url} cannot be fetched: .*No such file or directory.*; put the file at"):
        fetch(Archive(url), tmp_path)
    assert "another try" not in caplog.text


def test_404_is_one_line_at_once(server, tmp_path):
    server.answers = [404]
    with pytest.raises(
        UserError, match=f"{server.url} cannot be fetched: the server says 404 Not Found; put the file at {tmp_path}"
    ):
        fetch(archive(server), tmp_path)
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.answers = [503, 429]
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_nobody_answers(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 2)
    with pytest.raises(
        UserError, match=r"http://127.0.0.1:1/x cannot be fetched \(.*refused.*\); start again to go on"
    ):
        fetch(Archive("http://127.0.0.1:1/x"), tmp_path)


def test_a_full_disk_is_one_line_without_another_try(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "open", lambda *_: open("/dev/full", "wb"), raising=False)
    with pytest.raises(UserError, match="part cannot be written .No space left on device.; start again to go on"):
        fetch(archive(server), tmp_path)
    assert len(server.ranges) == 1


SCRIPT = """
import sys
from omni_asr.bin import run_program
from omni_asr.corpora.download import Archive, fetch
sys.exit(run_program(lambda argv: fetch(Archive(argv[0], int(argv[2])), argv[1]) and None, sys.argv[1:]))
"""


def start(server, folder, **how):
    command = [sys.executable, "-c", SCRIPT, server.url, str(folder), str(len(CONTENT))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, **how)


def test_ctrl_c_leaves_what_the_next_call_goes_on_with(server, tmp_path):
    server.pause = 0.5
    process = start(server, tmp_path, stderr=subprocess.PIPE, text=True)
    part, deadline = tmp_path / "data.bin.part", time.monotonic() + 20
    while not (part.exists() and part.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "Traceback" not in err and err.endswith("interrupted\n")
    have, server.pause = part.stat().st_size, 0.0
    assert 0 < have < len(CONTENT)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={have}-"]


def test_a_bar_on_a_terminal(server, tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = start(server, tmp_path, stderr=theirs)
    process.communicate(timeout=20)
    os.close(theirs)
    shown = read_all(ours)
    assert process.returncode == 0 and "100%|" in shown and "\r" in shown


def read_all(descriptor):
    """What was written into a terminal."""
    found = b""
    with contextlib.suppress(OSError), open(descriptor, "rb", buffering=0) as file:
        while piece := file.read(10_000):
            found += piece
    return found.decode()


def test_lines_of_the_log_elsewhere(server, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:2_000_000])
    with caplog.at_level(logging.INFO):
        fetch(archive(server), tmp_path)
    assert caplog.messages[0] == "data.bin: going on after 2.0 MB"
    assert all(re.fullmatch(r"data.bin: \d.\d MB of 5.1 MB, \d+ %, [\d.]+ MB/s", line) for line in caplog.messages[1:])
    assert "of 5.1 MB, 100 %" in caplog.messages[-1]


def tar(path, names, kind="w:gz"):
    with tarfile.open(path, kind) as file:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 3
            file.addfile(entry, io.BytesIO(b"abc"))
    return path


def pack_zip(path, names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "abc")
    return path


@pytest.mark.parametrize("pack", [tar, pack_zip])
def test_archives_are_unpacked_once(tmp_path, pack):
    path = pack(tmp_path / "a.archive", ["x/1.txt", "x/2.txt"])
    unpack(path, tmp_path / "out")
    assert (tmp_path / "out/x/2.txt").read_text() == "abc"
    (tmp_path / "out/x/2.txt").unlink()
    unpack(path, tmp_path / "out")
    assert not (tmp_path / "out/x/2.txt").exists()


@pytest.mark.parametrize("pack", [tar, pack_zip])
def test_a_path_that_leads_outside_is_refused(tmp_path, pack):
    path = pack(tmp_path / "a.archive", ["x/1.txt", "../evil.txt"])
    with pytest.raises(UserError, match="cannot be unpacked .*outside"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "evil.txt").exists() and not (tmp_path / "out/.unpacked").exists()


@pytest.fixture(params=["filter", "no filter"])
def python(request, monkeypatch):
    """Python as it is, and as it was before 3.11.4, whose tarfile refuses nothing."""
    if request.param == "no filter":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


@pytest.mark.parametrize(
    ("kind", "name", "target"),
    [
        (tarfile.SYMTYPE, "x", "../.."),
        (tarfile.SYMTYPE, "x/y", "/etc"),
        (tarfile.LNKTYPE, "x", "../a"),
        (tarfile.REGTYPE, "../x", ""),
        (tarfile.CHRTYPE, "x", ""),
    ],
)
def test_what_leads_outside_is_refused(tmp_path, python, kind, name, target):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        file.addfile(entry)
    with pytest.raises(UserError, match=r"cannot be unpacked .*x"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not any((tmp_path / "out").rglob("*"))


def test_files_folders_and_links_are_unpacked(tmp_path, python):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for kind, name, target, mode in [
            (tarfile.DIRTYPE, "d", "", 0o700),
            (tarfile.REGTYPE, "d/f", "", 0o4400),
            (tarfile.SYMTYPE, "d/s", "f", 0o777),
            (tarfile.LNKTYPE, "h", "d/f", 0o644),
        ]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode, entry.uid = kind, target, mode, 1234
            entry.size = 3 if kind == tarfile.REGTYPE else 0
            file.addfile(entry, io.BytesIO(b"abc") if entry.size else None)
    unpack(tmp_path / "a.tar", tmp_path / "out")
    for name in ("d/f", "d/s", "h"):
        assert (tmp_path / "out" / name).read_bytes() == b"abc"
    assert (tmp_path / "out/d/f").stat().st_mode & 0o7700 == 0o600


@pytest.mark.parametrize("keep", [0, 60])
def test_a_damaged_archive_is_one_line(tmp_path, keep):
    path = tar(tmp_path / "a.tar.gz", ["x/1.txt"])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="a.tar.gz is damaged and cannot be unpacked .*remove it") as caught:
        unpack(path, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_what_was_fetched_and_unpacked_is_not_fetched_again(server, tmp_path):
    server.content = tar(tmp_path / "a.tar", ["x/1.txt"], "w").read_bytes()
    wanted, other = Archive(server.url), tmp_path / "out/.archives/other.part"
    assert not is_unpacked(wanted, tmp_path / "out") and not was_interrupted(wanted, tmp_path / "out")
    fetch(wanted, tmp_path / "out/.archives")
    assert was_interrupted(wanted, tmp_path / "out")
    other.write_bytes(b"begun")
    fetch_all([wanted], tmp_path / "out")
    assert (tmp_path / "out/x/1.txt").exists() and is_unpacked(wanted, tmp_path / "out")
    assert [path.name for path in other.parent.iterdir()] == ["other.part"]  # another one is gone on with later
    fetch_all([wanted], tmp_path / "out")
    assert server.ranges == [None]


def test_a_disk_without_room_is_not_the_archive_s_fault(tmp_path):
    path = tar(tmp_path / "a.tar", ["x/1.txt"], "w")
    (tmp_path / "out").write_text("no folder")
    with pytest.raises(UserError, match="a.tar cannot be unpacked into .*; is there room, and may you write there"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("pack", [tar, pack_zip])
def test_beside_an_archive_things_appear_whole(tmp_path, pack):
    path = pack(tmp_path / "a.archive", ["x/1.txt", "x/2.txt"])
    (tmp_path / ".unpacking.a.archive/x").mkdir(parents=True)  # cut off
    unpack_beside(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.archive", "x"] and (tmp_path / "x/2.txt").exists()
    with pytest.raises(UserError, match="a.archive would replace .*/x; remove one of them"):
        unpack_beside(path)


def test_archives_are_kept_on_request(server, tmp_path):
    server.content = tar(tmp_path / "a.tar", ["x/1.txt"], "w").read_bytes()
    fetch_all([Archive(server.url)], tmp_path / "out", keep=True)
    assert (tmp_path / "out/.archives/data.bin").exists()
