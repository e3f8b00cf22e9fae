"""`python -m vidjax.train --config=FILE[:argument] --workdir=DIR [--config.key=value ...]`: trains, or goes on.

Exit codes: 0 trained (or found finished), 2 bad input, 3 a loss that is not finite, 75 stopped by SIGTERM with the
state saved. Several processes: give each `--coordinator=HOST:PORT --num_processes=N --process_id=I`.
"""

import contextlib
import dataclasses
import fcntl
import functools
import json
import pathlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.analyse.pictures import save_batch
from vidjax.build import build, define_config, read_config
from vidjax.data import identity
from vidjax.errors import InputError, run_main
from vidjax.evaluate.__main__ import Options
from vidjax.evaluate.__main__ import evaluate as evaluate_runs
from vidjax.evaluate.metrics import summarize
from vidjax.evaluate.views import make_scorer, score_split
from vidjax.run import Run, check_same, flatten, make_folder, read_folder, write_folder
from vidjax.train import processes
from vidjax.train.checkpoint import Checkpoints, has_checkpoint, load_variables, transfer
from vidjax.train.class_rows import class_axes, match_classes
from vidjax.train.log import MetricsLog
from vidjax.train.loop import fit
from vidjax.train.multitask import over
from vidjax.train.optimizer import multipliers
from vidjax.train.sharding import batch_sharding, check_batch_size, make_mesh, state_sharding
from vidjax.train.step import init_state, make_prepare, make_train_step
from vidjax.types import Batch, State
from vidjax.weights.load import load_weights

CONFIG = define_config()
WORKDIR = flags.DEFINE_string(
  "workdir", None, "Folder for checkpoints, metrics and reports; an old one is gone on with."
)
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for training with several processes.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes train together.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Number of this process, from 0.")


def main(argv: list[str]) -> None:
  """The command."""
  started = time.monotonic()
  if not WORKDIR.value:
    raise InputError("--workdir=DIR is missing: name a folder for checkpoints and metrics")
  processes.join(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
  with processes.ends_at_once():
    with processes.together():
      config = read_config(CONFIG.value)
    workdir = pathlib.Path(WORKDIR.value)
    train(config, workdir)
  say(f"done in {time.monotonic() - started:.0f} s: {workdir}")


def train(config: Mapping[str, Any], workdir: pathlib.Path) -> None:
  """Builds everything a config describes, trains it, and evaluates the best checkpoint.

  Training begins at the last checkpoint in `workdir` where there is one.
  """
  with processes.together():
    run = Run(config)
    settings = run.settings
    mesh = make_mesh(settings.devices)
    check_batch_size(settings.batch_size, mesh, settings.accumulate)
    if run.data.unlabelled:
      check_batch_size(run.data.unlabelled, mesh, settings.accumulate, "data.unlabelled")
    loader = run.training_loader(settings.batch_size)
    check_validation_split(run)
  processes.check_agreement(flatten(config), [run.class_names, run.contents])
  total = count_steps(settings.epochs, loader.batches_per_epoch)
  schedule = build(config["schedule"], epochs=settings.epochs)(loader.batches_per_epoch)
  optimizer = build(config["optimizer"], schedule=schedule)
  prepare = make_prepare(build(config["device_transforms"]), run.normalise, len(run.class_names))
  blend = over(build(config["blend"]), total)

  check_init(config["init"])
  init_key, train_key = jax.random.split(jax.random.key(config["seed"]))
  make = functools.partial(
    init_state, run.network, run.clip_shape, optimizer, ema=settings.ema_decay is not None, blend=blend
  )
  abstract = jax.eval_shape(make, key=init_key)
  sharding = state_sharding(abstract, mesh, settings.fsdp)
  layout = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, sharding)
  train_step = jit_train_step(run, blend, optimizer, prepare, sharding, mesh)
  with contextlib.ExitStack() as stack:
    with processes.together():
      stack.enter_context(sole_user(workdir))
      claim_folder(workdir, run)
    describe(run, abstract.params, len(loader.source), mesh)
    with contextlib.closing(Checkpoints(workdir, settings.keep_best)) as checkpoints:
      if checkpoints.latest_step is not None:
        state, done = checkpoints.restore(layout)
        say(f"{workdir} goes on after step {done} of {total}" if done < total else f"{workdir} is finished")
      else:
        state, done = jax.jit(make, out_shardings=sharding)(key=init_key), 0
        if config["init"]["workdir"] or config["init"]["weights"]:
          state = start_from(state, run, sharding, workdir)
      if done < total or not checkpoints.judged(done):
        with MetricsLog(workdir, done, jax.process_index() == 0) as log:
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
            evaluate=make_validation(run, mesh),
            show_batch=None if done else functools.partial(show_batch, workdir, run, prepare, train_key),
          )
    report(workdir, run, mesh)


def count_steps(epochs: float, batches_per_epoch: int) -> int:
  """Steps of the whole training, at least one."""
  if not 0.5 < epochs * batches_per_epoch < 2**31:
    raise InputError(f"train.epochs={epochs} of {batches_per_epoch} batches each: there must be 1 to 2**31 - 1 steps")
  return round(epochs * batches_per_epoch)


def check_validation_split(run: Run) -> None:
  """A validation split that is not there or cannot be read shows now, not after an epoch."""
  split, splits = run.data.validation_split, run.dataset.splits
  if split not in splits:
    again = " prepare it again with --split=train:.8,validation:.2 (every class needs two videos) or"
    raise InputError(
      f"{run.data.name} has no split {split!r} to validate on; it has {', '.join(splits)}:"
      f"{again if run.data.name.startswith('folder/') else ''} add --config.data.validation_split={min(splits)}"
      f" (accuracy on {run.data.train_split} says nothing about other videos)"
    )
  run.check_labels(run.data.train_split)
  run.eval_loader(batch_size=run.settings.batch_size)


def jit_train_step(run: Run, blend: Any, optimizer: Any, prepare: Any, sharding: State, mesh: Mesh) -> Any:
  """The train step of a run, `(state, batch, key) -> (state, metrics)`, compiled for the devices of a mesh."""
  step = make_train_step(
    run.network,
    build(run.config["losses"]),
    blend,
    optimizer,
    prepare,
    dtype=run.dtype,
    ema_decay=run.settings.ema_decay,
    accumulate=run.settings.accumulate,
  )
  whole = NamedSharding(mesh, PartitionSpec())
  return jax.jit(
    step, in_shardings=(sharding, batch_sharding(mesh), whole), out_shardings=(sharding, whole), donate_argnums=0
  )


def make_validation(run: Run, mesh: Mesh) -> Callable[[State], Mapping[str, float]]:
  """The function that measures a state on the validation split."""
  scorer = make_scorer(run.network, run.normalise, mesh, run.dtype)

  def validate(state: State) -> Mapping[str, float]:
    variables = state.ema or {"params": state.params, "batch_stats": state.batch_stats}
    loader = run.eval_loader(batch_size=run.settings.batch_size, skip_damaged=run.data.skip_damaged)
    summary = summarize(score_split(scorer, variables, loader.batches()), run.class_names)
    numbers = {name: summary[name] for name in ("top1", "top5", "mean_class")}
    return numbers | ({"damaged": len(loader.damaged)} if loader.damaged else {})

  return validate


def show_batch(
  workdir: pathlib.Path, run: Run, prepare: Any, key: jax.Array, batch: Batch, host: Mapping[str, Any]
) -> None:
  """Writes `batch.png`: the first clips of a batch as the network sees them."""
  if jax.process_index() == 0:
    clips = jax.jit(prepare)({name: x[:8] for name, x in host.items() if name in batch}, key)["video"]
    titles = [run.class_names[label] for label in host["label"][:8]]
    save_batch(workdir / "batch.png", np.asarray(clips), titles, run.normalise.mean, run.normalise.std)


def claim_folder(workdir: pathlib.Path, run: Run) -> None:
  """Writes what `open_run` needs into a new folder, and what is trained on into any; warns of what is judged on, too.

  Raises InputError where another config was trained in it, or the data set has changed since.
  """
  if has_checkpoint(workdir):
    check_same(workdir, run.config, run.class_names, run.contents)
    before = identity.read(workdir)
  else:
    before = identity.read(run.config["init"]["workdir"]) if run.config["init"]["workdir"] else {}
    if jax.process_index() == 0:
      write_folder(workdir, run.config, run.class_names, run.contents)
  trained = identity.join(before or {}, run.trained_on)
  split, films = run.data.validation_split, run.dataset.films(run.data.validation_split)
  shared = identity.overlap(trained, run.data.name, films)
  if jax.process_index() == 0:
    identity.write(workdir, trained)
    if shared:
      print(
        f"warning: {len(shared)} of the {len(films)} videos of split {split!r} are trained on, too (such as"
        f" {shared[0]}): the accuracy on them says nothing about other videos",
        file=sys.stderr,
      )


@contextlib.contextmanager
def sole_user(workdir: pathlib.Path) -> Iterator[None]:
  """Makes the folder and holds it; raises InputError while another run trains in it.

  The lock ends with its process in any case.
  """
  if jax.process_index() > 0:
    yield
    return
  make_folder(workdir)
  with (workdir / ".lock").open("w") as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise InputError(f"{workdir} is in use by another run: wait for it, or choose another --workdir") from None
    yield


def say(text: str) -> None:
  """Prints a line, in one of several processes."""
  if jax.process_index() == 0:
    print(text, flush=True)


def describe(run: Run, params: Any, records: int, mesh: Mesh) -> None:
  """Prints what is trained on what, and the optimizer's groups for the reader to check."""
  size = sum(x.size for x in jax.tree.leaves(params))
  say(f"{run.data.name}: {records} training records, {len(run.class_names)} classes")
  for note in run.notes:
    say(note)
  say(f"{size:,} parameters on {mesh.size} {jax.devices()[0].platform} device(s)")
  groups = build(run.config["optimizer"].get("groups", ()))
  counts: dict[str, int] = {}
  for group, x in zip(jax.tree.leaves(multipliers(params, groups)), jax.tree.leaves(params), strict=True):
    name = f"{group.match or 'all others'}: learning rate x{group.rate:g}, weight decay x{group.decay:g}"
    counts[name] = counts.get(name, 0) + x.size
  for name, count in counts.items():
    say(f"  {count:,} parameters {name}")


def check_init(init: Mapping[str, Any]) -> None:
  """Raises InputError where `init` starts from two things, or says how to start from none."""
  if init["workdir"] and init["weights"]:
    raise InputError(
      f"init.workdir={init['workdir']} and init.weights={init['weights']}: a run starts from one of them"
    )
  for key, sources in (("new", ("workdir", "weights")), ("unused", ("weights",))):
    if init[key] and not any(init[source] for source in sources):
      wanted = " or ".join(f"init.{source}" for source in sources)
      raise InputError(f"init.{key}={init[key]} goes with a checkpoint to start from: set {wanted}, or leave it out")


def start_from(state: State, run: Run, sharding: State, workdir: pathlib.Path) -> State:
  """A fresh state with the parameters and statistics of another run or checkpoint, those under `init.new` excepted."""
  init, variables = run.config["init"], {"params": state.params, "batch_stats": state.batch_stats}
  if init["workdir"]:
    source, _ = load_variables(init["workdir"], "best")
    make = functools.partial(build, run.config["model"])
    axes = class_axes(lambda count: make(num_classes=count), run.clip_shape, len(run.class_names))
    there = read_folder(pathlib.Path(init["workdir"]))[1]
    source, words = match_classes(source, axes, there, run.class_names, init["new"])
    say(f"{init['workdir']}: {words}" if words else f"starting from {init['workdir']}")
    variables = transfer(variables, source, init["new"])
  else:
    variables, loaded = load_weights(variables, init["weights"], new=init["new"], unused=init["unused"])
    say(f"{init['weights']}: {str(loaded).splitlines()[0]}; {workdir / 'weights_report.txt'}")
    if jax.process_index() == 0:
      (workdir / "weights_report.txt").write_text(f"{init['weights']}: {loaded}\n")
  state = jax.device_put(dataclasses.replace(state, **variables, ema=None), dataclasses.replace(sharding, ema=None))
  if sharding.ema is None:
    return state
  average = {"params": state.params, "batch_stats": state.batch_stats}
  return dataclasses.replace(state, ema=jax.tree.map(jnp.copy, average))  # the train step donates either for itself


def report(workdir: pathlib.Path, run: Run, mesh: Mesh) -> None:
  """Evaluates the best checkpoint on the validation split and writes `workdir/evaluation`, unless that is done."""
  run.workdir = workdir
  run.variables, run.step = load_variables(workdir, "best")
  path = workdir / "evaluation" / f"{run.data.validation_split}.json"
  with contextlib.suppress(FileNotFoundError, ValueError):  # damaged, as by a full disk: written again
    if json.loads(path.read_text())["step"] == run.step:
      return
  options = Options(skip_damaged=run.data.skip_damaged)
  summary = evaluate_runs([run], options, mesh, shlex.join(sys.orig_argv), progress=False)
  say(f"best checkpoint (step {run.step}): top-1 {summary['top1']:.2%}, top-5 {summary['top5']:.2%}; {path}")


if __name__ == "__main__":
  run_main(main)
