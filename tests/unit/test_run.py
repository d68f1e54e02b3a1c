# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of the suite: two rows side by side, whole outputs, no failure that passes, no child that stays."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = """\
.RECIPEPREFIX = >
WAIT = until [ -e $(1) ]; do sleep 0.05; done
begin:
>@echo begun; touch begun
near:
>@touch near; echo one; $(call WAIT,far); echo two
far:
>@touch far; echo three; $(call WAIT,near); sleep 0.3; echo four; touch far-ended
last:
>@ls begun far-ended
claim:
>@nice; cat /proc/self/autogroup
bad:
>@echo it is bad; false
sleeps:
>@echo $$$$ >child; touch sleeps; exec sleep 4711
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tests/run.py over a Makefile of its own."""
    spec = importlib.util.spec_from_file_location("run_of_the_suite", ROOT / "tests/run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    for name in ("MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return module


def parts(run: ModuleType, *given: tuple[str, str]) -> None:
    run.PARTS = tuple(run.Part(name, name, 9, place) for name, place in given)


def test_two_rows_run_side_by_side_and_what_measures_time_after_them(
    run: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each of the two waits for the other; the output of neither is torn."""
    parts(run, ("begin", run.FIRST), ("far", run.BESIDE), ("near", run.INCUS), ("last", run.ALONE))
    assert run.main("test", []) == 0
    said = capfd.readouterr().out
    assert re.search(r"=== near\none\ntwo\n=== near: passed, \d s of 9\n", said)
    assert re.search(r"=== far, beside the others\nthree\nfour\n=== far: passed, \d s of 9\n", said)
    assert "begun\nfar-ended\n=== last: passed" in said
    assert said.endswith("4 passed, 0 failed\n")


def test_what_runs_beside_has_less_of_a_claim(run: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    """Among its own, and against containers where the kernel groups by session."""
    parts(run, ("begin", run.INCUS), ("claim", run.BESIDE))
    own = Path("/proc/self/autogroup")
    grouped = own.exists()
    assert run.main("test", []) == (0 if grouped else 1)
    said, nice = capfd.readouterr().out, min(19, os.nice(0) + 10)
    told = rf"=== claim, beside the others\n{nice}\n" + (r"(/autogroup-\d+) nice 10\n" if grouped else "")
    found = re.search(told, said)
    assert found
    assert not grouped or found[1] != own.read_text().split()[0], "the runner itself gave way"


@pytest.mark.parametrize("place", ["FIRST", "INCUS", "BESIDE", "ALONE"])
def test_a_part_that_fails_fails_the_run(run: ModuleType, capfd: pytest.CaptureFixture[str], place: str) -> None:
    parts(run, ("begin", run.INCUS), ("last", run.BESIDE), ("bad", getattr(run, place)))
    (run.ROOT / "far-ended").touch()
    (run.ROOT / "begun").touch()
    assert run.main("test", []) == 1
    said = capfd.readouterr().out
    assert re.search(r"it is bad\n(.*\n)*=== bad: FAILED, \d s of 9\n", said)
    assert said.endswith("0 passed, 1 failed, 2 not begun\n" if place == "FIRST" else "2 passed, 1 failed\n")


def test_a_row_alone_is_shown_while_it_runs(run: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    parts(run, ("begin", run.BESIDE), ("bad", run.INCUS))
    assert run.main("test", ["begin"]) == 0
    assert "=== begin\nbegun\n=== begin: passed" in capfd.readouterr().out


def test_a_part_that_is_none_is_no_success(run: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    parts(run, ("begin", run.BESIDE), ("bad", run.INCUS))
    assert run.main("test", ["begin", "beginn"]) == 2
    assert capfd.readouterr().out == "there is no part beginn: the parts are begin, bad\n"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", ["INCUS", "BESIDE"])
def test_an_end_ends_the_children_too(run: ModuleType, tmp_path: Path, sent: signal.Signals, place: str) -> None:
    other = "BESIDE" if place == "INCUS" else "INCUS"
    (tmp_path / "begun").touch()
    (tmp_path / "far-ended").touch()
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import run; from pathlib import Path;"
        f"run.ROOT = Path({str(tmp_path)!r}); run.PARTS = (run.Part('sleeps', 'sleeps', 9, run.{place}),"
        f"run.Part('last', 'last', 9, run.{other}), run.Part('bad', 'bad', 9, run.ALONE));"
        "sys.exit(run.main('test', []))"
    )
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "sleeps").exists():
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(sent)
    said, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "bad" not in said.partition("Did not run")[0], "nothing begins afterwards"
    assert "=== sleeps" in said
    assert not Path("/proc", (tmp_path / "child").read_text().strip()).exists()
