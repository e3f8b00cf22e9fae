"""Do clusters find repeated motions, and is what windows are beyond them worth more than pooling? (dte)

The rows are trained on the features of `synthetic_actions/repeat`; DATA has the commands that prepare them first.

Its class is the order and proportion of two motions. The paper's own tables are not known: this is the abstract's claim
on data of ours [I].

Every row but mean pooling reads what features are beyond the mean of their clip, whose mean is 0;
`experiments.dte.kept_mean` lets all of them read the features themselves. All have the same batches, epochs, optimizer,
rate and dropout; the transformer has a tenth of the rate. None was tuned with more care than the others. Accuracy is
the best of ten looks at the validation clips, of every row.

Printed of each run: accuracy; multiply-accumulates and time of a clip, on stored features and with the backbone; how
the clusters of validation windows agree with the motions (NMI, and accuracy by the best match of one cluster to each
motion); what of the variance of what follows the prediction misses; KL(P||Q) over the training windows before and after
the clustering, at the p of its start and at that of its end. Rows of one seed share their first phases.
"""

import functools
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.tables.command import run_table
from experiments.tables.measures import top1
from experiments.tables.row import Row, Table, Training
from experiments.tables.sweep import folder_name
from vidjax.analyse.cost import count_macs
from vidjax.data.schema import Record
from vidjax.ops.clusters import target_p
from vidjax.run.folder import read_phases
from vidjax.run.opened import Run, open_run
from vidjax.tasks.clustering import agreement, window_labels
from vidjax.train.clusters import KMeans
from vidjax.train.windows import windows

FEATURES = 48
PROBE = (
  "--config.data.name=features/repeat",
  f"--config.stream.width={FEATURES}",
  "--config.sampler.num_segments=96",
  "--config.train.batch_size=32",
  "--config.train.evaluate_every=3.0",
)
FAST, SLOW = "--config.schedule.learning_rate=0.01", "--config.schedule.learning_rate=0.001"
DATA = {
  "features/repeat": (
    "python -m vidjax.train --config=configs/quickstart.py --workdir=runs/quickstart",
    "python -m vidjax.prepare features --workdir=runs/quickstart --data=synthetic_actions/repeat --name=repeat"
    " --per=frame",
  )
}
MINI = "configs/deep_residual.py:mini"
STANDARD, WITHOUT = "--config.model.normalise=True", "--config.model.remove_mean=True"
SOFT = "--config.model.assign=soft"
SEQUENCE = "--config.model.aggregate=sequence"
FOUR = ("--config.model.clusters=4", "--config.phases[3].model.clusters=4")


def row(name: str, config: str, *flags: str, shares: tuple[str, int] | None = None) -> Row:
  """A network.

  Args:
    name: of the row.
    config: as `--config`.
    *flags: that change it.
    shares: the row whose first phases it has, and their number.
  """
  return Row(name, {}, "ours", {"": Training(config, flags, shares=shares)})


AUTOENCODER, HARD = "autoencoder without DEC", "DEC hard"
ROWS = (
  row("mean pooling", "configs/probe.py:linear", *PROBE, FAST, STANDARD),
  row("LSTM", "configs/probe.py:lstm", *PROBE, FAST, WITHOUT),
  row("transformer", "configs/probe.py:transformer", *PROBE, SLOW, WITHOUT),
  row("NetVLAD", "configs/probe.py:netvlad", *PROBE, FAST, STANDARD, WITHOUT, "--config.model.clusters=8"),
  row("raw k-means VLAD", f"{MINI}-raw"),
  row("raw k-means VLAD, 4 clusters", f"{MINI}-raw", "--config.model.clusters=4"),
  row(AUTOENCODER, f"{MINI}-kmeans"),
  row("residual sequence without DEC", f"{MINI}-kmeans", SEQUENCE, shares=(AUTOENCODER, 3)),
  row(HARD, MINI, shares=(AUTOENCODER, 3)),
  row("DEC soft", MINI, SOFT, shares=(HARD, 4)),
  row("DEC residual sequence", MINI, SEQUENCE, shares=(HARD, 4)),
  row("DEC hard, 4 clusters", MINI, *FOUR, shares=(AUTOENCODER, 3)),
)


def measure(folder: pathlib.Path) -> dict[str, float]:
  """The numbers of one run; NaN where it has nothing to measure."""
  own = own_phases(folder)
  run = open_run(folder)
  macs, ms = cost(run.network, run.variables, run.clip_shape, "logits")
  found = {**top1(folder), "MMAC": macs / 1e6, "ms": ms}
  found |= {
    f"{name} with backbone": one for name, one in zip(("MMAC", "ms"), with_backbone(run, macs, ms), strict=True)
  }
  found |= dict.fromkeys(("NMI %", "matched %"), np.nan) | agreements(run)
  phases = {phase.partition("_")[2]: folder / phase for phase in own}
  found |= {f"{phase}, missed %": missed(phases[phase]) if phase in phases else np.nan for phase in LAYERS}
  return found | divergences(folder / "3_whole", phases.get("clusters"))


LAYERS = ("layer1", "layer2", "whole")
KL = "KL at the first p, before", "after", "KL at the last p, before", "after it"


def cost(network: Any, variables: Any, shape: tuple[int, ...], answer: str) -> tuple[float, float]:
  """Multiply-accumulates and milliseconds of one clip, the shortest of 20 forward passes.

  Args:
    network: called as `(clips, train)`.
    variables: its own.
    shape: of the clip.
    answer: the part of the output that is waited for.
  """
  clip, times = jnp.zeros((1, *shape)), []
  run = jax.jit(lambda v, x: getattr(network.apply(v, x, False), answer))
  macs = count_macs(run, variables, clip)
  for _ in range(20):
    start = time.perf_counter()
    jax.block_until_ready(run(variables, clip))
    times.append(1e3 * (time.perf_counter() - start))
  return macs, min(times)


@functools.cache
def backbone() -> tuple[float, float]:
  """The cost of a frame through the quickstart's network, which made the features."""
  from configs import quickstart
  from vidjax.recipe import make_recipe

  recipe: Any = make_recipe(quickstart.get_config().to_dict(), ["a", "b"])
  variables = recipe.network.init(jax.random.key(0), jnp.zeros((1, *recipe.clip_shape)), False)
  macs, ms = cost(recipe.network, variables, recipe.clip_shape, "features")
  return macs / recipe.clip_shape[0], ms / recipe.clip_shape[0]


def with_backbone(run: Run, macs: float, ms: float) -> tuple[float, float]:
  """The cost of a clip with that of all its frames.

  Args:
    run: of the network on features.
    macs: of a clip.
    ms: of a clip.
  """
  frames = run.clip_shape[0]
  return (macs + frames * backbone()[0]) / 1e6, ms + frames * backbone()[1]


def clips(run: Run) -> tuple[np.ndarray, np.ndarray, list[Record]]:
  """Features `[N, T, F]` of the validation split as a test samples them, their `frame_labels` `[N, T]`, and records."""
  source = run.dataset.source(run.data.validation_split)
  records = [Record.parse(source[number]) for number in range(len(source))]
  places = [run.recipe.sampler.test(record.num_frames, 1, record.times)[0] for record in records]
  pairs: Any = list(zip(records, places, strict=True))
  return (
    np.stack([record.features[place] for record, place in pairs]),
    np.stack([record.frame_labels[place] for record, place in pairs]),
    records,
  )


def outputs(run: Run) -> tuple[Any, np.ndarray, list[Record]]:
  """What the network gives for the validation split in one batch, the motion of each window `[N, W]`, and records."""
  features, labels, records = clips(run)
  output = jax.jit(lambda v, x: run.network.apply(v, run.normalise(x), False))(run.variables, features)
  places = np.asarray(output.aux["places"]) if "places" in output.aux else np.arange(features.shape[1])[:, None]
  return output, window_labels(labels, places), records


def agreements(run: Run) -> dict[str, float]:
  """How the clusters agree with the motions, in per cent."""
  output, labels, _ = outputs(run)
  if "assignment" not in output.aux:
    return {}
  found = agreement(np.asarray(output.aux["assignment"]).argmax(-1).ravel(), labels.ravel())
  return {"NMI %": 100 * found["nmi"], "matched %": 100 * found["accuracy"]}


def missed(phase: pathlib.Path) -> float:
  """The squared error of a prediction over the variance of its target, in per cent, on the validation split."""
  aux = outputs(open_run(phase))[0].aux
  there = np.asarray(aux["exists"])
  target, prediction = (np.asarray(aux[name])[there] for name in ("target", "prediction"))
  return 100 * float(np.square(prediction - target).sum() / np.square(target - target.mean(0)).sum())


def divergences(whole: pathlib.Path, clusters: pathlib.Path | None) -> dict[str, float]:
  """Mean KL(P||Q) of the training windows before and after a phase of clusters, p held at its start and at its end.

  Args:
    whole: the phase before.
    clusters: that phase; None gives NaN.
  """
  if clusters is None:
    return dict.fromkeys(KL, np.nan)
  run, embedded = open_run(clusters), open_run(whole)
  mixed = {kind: {**run.variables[kind], "embedding": embedded.variables[kind]["embedding"]} for kind in run.variables}
  qs = [windows(run, variables).q for variables in (KMeans()(run, mixed, None), run.variables)]
  ps = [np.asarray(target_p(jnp.asarray(q), jnp.asarray(q.sum((0, 1))))) for q in qs]
  found = [float(np.mean(np.sum(p * np.log(np.maximum(p, 1e-30) / np.maximum(q, 1e-30)), -1))) for p in ps for q in qs]
  return dict(zip(KL, found, strict=True))


def own_phases(folder: pathlib.Path) -> list[str]:
  """The phases of a run that it did not copy from another row's."""
  name = folder.name.rpartition("_")[0]
  shared = {folder_name(row.name, "", 0)[:-2]: row.mini[""].shares for row in ROWS}.get(name)
  return read_phases(folder)[shared[1] if shared else 0 :]


TABLE = Table("dte: repeated motions", ROWS, measure, epochs=30.0, data=DATA)

if __name__ == "__main__":
  run_table(TABLE)
