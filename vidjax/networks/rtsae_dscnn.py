"""RTSAE-DSCNN: two convolutional streams that stop at steps which a recurrent gate does not choose (rtsae 4, Table 1).

Both streams run up to a pooling layer on every step. A measurement of what they see there goes through the RTSAE's
encoder; steps whose gate is shut end there. The others go on through both streams, the fusion network and an LSTM,
whose last state is classified.

A prediction really skips: the chosen steps of all clips are moved together into the smallest of a few static sizes
(`sizes`), and only these go on. On several devices `apply.forward.on_each_device` lets each move its own.
"""

import math
from typing import Annotated, Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.backbones.vgg import VGG
from vidjax.bounds import Bound, Count, Rate
from vidjax.checks import check_clip, check_fields, place
from vidjax.errors import ConfigError
from vidjax.inputs.channels import Channels
from vidjax.layers import call
from vidjax.networks.head import classifier
from vidjax.networks.rtsae import RTSAE, Decode
from vidjax.ops.compaction import compact, expand
from vidjax.ops.lowering import for_others
from vidjax.ops.measurement import Scale, fused, measure, signs
from vidjax.recurrent import ALSTM, LSTM, OPEN
from vidjax.types import Output

Position = Literal["p1", "p2", "p3"]
Sizes = Annotated[
  tuple[float, ...], Bound("shares above 0, 1 the largest", lambda sizes: max(sizes, default=0) == 1 and min(sizes) > 0)
]
Gate = Literal["soft", "hard", "straight_through", "binary_neuron", "open"]


class Measured(nn.Module):
  """Both streams up to the gate, and the measurement of what they see (Eq. 17-18).

  Attributes:
    spatial: input representation of S-Net; by default the frames of `vidjax.data.streams.FramesAndFlow`.
    temporal: that of T-Net, of the same clip and with as many steps; by default the flow.
    stream: template of both streams.
    position: the pooling layer after which the gate sits.
    length: numbers of a measurement.
    scale: see `ops.measurement.measure`.
    seed: of the measurement matrix, int8, kept beside the running statistics.
  """

  spatial: nn.Module = Channels(0, 3)
  temporal: nn.Module = Channels(3, 2)
  stream: VGG = VGG()
  position: Position = "p2"
  length: Count = 128
  scale: Scale = "unit"
  seed: int = 0

  same: ClassVar[tuple[str, ...]] = "position", "length", "scale", "seed"  # see `train.parts`

  def setup(self):
    """Makes the streams."""
    self.s_net = self.stream.copy(name=None)
    self.t_net = self.stream.copy(name=None)

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Clips `[B, T', H, W, C]` to the maps of both streams, `[B, T, h, w, D]`, and measurements `[B, T, k]`."""
    check_clip(self, clips)
    parts = [call(self.spatial, clips, train), call(self.temporal, clips, train)]
    if parts[0].shape[:-1] != parts[1].shape[:-1]:
      raise ConfigError(
        f"Measured at {place(self)}: spatial makes clips of the shape {parts[0].shape} and temporal {parts[1].shape};"
        " they must agree in all but their channels"
      )
    maps = [net(part, train, 1, self.until) for net, part in zip((self.s_net, self.t_net), parts, strict=True)]
    flat = [x.reshape(*x.shape[:2], -1) for x in maps]
    key = jax.random.key(self.seed)
    matrix = self.variable("batch_stats", "measurement", lambda: signs(key, self.length, flat[0].shape[-1]))
    return (maps[0], maps[1]), measure(fused(flat[0], flat[1]), matrix.value, self.scale)

  def rest(self, maps: tuple[jax.Array, jax.Array], train: bool) -> tuple[jax.Array, jax.Array]:
    """The maps behind the gate through the rest of both streams, pooled: `[..., features]` each.

    Args:
      maps: of both streams, from `__call__`, of all steps or of some.
      train: as in `__call__`.
    """
    nets = (self.s_net, self.t_net)
    ends = [net(x, train, self.until + 1).mean((-3, -2)) for net, x in zip(nets, maps, strict=True)]
    return ends[0], ends[1]

  @property
  def until(self) -> int:
    """The last stage before the gate."""
    return int(self.position[1:])


class GateTraining(nn.Module):
  """Stage 2: the RTSAE over the measurements of two streams, without labels.

  Attributes:
    measured: the streams up to the gate, which the phase holds.
    depth: layers of the encoder and of the decoder.
    units: of each layer.
    decode: see `networks.rtsae.RTSAE`.
    num_classes: not used; other networks have it.
  """

  measured: Measured = Measured()
  depth: Count = 2
  units: Count = 128
  decode: Decode = "gated"
  num_classes: int = 0

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, T', H, W, C]` to the `Output` of `RTSAE`."""
    check_fields(self)
    _, x = self.measured.copy(name="streams")(clips, train)
    rtsae = RTSAE(self.depth, self.units, decode=self.decode, normalise=None, padding=None, name="rtsae")
    return rtsae(x, train)


class RTSAEDSCNN(nn.Module):
  """Stage 3, and prediction: streams, gate, fusion, LSTM and classifier.

  Attributes:
    num_classes: K.
    measured: the streams up to the gate and the measurement.
    depth: layers of the encoder.
    units: of each layer.
    fused_features: width of fc7.
    top: units of the LSTM over the chosen steps.
    gate: what training multiplies the maps by (Eq. 13): "soft" the attention; "hard" its binary mapping, through which
      no gradient comes; "straight_through" that with the attention's gradient; "binary_neuron" a draw with the
      attention as its probability, with the attention's gradient (5.1.1 C). With "open" every step counts, in a
      prediction, too: the dense network to compare with.
    mix: in training, the LSTM's state moves as far as the gate is open, `h = a h' + (1 - a) h`, as it does in a
      prediction, where a gate is open or shut. The text has it move fully at every step (default). There a gate's value
      counts for little: Eq. 15 divides what Eq. 13 multiplied out again, but for the biases [I].
    dropout: of fc7.
    skip: whether a prediction leaves out the steps that are not chosen. Without, it computes them, and their results
      change nothing: the same scores.
    sizes: shares of all steps of a batch for which the layers behind the gate are compiled, 1 among them. More of them
      waste less and take longer to compile.
  """

  num_classes: int
  measured: Measured = Measured()
  depth: Count = 2
  units: Count = 128
  fused_features: Count = 1024
  top: Count = 256
  gate: Gate = "soft"
  mix: bool = False
  dropout: Rate = 0.5
  skip: bool = True
  sizes: Sizes = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)

  def setup(self):
    """Makes the parts, so that a prediction can run them one by one."""
    self.streams = self.measured.copy(name=None)
    self.rtsae = _EncoderAlone(self.depth, self.units)
    self.fusion = Fusion(self.fused_features)
    self.lstm = LSTM(self.top, peephole=True)
    self.drop = nn.Dropout(self.dropout)
    self.classifier = classifier(self.num_classes)

  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, T', H, W, C]` to `Output`; `aux` has `attention` and `chosen` `[B, T]`, and `w_f` `[B]`.

    In training every step goes through, times its gate. In a prediction the LSTM's state is held where a step is not
    chosen: the scores are those of the chosen steps alone.
    """
    check_fields(self)
    maps, attention, gates = self.attend(clips, train)
    chosen = choose(attention)
    if self.skip and not train and not self.is_initializing() and not for_others():
      return self.decide(self.represent_chosen(maps, chosen), chosen, attention)
    steps = self.represent((maps[0] * _as_maps(gates), maps[1] * _as_maps(gates)), train)
    moves = (gates if self.mix else jnp.ones_like(chosen)) if train else chosen
    return self.decide(steps, moves, attention)

  def represent_chosen(self, maps: tuple[jax.Array, jax.Array], chosen: jax.Array) -> jax.Array:
    """The representations `[B, T, D]` of the chosen steps, 0 elsewhere.

    Args:
      maps: of both streams before the gate, `[B, T, h, w, D]` each.
      chosen: bool `[B, T]`.
    """
    flat, where = [x.reshape(-1, *x.shape[2:]) for x in maps], chosen.reshape(-1)
    sizes = sorted({math.ceil(share * len(where)) for share in self.sizes}, reverse=True)

    def of_size(size: int):
      def run(network: RTSAEDSCNN, spatial: jax.Array, temporal: jax.Array) -> jax.Array:
        ours, place = compact(spatial, where, size)
        return expand(network.represent((ours, compact(temporal, where, size)[0]), False), place)

      return run

    smallest = jnp.sum(jnp.asarray(sizes) >= where.sum()) - 1
    steps = nn.switch(smallest, [of_size(size) for size in sizes], self, *flat)
    return steps.reshape(*chosen.shape, -1)

  def attend(self, clips: jax.Array, train: bool) -> tuple[tuple[jax.Array, jax.Array], jax.Array, jax.Array]:
    """The maps of both streams before the gate, attention `[B, T]`, and what multiplies the maps, `[B, T]`.

    Args:
      clips: `[B, T', H, W, C]`.
      train: as in `__call__`.
    """
    maps, x = self.streams(clips, train)
    attention = self.rtsae(x)
    if self.gate == "open":
      attention = jnp.ones_like(attention)
    hard = choose(attention).astype(attention.dtype)
    if not train or self.gate == "hard":
      return maps, attention, hard
    if self.gate == "soft":
      return maps, attention, attention
    if self.gate == "binary_neuron":
      hard = jax.random.bernoulli(self.make_rng("dropout"), attention).astype(attention.dtype)
    return maps, attention, attention + jax.lax.stop_gradient(hard - attention)

  def represent(self, maps: tuple[jax.Array, jax.Array], train: bool) -> jax.Array:
    """Gated maps `[..., h, w, D]` to the representation of each step, `[..., fused_features]`.

    Args:
      maps: of both streams, gated.
      train: as in `__call__`.
    """
    return self.drop(self.fusion(*self.streams.rest(maps, train)), deterministic=not train)

  def decide(self, steps: jax.Array, chosen: jax.Array, attention: jax.Array) -> Output:
    """Representations `[B, T, D]` and which of them count, `[B, T]`, to the scores of the clips.

    Args:
      steps: from `represent`, zeros where a step is not chosen.
      chosen: where the LSTM moves, or, from 0 to 1, how far.
      attention: `[B, T]`, for `aux`.
    """
    carry, _ = self.lstm(steps, mask=chosen)
    w_f = jnp.broadcast_to(self.fusion.share(), steps.shape[:1]).astype(steps.dtype)
    aux: dict[str, Any] = {"attention": attention, "chosen": choose(attention), "w_f": w_f}
    return Output(self.classifier(carry.h), carry.h, aux)


class Fusion(nn.Module):
  """F-Net: each stream's features over their largest, a learned share of each, and fc7 (Eq. 15-16).

  Attributes:
    features: of fc7.
  """

  features: Count = 1024

  def setup(self):
    """Makes fc7 and the weight, positive by softplus, 1 at the start."""
    self.fc7 = nn.Dense(self.features)
    self.raw = self.param("w_f", lambda _: jnp.log(jnp.expm1(jnp.float32(1))))

  def __call__(self, spatial: jax.Array, temporal: jax.Array) -> jax.Array:
    """`[..., D]` each to `[..., features]`."""
    share = self.share().astype(spatial.dtype)
    together = _over_largest(spatial) / (1 + share) + _over_largest(temporal) * share / (1 + share)
    return nn.relu(self.fc7(nn.relu(together)))

  def share(self) -> jax.Array:
    """w_f of Eq. 16: 1 where both streams count alike."""
    return jax.nn.softplus(self.raw)


class _EncoderAlone(nn.Module):
  """The encoder under the name it has in an RTSAE."""

  depth: int
  units: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return ALSTM(self.depth, self.units, name="encoder")(x)[-1]


def choose(attention: jax.Array) -> jax.Array:
  """Eq. 14: the steps of `[B, T]` whose attention is above OPEN, and the highest one where there is none."""
  best = attention >= attention.max(axis=-1, keepdims=True)
  first = best & (jnp.cumsum(best, axis=-1) == 1)
  above = attention > OPEN
  return jnp.where(above.any(axis=-1, keepdims=True), above, first)


def _as_maps(gates: jax.Array) -> jax.Array:
  return gates[..., None, None, None]


def _over_largest(x: jax.Array, epsilon: float = 1e-6) -> jax.Array:
  """Eq. 15, with a floor where nothing is active."""
  return x / jnp.maximum(x.max(axis=-1, keepdims=True), epsilon)
