"""Do clusters find repeated motions, and is what windows are beyond them worth more than pooling? (dte)

`python -m experiments.dte.motions --out=runs/dte` trains the rows below with three seeds, on the features of
`synthetic_actions/repeat` that `configs/deep_residual.py` says how to prepare. Its class is the order and proportion of
two motions. The paper's own tables are not known: this is the abstract's claim on data of ours [I].

Every row but mean pooling reads what features are beyond the mean of their clip, whose mean is 0; `--keep_mean` lets
all of them read the features themselves. All have the same batches, epochs, optimizer, rate and dropout, but for the
transformer, which does not train at that rate and has a tenth of it.

Printed of each run: accuracy; multiply-accumulates of a clip on stored features, and of the backbone and these together
over the same with mean pooling; how the clusters of validation windows agree with the motions (NMI, and accuracy by the
best match of one cluster to each motion); what of the variance of what follows the prediction misses; KL(P||Q) over
the training windows, at the p of its start and at that of its end. Rows of one seed share their first phases.
"""

import pathlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.table import Row, define_flags, run_rows, top1
from vidjax.analyse.cost import count_macs
from vidjax.command import run_main
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
MINI = "configs/deep_residual.py:mini"
STANDARD, WITHOUT = "--config.model.normalise=True", "--config.model.remove_mean=True"
SOFT = "--config.model.assign=soft"
SEQUENCE = "--config.model.aggregate=sequence"
FOUR = ("--config.model.clusters=4", "--config.phases[3].model.clusters=4")
ROWS = [
  Row("mean pooling", "configs/probe.py:linear", (*PROBE, FAST, STANDARD)),
  Row("LSTM", "configs/probe.py:lstm", (*PROBE, FAST, WITHOUT)),
  Row("transformer", "configs/probe.py:transformer", (*PROBE, SLOW, WITHOUT)),
  Row("NetVLAD", "configs/probe.py:netvlad", (*PROBE, FAST, STANDARD, WITHOUT, "--config.model.clusters=8")),
  Row("raw k-means VLAD", f"{MINI}-raw"),
  Row("autoencoder without DEC", f"{MINI}-kmeans"),
  Row("DEC hard", MINI),
  Row("DEC soft", MINI, (SOFT,)),
  Row("DEC residual sequence", MINI, (SEQUENCE,)),
  Row("DEC hard, 4 clusters", MINI, FOUR),
]
SHARED = {"autoencoder without DEC": (("DEC hard", "DEC hard, 4 clusters"), 3)}
SHARED["DEC hard"] = ("DEC soft", "DEC residual sequence"), 4
"""Row -> the rows that start as it does, and the number of phases they share."""


def keeping_mean(row: Row) -> Row:
  """The row without `remove_mean` anywhere."""
  places = ("",) if row.config.startswith("configs/probe") else ("", *(f"phases[{n}]." for n in range(phases_of(row))))
  kept = [flag for flag in row.flags if flag != WITHOUT]
  if row.name != "mean pooling":
    kept += [f"--config.{place}model.remove_mean=False" for place in places]
  return Row(row.name, row.config, kept)


def phases_of(row: Row) -> int:
  """Phases of a row that embed."""
  return {f"{MINI}-raw": 0, f"{MINI}-kmeans": 3}.get(row.config, 4)


def measure(folder: pathlib.Path) -> dict[str, float]:
  """The numbers of one run; NaN where it has nothing to measure."""
  name, seed = folder.name.rsplit("_", 1)
  for row, (others, count) in SHARED.items():
    if row.replace(" ", "_") == name:
      share_phases(folder, [f"{other.replace(' ', '_')}_{seed}" for other in others], count)
  run = open_run(folder)
  clip, frame = jax.ShapeDtypeStruct((1, *run.clip_shape), jnp.float32), backbone_macs()
  network: Any = run.network
  macs = count_macs(lambda v, x: network.apply(v, x, False).logits, run.variables, clip)
  pooled = FEATURES * len(run.class_names)
  whole = frame * run.clip_shape[0]
  found = {**top1(folder), "MMAC": macs / 1e6, "with backbone": (whole + macs) / (whole + pooled)}
  found |= dict.fromkeys(("NMI %", "matched %"), np.nan) | agreements(run)
  phases = {phase.partition("_")[2]: folder / phase for phase in read_phases(folder)}
  found |= {f"{phase}, missed %": missed(phases[phase]) if phase in phases else np.nan for phase in LAYERS}
  return found | divergences(phases.get("whole"), phases.get("clusters"))


LAYERS = ("layer1", "layer2", "whole")
KL = "KL at the first p, before", "after", "KL at the last p, before", "after it"


def backbone_macs() -> int:
  """Of a frame, through the quickstart's backbone."""
  from configs import quickstart
  from vidjax.recipe import make_recipe

  recipe: Any = make_recipe(quickstart.get_config().to_dict(), ["a", "b"])
  clip, network = jax.ShapeDtypeStruct((1, *recipe.clip_shape), jnp.float32), recipe.network
  variables = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False), clip)
  return count_macs(lambda v, x: network.apply(v, x, False).features, variables, clip) // recipe.clip_shape[0]


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


def divergences(whole: pathlib.Path | None, clusters: pathlib.Path | None) -> dict[str, float]:
  """Mean KL(P||Q) of the training windows before and after a phase of clusters, p held at its start and at its end."""
  if whole is None or clusters is None:
    return dict.fromkeys(KL, np.nan)
  run, embedded = open_run(clusters), open_run(whole)
  mixed = {kind: {**run.variables[kind], "embedding": embedded.variables[kind]["embedding"]} for kind in run.variables}
  qs = [windows(run, variables).q for variables in (KMeans()(run, mixed, None), run.variables)]
  ps = [np.asarray(target_p(jnp.asarray(q), jnp.asarray(q.sum((0, 1))))) for q in qs]
  found = [float(np.mean(np.sum(p * np.log(np.maximum(p, 1e-30) / np.maximum(q, 1e-30)), -1))) for p in ps for q in qs]
  return dict(zip(KL, found, strict=True))


def share_phases(first: pathlib.Path, others: list[str], count: int) -> None:
  """Copies the first phases of a run to folders beside it.

  Args:
    first: of the run.
    others: names of the folders; those that are there stay as they are.
    count: number of phases.
  """
  for other in others:
    if not (first.parent / other).exists():
      for name in read_phases(first)[:count]:
        shutil.copytree(first / name, first.parent / other / name)


def main(argv: list[str]) -> None:
  """The command."""
  run_rows([keeping_mean(row) for row in ROWS] if flags.FLAGS.keep_mean else ROWS, measure)


if __name__ == "__main__":
  define_flags(epochs=30.0)
  flags.DEFINE_bool("keep_mean", False, "Let all rows read the features themselves.")
  run_main(main)
