"""The index from equation to file, docs/equations.py: every equation of the five sources is named by a docstring."""

import importlib.util
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[1] / "docs" / "equations.py"
spec = importlib.util.spec_from_file_location("equations", SCRIPT)
assert spec is not None
assert spec.loader is not None
equations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(equations)


def test_a_docstring_names_every_equation_or_there_is_a_reason():
  found = equations.index()
  unnamed = {key for key, where in found.items() if not where}
  assert unnamed == set(equations.NOT_CODE), "name the equation in the docstring of its code, or say why it has none"
  assert len(found) == 38 + 8 + 7 + 21 + 7


def test_no_docstring_names_an_equation_that_is_not_there():
  named = [one for one in equations.references() if one.source]
  assert [one for one in named if one.number not in equations.EQUATIONS[one.source]] == []


def test_where_well_known_ones_are():
  found = equations.index()
  assert "vidjax.inputs.pwtp.PWTP" in [f"{one.module}.{one.name}" for one in found["thesis", "3.13"]]
  assert [one.path for one in found["TTSN", "8"]] == ["vidjax/losses/reversal.py"]
  assert {one.name for one in found["TTSN", "5"]} == {"Way"}


def test_how_a_docstring_names_them():
  text = '''
"""Two things (thesis Eq. 3.5, 3.7-3.8 and 4.1; TDN Eq. 3), dte Eq. 14."""

CONSTANT = 1
"""Of Eq. 15, and of Wang et al. (TSN Eq. 2)."""

class Public:
  """rtsae Eq. 1-2, 16 frames of a clip."""

  def method(self):
    """Eq. 3: 4 gates, as in Eq.
    5 and 6."""

    def inner():
      """Eq. 7."""

class _Private:
  def method(self):
    """Eq. 8."""
'''
  assert list(equations.read(text)) == [
    *(("", "thesis", number) for number in ("3.5", "3.7", "3.8", "4.1")),
    ("", "", "3"),
    ("", "dte", "14"),
    ("CONSTANT", "dte", "15"),
    ("CONSTANT", "", "2"),
    *(("Public", "rtsae", number) for number in ("1", "2", "16")),  # why the second test is there
    *(("Public.method", "rtsae", number) for number in ("3", "5", "6", "7")),
    ("", "rtsae", "8"),
  ]


def test_the_script_prints_the_list():
  done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=60, check=True)
  lines = done.stdout.splitlines()
  assert len(lines) == len(equations.index())
  assert "thesis 5.5: band-pass lateral connections: vidjax/networks/bqn.py:BQN" in lines
