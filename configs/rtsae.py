r"""RTSAE alone (rtsae 3.2): learns without labels which steps of stored features to keep, those of any backbone.

  python -m vidjax.prepare features --workdir=runs/quickstart --data=synthetic_actions/sparse --name=sparse --per=frame
  python -m vidjax.train --config=configs/rtsae.py --config.data.name=features/sparse --config.stream.width=48 \
    --config.task.key_frames=True --workdir=runs/rtsae_alone

The first command prints the width at its end. Clips are 32 features, evenly over the video; a shorter one repeats some.
Features that are all 0 are padding, unless --config.model.padding=None. The report says how many steps are kept and,
with `task.key_frames` on data that has key moments, how well they hit them.

From rtsae: two layers of 128, Eq. 12 with its weights, Adadelta, batches of 32. Ours: 32 steps and 50 epochs.

Measured by these commands, one seed: no gate but that of the first step opens, so that F is .01. Within a video these
features vary by 5% of their mean square.
"""

from ml_collections import ConfigDict

from configs import probe, rtsae_dscnn
from vidjax.build import described
from vidjax.losses.sparse_autoencoder import SparseAutoencoder
from vidjax.networks.rtsae import RTSAE
from vidjax.tasks.reconstruction import Reconstruction


def get_config() -> ConfigDict:
  """The RTSAE on the features of `configs/probe.py`."""
  c = probe.get_config()
  c.sampler.num_segments = 32
  c.task = described(Reconstruction(), "key_frames")
  c.model = ConfigDict(described(RTSAE(), "depth", "width", "decode"))
  c.losses = (described(SparseAutoencoder(), "target"),)
  c.blend = {"make": "vidjax.train.multitask.Weighted", "weights": rtsae_dscnn.EQUATION_12}
  c.optimizer = ConfigDict({"make": "optax.adadelta", "rho": 0.95, "eps": 1e-6})
  c.schedule = {"make": "vidjax.train.schedules.constant", "learning_rate": 1.0}
  c.train.batch_size = 32
  return c
