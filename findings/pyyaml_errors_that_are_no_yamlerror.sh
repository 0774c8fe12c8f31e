#!/usr/bin/env bash
# PyYAML 6.0.3: safe_load raises other exceptions than yaml.YAMLError for some scalars, and keeps the last of equal keys.
# A program that catches YAMLError alone ends in a traceback for a value such as 2024-99-99.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "${folder}"' EXIT
python3 -m venv "${folder}/venv"
"${folder}/venv/bin/pip" install --quiet --disable-pip-version-check pyyaml==6.0.3
"${folder}/venv/bin/python" - <<'PY'
import yaml

print("PyYAML", yaml.__version__)
expected = {"2024-99-99": ValueError, "!!int x": ValueError, "!!bool x": KeyError, "!!timestamp 1": AttributeError}
for text, kind in expected.items():
    try:
        value = yaml.safe_load(text)
    except Exception as error:
        print(f"{text}: {type(error).__name__}, a YAMLError: {isinstance(error, yaml.YAMLError)}")
        assert type(error) is kind, text
    else:
        raise SystemExit(f"{text} is read as {value!r} now")
twice = yaml.safe_load("a: 1\nb: 2\na: 3\n")
print("a: 1, b: 2, a: 3 is read as", twice)
assert twice == {"a": 3, "b": 2}
PY
