"""Fine-tuning and validation with real processes: classes by name, and what was trained on."""

import json
import subprocess

import pytest

from tests.tiny_run import write_video
from vidjax.data import identity
from vidjax.prepare.folder import prepare_folder

pytestmark = pytest.mark.slow


def run(arguments, env):
  return subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_classes_are_taken_over_by_name_and_overlaps_are_told(tmp_path, command, environment):
  films = tmp_path / "films"
  films.mkdir()
  for n in range(12):
    write_video(films / f"{n}.mp4", n)

  def prepare(name, rows):
    (tmp_path / "list.csv").write_text("path,label,split\n" + "\n".join(rows))
    prepare_folder(tmp_path / "list.csv", name, tmp_path / "data", workers=1)

  classes = ("run", "swim", "walk")
  prepare("three", [f"films/{n}.mp4,{classes[n % 3]},{'train' if n < 8 else 'validation'}" for n in range(12)])
  prepare("two", [f"films/{n}.mp4,{classes[2 * (n % 2)]},{'validation' if n < 4 else 'train'}" for n in range(12)])
  flags = (f"--config.data.dir={tmp_path / 'data'}", "--config.train.epochs=1")
  done = run(command(tmp_path / "first", *flags, "--config.data.name=folder/three"), environment)
  assert done.returncode == 0, done.stderr
  assert "warning" not in done.stderr
  assert len(identity.read(tmp_path / "first")["folder/three"]) == 8
  init = f"--config.init.workdir={tmp_path / 'first'}"
  done = run(command(tmp_path / "second", *flags, "--config.data.name=folder/two", init), environment)
  assert done.returncode == 0, done.stderr
  assert f"{tmp_path / 'first'}, step " in done.stdout
  assert "2 of 3 classes are taken over by their names" in done.stdout
  report = (tmp_path / "second" / "weights_report.txt").read_text().splitlines()
  assert " arrays of " in report[2]
  assert sum(line.startswith("taken  params/") for line in report) > 10
  assert "warning: 4 of the 4 videos of split 'validation' are trained on, too (such as films/" in done.stderr
  trained = identity.read(tmp_path / "second")
  assert {name: len(films) for name, films in trained.items()} == {"folder/three": 8, "folder/two": 8}
  document = json.loads((tmp_path / "second" / "evaluation" / "validation.json").read_text())
  (warning,) = document["warnings"]
  assert warning.startswith("4 of the 4 videos of split 'validation' are ones that ")
  flags += ("--config.data.name=folder/two", "--config.data.validation_split=train")
  done = run(command(tmp_path / "third", *flags), environment)
  assert done.returncode == 0, done.stderr
  assert "warning: 8 of the 8 videos of split 'train' are trained on, too (such as films/" in done.stderr
