"""Bad input: every mistake gives one line that names the thing and the remedy, exit code 2, and nothing is lost.

The table CASES (`bad_input_cases.py`) runs the real commands inside this process, which saves their start; a few have a
process of their own.
"""

import contextlib
import errno
import hashlib
import importlib
import itertools
import json
import os
import pathlib
import runpy
import shlex
import shutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from absl import app, flags
from absl.testing import flagsaver

from tests.bad_input_cases import AGAIN, CASES, FILE, QUICKSTART, TRAIN, Case
from tests.bad_input_features import CASES as OF_FEATURES
from tests.bad_input_features import RAW, noise, small
from tests.bad_input_preparation import CASES as OF_PREPARATION
from tests.bad_input_setups import config, file, halve, on_data, write_film
from tests.conftest import ROOT
from tests.xla import xla_flags
from vidjax.data import schema, write
from vidjax.errors import InputError
from vidjax.run.checkpoint import Checkpoints

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
app.define_help_flags()  # absl does so once, and Grain when it is imported: not to count as flags of the first command
importlib.import_module("grain")
TENSORSTORE = 'RESOURCE_EXHAUSTED: Error writing local file "_sharding": No space left on device [os_error_code="28"]'


def write_bad_data(folder: pathlib.Path, damaged: tuple[int, ...] = (), stray: tuple[int, ...] = ()) -> None:
  """A data set of 8 records a split: those of `damaged` hold no JPEG, those of `stray` a label that has no name."""
  jpegs = schema.encode_frames(np.full((4, 16, 16, 3), 99, np.uint8))
  splits = ("train", "validation")

  def examples():
    for split, i in itertools.product(splits, range(8)):
      video = [b"junk"] * 4 if i in damaged else jpegs
      yield split, schema.example(2 if i in stray else i % 2, f"film {i}", 8.0, 4, video=video)

  def fill(partial: pathlib.Path) -> None:
    write.write_records(partial, f"folder/{folder.name}", splits, examples(), ["run", "walk", "stand"])
    (partial / "label.labels.txt").write_text("run\nwalk\n")
    (partial / schema.DIGESTS).unlink()  # as an older version left it

  write.fill_folder(folder / write.VERSION, fill)


def command(line: str) -> int:
  """Runs `python -m vidjax.<line>` in this process; returns the exit code."""
  name, *arguments = shlex.split(line)
  path = ROOT / "vidjax" / name
  script = str(path / "__main__.py" if path.is_dir() else path.with_suffix(".py"))
  values = flags.FLAGS
  with contextlib.ExitStack() as stack:
    stack.callback(sys.modules.pop, "config_config", None)  # ml_collections executes config files into this one
    stack.callback(values.set_gnu_getopt, values.is_gnu_getopt())
    stack.callback(flagsaver.restore_flag_values, flagsaver.save_flag_values(values), values)
    stack.enter_context(mock.patch.object(sys, "argv", [script, *arguments]))
    try:
      runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
      return int(end.code or 0)
  return 0


def contents(folder: pathlib.Path) -> dict[str, str]:
  """A digest of every file but the log, which gets the error, too."""
  paths = [path for path in folder.rglob("*") if path.is_file()]
  return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.name != "train.log"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> pathlib.Path:
  """Films, among them one of one frame and one of 17 x 33 pixels, prepared and trained on by the real commands."""
  root = tmp_path_factory.mktemp("bad") / "world"
  for label in ("run", "walk"):
    for i in range(6):
      write_film(root / "films" / label / f"{i}.avi", frames=6 + i)
    write_film(root / "films" / label / "one_frame.avi", frames=1)
    write_film(root / "films" / label / "odd_size.avi", size=(17, 33))
  assert command(f"prepare folder --videos={root}/films --name=tiny --data_dir={root}/data --workers=1") == 0
  write_bad_data(root / "data" / "folder" / "damaged", damaged=(2, 3))
  write_bad_data(root / "data" / "folder" / "wrong_label", stray=(5,))
  line = TRAIN.format(quickstart=QUICKSTART, root=root, tmp=root)
  assert command(line) == 0
  return root


@pytest.fixture
def fill_in(root, tmp_path):
  """Fills in the placeholders of a case's command, and sets it up."""
  tmp = tmp_path / "tmp"
  tmp.mkdir()

  def fill_in(case: Case) -> str:
    if "{copy}" in case.command or "damaged" in case.name:
      shutil.copytree(root / "new", tmp / "run")
    (tmp_path / "bad").symlink_to(root.parent)
    case.setup(tmp)
    places = {"root": root, "run": root / "new", "copy": tmp / "run", "tmp": tmp, "quickstart": QUICKSTART}
    return case.command.format(**places, film=root / "films" / "run" / "0.avi")

  return fill_in


def check_stderr(case: Case, stderr: str) -> None:
  lines = stderr.splitlines()
  errors = [line for line in lines if line.startswith("error: ")]
  assert len(errors) == 1, stderr
  assert "Traceback" not in stderr
  assert len(lines) == 1 + case.remarks, stderr
  for word in case.words:
    assert word in errors[0]


@pytest.mark.parametrize("case", [*CASES, *OF_PREPARATION, *OF_FEATURES], ids=lambda case: case.name.replace(" ", "-"))
def test_one_line_names_the_thing_and_the_remedy(case, fill_in, root, tmp_path, capfd):
  line = fill_in(case)
  before = contents(tmp_path / "tmp") | contents(root)
  capfd.readouterr()
  assert command(line) == 2
  out, err = capfd.readouterr()
  check_stderr(case, err)
  if "{film}" in case.command and case.remarks:
    assert "0.avi" in out  # the others still run
  after = contents(tmp_path / "tmp") | contents(root)
  assert {path: after.get(path) for path in before} == before


def test_damaged_records_are_left_out_on_request(fill_in, tmp_path):
  case = Case("damaged", "evaluate --workdir={copy} --skip_damaged", (), on_data("folder/damaged"))
  assert command(fill_in(case)) == 0
  report = json.loads((tmp_path / "tmp" / "run" / "evaluation" / "validation.json").read_text())
  assert (report["videos"], report["records"]) == (6, 8)
  assert sorted(report["skipped"]) == ["2", "3"]


@pytest.mark.parametrize("film", ["one_frame.avi", "odd_size.avi"])
def test_one_frame_and_odd_sizes_are_good_input(film, root, capfd):
  kept = json.loads((root / "data" / "folder" / "tiny" / "report.json").read_text())["kept"]
  assert f"run/{film}" in [entry["file"] for entry in kept]
  capfd.readouterr()
  assert command(f"predict --workdir={root}/new {root}/films/run/{film}") == 0
  out, err = capfd.readouterr()
  assert len(out.splitlines()) == 3
  assert err == ""


def test_the_first_step_which_compiles_counts_in_no_speed(root):
  lines = [json.loads(line) for line in (root / "new" / "metrics.jsonl").read_text().splitlines()]
  steps = [line for line in lines if "loss" in line]
  assert ["clips_per_second" in line for line in steps] == [False] + [True] * (len(steps) - 1)
  assert len(steps) > 1


def test_a_config_that_failed_is_mended_in_the_same_workdir(fill_in):
  mistake = Case("", FILE, (), config("c.blend.weights = {'clasification': 2.0}"))
  line = fill_in(mistake)
  assert command(line) == 2
  path = line.partition("--config=")[2].split()[0]
  config("c.blend.weights = {'classification': 2.0}")(pathlib.Path(path).parent)
  assert command(line) == 0


@pytest.mark.slow
def test_features_of_another_backbone_or_preparation(tmp_path, capfd):
  """Neither goes on with a run, starts from it, or is evaluated as if it were that run's."""
  small(noise)(tmp_path)
  line = RAW.format(tmp=tmp_path)
  assert command(line) == 0
  from_it = f"{line} --workdir={tmp_path}/new --config.init.workdir={tmp_path}/run"
  for values, backbone, lines, words in (
    (noise, "b", (line, from_it, f"evaluate --workdir={tmp_path}/run"), ("of another backbone than those", "another ")),
    (lambda number: noise(number + 1), "a", (line,), ("features/small was prepared again since", "another --workdir")),
  ):
    small(values, backbone)(tmp_path)
    for one in lines:
      capfd.readouterr()
      assert command(one) == 2
      check_stderr(Case("", one, words), capfd.readouterr().err)


PROCESSES = (
  Case("missing data set", TRAIN + " --config.data.name=folder/tinny", ("'folder/tinny'", "folder/tiny")),
  Case("no run", "evaluate --workdir={tmp}", ("not a run's folder",)),
  Case("broken file", "predict --workdir={run} {tmp}/a.mp4 {film}", ("/a.mp4 is empty",), file("a.mp4"), 1),
)


def test_a_damaged_report_of_a_finished_run_is_written_again(fill_in, tmp_path):
  case = Case("", AGAIN, (), halve("run/evaluation/validation.json"))
  assert command(fill_in(case)) == 0
  assert json.loads((tmp_path / "tmp" / "run" / "evaluation" / "validation.json").read_text())["step"] == 3


def test_a_full_disk_loses_nothing(fill_in, tmp_path, capfd):
  line = fill_in(Case("", TRAIN, ()))
  with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=1000)):
    assert command(line) == 2
  words = ("cannot write to", "new/checkpoints", "0.00 MB are free", "free some space, and the same command resumes it")
  check_stderr(Case("", "", words), capfd.readouterr().err)
  assert command(line) == 0


@pytest.mark.parametrize("raised", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ValueError(TENSORSTORE)])
def test_a_disk_that_fills_up_meanwhile(raised, tmp_path):
  checkpoints = Checkpoints(tmp_path)
  with (
    mock.patch("orbax.checkpoint.CheckpointManager.wait_until_finished", side_effect=raised),
    pytest.raises(InputError, match=r"No space left on device.*free some space"),
  ):
    checkpoints.close()
  checkpoints.close()


@pytest.mark.slow
@pytest.mark.parametrize("case", PROCESSES, ids=lambda case: case.name.replace(" ", "-"))
def test_as_a_process_of_its_own(case, fill_in):
  done = subprocess.run(
    [sys.executable, "-m", *shlex.split(f"vidjax.{fill_in(case)}")],
    env={**os.environ, "XLA_FLAGS": xla_flags()},
    capture_output=True,
    text=True,
    timeout=200,
    check=False,
  )
  assert done.returncode == 2, done.stderr
  check_stderr(case, done.stderr)
