import ast
import importlib.util
import re
import shutil
import subprocess
import sys

import pytest

from omni_asr.audio import torchaudio_import
from omni_asr.errors import UserError


def load_tool(root, name):
    spec = importlib.util.spec_from_file_location(name, root / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fix_torchaudio(root):
    return load_tool(root, "fix_torchaudio")


@pytest.fixture(scope="module")
def check_install(root):
    return load_tool(root, "check_install")


class FakeTorchaudio:
    """A torchaudio folder whose native library loads only beside a CUDA build."""

    def __init__(self, folder, cpu_build):
        self.lib, self.aside, self.cpu_build = folder / "lib", folder / "lib_set_aside", cpu_build
        self.lib.mkdir()
        (self.lib / "__init__.py").touch()
        for name in ("_torchaudio.abi3.so", "libtorchaudio.abi3.so"):
            (self.lib / name).write_text(name)

    def imports(self):
        return not (self.cpu_build and list(self.lib.glob("*.so")))

    def native(self):
        return sorted(path.name for path in self.lib.glob("*.so"))


LIBRARIES = ["_torchaudio.abi3.so", "libtorchaudio.abi3.so"]


def test_beside_a_cpu_build_the_native_library_is_set_aside_once(fix_torchaudio, tmp_path):
    fake = FakeTorchaudio(tmp_path, cpu_build=True)
    assert "set 2 native libraries of torchaudio aside" in fix_torchaudio.fix(fake.lib, fake.aside, True, fake.imports)
    assert fake.native() == []
    assert sorted(path.name for path in fake.aside.iterdir()) == LIBRARIES
    assert (fake.lib / "__init__.py").exists()
    assert "nothing to do" in fix_torchaudio.fix(fake.lib, fake.aside, True, fake.imports)
    assert len(list(fake.aside.iterdir())) == 2


def test_a_later_cuda_build_gets_the_library_back(fix_torchaudio, tmp_path):
    fake = FakeTorchaudio(tmp_path, cpu_build=True)
    fix_torchaudio.fix(fake.lib, fake.aside, True, fake.imports)
    fake.cpu_build = False
    assert "put 2 native libraries back" in fix_torchaudio.fix(fake.lib, fake.aside, False, fake.imports)
    assert fake.native() == LIBRARIES
    assert (fake.lib / "libtorchaudio.abi3.so").read_text() == "libtorchaudio.abi3.so"
    assert not fake.aside.exists()


def test_a_later_cuda_build_that_does_not_fit_stays_without(fix_torchaudio, tmp_path):
    fake = FakeTorchaudio(tmp_path, cpu_build=True)
    fix_torchaudio.fix(fake.lib, fake.aside, True, fake.imports)
    assert "left the native libraries" in fix_torchaudio.fix(fake.lib, fake.aside, False, fake.imports)
    assert fake.native() == []
    assert fake.imports()


def test_beside_a_cuda_build_nothing_is_touched(fix_torchaudio, tmp_path):
    fake = FakeTorchaudio(tmp_path, cpu_build=False)
    assert "nothing to do" in fix_torchaudio.fix(fake.lib, fake.aside, False, lambda: False)
    assert fake.native() == LIBRARIES
    assert not fake.aside.exists()


def test_a_library_that_loads_is_left_alone(fix_torchaudio, tmp_path):
    fake = FakeTorchaudio(tmp_path, cpu_build=False)
    assert "loads" in fix_torchaudio.fix(fake.lib, fake.aside, True, fake.imports)
    assert fake.native() == LIBRARIES


def test_a_torchaudio_that_is_broken_in_another_way_is_left_alone(fix_torchaudio, tmp_path):
    fake = FakeTorchaudio(tmp_path, cpu_build=True)
    assert "changed nothing" in fix_torchaudio.fix(fake.lib, fake.aside, True, lambda: False)
    assert fake.native() == LIBRARIES
    assert not fake.aside.exists()


@pytest.mark.parametrize(
    ("version", "cpu_build"),
    [
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", True),
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", False),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '7.1'\n", False),
    ],
)
def test_the_build_of_pytorch_is_read_from_its_version_file(fix_torchaudio, tmp_path, version, cpu_build):
    (tmp_path / "version.py").write_text("from typing import Optional\n" + version)
    assert fix_torchaudio.is_cpu_build(tmp_path) is cpu_build


def test_without_torchaudio_the_fix_says_what_to_run(fix_torchaudio, monkeypatch, capsys):
    monkeypatch.setattr(fix_torchaudio, "find_package", lambda name: None)
    assert fix_torchaudio.main([]) == 1
    error = capsys.readouterr().err
    assert "torchaudio is not installed" in error and "tools/install.sh" in error
    assert error.count("\n") == 1


@pytest.fixture
def fresh_import():
    torchaudio_import.import_torchaudio.cache_clear()
    yield torchaudio_import.import_torchaudio
    torchaudio_import.import_torchaudio.cache_clear()


@pytest.mark.parametrize(
    ("failure", "cuda", "part"),
    [
        (OSError("Could not load this library: .../_torchaudio.abi3.so"), None, "run python tools/fix_torchaudio.py"),
        (OSError("libcudart.so.13: cannot open\nmore"), "13.0", "libcudart.so.13: cannot open; run python tools/check"),
        (ModuleNotFoundError("No module named 'torchaudio'"), None, "run tools/install.sh"),
    ],
)
def test_a_torchaudio_that_does_not_load_is_one_line(fresh_import, monkeypatch, failure, cuda, part):
    def fail(name):
        raise failure

    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torchaudio_import.importlib, "import_module", fail)
    with pytest.raises(UserError) as caught:
        fresh_import()
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_torchaudio_comes_with_the_parts_that_the_package_uses(fresh_import):
    torchaudio = fresh_import()
    assert torchaudio.functional.resample and torchaudio.transforms.TimeMasking and torchaudio.compliance.kaldi.fbank


def test_the_package_imports_torchaudio_in_one_place_only(root):
    importing = re.compile(r"^\s*(import torchaudio|from torchaudio)", re.MULTILINE)
    files = (root / "omni_asr").rglob("*.py")
    offenders = [str(path.relative_to(root)) for path in files if importing.search(path.read_text(encoding="utf-8"))]
    assert offenders == []


def test_the_table_of_an_environment_without_anything(root):
    """-I -S hides installed packages: no torch, not even site-packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", root / "tools" / "check_install.py"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.search(r"^torch +BROKEN +torch is not installed +-> tools/install.sh$", done.stdout, re.MULTILINE)
    assert re.search(r"^\[normalize\] +- +optional: lacks .* +-> .*\.\[normalize\]'$", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stdout + done.stderr
    assert "broken: torch, torchaudio" in done.stderr


def test_every_extra_is_in_the_table_and_imported(root, monkeypatch):
    tool = load_tool(root, "check_install")
    modules: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(tool, "check_extra", lambda name, names: modules.update({name: names}))
    tool.all_rows()
    text = (root / "setup.py").read_text(encoding="utf-8")
    extras = ast.literal_eval(re.search(r"^EXTRAS = (\{.*?^\})", text, re.MULTILINE | re.DOTALL)[1])
    assert list(modules) == list(extras)
    files = [path for folder in ("omni_asr", "egs") for path in (root / folder).rglob("*.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    for name in set(extras) - {"dev"}:
        assert list(modules[name].values()) == [line.partition(">=")[0] for line in extras[name]]
        for module in modules[name]:
            assert re.search(rf"(import|from|import_module\(\").*\b{module}\b", source), f"nothing imports {module}"


def test_only_the_core_decides_the_exit_status(check_install, capsys):
    good = check_install.Row("torch", True, "2.13.0", "never shown", core=True)
    option = check_install.Row("sbatch", False, "optional: --cmd slurm", "apt-get install slurm-wlm")
    bad = check_install.Row("numpy", False, "numpy is not installed", "tools/install.sh", core=True)
    assert check_install.main(lambda: [good, option]) == 0
    out = capsys.readouterr().out
    assert "never shown" not in out
    assert "sbatch  -       optional: --cmd slurm  -> apt-get install slurm-wlm" in out
    assert check_install.main(lambda: [good, bad]) == 1
    assert "broken: numpy;" in capsys.readouterr().err


def test_programs_are_found_outside_of_path_too(check_install, tmp_path):
    (tmp_path / "sclite").write_text("#!/bin/sh\n")
    (tmp_path / "sclite").chmod(0o755)
    assert check_install.check_program("sclite", "scores", "sctk", [str(tmp_path)]).works
    assert not check_install.check_program("no-such-program", "nothing", "none").works


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--vnev", "x"], "unknown option --vnev"),
        (["--venv"], "option --venv needs a value"),
        (["--venv={tmp}/venv", "--python=no-such-python"], "cannot run no-such-python"),
    ],
)
def test_wrong_use_of_the_installer_is_one_line(root, tmp_path, arguments, part):
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    done = subprocess.run(["bash", root / "tools" / "install.sh", *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("tools/install.sh: error: ") and part in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_network_the_installer_says_so_in_one_line(root, tmp_path):
    """A pip that fails as it does without a network."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '  *"pip install"*)\n'
        "    echo 'WARNING: Retrying (Retry(total=4)) after connection broken by NewConnectionError'\n"
        "    echo 'ERROR: No matching distribution found for setuptools' >&2; exit 1 ;;\n"
        "  *pip*) exit 0 ;;\n"
        f'  *) exec {sys.executable} -S "$@" ;;\n'
        "esac\n"
    )
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", root / "tools" / "install.sh", "--venv", tmp_path],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert "error: could not install setuptools: no network, or pip's index is out of reach" in done.stderr
    assert done.stderr.count("\n") == 1


def test_every_pinned_version_fits_setup_py(root):
    pins = dict(
        re.findall(r"^([\w-]+)==(\S+?)(?:;.*3.11\"|$)", (root / "tools/constraints.txt").read_text(), re.MULTILINE)
    )
    setup = (root / "setup.py").read_text()
    required = re.findall(r'"([A-Za-z][\w-]*)(?:>=([\d.]+))?(?:,<([\d.]+))?"', setup)

    def number(text):
        return [int(part) for part in text.split(".")]

    checked = 0
    for name, least, below in required:
        if least:
            version = pins[name.lower()]
            assert number(version) >= number(least), name
            assert not below or number(version) < number(below), name
            checked += 1
    assert checked >= 15


def test_ci_and_shell_scripts_can_be_executed(root):
    scripts = [root / name for name in (".ci/run", "tools/install.sh", "tests/run.sh", "tests/tiny_recipe.sh")]
    assert [str(path) for path in scripts if not (path.is_file() and path.stat().st_mode & 0o111)] == []
    assert shutil.which("bash")
