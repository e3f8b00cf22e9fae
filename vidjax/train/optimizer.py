"""Optimizers with learning rates and weight decay by parameter group."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import optax
from flax import traverse_util

from vidjax.bounds import NonNegative, Positive, Rate
from vidjax.checks import check_fields, checked
from vidjax.errors import ConfigError
from vidjax.types import Tree


@dataclasses.dataclass(frozen=True)
class Group:
  """Parameters whose path matches a regular expression, and their multipliers.

  Attributes:
    match: searched in the path, as in "backbone/res2/block0/conv1/kernel".
    rate: multiplies the learning rate; 0 freezes the group (it then counts for nothing, also in gradient clipping).
    decay: multiplies the weight decay.
    rules: whether it must rule a parameter (True), or must not (False); None does not ask. See `check_groups`.
    remedy: what to do where that is not so.
  """

  match: str
  rate: NonNegative = 1.0
  decay: NonNegative = 1.0
  rules: bool | None = None
  remedy: str = ""

  def __post_init__(self):
    check_fields(self)


BIAS_AND_BN = Group(r"/(bias|scale)$", decay=0.0)
"""Decay on kernels alone."""

TSN_GROUPS = (
  Group(r"(^|/)classifier[^/]*/kernel$", rate=5.0),
  Group(r"(^|/)classifier[^/]*/bias$", rate=10.0, decay=0.0),
  Group(r"bn[^/]*/(scale|bias)$", decay=0.0),
  Group(r"/bias$", rate=2.0, decay=0.0),
)
"""The groups of TSN, TSM and the thesis' released code (there: lr5_weight, lr10_bias, BN, normal_bias)."""


def multipliers(params: Tree, groups: Sequence[Group]) -> Tree:
  """The first matching Group of every parameter, as a tree like `params`; (1, 1) where none matches.

  Args:
    params: the parameters, a tree of dicts.
    groups: the first that matches a path rules it.

  Raises:
    ConfigError: an expression is malformed.
  """
  paths = list(traverse_util.flatten_dict(params, sep="/"))
  chosen: dict[str, Group] = {}
  for group in groups:
    try:
      hits = [path for path in paths if re.search(group.match, path)]
    except re.error as error:
      raise ConfigError(f"optimizer group {group.match!r} is not a regular expression: {error}") from error
    for path in hits:
      chosen.setdefault(path, group)
  return traverse_util.unflatten_dict({path: chosen.get(path, Group("")) for path in paths}, sep="/")


def check_groups(params: Tree, groups: Sequence[Group]) -> None:
  """Raises a ConfigError for a group that rules no parameter and must, or one and must not.

  Args:
    params: all parameters of a network.
    groups: as in `multipliers`.
  """
  ruling = set(jax.tree.leaves(multipliers(params, groups)))
  for group in groups:
    if group.rules is not None and group.rules != (group in ruling):
      raise ConfigError(
        f"optimizer group {group.match!r} rules {'a' if group in ruling else 'no'} parameter{group.remedy}"
      )


@checked
def make_optimizer(
  schedule: optax.Schedule,
  kind: Literal["sgd", "adamw", "adadelta"] = "sgd",
  *,
  momentum: Rate = 0.9,
  nesterov: bool = False,
  weight_decay: NonNegative = 0.0,
  clip_norm: Positive | None = None,
  groups: Sequence[Group] = (BIAS_AND_BN,),
  beta2: Rate = 0.999,
  rho: Rate = 0.95,
  epsilon: Positive | None = None,
) -> optax.GradientTransformation:
  """The optimizer of a recipe.

  Order: freeze, clip, (decay), direction, (decoupled decay for AdamW), the group's rate, the schedule. SGD and Adadelta
  add the decay to the gradient as PyTorch does.

  Args:
    schedule: step -> learning rate.
    kind: "sgd" (heavy ball), "adamw" or "adadelta".
    momentum: of SGD; beta1 of AdamW.
    nesterov: Nesterov's form of the momentum.
    weight_decay: times each group's `decay`.
    clip_norm: largest global norm of the gradient.
    groups: the first that matches a parameter rules it.
    beta2: AdamW's second decay.
    rho: Adadelta's decay.
    epsilon: of AdamW (1e-8 unless told) or Adadelta (1e-6).

  Raises:
    ConfigError: a value out of range.
  """
  if kind == "sgd":
    direction = optax.trace(momentum, nesterov) if momentum else optax.identity()
  elif kind == "adamw":
    direction = optax.scale_by_adam(momentum, beta2, 1e-8 if epsilon is None else epsilon, nesterov=nesterov)
  else:
    direction = optax.scale_by_adadelta(rho, 1e-6 if epsilon is None else epsilon)

  def add_decay():
    def update(updates, state, params=None):
      groups_of = multipliers(params, groups)
      decayed = jax.tree.map(
        lambda group, u, p: u + weight_decay * group.decay * p if group.decay and group.rate else u,
        groups_of,
        updates,
        params,
      )
      return decayed, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)

  decay = [add_decay()] if weight_decay else []
  return optax.chain(
    _per_parameter(groups, lambda group: 1.0 if group.rate else 0.0),
    *([optax.clip_by_global_norm(clip_norm)] if clip_norm else []),
    *([] if kind == "adamw" else decay),
    direction,
    *(decay if kind == "adamw" else []),
    _per_parameter(groups, lambda group: group.rate),
    optax.scale_by_learning_rate(schedule),
  )


@checked
def around(
  make: Callable[..., optax.GradientTransformation],
  *,
  mask: str | None,
  decays: bool = False,
  groups: Sequence[Group] = (BIAS_AND_BN,),
  clip_norm: Positive | None = None,
) -> optax.GradientTransformation:
  """Any optimizer of optax with the groups and the clipping of `make_optimizer`.

  Args:
    make: makes it; called with the parameters that decay, where it asks for them.
    mask: the name of that argument, None where it has none.
    decays: whether it decays parameters as it is called.
    groups: the first that matches a parameter rules it; `decay` is 0 or 1.
    clip_norm: largest global norm of the gradient.

  Raises:
    ConfigError: a group's decay is neither 0 nor 1, or is 0 where all parameters decay alike.
  """
  odd = [group.match for group in groups if group.decay not in (0, 1)]
  if odd:
    raise ConfigError(f"optimizer group {odd[0]!r}: optax decays a parameter or not, so decay must be 0 or 1")
  held = [group.match for group in groups if not group.decay]
  if held and decays and mask is None:
    raise ConfigError(
      f"optimizer.make decays all parameters alike, also those of group {held[0]!r}, which must not: leave the weight"
      " decay out, set optimizer.groups=(), or take another optimizer, such as optax.adamw"
    )

  def decaying(params: Tree) -> Tree:
    return jax.tree.map(lambda group: bool(group.decay and group.rate), multipliers(params, groups))

  return optax.chain(
    _per_parameter(groups, lambda group: 1.0 if group.rate else 0.0),
    *([optax.clip_by_global_norm(clip_norm)] if clip_norm else []),
    make(**{mask: decaying}) if mask else make(),
    _per_parameter(groups, lambda group: group.rate),
  )


def _per_parameter(groups: Sequence[Group], value: Callable[[Group], float]) -> optax.GradientTransformation:
  """Scales each update by `value` of its group; the groups are found by path at trace time."""

  def update(updates, state, params=None):
    groups_of = multipliers(updates, groups)
    return jax.tree.map(lambda group, u: value(group) * u, groups_of, updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
