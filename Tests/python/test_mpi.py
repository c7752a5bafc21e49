"""examples/mpi: any number of processes ends in the same bytes, each with a share of the state."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("RAVINE_BUILD", ROOT / "build")).resolve()
PROGRAM = BUILD / "examples" / "mpi_train_digits"
pytestmark = pytest.mark.skipif(
    not shutil.which("mpirun") or not PROGRAM.exists(),
    reason="MPI is not installed (Debian: openmpi-bin libopenmpi-dev), or `make mpi` was not run",
)


def run(ranks, *arguments, status=0):
    """What the program printed."""
    launch = ["mpirun", "--oversubscribe", *(["--allow-run-as-root"] if os.getuid() == 0 else [])]
    done = subprocess.run(
        [*launch, "-n", str(ranks), str(PROGRAM), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode == 0) == (status == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def last_line(text):
    return re.search(r"^test accuracy .*$", text, re.MULTILINE).group()


def shares(text):
    return [int(n) for n in re.findall(r"keeps the state of (\d+) of 9610 parameters", text)]


def test_one_two_and_four_ranks_end_in_the_same_bytes():
    alone = run(1, "--stop", 2)
    for ranks in (2, 4):
        text = run(ranks, "--stop", 2)
        assert last_line(text) == last_line(alone)
        assert len(shares(text)) == ranks and sum(shares(text)) == 9610
        assert max(shares(text)) < 1.5 * 9610 / ranks


def test_what_four_ranks_saved_two_go_on_with(tmp_path):
    path = tmp_path / "digits"
    run(4, "--stop", 1, "--save", path)
    assert sorted(f.name for f in tmp_path.iterdir()) == [f"digits.{r}" for r in range(4)]
    assert last_line(run(2, "--stop", 2, "--resume", path)) == last_line(run(1, "--stop", 2))


@pytest.mark.parametrize("least, arguments", [(0.96, [1]), (0.9, [2, "--reduce", "--stop", 4])])
def test_it_reads_digits(least, arguments):
    assert float(re.search(r"accuracy ([0-9.]+)", run(*arguments)).group(1)) >= least


def test_what_is_wrong_is_told():
    assert "1, 2 or 4" in run(3, status=1)
    assert "usage" in run(1, "--what", status=1)
    assert "there is no" in run(1, "--resume", "/nowhere/x", status=1)
