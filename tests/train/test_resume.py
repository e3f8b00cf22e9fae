"""Runs that are killed, stopped, resumed and moved: real processes of the real command."""

import fcntl
import json
import shutil
import signal
import subprocess
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from vidjax import digests
from vidjax.errors import InputError
from vidjax.run.checkpoint import Checkpoints, load_variables
from vidjax.train.log import MetricsLog

pytestmark = pytest.mark.slow

# 4 steps an epoch, 8 in all; dropout, EMA and momentum, so that every part of the state matters; a part of the split,
# classes drawn evenly.
FULL = ("--config.model.dropout=0.5", "--config.train.ema_decay=0.9", "--config.train.checkpoint_every=3")
FULL += ("--config.data.fraction=0.9", "--config.data.balanced=True", "--config.losses[0].weights=frequency")

# Two losses, one of them of the input, as `configs/dan.py` joins them, or by weights that are learnt.
LOSSES = (
  *("--config.sampler.num_segments=2", "--config.sampler.frames_per_segment=3"),
  *("--config.model.representation.frames=3", "--config.model.representation.stride=8"),
)
LEARNT = """from configs import dan
def get_config():
  c = dan.get_config("mini")
  make, losses = "vidjax.train.multitask.Uncertainty", ("projection", "classification")
  c.blend = {"make": make, "losses": losses, "learning_rate": 0.1}
  return c
"""


def metrics(workdir):
  return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def last_state(workdir):
  steps = sorted(int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit())
  path = workdir / "checkpoints" / str(steps[-1]) / "state"
  with ocp.PyTreeCheckpointer() as reader:
    tree = reader.metadata(path).item_metadata.tree
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    return steps[-1], reader.restore(path, args=ocp.args.PyTreeRestore(restore_args=as_numpy))


def assert_bit_equal(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    np.testing.assert_array_equal(a, b)


def kill_after(args, env, workdir, step, how=signal.SIGKILL):
  """Starts a command and sends it a signal as soon as it has logged a step; returns its exit code and output."""
  process = subprocess.Popen(args, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
  try:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
      log = workdir / "metrics.jsonl"
      if log.exists() and f'{{"step": {step},' in log.read_text():
        break
      time.sleep(0.002)
    process.send_signal(how)
    output, _ = process.communicate(timeout=60)
  finally:
    process.kill()
  return process.returncode, output


def assert_same_run(ours, theirs):
  """The whole state, and all that was logged at every step but times, bit for bit; returns the state."""
  (done, state), (wanted_done, wanted) = last_state(ours), last_state(theirs)
  assert done == wanted_done == 8
  assert_bit_equal(state, wanted)
  logs = [
    [{k: v for k, v in line.items() if k not in ("clips_per_second", "data_wait")} for line in metrics(run)]
    for run in (ours, theirs)
  ]
  assert logs[0] == logs[1]
  assert len({line["batch_crc32"] for line in logs[0] if "loss" in line}) == 8
  return state


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
  """Folder of the uninterrupted run, filled by the first test that needs it."""
  return tmp_path_factory.mktemp("reference") / "run"


@pytest.fixture
def uninterrupted(reference, train):
  if not (reference / "evaluation").exists():
    train(reference, *FULL)
  return reference


# Steps 2 and 3 lie in the first epoch (nothing saved yet, just saved), 5 behind its border, 8 is the last one.
@pytest.mark.parametrize("step", [2, 3, 5, 8])
def test_killed_and_resumed_is_bit_equal(uninterrupted, train, command, environment, tmp_path, step):
  workdir = tmp_path / "run"
  code, output = kill_after(command(workdir, *FULL), environment, workdir, step)
  assert code in (-signal.SIGKILL, 0), output
  train(workdir, *FULL)

  assert_same_run(workdir, uninterrupted)
  assert f"{workdir} is finished" in train(workdir, *FULL)


@pytest.mark.parametrize("blend", ["mgda", "learnt"])
def test_killed_and_resumed_with_two_losses_is_bit_equal(blend, train, command, environment, tmp_path):
  """The weights and the memory of the blend go on, too: step 5 lies behind the checkpoints of steps 3 and 4."""
  (tmp_path / "learnt.py").write_text(LEARNT)
  config = str(tmp_path / "learnt.py") if blend == "learnt" else f"configs/dan.py:mini,blend={blend}"
  workdir, whole, flags = tmp_path / "run", tmp_path / "whole", (*FULL, *LOSSES)
  train(whole, *flags, config=config)
  code, output = kill_after(command(workdir, *flags, config=config), environment, workdir, 5)
  assert code == -signal.SIGKILL, output
  train(workdir, *flags, config=config)

  state = assert_same_run(workdir, whole)
  assert set(state["batch_stats"]) == {"backbone", "representation"}
  memory = jax.tree.leaves(state["blend"])
  assert all(memory)
  assert len(memory) == 2 * (blend == "learnt")
  weights = {line["weight/projection"] for line in metrics(workdir) if "loss" in line}
  assert len(weights) > 2


def test_killed_during_a_save_uses_the_last_complete_checkpoint(uninterrupted, train, command, environment, tmp_path):
  workdir = tmp_path / "run"
  kill_after(command(workdir, *FULL), environment, workdir, 4)
  folder = workdir / "checkpoints"
  half = folder / "7.orbax-checkpoint-tmp" / "state"
  half.mkdir(parents=True)  # as an interrupted save leaves it
  (half / "manifest.ocdbt").write_bytes(b"half")
  train(workdir, *FULL)
  assert_bit_equal(last_state(workdir)[1], last_state(uninterrupted)[1])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_ctrl_c_save_and_exit_with_their_own_code(
  how, uninterrupted, train, command, environment, tmp_path
):
  workdir = tmp_path / "run"
  code, output = kill_after(command(workdir, *FULL), environment, workdir, 5, how)
  assert code == 75, output
  assert f"stopped by {how.name} after step" in output
  assert last_state(workdir)[0] >= 5
  train(workdir, *FULL)
  assert_bit_equal(last_state(workdir)[1], last_state(uninterrupted)[1])


def test_loss_that_is_not_finite_stops_the_run(train, tmp_path):
  workdir = tmp_path / "run"
  output = train(workdir, "--config.schedule.learning_rate=1e30", "--config.train.checkpoint_every=1", code=3)
  last = output.strip().splitlines()[-1]
  assert last.startswith("error: ")
  assert "at step" in last
  assert "on the videos train_" in last
  assert "lower schedule.learning_rate" in last
  assert last.removeprefix("error: ") in (workdir / "train.log").read_text()
  assert "Traceback" not in output
  _, state = last_state(workdir)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state["params"]))


def test_other_config_and_fine_tuning(uninterrupted, train, tmp_path):
  output = train(uninterrupted, *FULL, "--config.seed=1", code=2)
  assert "seed: 0 there, 1 here" in output.splitlines()[-1]

  init = f"--config.init.workdir={uninterrupted}"
  wider = "--config.model.backbone.widths=(8,8,8,12)"
  output = train(tmp_path / "a", init, wider, code=2)
  assert "backbone/res4/block0/conv1/kernel: saved (3, 3, 8, 8), wanted (3, 3, 8, 12)" in output
  assert "init.new" in output
  new = "--config.init.new=('classifier','backbone/res4')"
  train(tmp_path / "b", init, wider, new, "--config.train.epochs=0.25", "--config.schedule.learning_rate=0.")
  kept, _ = load_variables(tmp_path / "b")
  source, _ = load_variables(uninterrupted)
  stem = ("backbone", "stem", "conv", "kernel")
  a, b = kept["params"], source["params"]
  for key in stem:
    a, b = a[key], b[key]
  np.testing.assert_array_equal(a, b)
  assert (
    np.abs(kept["params"]["classifier"]["kernel"] - np.resize(source["params"]["classifier"]["kernel"], (12, 2))).max()
    > 0
  )


def test_a_run_is_trained_longer_where_its_schedule_allows_it(train, tmp_path):
  workdir, whole, config = tmp_path / "run", tmp_path / "whole", {"config": str(tmp_path / "constant.py")}
  (tmp_path / "constant.py").write_text(
    "from configs import quickstart\n"
    "def get_config():\n"
    "  c = quickstart.get_config()\n"
    "  c.schedule = {'make': 'vidjax.train.schedules.constant', 'learning_rate': 0.1}\n"
    "  return c\n"
  )
  train(workdir, *FULL, "--config.train.epochs=1", **config)
  output = train(workdir, *FULL, **config)
  assert "is trained longer, for 8 steps" in output
  train(whole, *FULL, **config)
  assert_bit_equal(last_state(workdir)[1], last_state(whole)[1])
  assert f"{workdir} is finished" in train(workdir, *FULL, **config)  # its config.json is that of the longer one
  output = train(workdir, *FULL, "--config.train.epochs=1", code=2, **config)
  assert "train.epochs: 2.0 there, 1.0 here" in output


def test_a_schedule_that_ends_is_entered_further_on_with_extend(train, tmp_path):
  workdir = tmp_path / "run"
  train(workdir, "--config.train.epochs=1")
  last = train(workdir, code=2).splitlines()[-1]
  assert "add --extend to continue after step 4 as a training of 8 steps does there (rate 0.05, where it was 0)" in last
  assert f"--config.init.workdir={workdir}" in last
  assert json.loads((workdir / "config.json").read_text())["train"]["epochs"] == 1
  train(workdir, "--extend")
  rates = [line["learning_rate"] for line in metrics(workdir) if "learning_rate" in line]
  assert rates[3] < 0.02
  np.testing.assert_allclose(rates[4:], [0.1 * (1 + np.cos(np.pi * step / 8)) / 2 for step in range(4, 8)], rtol=1e-5)
  assert "is finished" in train(workdir)


def test_the_task_says_which_checkpoint_is_best(train, tmp_path):
  train(tmp_path / "run", "--config.task.metric=-loss/classification")
  saved = {path.parts[-3]: json.loads(path.read_text()) for path in tmp_path.glob("run/checkpoints/*/metrics/metrics")}
  losses = {str(line["step"]): line for line in metrics(tmp_path / "run") if "validation/top1" in line}
  assert saved
  for step, found in saved.items():
    assert found == {"-loss/classification": -losses[step]["validation/loss/classification"]}
  best = max(losses, key=lambda step: -losses[step]["validation/loss/classification"])
  assert load_variables(tmp_path / "run", "best")[1] == int(best)
  last = train(tmp_path / "other", "--config.task.metric=map", code=2).splitlines()[-1]
  assert "task.metric='map': Classification has top1, top5, mean_class, or -loss/NAME of a loss" in last
  last = train(tmp_path / "third", "--config.task.metric=-loss/other", code=2).splitlines()[-1]
  assert "task.metric='-loss/other': a validation has top1, top5, mean_class, loss/classification" in last


def test_other_number_of_devices_same_numbers(uninterrupted, train, tmp_path):
  runs = {}
  for devices, fsdp in ((1, False), (4, False), (4, True)):
    workdir = tmp_path / f"{devices}{fsdp}"
    train(workdir, *FULL, f"--config.train.fsdp={fsdp}", devices=devices)
    runs[devices, fsdp] = last_state(workdir)[1]
  for run in runs.values():
    for name in ("params", "batch_stats", "ema"):
      jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), run[name], runs[1, False][name])
  before = json.loads((tmp_path / "1False/evaluation/validation.json").read_text())
  (tmp_path / "1False/evaluation/validation.json").unlink()
  output = train(tmp_path / "1False", *FULL, devices=4)  # restores on four devices and evaluates again
  assert "is finished" in output
  assert "a batch is 4 clips, 1 on each of 4 device(s)\nthe learning rate, 0.1, is for that batch" in output
  after = json.loads((tmp_path / "1False/evaluation/validation.json").read_text())
  assert {k: after[k] for k in ("top1", "top5", "mean_class")} == {k: before[k] for k in ("top1", "top5", "mean_class")}


def test_two_runs_in_one_folder_are_refused_before_anything_is_written(uninterrupted, train, tmp_path):
  for workdir in (uninterrupted, tmp_path / "new"):
    workdir.mkdir(exist_ok=True)
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    with (workdir / ".lock").open("w") as lock:
      fcntl.flock(lock, fcntl.LOCK_EX)
      output = train(workdir, *FULL, "--config.seed=1", code=2)
    assert f"--workdir={workdir}: another command writes there" in output.splitlines()[-1]
    after = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == {path: content for path, content in before.items() if path.name != ".lock"}


@pytest.mark.parametrize("told", [False, True])
def test_a_validation_that_a_signal_cut_off_is_made_up_for(told, uninterrupted, train, tmp_path):
  """As SIGTERM at a validation step leaves a run: the checkpoint there, without metrics; or a kill, with their line."""
  workdir = tmp_path / "run"
  shutil.copytree(uninterrupted, workdir)
  shutil.rmtree(workdir / "evaluation")
  shutil.rmtree(workdir / "checkpoints" / "8" / "metrics")
  listed = workdir / "checkpoints" / "8" / digests.FILE
  kept = {name: digest for name, digest in json.loads(listed.read_text()).items() if name != "metrics/metrics"}
  listed.write_text(json.dumps(kept))
  lines = (workdir / "metrics.jsonl").read_text().splitlines(keepends=True)
  assert "validation/top1" in lines[-1]
  if not told:
    (workdir / "metrics.jsonl").write_text("".join(lines[:-1]))
  assert "epoch 2  validation" in train(workdir, *FULL)
  assert_same_run(workdir, uninterrupted)
  judged = [(run / "checkpoints" / "8" / "metrics" / "metrics").read_text() for run in (workdir, uninterrupted)]
  assert json.loads(judged[0]) == json.loads(judged[1])
  assert (workdir / "evaluation" / "validation.json").exists()


def test_a_changed_byte_of_a_checkpoint_is_named(uninterrupted, tmp_path):
  """Each file in turn; what Orbax writes last holds times alone."""
  folder = tmp_path / "run" / "checkpoints"
  shutil.copytree(uninterrupted / "checkpoints", folder)
  files = [path for path in (folder / "8").rglob("*") if path.is_file() and path.stat().st_size]
  for path in files:
    if path.name in ("commit_success.txt", "_CHECKPOINT_METADATA"):
      continue
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 4]))
    with pytest.raises(InputError, match=r"checkpoints/8 is damaged"):
      load_variables(tmp_path / "run")
    path.write_bytes(content)
  assert load_variables(tmp_path / "run")[1] == 8


def test_halves_of_older_checkpoints_are_removed_and_newer_ones_named(uninterrupted, tmp_path):
  folder = tmp_path / "checkpoints"
  shutil.copytree(uninterrupted / "checkpoints", folder)
  shutil.copytree(folder / "8", folder / "4")
  (folder / "4" / "state" / "_METADATA").unlink()  # a killed run was deleting it
  assert load_variables(tmp_path, "last")[1] == 8
  with pytest.raises(InputError, match="has no checkpoint 4"):
    load_variables(tmp_path, 4)
  checkpoints = Checkpoints(tmp_path)
  assert (checkpoints.latest_step, (folder / "4").exists()) == (8, False)
  checkpoints.close()
  (folder / "8" / "state" / "_METADATA").unlink()
  with pytest.raises(InputError, match=r"checkpoints/8 is damaged \(state/_METADATA is missing\)"):
    load_variables(tmp_path)
  checkpoints = Checkpoints(tmp_path)
  assert checkpoints.latest_step == 8
  checkpoints.close()


def test_a_checkpoint_that_vanishes_while_it_is_read_is_chosen_again(uninterrupted, tmp_path, monkeypatch):
  folder = tmp_path / "checkpoints"
  shutil.copytree(uninterrupted / "checkpoints", folder)
  shutil.copytree(folder / "8", folder / "12")
  check = digests.check

  def vanish(path, found):
    if path.name == "12":
      shutil.rmtree(path)
    check(path, found)

  monkeypatch.setattr(digests, "check", vanish)
  assert load_variables(tmp_path, "last")[1] == 8


def test_permission_is_no_damage(uninterrupted, monkeypatch):
  def refuse(*_):
    raise PermissionError(13, "Permission denied")

  monkeypatch.setattr(digests, "check", refuse)
  with pytest.raises(InputError, match="may not be read: permission denied"):
    load_variables(uninterrupted, "last")


def test_a_log_that_is_no_text_loses_its_damaged_lines_only(tmp_path):
  (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1, "loss": 1}\n\xff\xfe{"step": 2}\n{"step": 2, "loss": 3}\n')
  with MetricsLog(tmp_path, 2):
    pass
  assert [line["step"] for line in metrics(tmp_path)] == [1, 2]
