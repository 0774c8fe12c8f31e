"""egs/TEMPLATE/path.sh: which Python a recipe runs with."""

import os
import subprocess
import sys

import pytest


def test_python_is_installed_on_first_use(recipe, tmp_path):
    """path.sh makes tools/venv when the active Python cannot run omni_asr, and stops when that fails."""
    install = tmp_path / "tools/install.sh"
    recipe.write(install, "#!/usr/bin/env bash\necho boom >&2; exit 3\n")
    (recipe.bin / "python").rename(recipe.bin / "suitable")
    recipe.write(recipe.bin / "python", "#!/usr/bin/env bash\nexit 1\n")
    _, err = recipe.run(status=1)
    assert "boom\n" in err and err.endswith("error: tools/install.sh failed, see above; mend it and start again\n")
    assert not (recipe.dir / "data").exists()
    venv = tmp_path / "tools/venv/bin"
    recipe.write(install, f"#!/usr/bin/env bash\nmkdir -p {venv} && cp {recipe.bin}/suitable {venv}/python\n")
    _, err = recipe.run("--stop_stage", 1)
    assert "running tools/install.sh (once)" in err
    _, err = recipe.run("--stop_stage", 2)
    assert err == ""


MODULES = "torch torchaudio numpy kaldiio soundfile sentencepiece yaml jiwer tqdm matplotlib".split()


@pytest.mark.parametrize(
    ("modules", "torch", "wanted", "suits"),
    [
        (MODULES, "2.11.0", "", True),
        (MODULES[:-1], "2.11.0", "", False),
        (MODULES, "2.10.1+cpu", "", False),
        (MODULES, "2.13.0+cpu", "espeakng_loader", False),
        ([*MODULES, "espeakng_loader"], "3.0.0", "espeakng_loader", True),
    ],
)
def test_python_in_which_the_recipe_could_not_finish_is_not_used(recipe, tmp_path, modules, torch, wanted, suits):
    for module in modules:
        recipe.write(tmp_path / "site" / f"{module}.py", "")
    recipe.write(tmp_path / f"site/torch-{torch}.dist-info/METADATA", f"Name: torch\nVersion: {torch}\n")
    recipe.write(recipe.bin / "python", f'#!/bin/sh\nPYTHONPATH={tmp_path}/site exec {sys.executable} -S "$@"\n')
    recipe.write(tmp_path / "tools/install.sh", "#!/bin/sh\necho installing; exit 1\n")
    script = f"PYTHON_MODULES='{wanted}'; source egs/TEMPLATE/path.sh"
    env = dict(os.environ, PATH=f"{recipe.bin}:{os.environ['PATH']}")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ("installing" in done.stderr) == (not suits)
    assert done.returncode == (0 if suits else 1)
