"""Deep temporal embedding and the deep residual representation (dte): five phases, one command, stored features.

  python -m vidjax.prepare features --workdir=runs/backbone --name=ucf101 --per=frame --stride=2
  python -m vidjax.train --config=configs/deep_residual.py:ucf101 --config.data.name=features/ucf101 --workdir=runs/dte

1. `layer1` and 2. `layer2`: an encoder-decoder LSTM each, the second over the first one's hidden states (Eq. 14-17).
3. `whole`: both together.
4. `clusters`: the decoder is left out; k-means, then KL(P||Q) on encoder and centres (Eq. 18-20).
5. `classifier`: what windows are beyond their clusters, as VLAD, to a linear classifier; all else is held.
   --config.train.frozen="()" trains all.

Only the paper's abstract and appendix are known. Every number here is ours, and so are windows of 8 steps with 4 to
predict, 64 steps of a video, the mean of a clip that is taken from its features, VLAD and the optimizer. Choose
--stride so that most videos have 64 to 128 stored steps.

`:ucf101` (the default), `:hmdb51`, `:kinetics400`, and `:thumos14` with several labels a video, draw their clips, so
that p follows the frequencies of the last refresh. `:mini` takes whole records, whose p is held as a table, and ends
`clusters` once under .1% of the windows change theirs. It runs in three minutes on features of another data set:

  python -m vidjax.train --config=configs/quickstart.py --workdir=runs/quickstart
  python -m vidjax.prepare features --workdir=runs/quickstart --data=synthetic_actions/repeat --name=repeat --per=frame
  python -m vidjax.train --config=configs/deep_residual.py:mini --workdir=runs/dte

To compare with: `:mini-kmeans` leaves `clusters` out, and takes the centres of k-means; `:mini-raw` embeds a window as
the mean of its features, without any LSTM. `configs/probe.py` has mean pooling, an LSTM classifier and NetVLAD.
"""

import dataclasses
import re
from typing import Any, Literal

from ml_collections import ConfigDict

from configs import default, multilabel
from vidjax.build import described
from vidjax.losses.clustering import ClusterKL
from vidjax.losses.prediction import Prediction
from vidjax.networks.deep_residual import DeepResidual
from vidjax.networks.embedding import DeepEmbedding
from vidjax.train.clusters import KMeans, Refresh
from vidjax.train.optimizer import Group
from vidjax.train.stop import Below
from vidjax.train.windows import InOrder, Scaling

EMBEDDING = ("widths", "window", "stride", "context", "remove_mean")
HELD = ("clusters/assigned", "clusters/changed", "clusters/table")
"""What a refresh keeps of each record, which the classifier does not need."""


@dataclasses.dataclass(frozen=True)
class Size:
  """What differs from set to set.

  Attributes:
    features: numbers of a stored feature.
    steps: of a clip.
    widths: units of the two layers.
    context: of the embedding.
    clusters: K.
    epochs: of each phase.
    rates: learning rates of the phases.
    records: of the training split, where clips are whole records: p is held as a table then.
  """

  features: int = 2048
  steps: int = 64
  widths: tuple[int, ...] = (256, 64)
  context: Literal["last", "attention"] = "last"
  clusters: int = 64
  epochs: tuple[float, ...] = (20.0, 20.0, 20.0, 30.0, 50.0)
  rates: tuple[float, ...] = (1e-3, 1e-3, 1e-3, 1e-4, 1e-3)
  records: int | None = None


LONGER = (40.0, 40.0, 40.0, 60.0, 100.0)
MINI = (12.0, 12.0, 12.0, 8.0, 30.0), (1e-2, 1e-2, 3e-3, 3e-4, 1e-2)
SIZES = {
  "ucf101": Size(),
  "hmdb51": Size(epochs=LONGER),
  "kinetics400": Size(clusters=128, epochs=(3.0, 3.0, 3.0, 5.0, 20.0)),
  "thumos14": Size(steps=256, epochs=LONGER),
  "mini": Size(48, 96, (32, 16), "attention", 8, *MINI, records=800),
}


def get_config(arg: str = "ucf101") -> ConfigDict:
  """`arg`: "ucf101", "hmdb51", "kinetics400", "thumos14" or "mini", then "-kmeans" or "-raw" to compare with."""
  match = re.fullmatch(rf"({'|'.join(SIZES)})(?:-(kmeans|raw))?", arg)
  if not match:
    raise ValueError(f"configs/deep_residual.py:{arg}: choose {', '.join(SIZES)}, then -kmeans or -raw")
  name, other = match.groups()
  size, mini = SIZES[name], name == "mini"
  size = dataclasses.replace(size, widths=()) if other == "raw" else size
  c = multilabel.get_config() if name == "thumos14" else default.get_config()
  c.data.name = "features/repeat" if mini else f"features/{name}"
  if name == "thumos14":
    c.data.train_split, c.data.validation_split = "validation", "test"
  c.stream = {"make": "vidjax.data.streams.Features", "width": size.features}
  c.sampler = {"make": "vidjax.data.sampling.UniformSegments", "num_segments": size.steps, "frames_per_segment": 1}
  c.transforms = ()
  c.test = {"make": "vidjax.data.augment.WholeClip"}
  c.normalise = {"make": "vidjax.apply.device_augment.AsStored"}
  network = DeepResidual(1, size.widths, context=size.context, remove_mean=True, clusters=size.clusters)
  network = network.clone(normalise=True, dropout=0.5)
  told = ("clusters", "assign", "space", "aggregate", "normalise", "hidden", "dropout")
  c.model = ConfigDict(described(network, *EMBEDDING, *told))
  del c.model["num_classes"]
  c.optimizer = ConfigDict({"make": "optax.adamw", "weight_decay": 1e-4})
  c.schedule.learning_rate = size.rates[-1]
  c.train.batch_size = 32 if mini else 64
  c.train.epochs = size.epochs[-1]
  c.train.evaluate_every = 3.0 if mini else 1.0
  c.train.frozen = ("embedding", "clusters")
  if other == "raw":
    c.init.start = described(InOrder((Scaling(), KMeans())), "starts")
    c.train.frozen = ("clusters",)
    return c
  layers, clusters = _layers(size, mini), _clusters(size, mini)
  if other == "kmeans":
    c.phases = (*layers, {"name": "classifier", "init": clusters["init"]})
  else:
    unused = HELD if size.records else ()
    start = {"phase": {"embedding": "clusters", "clusters": "clusters"}, "unused": unused}
    c.phases = (*layers, clusters, {"name": "classifier", "init": start})
  return c


def _layers(size: Size, frames: bool) -> tuple[dict[str, Any], ...]:
  """The trainings of the embedding: each layer, then the whole.

  Args:
    size: of the data set.
    frames: compare clusters with the labels of frames.
  """
  first = DeepEmbedding(size.widths[:1], context=size.context, remove_mean=True)
  whole = first.clone(widths=size.widths)
  scale = {f"embedding/{name}": "layer1" for name in ("low", "high")}
  start = {"phase": {"embedding": "layer2", "decoder1": "layer2", "decoder0": "layer1"}}
  layers = (
    {"name": "layer1", **_phase(size, 0, first, frames), "init": {"start": described(Scaling())}},
    {
      "name": "layer2",
      **_phase(size, 1, whole.clone(greedy=True), frames),
      "init": {"phase": {"embedding/lstm0": "layer1", **scale}},
    },
    {"name": "whole", **_phase(size, 2, whole, frames), "init": start},
  )
  layers[1]["train"]["frozen"] = ("embedding/lstm0",)
  return layers


def _clusters(size: Size, frames: bool) -> dict[str, Any]:
  """Deep embedding clustering; arguments as in `_layers`."""
  table = size.records is not None
  network = DeepEmbedding(size.widths, context=size.context, remove_mean=True, steps=0, clusters=size.clusters)
  found = _phase(size, 3, network.clone(records=size.records, table=table), frames)
  found["train"] |= {"evaluate_every": 1.0, "refresh": described(Refresh(), "reseed")}
  found["train"] |= {"stop": described(Below(), "bound")} if table else {}
  found["task"] |= {"table": table, "metric": "-changed" if table else "used"}  # the last of equals is the best
  return found | {
    "name": "clusters",
    "losses": (described(ClusterKL()),),
    "optimizer": {"groups": (described(Group("^clusters/centres$", rate=1.0, decay=0.0), "rate"),)},
    "init": {"phase": {"embedding": "whole"}, "start": described(KMeans(), "starts")},
  }


def _phase(size: Size, number: int, network: DeepEmbedding, frames: bool) -> dict[str, Any]:
  """What a training without labels changes."""
  return {
    "task": {"make": "vidjax.tasks.clustering.Clustering", "labels": "frames" if frames else "none"},
    "model": described(network, *EMBEDDING, "steps", "output", "feed", "dof"),
    "losses": (described(Prediction(), "kind"),),
    "schedule": {"learning_rate": size.rates[number]},
    "train": {"epochs": size.epochs[number], "evaluate_every": size.epochs[number] / 4, "frozen": ()},
  }
