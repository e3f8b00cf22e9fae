"""Busy-Quiet Net: two pathways of one backbone, joined by lateral connections (thesis 5.4, Fig. 5.2 and 5.5)."""

from typing import Annotated, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Bound, Count, Positive, Rate
from vidjax.checks import check_clip
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.mbpm import MBPM, Busy, Form, Kernel, Sigma, quiet, quiet_size
from vidjax.layers import BatchNorm, Resize, conv
from vidjax.networks.head import Classes, Consensus, classifier, hidden_layer, pool
from vidjax.ops.resize import resize_linear
from vidjax.types import Output

Lateral = Literal["BPLC", "LC-I", "LC-II", "LC-III", "LC-V", "none"]
Transform = Literal["identity", "conv", "mlp"]
Fusion = Literal["average", "average_features", "max", "concatenate"]
Kernels = Annotated[tuple[Kernel, ...], Bound("one or more odd kernels of at least 3 pixels", len)]


class _Connection(nn.Module):
  """What one pathway hands to the other: its MBPM, resized, transformed, normalised (Eq. 5.5 without the sum).

  Attributes:
    kernel: of the MBPM in front, or None for none.
    sigma: of that MBPM.
    transform: "conv" is phi as a 1x1 convolution, "mlp" one by way of a quarter of the channels.
    zero_init: the BN's scale starts at 0, so that the pathways start apart; X3D's released code starts it at 1.
    frozen: the BN uses its running statistics also in training.
  """

  kernel: int | None
  sigma: float
  transform: Transform
  zero_init: bool = True
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, like: jax.Array, train: bool) -> jax.Array:
    """`[B,T,H,W,C]` to the shape of `like`."""
    if self.kernel is not None:
      x = MBPM(self.sigma, self.kernel, stride=1, name="mbpm")(x, train)
    x = Resize(name="resize")(x, like)
    if self.transform == "mlp":
      x = nn.relu(conv(max(x.shape[-1] // 4, 1), (1, 1), name="reduce")(x))
    if self.transform != "identity":
      x = conv(like.shape[-1], (1, 1), name="conv")(x)
    scale = nn.initializers.zeros if self.zero_init else nn.initializers.ones
    return BatchNorm(frozen=self.frozen, scale_init=scale, name="bn")(x, train)


class BQN(nn.Module):
  """Busy information at full size in one pathway, Quiet information at a smaller one in the other.

  A lateral connection follows each pair of blocks. BPLC (LC-IV) passes from Busy to Quiet after the first, third, ...
  pair of the backbone, and from Quiet through an MBPM to Busy after the others. Pairs without a connection count, too
  (Eq. 5.5, released code). Fig. 5.5's drawings of the rest are read so: LC-I passes to Quiet only, LC-II to Busy only,
  LC-III both ways after every pair, LC-V alternates as BPLC does without its MBPM. LC-III has a 1x1 convolution each
  way, as its released code, so that "identity" means "conv" there. Pathways are `busy` and `quiet` in the parameters, a
  connection `res2_block0_to_quiet`.

  With `backbone.frozen_bn="all_but_first"` one BatchNorm stays live, that of the Quiet stem, the first one in the
  released ResNet; those of the Busy stem and of the connections are frozen with the rest.

  Attributes:
    backbone: template of both pathways, with `parts()`: ResNet, MiniResNet, X3D or MobileNetV2.
    num_classes: K.
    mbpm: makes the Busy input, one frame of three.
    quiet_scale: size of the Quiet input to the Busy, rounded down; 160 to 256 pixels in the thesis.
    quiet_size: pixels of the Quiet input's shorter side, in place of `quiet_scale` (Table 5.8).
    quiet_frames: frames of the Quiet input (Table 5.8), as many as of the Busy unless told.
    quiet_form: "complement" (Eq. 5.4) or "first" (released code), see `vidjax.inputs.mbpm.quiet`.
    lateral: design of the connections.
    lateral_stages: "all", or stages in the papers' numbering (Table 5.5).
    lateral_blocks: "all", or numbers from 0 of the blocks in each stage that a connection follows (Table 5.6).
    lateral_kernels: of the MBPM in the connections of each stage, the first for res2; the last one for those beyond.
    lateral_sigma: scale of that MBPM.
    to_quiet: phi of Eq. 5.5; the released ResNet has "identity", which the tables' 47.4 M parameters want, X3D "conv".
    to_busy: a transformation behind the MBPM, which X3D's released code has ("conv") and Eq. 5.5 has not.
    zero_init: see _Connection.
    fusion: of the pathways' scores ("average", "max"), or of their features before the classifier.
    shared_classifier: one for both pathways (Table 5.4, ResNet) or one for each (X3D's released code).
    dropout, consensus, hidden: as of Recognizer.
  """

  backbone: nn.Module
  num_classes: Classes
  mbpm: Busy = MBPM()
  quiet_scale: Positive = 0.625
  quiet_frames: Count | None = None
  quiet_form: Form = "complement"
  lateral: Lateral = "BPLC"
  lateral_stages: Literal["all"] | tuple[int, ...] = "all"
  lateral_blocks: Literal["all"] | tuple[int, ...] = "all"
  lateral_kernels: Kernels = (7, 7, 7, 3)
  lateral_sigma: Sigma = 0.9
  to_quiet: Transform = "conv"
  to_busy: Transform = "identity"
  zero_init: bool = True
  fusion: Fusion = "average"
  shared_classifier: bool = True
  dropout: Rate = 0.5
  consensus: Consensus = "logits"
  hidden: Count | None = None
  quiet_size: Count | None = None

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, 3S, H, W, C]` to `Output`; `aux` has `busy_logits`, `quiet_logits` if those are fused."""
    self._check(clips)
    busy = self.mbpm(clips, train)
    size = [max(side, 1) for side in quiet_size(clips.shape[-3:-1], self.quiet_scale, self.quiet_size)]
    calm = quiet(clips, busy / self.mbpm.gain if self.quiet_form == "complement" else None, size, self.quiet_form)
    if self.quiet_frames is not None:
      shape = (*calm.shape[:-4], self.quiet_frames, *calm.shape[-3:])
      calm = resize_linear(calm, shape)
    feature_maps = self._pathways(busy, calm, train)
    if not self.is_initializing():  # Grad-CAM's place to take the gradient, as in Recognizer
      feature_maps = (self.perturb("busy_feature_map", feature_maps[0]), feature_maps[1])
    self.sow("intermediates", "busy_feature_map", feature_maps[0])
    pooled = [pool(x, self.consensus) for x in feature_maps]
    return self._head(pooled[0], pooled[1], train)

  @nn.nowrap
  def _check(self, clips: jax.Array) -> None:
    check_clip(self, clips)
    if not hasattr(self.backbone, "parts") or getattr(self.backbone, "inside", ()):
      raise ConfigError(
        f"BQN(backbone={type(self.backbone).__name__}): takes ResNet, MiniResNet, X3D or MobileNetV2, with inserts "
        "but without modules between the stages (inside)"
      )
    if clips.shape[1] % 3:
      raise InputError(f"BQN makes one frame of three: {clips.shape[1]} frames do not fit; sample a multiple of 3")

  @nn.nowrap
  def _pathways(self, x_f: jax.Array, x_c: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
    """The feature maps of Busy, `[B,S,H,W,D]`, and of Quiet."""
    partial = self.backbone.frozen_bn == "all_but_first"
    template = self.backbone.clone(frozen_bn="all") if partial else self.backbone
    busy, still = template.copy(name="busy"), self.backbone.copy(name="quiet")
    pairs, connections, sites = 0, 0, set()
    for (name, part_f), part_c in zip(busy.parts().items(), still.parts().values(), strict=True):
      blocks = zip(part_f.blocks(), part_c.blocks(), strict=True) if name.startswith("res") else [(part_f, part_c)]
      for i, (block_f, block_c) in enumerate(blocks):
        with jax.named_scope(f"busy/{name}"):
          x_f = block_f(x_f, train)
        with jax.named_scope(f"quiet/{name}"):
          x_c = block_c(x_c, train)
        if not name.startswith("res"):
          continue
        pairs += 1
        sites |= {(int(name[3:]), i)}
        if self._joins(int(name[3:]), i):
          connections += 1
          x_f, x_c = self._connect(f"{name}_block{i}", pairs, int(name[3:]), x_f, x_c, train)
    for key, axis in (("lateral_stages", 0), ("lateral_blocks", 1)):
      chosen, there = getattr(self, key), {site[axis] for site in sites}
      if chosen != "all" and set(chosen) - there:
        raise ConfigError(
          f"BQN({key}={chosen}): {type(self.backbone).__name__} has {', '.join(map(str, sorted(there)))}, but not "
          f"{', '.join(map(str, sorted(set(chosen) - there)))}"
        )
    if not connections and self.lateral != "none":
      sites = f"lateral_stages={self.lateral_stages}, lateral_blocks={self.lateral_blocks}"
      raise ConfigError(f"BQN({sites}): {type(self.backbone).__name__} has no such block; lateral='none' means none")
    return x_f, x_c

  @nn.nowrap
  def _joins(self, stage: int, block: int) -> bool:
    chosen = self.lateral_stages == "all" or stage in self.lateral_stages
    return self.lateral != "none" and chosen and (self.lateral_blocks == "all" or block in self.lateral_blocks)

  @nn.nowrap
  def _connect(
    self, place: str, number: int, stage: int, x_f: jax.Array, x_c: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Both pathways behind the `number`-th pair of blocks, counted from 1."""
    y_f, y_c, odd = x_f, x_c, number % 2 == 1
    kernel = self.lateral_kernels[min(stage - 2, len(self.lateral_kernels) - 1)]
    to_quiet, to_busy = self.to_quiet, self.to_busy
    if self.lateral == "LC-V":
      kernel, to_busy = None, to_quiet
    if self.lateral == "LC-III":
      to_quiet = "conv" if to_quiet == "identity" else to_quiet
      to_busy = "conv" if to_busy == "identity" else to_busy
    zero, frozen = self.zero_init, self.backbone.frozen_bn != "none"
    if self.lateral in ("LC-I", "LC-III") or (odd and self.lateral in ("BPLC", "LC-V")):
      y_c = x_c + _Connection(None, self.lateral_sigma, to_quiet, zero, frozen, name=f"{place}_to_quiet")(
        x_f, x_c, train
      )
    if self.lateral in ("LC-II", "LC-III") or (not odd and self.lateral in ("BPLC", "LC-V")):
      y_f = x_f + _Connection(kernel, self.lateral_sigma, to_busy, zero, frozen, name=f"{place}_to_busy")(
        x_c, x_f, train
      )
    return y_f, y_c

  @nn.nowrap
  def _head(self, busy: jax.Array, still: jax.Array, train: bool) -> Output:
    """Pooled features `[B, S, D]` (or `[B, D]`) of the pathways to the Output."""
    by_frame = self.consensus == "logits"
    if busy.shape != still.shape:  # as many features from different numbers of frames
      busy, still = busy.mean(axis=1, keepdims=True), still.mean(axis=1, keepdims=True)
    names = ("", "") if self.shared_classifier else ("_busy", "_quiet")
    if self.hidden is not None:
      layers = {name: hidden_layer(self.hidden, f"hidden{name}") for name in dict.fromkeys(names)}
      busy, still = nn.relu(layers[names[0]](busy)), nn.relu(layers[names[1]](still))
    drop = nn.Dropout(self.dropout, deterministic=not train)
    if self.fusion in ("average_features", "concatenate"):
      features = jnp.concatenate([busy, still], -1) if self.fusion == "concatenate" else (busy + still) / 2
      scores = {"": classifier(self.num_classes, "classifier")(drop(features))}
    else:
      features = (busy + still) / 2
      layers = {name: classifier(self.num_classes, f"classifier{name}") for name in dict.fromkeys(names)}
      paths = {"busy_logits": layers[names[0]](drop(busy)), "quiet_logits": layers[names[1]](drop(still))}
      fuse = jnp.maximum if self.fusion == "max" else lambda x, y: (x + y) / 2
      scores = {"": fuse(*paths.values()), **paths}
    if by_frame:
      features, scores = features.mean(axis=1), {name: x.mean(axis=1) for name, x in scores.items()}
    return Output(scores.pop(""), features, scores)
