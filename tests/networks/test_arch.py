"""ARCH: each step by itself, the LSTM over the steps, and Grad-CAM's map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.gradcam import grad_cam
from vidjax.apply.forward import forward
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import InputError
from vidjax.networks.arch import ARCH
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.recurrent import LSTM

BACKBONE = MiniResNet((8, 8, 8, 8), (Insert(TSM(fold_div=4), "before"),))


def test_it_is_the_backbone_on_each_step_under_an_lstm():
  network = ARCH(BACKBONE, 5, frames=3, units=6)
  clips = jax.random.normal(jax.random.key(0), (2, 12, 32, 32, 3))
  variables = network.init(jax.random.key(1), clips, False)
  output, _ = jax.jit(lambda v, x: forward(network, v, x, False))(variables, clips)
  own = {name: values["backbone"] for name, values in variables.items()}
  steps = [BACKBONE.apply(own, clips[:, 3 * i : 3 * i + 3], False).mean((1, 2, 3)) for i in range(4)]
  np.testing.assert_allclose(output.aux["frame_features"][0], np.stack(steps, 1), rtol=1e-4, atol=1e-5)
  carry, _ = LSTM(6, peephole=True).apply({"params": variables["params"]["lstm"]}, jnp.stack(steps, 1))
  np.testing.assert_allclose(output.features, carry.h, rtol=1e-4, atol=1e-5)
  assert output.logits.shape == (2, 5)
  (evidence,) = grad_cam(network, variables, clips, np.array([0, 1]))
  assert evidence.shape[:2] == (2, 12)
  assert np.abs(evidence).max() > 0


def test_a_clip_is_a_whole_number_of_steps():
  with pytest.raises(InputError, match=r"ARCH\(frames=6\) at the top: a clip of 8 frames .*frames_per_segment=6"):
    ARCH(BACKBONE, 5).init(jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3)), False)
