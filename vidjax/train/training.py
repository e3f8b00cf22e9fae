"""Training a config describes, from its data to the report of the best checkpoint."""

import contextlib
import dataclasses
import functools
import json
import pathlib
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vidjax.apply import processes
from vidjax.apply.parts import Part
from vidjax.apply.processes import tell
from vidjax.console import copied_to
from vidjax.data import identity
from vidjax.errors import InputError
from vidjax.evaluate.evaluation import Options, evaluate
from vidjax.recipe import Recipe, make_schedule
from vidjax.run.checkpoint import Checkpoints, has_checkpoint, latest_step, load_variables
from vidjax.run.folder import check_same, make_folder, read_folder, sole_writer, write_config, write_folder
from vidjax.run.metrics import read_history, validated_steps
from vidjax.run.opened import Run
from vidjax.track.beside import followed
from vidjax.train.launch import launch
from vidjax.train.log import MetricsLog
from vidjax.train.loop import fit, stops_at_sigterm
from vidjax.train.multitask import over
from vidjax.train.optimizer import check_groups, multipliers
from vidjax.train.start import begin, refresh, sources, start_from, starts_anew
from vidjax.train.validation import make_validation, show_batch


def train(config: Mapping[str, Any], workdir: pathlib.Path, extend: bool = False, track: Sequence[str] = ()) -> None:
  """Builds everything a config describes, trains it, and evaluates the best checkpoint.

  Training begins at the last checkpoint in `workdir` where there is one.

  Args:
    config: plain nested dicts.
    workdir: the run's folder.
    extend: a longer `train.epochs` may change the learning rate from where the run stands.
    track: names of the trackers that the run is sent to, by the first process.
  """
  run, loader, trainer, _ = launch(config, workdir)
  recipe = run.recipe
  with contextlib.ExitStack() as stack:
    with processes.together():
      stack.enter_context(sole_user(workdir))
      if jax.process_index() == 0:
        stack.enter_context(copied_to(workdir / "train.log"))
    with processes.together():  # a block of its own, since it asks the other processes
      check_shared(workdir)
      longer = lengthened(workdir, recipe, loader.batches_per_epoch, extend)
      claim_folder(workdir, run, longer)
    if longer:  # now that no other process reads it
      tell(f"{workdir} is trained longer, for {trainer.total} steps")
      if jax.process_index() == 0:
        write_config(workdir, config)
    describe(run, trainer.layout.params, len(loader.source), trainer.mesh)
    metric, keep = recipe.task.metric, recipe.settings.keep_best
    with contextlib.closing(Checkpoints(workdir, keep, metric)) as checkpoints:
      history = []
      if checkpoints.latest_step is not None:
        state, done = checkpoints.restore(trainer.layout)
        history = read_history(workdir, done if checkpoints.judged(done) else done - 1)
        if done < trainer.total:
          check_history(workdir, recipe, loader.batches_per_epoch, done)
        stop = recipe.settings.stop
        finished = done >= trainer.total or (stop is not None and checkpoints.judged(done) and stop(history))
        tell(f"{workdir} {'is finished' if finished else f'is resumed after step {done} of {trainer.total}'}")
      else:
        with stops_at_sigterm("before the first step"):
          state, done, finished = trainer.init(), 0, False
          if not starts_anew(config["init"]):
            state = start_from(state, recipe, trainer.layout, workdir)
          state = begin(run, state, loader)
      trackers = track if jax.process_index() == 0 else ()
      if not finished or not checkpoints.judged(done):
        judged = not done or checkpoints.judged(done)  # else that validation comes again
        with MetricsLog(workdir, done, jax.process_index() == 0, judged) as log:
          stack.enter_context(followed(workdir, trackers, config))
          fit(
            trainer,
            state,
            loader,
            recipe,
            checkpoints=checkpoints,
            log=log,
            history=history,
            evaluate=make_validation(run, trainer.mesh),
            show_batch=None if done else functools.partial(show_batch, workdir, log, run, trainer),
            refresh=None if recipe.settings.refresh is None else lambda state: refresh(run, state, loader),
          )
    with stops_at_sigterm("while the best checkpoint was evaluated"):
      report(workdir, run, trainer.mesh)


def check_history(workdir: pathlib.Path, recipe: Recipe, batches_per_epoch: int, done: int) -> None:
  """Raises an InputError where the rate or the end of a resumed run follow from validations that it no longer has.

  Args:
    workdir: the run's folder.
    recipe: of the training.
    batches_per_epoch: of the loader.
    done: steps done; that step itself may still be without a validation.
  """
  if recipe.plateau is None and recipe.settings.stop is None:
    return
  there = validated_steps(workdir)
  lacking = [x for x in range(1, done) if recipe.settings.validates(x, batches_per_epoch) and x not in there]
  if lacking:
    raise InputError(
      f"{workdir / 'metrics.jsonl'} lacks the validation of step {lacking[0]}, which the learning rate or train.stop"
      " follow from: put the file back, or train again in another --workdir"
    )


def check_shared(workdir: pathlib.Path) -> None:
  """Raises an InputError, in all processes, where they do not see the same checkpoints in the workdir."""
  seen = processes.gather(str(latest_step(workdir)))
  if len(set(seen)) > 1:
    raise InputError(
      f"{workdir}: the processes see different last checkpoints ({', '.join(seen)}): share one --workdir"
    )


def lengthened(workdir: pathlib.Path, recipe: Recipe, batches_per_epoch: int, extend: bool) -> bool:
  """Whether the training is longer than it was in this folder, and may be.

  Args:
    workdir: the run's folder.
    recipe: of the training to come.
    batches_per_epoch: of the loader.
    extend: lengthen it although the learning rate or the weights of the losses depend on the length.

  Raises:
    InputError: the learning rate or the losses' weights of the steps already done would have been others, and not
      `extend`.
  """
  done = latest_step(workdir)
  if done is None:
    return False
  before, _ = read_folder(workdir)
  length = {name: before["train"].get(name) for name in ("epochs", "steps")}
  lengths = dataclasses.replace(recipe.settings, **length), recipe.settings
  totals = [settings.total(batches_per_epoch) for settings in lengths]
  if not totals[0] < totals[1]:
    return False
  rates = [make_schedule(recipe.config, settings, batches_per_epoch) for settings in lengths]
  rules = [over(recipe.rule, total) for total in totals]
  past, past_longer = (jax.vmap(lambda step, rate=rate: jnp.asarray(rate(step)))(jnp.arange(done)) for rate in rates)
  old, new = (float(np.asarray(rate(done))) for rate in rates)
  if not extend and not (jnp.array_equal(past, past_longer) and rules[0] == rules[1]):
    raise InputError(
      f"{workdir} was trained for {totals[0]} steps, on which its learning rate or blend depends: add --extend to"
      f" continue after step {done} as a training of {totals[1]} steps does there (rate {new:.3g}, where it was"
      f" {old:.3g}), or start a new run from it with --config.init.workdir={workdir}"
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
    check_same(workdir, run.config, run.class_names, run.contents, ("train.epochs", "train.steps") if longer else ())
    before = identity.read(workdir)
  else:
    before = {}
    for source in sources(run.config["init"], workdir):
      before = identity.join(before, identity.read(source) or {})
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


START = 0.01
"""Share of the start in the averages at a training's end from which on a warning is due."""


@contextlib.contextmanager
def sole_user(workdir: pathlib.Path) -> Iterator[None]:
  """Makes the folder and holds it, of several processes by the first; InputError while another run trains in it."""
  if jax.process_index() > 0:
    yield
    return
  make_folder(workdir)
  with sole_writer(workdir, "--workdir"):
    yield


def describe(run: Run, params: Any, records: int, mesh: Mesh) -> None:
  """Prints what is trained on what, and the optimizer's groups for the reader to check.

  Args:
    run: to be trained.
    params: its parameters, or their shapes.
    records: of the training split.
    mesh: the devices.
  """
  size = sum(x.size for x in jax.tree.leaves(params))
  whole = run.dataset.splits[run.data.train_split]
  part = f" ({run.data.fraction:g} of {whole}, chosen by seed {run.config['seed']})" * (run.data.fraction < 1)
  tell(f"{run.data.name}: {records} training records{part}, {len(run.class_names)} classes")
  if run.data.balanced:
    tell("every class is drawn equally often")
    if any(loss.get("weights") == "frequency" for loss in run.config["losses"]):
      tell("warning: weights='frequency' weighs rare classes once more: leave it or data.balanced out")
  if run.data.repeats > 1:
    tell(f"each record of a batch gives {run.data.repeats} clips, and an epoch reads each record once")
  for note in run.notes:
    tell(note)
  tell(f"{size:,} parameters on {mesh.size} {jax.devices()[0].platform} device(s)")
  for line in _scale(run, mesh.size, records):
    tell(line)
  groups = run.recipe.groups()
  check_groups(params, groups)
  changing = Part(run.recipe.settings.frozen, run.recipe.settings.trained).of(params)
  if (trained := sum(x.size for x in jax.tree.leaves(changing))) < size:
    tell(f"{trained:,} of them are trained, {size - trained:,} stay as they are")
  counts: dict[str, int] = {}
  for group, x in zip(jax.tree.leaves(multipliers(changing, groups)), jax.tree.leaves(changing), strict=True):
    name = f"{group.match or 'all others'}: learning rate x{group.rate:g}, weight decay x{group.decay:g}"
    counts[name] = counts.get(name, 0) + x.size
  for name, count in counts.items():
    tell(f"  {count:,} parameters {name}")


def _scale(run: Run, devices: int, records: int) -> list[str]:
  """Lines that say how the batch is divided among the devices, what the rate is for, and what averages are worth."""
  settings, rate = run.recipe.settings, run.config["schedule"].get("learning_rate")
  batch, unlabelled = settings.batch_size, run.data.unlabelled
  parts = f", in {settings.accumulate} parts one after another" * (settings.accumulate > 1)
  more = f", and {unlabelled} without labels" * bool(unlabelled)
  lines = [f"a batch is {batch} clips, {batch / devices:g} on each of {devices} device(s){parts}{more}"]
  if isinstance(rate, (int, float)):
    flags = f"--config.train.batch_size={2 * batch} --config.schedule.learning_rate={2 * rate:g}"
    lines.append(f"the learning rate, {rate:g}, is for that batch, on any number of devices; in proportion: {flags}")
  steps = settings.total(max(records * run.data.repeats // batch, 1))
  if settings.ema_decay and (start := settings.ema_decay**steps) > START:
    lines.append(
      f"warning: after all {steps} steps the averages are still {start:.0%} the start, and validation reads them: set"
      f" --config.train.ema_decay={max(1 - 10 / steps, 0.5):.2g} or so, or leave it out"
    )
  return lines


def report(workdir: pathlib.Path, run: Run, mesh: Mesh) -> None:
  """Evaluates the best checkpoint on the validation split and writes `workdir/evaluation`, unless that is done.

  Args:
    workdir: the run's folder.
    run: the run, which gets the variables of that checkpoint.
    mesh: the devices.
  """
  run.workdir = workdir
  run.variables, run.step = load_variables(workdir, "best")
  path = workdir / "evaluation" / f"{run.data.validation_split}.json"
  with contextlib.suppress(FileNotFoundError, ValueError, LookupError):  # damaged, as by a full disk: written again
    before = json.loads(path.read_text())
    if before["step"] == run.step and before["runs"][0]["manifest"]:
      return
  options = Options(skip_damaged=run.data.skip_damaged)
  summary = evaluate([run], options, mesh, shlex.join(sys.orig_argv), progress=False)
  tell(f"best checkpoint (step {run.step}): {summary['line']}; {path}")
