"""Grad-CAM (Selvaraju et al. 2017): where a network looks for the evidence of a class."""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp

from vidjax.errors import ConfigError
from vidjax.types import Array, Tree

FEATURE_MAP = "feature_map"


def grad_cam(network: nn.Module, variables: Mapping[str, Tree], clips: Array, labels: Array) -> tuple[jax.Array, ...]:
  """Grad-CAM of every feature map a network marks with `perturb("feature_map", x)` and sows under "intermediates".

  The gradient of the class's logit with respect to the map, averaged over the pixels of each frame, weighs the
  channels of that frame; what remains is their weighted sum where it is positive (Eqs. 1 and 2 for each frame).

  Args:
    network: called as `(clips, train)`, returns an Output.
    variables: `{"params", "batch_stats"}`.
    clips: `[B, T, H, W, C]`, normalised floats.
    labels: int `[B]`, the class to explain.

  Returns:
    Evidence `[B, T', h, w]`, float32, in logits per pixel (not negative): one array for each map, usually one.

  Raises:
    ConfigError: the network marks no feature map.
  """
  arguments = (variables, jnp.asarray(clips, jnp.float32), jnp.asarray(labels, jnp.int32))
  shapes = _feature_maps(jax.eval_shape(functools.partial(_logits, network), {}, *arguments)[1])
  if not shapes:
    raise ConfigError(f"{type(network).__name__} marks no {FEATURE_MAP!r}: Grad-CAM needs one to explain")
  zeros = {path: jnp.zeros(shape.shape, shape.dtype) for path, shape in shapes.items()}
  return _grad_cam(network, flax.traverse_util.unflatten_dict(zeros), *arguments)


@functools.partial(jax.jit, static_argnums=0)
def _grad_cam(
  network: nn.Module, zeros: Tree, variables: Mapping[str, Tree], clips: jax.Array, labels: jax.Array
) -> tuple[jax.Array, ...]:
  gradient = jax.grad(functools.partial(_logits, network), has_aux=True)
  weights, intermediates = gradient(zeros, variables, clips, labels)
  evidence = jax.tree.map(_evidence, _feature_maps(intermediates), flax.traverse_util.flatten_dict(weights))
  return tuple(evidence.values())


def _logits(
  network: nn.Module, perturbations: Tree, variables: Mapping[str, Tree], clips: jax.Array, labels: jax.Array
) -> tuple[jax.Array, Tree]:
  """Sum of the chosen logits (clips do not see each other, so their gradients stay apart) and what was sown."""
  added = {"perturbations": perturbations} if perturbations else {}
  output, changed = network.apply({**variables, **added}, clips, False, mutable=["intermediates"])
  chosen = jnp.take_along_axis(output.logits, labels[:, None], axis=1)
  return chosen.sum(), changed.get("intermediates", {})


def _feature_maps(intermediates: Tree) -> dict[tuple[str, ...], Any]:
  flat: dict[tuple[str, ...], Any] = dict(flax.traverse_util.flatten_dict(intermediates))
  return {path: sown[0] for path, sown in flat.items() if path[-1] == FEATURE_MAP}


def _evidence(feature_map: jax.Array, gradient: jax.Array) -> jax.Array:
  """`[B, T, h, w, D]` twice to `[B, T, h, w]`."""
  weights = gradient.mean(axis=(-3, -2), keepdims=True)
  return nn.relu((weights * feature_map).sum(axis=-1))
