"""Two-stream networks: two inputs, a network for each, one mean score (Simonyan and Zisserman 2014; thesis 3.2.3)."""

from typing import Annotated, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Bound, NonNegative
from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.networks.head import Classes
from vidjax.types import Output

STREAMS = ("spatial", "temporal")
Fusion = Literal["softmax", "logits"]
Weights = Annotated[tuple[NonNegative, NonNegative], Bound("two finite numbers from 0 on, not both 0", any)]


class TwoStream(nn.Module):
  """Trains two networks together on the same clips, each with its own input representation.

  Streams trained apart need no class: train each as a run of its own, then `python -m vidjax.evaluate --workdir=A
  --workdir=B` averages their softmax scores, as the default does here. A clip has the frames of the stream that wants
  most of them; the other one drops what it does not read (`inputs.one_frame`). A plain ImageNet checkpoint fills both
  streams (`weights.load`), whatever their inputs.

  Attributes:
    streams: two networks that return an Output, such as Recognizer; "spatial" and "temporal" in the parameters.
    num_classes: K, that of both.
    weights: of the streams' scores; they count by their share. TSN gives flow 1.5 of 2.5: (1.0, 1.5).
    fusion: what is averaged: "softmax", the scores behind each stream's softmax (Simonyan and Zisserman; thesis 2.4.3,
      Fig. 2.8), so that the softmax of the logits is their mean, or "logits", the scores before it (TSN).
  """

  streams: Annotated[tuple[nn.Module, nn.Module], Bound("a tuple of two networks")]
  num_classes: Classes
  weights: Weights = (1.0, 1.0)
  fusion: Fusion = "softmax"

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B,T,H,W,C]` to `Output`, features of both side by side.

    `aux` holds `spatial_logits` and `temporal_logits`, on which `CrossEntropy(of="spatial_logits")` puts a loss each,
    and what the streams' own `aux` hold, under their names, as in `spatial_frame_logits`.
    """
    check_fields(self)
    outputs, aux = [], {}
    for name, stream in zip(STREAMS, self.streams, strict=True):
      output = stream.copy(name=name)(clips, train)
      if not isinstance(output, Output) or output.logits.shape != (clips.shape[0], self.num_classes):
        found = f"an output {output.logits.shape}" if isinstance(output, Output) else "no Output"
        raise ConfigError(
          f"TwoStream: the {name} stream {type(stream).__name__} gives {found} for {len(clips)} clips and "
          f"{self.num_classes} classes: use a network of as many, such as Recognizer"
        )
      outputs.append(output)
      aux |= {f"{name}_{key}": value for key, value in {**output.aux, "logits": output.logits}.items()}
    shares = jnp.array(self.weights).reshape(2, 1, 1) / sum(self.weights)
    scores = jnp.stack([output.logits for output in outputs]).astype(jnp.float32)
    if self.fusion == "softmax":
      # Streams alike give their logits: a constant, which no softmax sees, keeps Grad-CAM's gradients from vanishing.
      totals = jax.nn.logsumexp(scores, axis=-1, keepdims=True)
      logits = jax.nn.logsumexp(scores - totals, axis=0, b=shares) + jnp.sum(shares * totals, axis=0)
    else:
      logits = jnp.sum(shares * scores, axis=0)
    logits = logits.astype(outputs[0].logits.dtype)
    return Output(logits, jnp.concatenate([output.features for output in outputs], axis=-1), aux)
