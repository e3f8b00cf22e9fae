"""`python -m vidjax.train --config=FILE[:argument] --workdir=DIR [--config.key=value ...]`: trains, or goes on training.

Exit codes: 0 trained (or found finished), 2 bad input, 3 a loss that is not finite, 75 stopped by SIGTERM with the state
saved. Several processes: give each `--coordinator=HOST:PORT --num_processes=N --process_id=I`.
"""

import functools
import json
import pathlib
import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax
from absl import flags
from ml_collections import config_flags

from vidjax.analyse.pictures import save_batch
from vidjax.build import build
from vidjax.errors import ConfigError, InputError, run_main
from vidjax.evaluate.metrics import summarize
from vidjax.evaluate.report import write_report
from vidjax.evaluate.views import make_scorer, score_split
from vidjax.run import Run, check_same, open_run, section, write_folder
from vidjax.train.checkpoint import Checkpoints, load_variables, transfer
from vidjax.train.log import MetricsLog
from vidjax.train.loop import Settings, fit
from vidjax.train.optimizer import multipliers
from vidjax.train.sharding import batch_sharding, check_batch_size, make_mesh, state_sharding
from vidjax.train.step import init_state, make_prepare, make_train_step
from vidjax.types import Batch, State

CONFIG = config_flags.DEFINE_config_file("config", None, "File with get_config, as configs/quickstart.py[:argument].")
WORKDIR = flags.DEFINE_string(
  "workdir", None, "Folder for checkpoints, metrics and reports; an old one is gone on with."
)
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for training with several processes.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes train together.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Number of this process, from 0.")


def main(argv: list[str]) -> None:
  """The command."""
  started = time.monotonic()
  if len(argv) > 1:
    raise InputError(f"unexpected argument {argv[1]!r}: flags start with --")
  if not WORKDIR.value:
    raise InputError("--workdir=DIR is missing: name a folder for checkpoints and metrics")
  if COORDINATOR.value:
    jax.distributed.initialize(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
  config = json.loads(read_config(CONFIG.value).to_json())
  workdir = pathlib.Path(WORKDIR.value)
  chief = jax.process_index() == 0
  say = functools.partial(print, flush=True) if chief else lambda *_: None

  run = Run(config)
  settings: Settings = section(config, "train", "vidjax.train.loop.Settings")
  mesh = make_mesh(settings.devices)
  check_batch_size(settings.batch_size, mesh, settings.accumulate)
  loader = run.train_loader(settings.batch_size)
  schedule = build(config["schedule"], epochs=settings.epochs)(loader.batches_per_epoch)
  optimizer = build(config["optimizer"], schedule=schedule)

  if (workdir / "config.json").exists():
    check_same(workdir, config, run.class_names)
  elif chief:
    write_folder(workdir, config, run.class_names)

  key = jax.random.key(config["seed"])
  init_key, train_key = jax.random.split(key)
  make = functools.partial(init_state, run.network, run.clip_shape, optimizer, ema=settings.ema_decay is not None)
  abstract = jax.eval_shape(make, key=init_key)
  sharding = state_sharding(abstract, mesh, settings.fsdp)
  checkpoints = Checkpoints(workdir, settings.keep_best)
  total = round(settings.epochs * loader.batches_per_epoch)
  if checkpoints.latest_step is not None:
    layout = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, sharding)
    state, next_batch = checkpoints.restore(layout)
    say(f"{workdir} goes on after step {next_batch} of {total}" if next_batch < total else f"{workdir} is finished")
  else:
    state = jax.jit(make, out_shardings=sharding)(key=init_key)
    if config["init"]["workdir"]:
      state = start_from(state, config["init"], sharding)

  params = sum(x.size for x in jax.tree.leaves(abstract.params))
  records = len(loader.source)
  say(f"{params:,} parameters, {records} training records, {len(run.class_names)} classes, {mesh.size} devices")
  for group, count in group_counts(abstract.params, config["optimizer"]).items():
    say(f"  {count} parameters: {group}")

  prepare = make_prepare(build(config["device_transforms"]), run.normalise, len(run.class_names))
  step = make_train_step(
    run.network,
    build(config["losses"]),
    build(config["blend"]),
    optimizer,
    prepare,
    dtype=run.dtype,
    ema_decay=settings.ema_decay,
    accumulate=settings.accumulate,
  )
  whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
  train_step = jax.jit(
    step, in_shardings=(sharding, batch_sharding(mesh), whole), out_shardings=(sharding, whole), donate_argnums=0
  )
  scorer = make_scorer(run.network, run.normalise, mesh, run.dtype)

  def evaluate(state: State) -> Mapping[str, float]:
    variables = state.ema or {"params": state.params, "batch_stats": state.batch_stats}
    batches = run.eval_loader(batch_size=settings.batch_size).batches()
    summary = summarize(score_split(scorer, variables, batches), run.class_names)
    return {name: summary[name] for name in ("top1", "top5", "mean_class")}

  def show_batch(batch: Batch, host: Mapping[str, Any]) -> None:
    if chief:
      clips = jax.jit(prepare)({name: x[:8] for name, x in host.items() if name in batch}, train_key)["video"]
      titles = [run.class_names[label] for label in host["label"][:8]]
      save_batch(workdir / "batch.png", jax.device_get(clips), titles, run.normalise.mean, run.normalise.std)

  start = int(state.step)
  with MetricsLog(workdir, start, chief) as log:
    if start < total:
      fit(
        state,
        train_step,
        loader,
        settings,
        key=train_key,
        mesh=mesh,
        checkpoints=checkpoints,
        log=log,
        config=config,
        schedule=schedule,
        evaluate=evaluate,
        show_batch=None if start else show_batch,
      )
  checkpoints.close()
  if chief:
    report(workdir, settings.batch_size, say)
    say(f"done in {time.monotonic() - started:.0f} s: {workdir}")


def read_config(config: Any) -> Any:
  """The ConfigDict of the flag; raises ConfigError where there is none or its file cannot be read."""
  if config is None:
    raise ConfigError("--config=FILE is missing: name a config, such as configs/quickstart.py")
  try:
    config.to_dict()
  except AttributeError as error:
    raise ConfigError(f"--config does not hold a ConfigDict: {error}") from error
  except OSError as error:
    raise ConfigError(f"--config: {error}") from error
  return config


def start_from(state: State, init: Mapping[str, Any], sharding: State) -> State:
  """A fresh state with the parameters and statistics of another run, those under `init.new` excepted."""
  found, _ = load_variables(init["workdir"], "best")
  params = transfer(state.params, found["params"], init["new"])
  stats = transfer(state.batch_stats, found["batch_stats"], init["new"])
  average = {"params": params, "batch_stats": stats} if state.ema is not None else None
  return jax.device_put(state.replace(params=params, batch_stats=stats, ema=average), sharding)


def group_counts(params: Any, optimizer: Mapping[str, Any]) -> dict[str, int]:
  """How many parameters each optimizer group rules, for the reader to check: description -> count."""
  groups = build(optimizer.get("groups", ()))
  counts: dict[str, int] = {}
  for group, x in zip(jax.tree.leaves(multipliers(params, groups)), jax.tree.leaves(params), strict=True):
    name = f"{group.match or 'all others'} (learning rate x{group.rate:g}, weight decay x{group.decay:g})"
    counts[name] = counts.get(name, 0) + x.size
  return counts


def report(workdir: pathlib.Path, batch_size: int, say: Any) -> None:
  """Evaluates the best checkpoint on the validation split and writes `workdir/evaluation`, unless that is done."""
  run = open_run(workdir, "best")
  split = run.data.validation_split
  path = workdir / "evaluation" / f"{split}.json"
  if path.exists() and json.loads(path.read_text()).get("step") == run.step:
    return
  scorer = make_scorer(run.network, run.normalise, make_mesh(1), run.dtype)
  scores = score_split(scorer, run.variables, run.eval_loader(batch_size=batch_size).batches())
  summary = summarize(scores, run.class_names)
  write_report(path.parent, split, summary, scores, run.class_names, shlex.join(sys.orig_argv), {"step": run.step})
  say(f"best checkpoint (step {run.step}) on {split}: top-1 {summary['top1']:.2%}, top-5 {summary['top5']:.2%}")


if __name__ == "__main__":
  run_main(main)
