"""What commands print, and the copy of it that a run keeps."""

import logging
import signal
import subprocess
import sys
import time
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidjax.console import copied_to, counted, legible, note, say, say_json, screen


@given(st.text())
def test_a_line_stays_one_line_of_letters_that_show(text):
  line = legible(text)
  assert line.isprintable()
  assert legible(line) == line
  assert line == text or not text.isprintable()


def test_names_can_neither_forge_a_line_nor_steer_a_terminal(capsys):
  say("run\nkept: all\x1b[2J\u202e.mp4")
  say("größer прыжок 漢", error=True)
  assert capsys.readouterr() == ("run\\nkept: all\\x1b[2J\\u202e.mp4\n", "größer прыжок 漢\n")
  say_json({"file": "a\x9b2J\n漢"})
  assert capsys.readouterr().out == '{\n  "file": "a\\u009b2J\\n漢"\n}\n'


@pytest.mark.parametrize(
  ("shell", "is_terminal"),
  [(None, True), (types.SimpleNamespace(), True), (types.SimpleNamespace(kernel=object()), False)],
  ids=["python", "ipython", "notebook"],
)
def test_a_notebook_gets_lines_not_a_bar(monkeypatch, shell, is_terminal):
  monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take anything for a terminal
  monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
  assert screen().is_terminal == is_terminal


def test_what_is_printed_is_copied_with_its_time_warnings_and_the_error_included(tmp_path, capsys):
  def fail():
    with copied_to(tmp_path / "train.log"):
      say("printed")
      note("not printed")
      logging.getLogger("vidjax.data.loader").warning("warned")
      raise ValueError("wrong")

  with pytest.raises(ValueError):
    fail()
  say("later")
  lines = (tmp_path / "train.log").read_text().splitlines()
  assert [line[25:] for line in lines] == ["printed", "not printed", "warned", "ValueError: wrong"]
  assert capsys.readouterr().out == "printed\nlater\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "prepare", "predict"])
def test_ctrl_c_during_imports_is_no_traceback(command):
  process = subprocess.Popen(
    [sys.executable, "-m", f"vidjax.{command}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
  )
  time.sleep(0.4)
  process.send_signal(signal.SIGINT)
  output, _ = process.communicate(timeout=60)
  assert process.returncode in (-signal.SIGINT, 130, 2), output
  assert "Traceback" not in output


def test_one_of_a_thing():
  assert [counted(number, "film") for number in (0, 1, 2)] == ["0 films", "1 film", "2 films"]
  assert counted(1, "class", "classes") + counted(3, "class", "classes") == "1 class3 classes"
