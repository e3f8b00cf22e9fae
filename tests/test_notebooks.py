"""Every notebook runs at a tiny scale, in a kernel of its own; what is stored in it is small, and no error."""

import dataclasses
import json
import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

from tests.xla import xla_flags
from vidjax.data import synthetic_actions, write

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
TINY = {
  "1_first_steps": "EPOCHS = 1",
  "2_compose": "FRAMES, SIZE = 2, 32",
  "3_several_losses": "STEPS, CLIPS = 2, 16",
  "4_keyframes": "FRAMES = 8",
  "5_plugin": "STEPS, CLIPS = 2, 32",
}
"""In place of the cell of parameters."""

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def folder(tmp_path):
  """Where a notebook runs: a data set of 32 clips lies where it would draw one of 2,500."""
  variant = dataclasses.replace(synthetic_actions.VARIANTS["order"], clips={"train": 32, "validation": 8})
  place = tmp_path / "data" / "synthetic_actions" / "order" / write.VERSION
  write.fill_folder(place, lambda partial: synthetic_actions._generate(variant, partial))
  return tmp_path


@pytest.mark.slow
@notebooks
def test_it_runs(path, folder, monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", xla_flags())
  monkeypatch.setenv("PYTHONPATH", str(ROOT))
  notebook = nbformat.read(path, 4)
  (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
  named, tiny = (set(re.findall(r"[A-Z]+(?=[,\w ]* =)", text)) for text in (parameters.source, TINY[path.stem]))
  assert named == tiny, "the test sets what the notebook has"
  parameters.source = TINY[path.stem]
  NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()


@notebooks
def test_what_is_stored(path):
  notebook = nbformat.read(path, 4)
  nbformat.validate(notebook)
  text = path.read_text(encoding="utf-8")
  assert len(text) < 150_000
  assert not re.search(r"(?<![\w+/])/(root|home|Users|tmp|work)/|site-packages", text), "a path of this machine"
  code = [cell for cell in notebook.cells if cell.cell_type == "code"]
  assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run it from the top to the end"
  outputs = [output for cell in code for output in cell.outputs]
  assert outputs
  assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
  assert not [output for output in outputs if "text/html" in output.get("data", {})], "plain lines, no HTML"
  assert "Warning" not in json.dumps([output.get("text", "") for output in outputs])
  first = notebook.cells[0]
  assert first.cell_type == "markdown"
  assert re.match(r"# .+\n\n(.+\n)+\nTime: \d", first.source), "it opens with what it shows and how long it takes"
