"""Training a config describes, from its data to the report of the best checkpoint."""

import contextlib
import fcntl
import functools
import json
import pathlib
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.apply import processes
from vidjax.apply.processes import tell
from vidjax.apply.sharding import batch_sharding, check_batch_size, make_mesh, state_sharding
from vidjax.build import build
from vidjax.console import copied_to
from vidjax.data import identity
from vidjax.errors import InputError
from vidjax.evaluate.evaluate import Options, evaluate
from vidjax.run.checkpoint import Checkpoints, has_checkpoint, latest_step, load_variables
from vidjax.run.folder import check_same, flatten, make_folder, read_folder, write_config, write_folder
from vidjax.run.opened import Run
from vidjax.train.log import MetricsLog
from vidjax.train.loop import fit
from vidjax.train.multitask import over
from vidjax.train.optimizer import multipliers
from vidjax.train.start import check_init, start_from
from vidjax.train.step import init_state, make_prepare, make_train_step
from vidjax.train.validation import make_validation, show_batch
from vidjax.types import State


def train(config: Mapping[str, Any], workdir: pathlib.Path, extend: bool = False) -> None:
  """Builds everything a config describes, trains it, and evaluates the best checkpoint.

  Training begins at the last checkpoint in `workdir` where there is one.

  Args:
    config: plain nested dicts.
    workdir: the run's folder.
    extend: a longer `train.epochs` may change the learning rate from where the run stands.
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
      longer = lengthened(workdir, config, loader.batches_per_epoch, extend)
      claim_folder(workdir, run, longer)
    if jax.process_index() == 0:
      stack.enter_context(copied_to(workdir / "train.log"))
      if longer:  # now that no other process reads it
        write_config(workdir, config)
    describe(run, abstract.params, len(loader.source), mesh)
    with contextlib.closing(Checkpoints(workdir, settings.keep_best)) as checkpoints:
      if checkpoints.latest_step is not None:
        state, done = checkpoints.restore(layout)
        tell(f"{workdir} goes on after step {done} of {total}" if done < total else f"{workdir} is finished")
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
            show_batch=None if done else functools.partial(show_batch, workdir, log, run, prepare, train_key),
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
    again = "prepare it again with --split=train:.8,validation:.2 (every class needs two videos)"
    remedies = [again] * run.data.name.startswith("folder/")
    remedies += [f"add --config.data.validation_split={name}" for name in splits if name != run.data.train_split][:1]
    remedy = " or ".join(remedies) or "give it one"
    raise InputError(
      f"{run.data.name} has no split {split!r} to validate on; it has {', '.join(splits)}: {remedy} (accuracy on"
      f" {run.data.train_split} says nothing about other videos)"
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


def lengthened(workdir: pathlib.Path, config: Mapping[str, Any], batches_per_epoch: int, extend: bool) -> bool:
  """Whether `train.epochs` is larger than it was in this folder, and may be.

  Raises:
    InputError: the learning rate or the losses' weights of the steps already done would have been others, and not
      `extend`.
  """
  done = latest_step(workdir)
  if done is None:
    return False
  before, _ = read_folder(workdir)
  lengths = before["train"]["epochs"], config["train"]["epochs"]
  if not lengths[0] < lengths[1]:
    return False
  rates = [build(config["schedule"], epochs=epochs)(batches_per_epoch) for epochs in lengths]
  blends = [over(build(config["blend"]), count_steps(epochs, batches_per_epoch)) for epochs in lengths]
  past, past_longer = (jax.vmap(lambda step, rate=rate: jnp.asarray(rate(step)))(jnp.arange(done)) for rate in rates)
  old, new = (float(rate(done)) for rate in rates)
  if not extend and not (jnp.array_equal(past, past_longer) and blends[0] == blends[1]):
    raise InputError(
      f"{workdir} was trained for {lengths[0]:g} epochs, on which its learning rate or blend depends: add --extend to"
      f" go on after step {done} as a training of {lengths[1]:g} epochs does there (rate {new:.3g}, where it was"
      f" {old:.3g}), or start a new run from it with --config.init.workdir={workdir}"
    )
  tell(
    f"{workdir} is trained for {lengths[1]:g} epochs, not {lengths[0]:g}: learning rate {new:.3g} from step {done} on"
  )
  return True


def claim_folder(workdir: pathlib.Path, run: Run, longer: bool = False) -> None:
  """Writes what `open_run` needs into a new folder, and what is trained on into any; warns of what is judged on, too.

  Args:
    workdir: the folder.
    run: the run.
    longer: `train.epochs` may be another one than before.

  Raises:
    InputError: another config was trained in the folder, or the data set has changed since.
  """
  if has_checkpoint(workdir):
    check_same(workdir, run.config, run.class_names, run.contents, ("train.epochs",) if longer else ())
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
    tell(
      f"warning: {len(shared)} of the {len(films)} videos of split {split!r} are trained on, too (such as"
      f" {shared[0]}): the accuracy on them says nothing about other videos",
      error=True,
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


def describe(run: Run, params: Any, records: int, mesh: Mesh) -> None:
  """Prints what is trained on what, and the optimizer's groups for the reader to check."""
  size = sum(x.size for x in jax.tree.leaves(params))
  tell(f"{run.data.name}: {records} training records, {len(run.class_names)} classes")
  for note in run.notes:
    tell(note)
  tell(f"{size:,} parameters on {mesh.size} {jax.devices()[0].platform} device(s)")
  groups = build(run.config["optimizer"].get("groups", ()))
  counts: dict[str, int] = {}
  for group, x in zip(jax.tree.leaves(multipliers(params, groups)), jax.tree.leaves(params), strict=True):
    name = f"{group.match or 'all others'}: learning rate x{group.rate:g}, weight decay x{group.decay:g}"
    counts[name] = counts.get(name, 0) + x.size
  for name, count in counts.items():
    tell(f"  {count:,} parameters {name}")


def report(workdir: pathlib.Path, run: Run, mesh: Mesh) -> None:
  """Evaluates the best checkpoint on the validation split and writes `workdir/evaluation`, unless that is done."""
  run.workdir = workdir
  run.variables, run.step = load_variables(workdir, "best")
  path = workdir / "evaluation" / f"{run.data.validation_split}.json"
  with contextlib.suppress(FileNotFoundError, ValueError):  # damaged, as by a full disk: written again
    if json.loads(path.read_text())["step"] == run.step:
      return
  options = Options(skip_damaged=run.data.skip_damaged)
  summary = evaluate([run], options, mesh, shlex.join(sys.orig_argv), progress=False)
  tell(f"best checkpoint (step {run.step}): top-1 {summary['top1']:.2%}, top-5 {summary['top5']:.2%}; {path}")
