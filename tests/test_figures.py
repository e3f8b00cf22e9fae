"""docs/figures.md: every figure that the papers' lists name has a line, and its commands, modes and flags exist."""

import pathlib
import pkgutil
import re
import shlex

import pytest

from vidjax.analyse import modes

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "figures.md").read_text()
COMMANDS = sorted(set(re.findall(r"`(python -m [^`]+)`", TEXT)))


def source(module: str) -> str:
  """What a command is made of: its module, and that of all tables."""
  path = ROOT / module.replace(".", "/")
  text = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
  if "run_table(" in text:
    text += (ROOT / "experiments" / "tables" / "command.py").read_text()
  return text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_its_mode_and_its_flags_exist(command):
  _, _, module, *arguments = shlex.split(command)
  text = source(module)
  for flag in (argument for argument in arguments if argument.startswith("--")):
    name = flag[2:].partition("=")[0]
    known = "define_config(" in text if name.split(".")[0] == "config" else re.search(rf'DEFINE_\w+\(\s*"{name}"', text)
    assert known, flag
  if module == "vidjax.analyse":
    assert arguments[0] in {found.name for found in pkgutil.iter_modules(modes.__path__)}
  elif arguments and arguments[0] not in ("FILM",) and not arguments[0].startswith("--"):
    assert re.search(rf"[\"' ]{arguments[0]}[\"' ]", text)


def test_every_figure_has_a_line():
  chapters = dict(zip(("3", "4", "5", "TTSN", "TDRL", "RTSAE"), TEXT.split("\n## ")[1:], strict=True))

  def figures(chapter: str) -> set[str]:
    cells = re.findall(r"^\| ([\d., to]+) \|", chapters[chapter], re.MULTILINE)
    found: set[str] = set()
    for part in ", ".join(cells).split(", "):
      first, _, last = part.partition(" to ")
      head, _, number = first.rpartition(".")
      end = int((last or first).rpartition(".")[2])
      found |= {f"{head}.{i}".lstrip(".") for i in range(int(number), end + 1)}
    return found

  assert figures("3") == {f"3.{i}" for i in range(5, 20)}
  assert figures("4") == {"4.1", *(f"4.{i}" for i in range(7, 12))}
  assert figures("5") == {f"5.{i}" for i in range(3, 12)}
  assert figures("TTSN") == {"1", *map(str, range(3, 8))}
  assert figures("TDRL") == {"3", "4"}
  assert figures("RTSAE") == set(map(str, range(7, 19)))
