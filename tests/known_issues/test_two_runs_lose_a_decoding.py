"""One run at a time works in an experiment, in every stage that writes there."""

import os
import signal

import pytest
from recipe_helpers import one_line, wait_for


@pytest.mark.parametrize(("program", "stage"), [("train", 3), ("decode", 4), ("score", 5), ("analyze_routing", 6)])
def test_second_run_names_the_first(finished, program, stage):
    finished.write(f"hang_{program}", "")
    options = ("--stage", stage, "--force", "true")
    first = finished.start(*options)
    wait_for(lambda: (finished.dir / "pids").exists())
    for other in range(max(4, stage), 7):
        _, err = finished.run("--stage", other, status=1)
        holder = f"run.sh (process {first.pid} on "
        assert holder in one_line(err) and "is at work in exp/omni_base; wait until it ends" in err
    (finished.dir / f"hang_{program}").unlink()
    os.killpg(first.pid, signal.SIGTERM)
    first.communicate(timeout=30)
    finished.run("--stage", 3)
    assert (finished.dir / "exp/omni_base/decode_test/text").exists()


def test_locks_need_no_program_flock(recipe):
    text = "".join(path.read_text() for path in (recipe.dir / "../TEMPLATE").rglob("*.sh"))
    assert "fcntl.flock" in text and "command -v flock" not in text
