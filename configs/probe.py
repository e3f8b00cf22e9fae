"""Probes on stored features: how good a frozen backbone's features are, by a linear classifier or a small network.

  python -m vidjax.prepare features --workdir=runs/quickstart --name=quickstart
  python -m vidjax.train --config=configs/probe.py --config.data.name=features/quickstart --config.stream.width=48

`:linear` (the default) is a linear probe, `:mlp` has a hidden layer of 512, `:multilabel` is a linear probe for several
labels a video. They standardise the features first, so that those of any scale train. `:lstm`, `:transformer` and
`:netvlad` are the classifiers of `vidjax.networks.pooling`. Numbers are ours: Adam at a rate of .001 for 50 epochs.

`:attentive` is the probe of V-JEPA (Bardes et al., TMLR 2024): a learnt query looks at all features, in a whole block.
From its released config for Kinetics-400 are AdamW without warm-up at .001 down to 0, 20 epochs, batches of 256, the
gradient's norm of at most 1, and no dropout. Its weight decay falls from .01 to 1e-6; ours stays .01. It reads all
tokens of an encoder, this one the stored features of a video: `prepare features --per=frame` stores most of them. Its
heads are the encoder's; --config.model.pooling.heads must divide the width. `.depth=3` is the probe of V-JEPA 2.
"""

from ml_collections import ConfigDict

from configs import default, multilabel
from vidjax.build import described
from vidjax.networks.pooling import LSTMClassifier, NetVLAD, TransformerClassifier

NETWORKS = {"lstm": LSTMClassifier, "transformer": TransformerClassifier, "netvlad": NetVLAD}


def get_config(arg: str = "linear") -> ConfigDict:
  """`arg`: "linear", "mlp", "multilabel", "attentive", "lstm", "transformer" or "netvlad"."""
  if arg not in ("linear", "mlp", "multilabel", "attentive", *NETWORKS):
    raise ValueError(f"configs/probe.py:{arg}: choose linear, mlp, multilabel, attentive, {', '.join(NETWORKS)}")
  c = multilabel.get_config() if arg == "multilabel" else default.get_config()
  c.data.name = "features/NAME"
  c.stream = {"make": "vidjax.data.streams.Features", "width": 512}  # of the features; an error names the right one
  c.sampler = {"make": "vidjax.data.sampling.UniformSegments", "num_segments": 8, "frames_per_segment": 1}
  c.transforms = ()
  c.test = {"make": "vidjax.data.augment.WholeClip"}
  c.normalise = {"make": "vidjax.apply.device_augment.AsStored"}
  c.model = ConfigDict({"make": "vidjax.networks.probe.Probe", "dropout": 0.5, "normalise": True})
  c.model.hidden = 512 if arg == "mlp" else None
  if arg in NETWORKS:
    told = ("widths", "width", "depth", "clusters", "remove_mean", "normalise", "dropout")
    c.model = ConfigDict(described(NETWORKS[arg](1, dropout=0.5), *told))
    del c.model["num_classes"]
  c.optimizer = ConfigDict({"make": "optax.adamw", "weight_decay": 1e-4})
  c.schedule.learning_rate = 1e-3
  if arg == "attentive":
    c.model.dropout, c.model.normalise = 0.0, False
    c.model.pooling = {"make": "vidjax.networks.attentive.AttentivePooler", "heads": 8, "depth": 0}
    c.optimizer = ConfigDict({"make": "optax.adamw", "weight_decay": 0.01, "clip_norm": 1.0})
    c.train.epochs, c.train.batch_size = 20.0, 256
  return c
