"""tools/install_sph2pipe.sh, with a stand-in for the sources of sph2pipe and no network."""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "install_sph2pipe.sh"
GOOD = '#include <stdio.h>\nmain() { printf("Usage: sph2pipe infile\\n"); return 1; }\n'
pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")


def archive(folder, source=GOOD, name="sph2pipe.c"):
    """An archive of sources like the real one; its URL and checksum."""
    sources = folder / "sph2pipe_v2.5"
    sources.mkdir()
    (sources / name).write_text(source)
    path = folder / "sph2pipe_v2.5.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(sources, sources.name)
    return f"file://{path}", hashlib.sha256(path.read_bytes()).hexdigest()


def install(folder, url, checksum, **environment):
    command = [SCRIPT, "--prefix", folder / "made", f"--url={url}", "--sha256", checksum]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)


def test_it_compiles_once(tmp_path):
    url, checksum = archive(tmp_path)
    done = install(tmp_path, url, checksum)
    assert done.returncode == 0, done.stderr
    program = tmp_path / "made" / "bin" / "sph2pipe"
    assert "Usage" in subprocess.run([program], capture_output=True, text=True).stdout
    shutil.rmtree(tmp_path / "sph2pipe_v2.5")
    (tmp_path / "sph2pipe_v2.5.tar.gz").unlink()
    again = install(tmp_path, url, checksum)
    assert again.returncode == 0 and "is there and works, nothing to do" in again.stdout
    program.write_text("not a program\n")
    assert "cannot fetch" in install(tmp_path, url, checksum).stderr


@pytest.mark.parametrize(
    ("sources", "change", "message"),
    [
        ({}, {"checksum": "0" * 64}, "not 0000.*; it is not the file that is expected"),
        ({}, {"url": "file:///no/such/file.tar.gz"}, "cannot fetch file:///no/such/file.tar.gz .*give --url file"),
        ({}, {"CC": "no-such-compiler"}, "there is no C compiler 'no-such-compiler'; install one"),
        ({"source": "int main( {"}, {}, "'cc' cannot compile sph2pipe: .*error"),
        ({"source": "int main() { return 1; }"}, {}, "what 'cc' made of file://.* does not start"),
        ({"name": "other.c"}, {}, "does not hold the sources of sph2pipe"),
    ],
)
def test_failures_are_one_line(tmp_path, sources, change, message):
    url, checksum = archive(tmp_path, **sources)
    done = install(tmp_path, **{"url": url, "checksum": checksum, **change})
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "made" / "bin" / "sph2pipe").exists()


def test_options(tmp_path):
    assert "--prefix DIR" in subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    for arguments, message in ((["--no"], "unknown option --no"), (["--url"], "option --url needs a value")):
        done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)
        assert done.returncode == 1 and message in done.stderr
