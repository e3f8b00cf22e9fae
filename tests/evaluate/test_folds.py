"""The papers' protocol of folds: prepared once, one run a fold, and the mean over them, by the real commands."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.data import official_files
from vidjax.errors import InputError
from vidjax.evaluate.folds import by_fold
from vidjax.run.opened import open_run

FLAGS = ("--config.data.name=folder/ucf101", "--config.data.validation_split=test", "--config.train.epochs=1")
pytestmark = pytest.mark.slow


def run(name: str, *flags: str, environment: dict[str, str], code: int = 0) -> str:
  done = subprocess.run(
    [sys.executable, "-m", f"vidjax.{name}", *flags],
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert done.returncode == code, done.stdout + done.stderr
  return done.stdout + done.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> pathlib.Path:
  root = tmp_path_factory.mktemp("folds")
  official_files.ucf101(root / "source")
  return root


def test_one_command_prepares_one_trains_and_one_states_the_mean(root, train, environment):
  out = run(
    "prepare", "ucf101", f"--source={root}/source", f"--data_dir={root}", "--workers=1", environment=environment
  )
  assert "folder/ucf101: 12 clips in videos; 12 files kept, 0 refused" in out
  assert "warning: split 'test' of fold 2 has 4 videos; officially 3,734" in out
  data = f"--config.data.dir={root}"
  for fold in (1, 2):
    out = train(root / f"fold{fold}", *FLAGS, data, f"--config.data.fold={fold}")
    assert "folder/ucf101: 8 training records, 2 classes" in out
    assert "are trained on, too" not in out

  out = train(root / "fold2", *FLAGS, data, "--config.data.fold=3", code=2)
  assert "data.fold: 2 there, 3 here" in out
  assert "the folds 1, 2, 3: name one" in train(root / "none", *FLAGS, data, code=2)
  out = train(root / "on", *FLAGS, data, "--config.data.fold=3", f"--config.init.workdir={root}/fold2")
  assert "warning: 4 of the 4 videos of split 'test' are trained on, too" in out

  out = run("evaluate", f"--workdir={root}/fold2", environment=environment)
  assert out.startswith("4 of 4 videos, 2 classes")
  assert "warning" not in out
  assert "8 of the 8 videos" in run("evaluate", f"--workdir={root}/fold2", "--split=train", environment=environment)
  assert "was trained on fold 2: leave --fold=1 out" in run(
    "evaluate", f"--workdir={root}/fold2", "--fold=1", environment=environment, code=2
  )

  runs = [f"--workdir={root}/fold{fold}" for fold in (1, 2)]
  out = run("evaluate", "--folds", *runs, environment=environment)
  assert "warning: no run of fold 3 is among them" in out
  found = json.loads((root / "fold1" / "evaluation" / "test_folds.json").read_text())
  each = [json.loads((root / f"fold{fold}" / "evaluation" / "test.json").read_text()) for fold in (1, 2)]
  assert found["mean"]["top1"] == pytest.approx((each[0]["top1"] + each[1]["top1"]) / 2)
  assert [found["folds"][fold]["top1"] for fold in ("1", "2")] == [one["top1"] for one in each]
  assert f"mean of 2 folds: top1 {found['mean']['top1']:.2%}" in out
  assert (found["missing"], found["split"]) == ([3], "test")

  out = run("evaluate", *runs, "--split=test", environment=environment, code=2)
  assert f"{root}/fold2 was trained on fold 2, {root}/fold1 on fold 1: --folds states the mean" in out
  opened = [open_run(root / f"fold{fold}") for fold in (1, 2)]
  assert list(by_fold(opened[::-1])) == [1, 2]
  assert opened[0].overlap("test") == ""
  with pytest.raises(InputError, match="2 of fold 1, 1 of fold 2 among the runs: give as many of each fold"):
    by_fold([*opened, opened[0]])
