import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_imports_run_one_way():
  """The contracts in pyproject.toml, checked by import-linter."""
  command = shutil.which("lint-imports")
  if command is None:
    pytest.skip("needs import-linter (pip install -e '.[dev]'); .ci/run checks the same")
  line = [command, "--no-cache"]
  result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
  assert result.returncode == 0, result.stdout
