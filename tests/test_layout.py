"""The shape of the code: what may import what, and how large a file may grow."""

import ast
import importlib
import pkgutil

import pytest

import omni_asr

# A package imports from its own level's packages and from those below.
LEVELS = [
    {"errors", "files", "read_files", "yaml_files"},
    {"config", "devices", "jobs"},
    {"text"},
    {"kaldi"},
    {"audio"},
    {"features"},
    {"models", "data", "scoring", "corpora", "recipe_outputs"},
    {"training", "decoding", "analysis"},
    {"bin"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}


def package_files(root):
    return sorted((root / "omni_asr").rglob("*.py"))


def imported_packages(path):
    """Names directly below omni_asr that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "omni_asr":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        modules = [node.module] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1] for name in modules if name and name.startswith("omni_asr."))


def test_imports_go_downwards_only(root):
    upwards = []
    for path in package_files(root):
        parts = path.relative_to(root / "omni_asr").parts
        if parts in {("__init__.py",), ("__main__.py",)}:
            continue
        own = parts[0].removesuffix(".py")
        upwards += [f"{path.relative_to(root)}: {name}" for name in imported_packages(path) if LEVEL[name] > LEVEL[own]]
    assert upwards == []


def test_files_stay_small(root):
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in package_files(root)}
    assert {str(path.relative_to(root)): size for path, size in sizes.items() if size > 500} == {}


@pytest.mark.parametrize("module", sorted(m.name for m in pkgutil.walk_packages(omni_asr.__path__, "omni_asr.")))
def test_every_module_imports_and_says_what_it_is(module):
    assert importlib.import_module(module).__doc__
