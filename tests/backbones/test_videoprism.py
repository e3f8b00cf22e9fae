"""VideoPrism around its authors' package: the real one where it is installed, and a stand-in of the same interface."""

import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vidjax.backbones.videoprism import VideoPrism, videoprism
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.weights.load import load_weights

TINY = VideoPrism(8, 1, 2, 16, (2, 2, 3), patch=4, time_depth=1)
CLIP = np.random.RandomState(0).uniform(size=(2, 3, 8, 8, 3)).astype(np.float32)


class StandIn(nn.Module):
  """The mean colours of each patch, by a layer; tokens in the authors' order, by frame, then row."""

  patch_size: int
  pos_emb_shape: tuple
  model_dim: int
  num_spatial_layers: int
  num_temporal_layers: int
  num_heads: int
  mlp_dim: int
  atten_logit_cap: float
  scan: bool

  @nn.compact
  def __call__(self, x, train=False):
    batch, frames, height, width, colours = x.shape
    x = x.reshape(batch, frames, height // self.patch_size, self.patch_size, width // self.patch_size, -1, colours)
    return nn.Dense(self.model_dim, name="patch_projection")(x.mean((3, 5)).reshape(batch, -1, colours)), {}


def network():
  return Recognizer(TINY, 0, dropout=0.0, consensus="features")


@pytest.mark.parametrize("real", [True, False])
@jax.numpy_rank_promotion("allow")  # the authors' code needs it
def test_a_released_file_gives_the_features_of_the_authors_code(real, monkeypatch, tmp_path):
  settings = {"patch_size": 4, "pos_emb_shape": (2, 2, 3), "model_dim": 8, "num_spatial_layers": 1}
  settings |= {"num_temporal_layers": 1, "num_heads": 2, "mlp_dim": 16, "atten_logit_cap": 50.0, "scan": True}
  if real:
    code = pytest.importorskip("videoprism.encoders", reason="pip install -e '.[videoprism]' installs it")
    encoder = code.FactorizedEncoder(**settings)
  else:
    encoder = StandIn(**settings)
    monkeypatch.setitem(sys.modules, "videoprism", types.ModuleType("videoprism"))
    monkeypatch.setitem(sys.modules, "videoprism.encoders", types.SimpleNamespace(FactorizedEncoder=StandIn))
  released = encoder.init(jax.random.key(7), jnp.asarray(CLIP))
  np.savez(tmp_path / "released.npz", **flatten_dict(released, sep="/"))
  fresh = network().init(jax.random.key(0), CLIP, False)
  loaded, report = load_weights(fresh, tmp_path / "released.npz", network=network())
  assert len(report.loaded) == len(flatten_dict(released))
  assert not report.new
  tokens, _ = encoder.apply(released, jnp.asarray(CLIP))
  grid = TINY.apply({"params": loaded["params"]["backbone"]}, CLIP, False)
  np.testing.assert_allclose(grid, np.reshape(tokens, (2, 3, 2, 2, 8)), atol=1e-6)
  if not real:
    layer, places = released["params"]["patch_projection"], CLIP.reshape(2, 3, 2, 4, 2, 4, 3).mean((3, 5))
    np.testing.assert_allclose(grid, places @ np.asarray(layer["kernel"]), atol=1e-6)  # its bias starts at 0
  for _ in range(2):  # the first run leaves the arrays as they were
    features = network().apply(loaded, CLIP, False).features
  np.testing.assert_allclose(features, np.mean(tokens, axis=1), atol=1e-6)


def test_what_is_refused(monkeypatch):
  with pytest.raises(InputError, match="a multiple of 18 pixels, got 224 x 224: take 288 x 288"):
    jax.eval_shape(videoprism().init, jax.random.key(0), jnp.zeros((1, 2, 224, 224, 3)))
  monkeypatch.setitem(sys.modules, "videoprism", None)
  monkeypatch.delitem(sys.modules, "videoprism.encoders", raising=False)
  with pytest.raises(InputError, match=r"needs the package videoprism.*: pip install -e '\.\[videoprism\]'"):
    TINY.init(jax.random.key(0), CLIP, False)
