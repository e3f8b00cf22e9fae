"""`python -m vidjax.train --config=FILE[:argument] --workdir=DIR [--config.key=value ...]`: trains, or goes on.

Exit codes: 0 trained (or found finished), 2 bad input, 3 a loss that is not finite, 75 stopped by SIGTERM with the
state saved. Several processes: give each `--coordinator=HOST:PORT --num_processes=N --process_id=I`.
"""

import contextlib
import dataclasses
import fcntl
import functools
import io
import json
import pathlib
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.analyse.confusion import save_confusion
from vidjax.analyse.pictures import save_batch
from vidjax.build import build, define_config, read_config
from vidjax.console import copied_to, say
from vidjax.data import identity
from vidjax.data.loader import video_id
from vidjax.errors import InputError, run_main
from vidjax.evaluate.__main__ import Options
from vidjax.evaluate.__main__ import evaluate as evaluate_runs
from vidjax.evaluate.metrics import confusion, summarize
from vidjax.evaluate.views import make_scorer, measurable, score_split
from vidjax.run import Run, check_same, flatten, make_folder, read_folder, write_config, write_folder
from vidjax.train import processes
from vidjax.train.checkpoint import Checkpoints, has_checkpoint, latest_step, load_variables, transfer
from vidjax.train.class_rows import class_axes, match_classes
from vidjax.train.log import MetricsLog
from vidjax.train.loop import Validation, fit
from vidjax.train.multitask import over
from vidjax.train.optimizer import multipliers
from vidjax.train.sharding import batch_sharding, check_batch_size, make_mesh, state_sharding
from vidjax.train.step import init_state, make_prepare, make_train_step
from vidjax.types import Batch, State
from vidjax.weights.load import ReleasedSettings, load_weights

CONFIG = define_config()
WORKDIR = flags.DEFINE_string(
  "workdir", None, "Folder for checkpoints, metrics and reports; an old one is gone on with."
)
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for training with several processes.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes train together.")
EXTEND = flags.DEFINE_bool(
  "extend", False, "Train longer than before, by a larger train.epochs, though the learning rate depends on it."
)
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
    train(config, workdir, EXTEND.value)
  tell(f"done in {time.monotonic() - started:.0f} s: {workdir}")


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


def make_validation(run: Run, mesh: Mesh) -> Callable[[State], Validation]:
  """The function that measures a state on the validation split."""
  objectives, left_out = measurable(run.network, run.clip_shape, build(run.config["losses"]))
  for objective in left_out:
    tell(
      f"{type(objective).__name__}, which reads what the network has in training alone, is not measured in validation"
    )
  scorer = make_scorer(run.network, run.normalise, mesh, run.dtype, objectives)
  source = run.dataset.source(run.data.validation_split)

  def validate(state: State) -> Validation:
    variables = state.ema or {"params": state.params, "batch_stats": state.batch_stats}
    loader = run.eval_loader(batch_size=run.settings.batch_size, skip_damaged=run.data.skip_damaged)
    scores = score_split(scorer, variables, loader.batches(), name=functools.partial(video_id, source))
    summary = summarize(scores, run.class_names)
    numbers = {name: summary[name] for name in ("top1", "top5", "mean_class")}
    numbers |= {f"loss/{name}": loss for name, loss in scores.losses.items()}
    numbers |= {"damaged": len(loader.damaged)} if loader.damaged else {}
    if jax.process_index() > 0:
      return Validation(numbers)
    picture = io.BytesIO()
    save_confusion(picture, confusion(scores), run.class_names, f"top-1 {summary['top1']:.1%}")
    return Validation(numbers, {"confusion": to_array(picture)})

  return validate


def show_batch(
  workdir: pathlib.Path, log: MetricsLog, run: Run, prepare: Any, key: jax.Array, batch: Batch, host: Mapping[str, Any]
) -> None:
  """Writes `batch.png`, and to TensorBoard: the first clips of a batch as the network sees them."""
  if jax.process_index() == 0:
    clips = jax.jit(prepare)({name: x[:8] for name, x in host.items() if name in batch}, key)["video"]
    titles = [run.class_names[label] for label in host["label"][:8]]
    save_batch(workdir / "batch.png", np.asarray(clips), titles, run.normalise.mean, run.normalise.std)
    with (workdir / "batch.png").open("rb") as picture:
      log.picture(1, "batch", to_array(picture))


def to_array(picture: BinaryIO) -> np.ndarray:
  """The uint8 `[H, W, 3]` of a PNG."""
  from matplotlib.image import imread

  picture.seek(0)
  return (255 * imread(picture)[..., :3]).round().astype(np.uint8)


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


def tell(text: str, error: bool = False) -> None:
  """`console.say`, in one of several processes."""
  if jax.process_index() == 0:
    say(text, error)


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
  report_path = workdir / "weights_report.txt"
  if init["workdir"]:
    source, step = load_variables(init["workdir"], "best")
    make = functools.partial(build, run.config["model"])
    axes = class_axes(lambda count: make(num_classes=count), run.clip_shape, len(run.class_names))
    there = read_folder(pathlib.Path(init["workdir"]))[1]
    source, words = match_classes(source, axes, there, run.class_names, init["new"])
    variables, taken = transfer(variables, source, init["new"])
    tell(f"{init['workdir']}, step {step}: {'; '.join(filter(None, [taken[0], words]))}; {report_path}")
    if jax.process_index() == 0:
      report_path.write_text("\n".join([f"{init['workdir']}, step {step}", words, *taken]) + "\n", encoding="utf-8")
  else:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", ReleasedSettings)  # said in the command's own way
      variables, loaded = load_weights(
        variables, init["weights"], network=run.network, new=init["new"], unused=init["unused"]
      )
    if loaded.settings:
      tell(f"warning: {init['weights']}: {loaded.warning}")
    tell(f"{init['weights']}: {str(loaded).splitlines()[0]}; {report_path}")
    if jax.process_index() == 0:
      report_path.write_text(f"{init['weights']}: {loaded}\n", encoding="utf-8")
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
  tell(f"best checkpoint (step {run.step}): top-1 {summary['top1']:.2%}, top-5 {summary['top5']:.2%}; {path}")


if __name__ == "__main__":
  run_main(main)
