"""Progress: something at once, and the time left by the steps after the first, which compiles."""

import io
import re
import time

import pytest

from vidjax.train.log import Progress


@pytest.fixture
def clock(monkeypatch):
  """A clock that stands still until told."""
  now = [1000.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  return now


def test_the_first_step_does_not_count(clock, capsys):
  with Progress(41) as progress:
    assert capsys.readouterr().out == "step 0/41  compiling the first step\n"
    clock[0] += 300
    progress.note(1, "loss 2")
    progress.step(1)
    assert capsys.readouterr().out == "step 1/41  loss 2\n"
    clock[0] += 20
    progress.note(11, "loss 1")
    assert capsys.readouterr().out == "step 11/41  loss 1  left 60 s\n"
    clock[0] += 80
    progress.note(41, "loss 1")
    assert capsys.readouterr().out == "step 41/41  loss 1  left 0 s\n"


def test_a_run_that_goes_on_reckons_anew(clock, capsys):
  with Progress(100, done=50) as progress:
    clock[0] += 300
    progress.note(51, "")
    clock[0] += 3
    capsys.readouterr()
    progress.note(52, "loss 1")
    assert capsys.readouterr().out == "step 52/100  loss 1  left 144 s\n"
  with Progress(100, done=100):
    assert capsys.readouterr().out == ""


def test_a_terminal_shows_a_bar_at_once_and_the_same_time(clock, monkeypatch):
  screen = io.StringIO()
  screen.isatty = lambda: True
  monkeypatch.setattr("sys.stdout", screen)
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "120")
  with Progress(41) as progress:
    assert "0/41" in screen.getvalue()
    assert "compiling the first step" in screen.getvalue()
    clock[0] += 300
    progress.note(1, "loss 2")
    clock[0] += 20
    progress.note(11, "loss 1")
    progress._bar.refresh()
  text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
  assert re.search(r"11/41 .*left 0:01:00 loss 1", text)


def test_other_processes_are_silent(capsys):
  with Progress(3, active=False) as progress:
    progress.note(1, "loss 1")
    progress.say("epoch 1")
  assert capsys.readouterr().out == ""
