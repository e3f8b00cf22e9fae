"""The commit of the code that runs."""

import pathlib
import subprocess


def commit() -> str | None:
  """The commit that runs, as git describes it; None outside a git checkout."""
  line = ["git", "describe", "--always", "--dirty", "--exclude=*"]
  try:
    folder = pathlib.Path(__file__).parent
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
  except (OSError, subprocess.SubprocessError):
    return None
