"""Deep temporal embedding and the deep residual representation (dte): five phases, one command, stored features.

  python -m vidjax.prepare features --workdir=runs/backbone --name=ucf101 --per=frame --stride=2
  python -m vidjax.train --config=configs/deep_residual.py:ucf101 --config.data.name=features/ucf101 --workdir=runs/dte

1. `layer1` and 2. `layer2`: an encoder-decoder LSTM each, the second over the first one's hidden states (Eq. 14-17).
3. `whole`: both together.
4. `clusters`: the decoder is left out; k-means, then KL(P||Q) on encoder and centres (Eq. 18-20).
5. `classifier`: what windows are beyond their clusters, as VLAD, to a linear classifier; all else is held.
   --config.train.frozen="()" trains all.

Only the paper's abstract and appendix are known. Every number here is ours, and so are windows of 8 steps with 4 to
predict, 64 steps of a video, VLAD and the optimizer. Choose --stride so that most videos have 64 to 128 stored steps.
--config.phases[3].model.records=R, the number of training records, ends `clusters` once under .1% of the windows
change their cluster, as deep embedding clustering does, and keeps the calmest epoch. Without it the last of all epochs
with the lowest loss counts.

`:thumos14` has several labels a video. `:mini` runs in minutes on features of `synthetic_actions/repeat`:

  python -m vidjax.train --config=configs/quickstart.py --workdir=runs/quickstart
  python -m vidjax.prepare features --workdir=runs/quickstart --data=synthetic_actions/repeat --name=repeat --per=frame
  python -m vidjax.train --config=configs/deep_residual.py:mini --workdir=runs/dte
"""

import dataclasses
from typing import Any

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
from vidjax.train.windows import Scaling

NAMES = ("layer1", "layer2", "whole", "clusters", "classifier")


@dataclasses.dataclass(frozen=True)
class Size:
  """What differs from set to set.

  Attributes:
    features: numbers of a stored feature.
    steps: of a clip.
    widths: units of the two layers.
    clusters: K.
    epochs: of each phase.
    rates: learning rates of the phases.
    records: of the training split, where that is known: clips then are whole records, of which p is held as a table.
  """

  features: int = 2048
  steps: int = 64
  widths: tuple[int, int] = (256, 64)
  clusters: int = 64
  epochs: tuple[float, ...] = (20.0, 20.0, 20.0, 30.0, 50.0)
  rates: tuple[float, ...] = (1e-3, 1e-3, 1e-3, 1e-4, 1e-3)
  records: int | None = None


SIZES = {
  "ucf101": Size(),
  "hmdb51": Size(epochs=(40.0, 40.0, 40.0, 60.0, 100.0)),
  "kinetics400": Size(clusters=128, epochs=(3.0, 3.0, 3.0, 5.0, 20.0)),
  "thumos14": Size(steps=256, epochs=(40.0, 40.0, 40.0, 60.0, 100.0)),
  "mini": Size(48, 96, (32, 16), 8, (12.0, 12.0, 12.0, 8.0, 30.0), (1e-2, 1e-2, 3e-3, 3e-4, 1e-2), records=800),
}


def get_config(arg: str = "ucf101") -> ConfigDict:
  """`arg`: "ucf101", "hmdb51", "kinetics400", "thumos14" or "mini"."""
  if arg not in SIZES:
    raise ValueError(f"configs/deep_residual.py:{arg}: choose {', '.join(SIZES)}")
  size = SIZES[arg]
  c = multilabel.get_config() if arg == "thumos14" else default.get_config()
  c.data.name = "features/repeat" if arg == "mini" else f"features/{arg}"
  c.stream = {"make": "vidjax.data.streams.Features", "width": size.features}
  c.sampler = {"make": "vidjax.data.sampling.UniformSegments", "num_segments": size.steps, "frames_per_segment": 1}
  c.transforms = ()
  c.test = {"make": "vidjax.data.augment.WholeClip"}
  c.normalise = {"make": "vidjax.apply.device_augment.AsStored"}
  shape: dict[str, Any] = {"widths": size.widths, "clusters": size.clusters}
  told = (
    "window",
    "stride",
    "context",
    "remove_mean",
    "assign",
    "space",
    "aggregate",
    "normalise",
    "hidden",
    "dropout",
  )
  shape["context"] = "attention" if arg == "mini" else "last"
  c.model = ConfigDict(
    described(DeepResidual(1, **shape, remove_mean=True, normalise=True, dropout=0.5), *told, *shape)
  )
  del c.model["num_classes"]
  c.optimizer = ConfigDict({"make": "optax.adamw", "weight_decay": 1e-4})
  c.schedule.learning_rate = size.rates[-1]
  c.train.batch_size = 32 if arg == "mini" else 64
  c.train.epochs = size.epochs[-1]
  c.train.evaluate_every = 3.0 if arg == "mini" else 1.0
  c.train.frozen = ("embedding", "clusters")
  c.phases = _phases(size, shape["context"], frames=arg == "mini")
  return c


def _phases(size: Size, context: Any, frames: bool) -> tuple[dict[str, Any], ...]:
  """The five trainings; what they do not change is that of the classifier.

  Args:
    size: of the data set.
    context: of the embedding.
    frames: compare clusters with the labels of frames.
  """
  network = DeepEmbedding(size.widths[:1], context=context, remove_mean=True)
  told = ("window", "stride", "context", "remove_mean", "steps", "output", "feed")
  scale = {"embedding/low": "layer1", "embedding/high": "layer1"}
  alone = {
    "task": {"make": "vidjax.tasks.clustering.Clustering", "labels": "frames" if frames else "none"},
    "losses": (described(Prediction(), "kind"),),
  }

  def phase(number: int, model: DeepEmbedding, frozen: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    more = {"schedule": {"learning_rate": size.rates[number]}}
    train = {
      "epochs": size.epochs[number],
      "frozen": frozen,
      "evaluate_every": 1.0 if number == 3 else size.epochs[number] / 4,
    }
    return {"name": NAMES[number], **alone, "model": described(model, *told), **more, "train": train} | changes

  table = size.records is not None
  held = ("clusters/assigned", "clusters/changed", "clusters/table") if table else ()
  clusters = phase(
    3,
    network.clone(widths=size.widths, steps=0, clusters=size.clusters, records=size.records, table=table),
    losses=(described(ClusterKL()),),
    task={**alone["task"], "table": table, "metric": "-changed" if table else "-loss/clustering"},
    init={"phase": {"embedding": "whole"}, "start": described(KMeans(), "starts")},
    optimizer={"groups": (described(Group("^clusters/centres$", rate=1.0, decay=0.0), "rate"),)},
  )
  clusters["train"] |= {"refresh": described(Refresh(), "reseed")}
  clusters["train"] |= {"stop": described(Below(), "bound")} if table else {}
  return (
    phase(0, network, init={"start": described(Scaling())}),
    phase(
      1,
      network.clone(widths=size.widths, greedy=True),
      frozen=("embedding/lstm0",),
      init={"phase": {"embedding/lstm0": "layer1", **scale}},
    ),
    phase(
      2,
      network.clone(widths=size.widths),
      init={"phase": {"embedding": "layer2", "decoder1": "layer2", "decoder0": "layer1"}},
    ),
    clusters,
    {"name": NAMES[4], "init": {"phase": {"embedding": "clusters", "clusters": "clusters"}, "unused": held}},
  )
