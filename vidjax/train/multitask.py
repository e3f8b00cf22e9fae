"""Blends: how the gradients of several named losses become one update (thesis 3.5.4, Table 3.9).

Fixed and scheduled weights (`Weighted`, with `schedules.Scale` for Eq. 3.19) and learned ones (`Uncertainty`) cost one
backward pass. `MGDA`, `PCGrad` and `CAGrad` pull every loss back by itself, through no more than what it depends on: a
loss of the input representation does not cost the network's backward pass.

`shared` names the parameters that several losses train, by the start of their paths, such as "representation"; None
means all.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp

from vidjax.bounds import Bound, NonNegative
from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.train import aggregate
from vidjax.train.schedules import Scale
from vidjax.types import Blend, Pullback, Tree

Losses = dict[str, jax.Array]
Result = tuple[Tree, dict[str, jax.Array]]
Weight = NonNegative | Callable[[jax.Array], jax.Array] | Scale
Weights = Annotated[Mapping[str, Weight], Bound("names of losses, each with a number from 0 on or a function")]
Prefix = Annotated[str | Sequence[str], Bound('one or more starts of paths, such as "representation"', len)] | None
Rule = Callable[..., Any]
"""See `make_blend`."""


def over(rule: Rule, total_steps: int) -> Rule:
  """The rule of a training of that many steps: a schedule's scale, or the length of a phase, follows from it.

  Args:
    rule: see `make_blend`.
    total_steps: updates of the training.
  """
  return rule.over(total_steps) if hasattr(rule, "over") else rule  # pyright: ignore[reportFunctionMemberAccess]


def make_blend(rule: Rule, total_steps: int) -> Blend:
  """The blend of a training of that many steps by a rule of this module, or any other one.

  Args:
    rule: `(losses, pullback, step) -> (gradient, what to log)`. One that has `init()` is called with what it remembers
      as a fourth argument, and returns what it remembers now as a third value. It may have `linear` and `over`.
    total_steps: updates of the training.

  Raises:
    ConfigError: it cannot be called so.
  """
  remembers = hasattr(rule, "init")
  try:
    inspect.signature(rule).bind(*("losses", "pullback", "step", "memory")[: 4 if remembers else 3])
  except TypeError as error:
    raise ConfigError(f"config.blend makes {rule!r}: must be a blend, such as {__name__}.Weighted") from error
  rule = over(rule, total_steps)

  def update(losses: Losses, pullback: Pullback, step: jax.Array, memory: Tree) -> tuple[Tree, Losses, Tree]:
    return rule(losses, pullback, step, memory) if remembers else (*rule(losses, pullback, step), None)

  return Blend(getattr(rule, "init", lambda: None), update, getattr(rule, "linear", False))


@dataclasses.dataclass(frozen=True)
class Weighted:
  """The sum of the losses by fixed or scheduled weights: one backward pass, whatever their number.

  Attributes:
    weights: loss name -> number from 0 on, function of the step (any optax schedule), or `Scale`. Losses not named
      weigh 1.
  """

  weights: Weights = dataclasses.field(default_factory=dict)

  linear: ClassVar[bool] = True

  def __post_init__(self):
    check_fields(self)

  def over(self, total_steps: int) -> "Weighted":
    """With every `Scale` as the schedule it is for a training of so many steps."""
    weights: Any = {name: w.over(total_steps) if isinstance(w, Scale) else w for name, w in self.weights.items()}
    return Weighted(weights)

  def __call__(self, losses: Losses, pullback: Pullback, step: jax.Array) -> Result:
    """See `make_blend`; logs `loss` (the weighted sum) and, for more than one loss, every weight."""
    _check_names("blend weights name", self.weights, losses)
    if any(isinstance(weight, Scale) for weight in self.weights.values()):
      raise ConfigError("a blend with a Scale needs the number of steps: multitask.over(blend, total_steps)")
    if all(self.weights.get(name, 1.0) == 0 for name in losses):
      raise ConfigError(f"blend weights are 0 for all of {', '.join(losses)}: nothing would be learnt")
    weights: Losses = {}
    for name in losses:
      weight: Any = self.weights.get(name, 1.0)
      weights[name] = jnp.asarray(weight(step) if callable(weight) else weight, jnp.float32)
    return pullback(weights), _notes(losses, weights)


@dataclasses.dataclass(frozen=True)
class MGDA:
  """Multiple-gradient descent (thesis Eq. 3.16-3.18, Algorithm 1): the shortest convex combination, see `aggregate`.

  Shared parameters get the combination; every other parameter gets the plain gradient of its own losses.

  Attributes:
    shared: path prefixes of the shared parameters.
    normalise: "none" (thesis), "l2", "loss" or "loss+", see `aggregate.mgda_weights`.
  """

  shared: Prefix = None
  normalise: aggregate.Normalise = "none"

  def __post_init__(self):
    check_fields(self)

  def __call__(self, losses: Losses, pullback: Pullback, step: jax.Array) -> Result:
    """See `make_blend`; logs the weights on the shared parameters, and `loss`, the sum by these weights."""
    values = jnp.stack(list(losses.values()))
    return _by_gram(losses, pullback, self.shared, lambda gram: aggregate.mgda_weights(gram, self.normalise, values))


@dataclasses.dataclass(frozen=True)
class PCGrad:
  """The sum of the gradients, each freed of what conflicts with the others (Yu et al. 2020), on shared parameters.

  Attributes:
    shared: path prefixes of the shared parameters.
    seed: of the order of the projections, which matters from three losses on.
  """

  shared: Prefix = None
  seed: int = 0

  def __post_init__(self):
    check_fields(self)

  def __call__(self, losses: Losses, pullback: Pullback, step: jax.Array) -> Result:
    """See `make_blend`; logs what each gradient weighs in the result, and `loss`, the sum by these weights."""
    key = jax.random.fold_in(jax.random.key(self.seed), step)
    return _by_gram(losses, pullback, self.shared, lambda gram: aggregate.pcgrad_weights(gram, key))


@dataclasses.dataclass(frozen=True)
class CAGrad:
  """The mean gradient, moved towards the task that gains least (Liu et al. 2021), on shared parameters.

  Attributes:
    shared: path prefixes of the shared parameters.
    c: how far the direction may lie from the mean gradient, as a share of its length.
  """

  shared: Prefix = None
  c: NonNegative = 0.5

  def __post_init__(self):
    check_fields(self)

  def __call__(self, losses: Losses, pullback: Pullback, step: jax.Array) -> Result:
    """See `make_blend`; logs what each gradient weighs in the result, and `loss`, the sum by these weights."""
    return _by_gram(losses, pullback, self.shared, lambda gram: aggregate.cagrad_weights(gram, self.c))


@dataclasses.dataclass(frozen=True)
class Uncertainty:
  """Weights by learned uncertainty (Kendall et al. 2018): `sum exp(-s) L + s / 2`, with one log variance s a loss.

  The s are no parameters of the network: evaluation and fine-tuning have no use for them, and an optimizer's decay
  would pull them to 0. They lie in `State.blend`, start at 0, follow their own gradient at a fixed rate, and stay
  within [-10, 10], so that a loss that vanishes does not send its weight to infinity.

  Attributes:
    losses: names of all losses.
    regression: those of them that are squared errors: `exp(-s) L / 2`.
    learning_rate: of the log variances.
  """

  losses: Sequence[str]
  regression: Sequence[str] = ()
  learning_rate: NonNegative = 0.01

  linear: ClassVar[bool] = True

  def __post_init__(self):
    check_fields(self)

  def init(self) -> Losses:
    """The log variances to start with."""
    _check_names("Uncertainty.regression names", self.regression, self.losses)
    return {name: jnp.zeros(()) for name in self.losses}

  def __call__(
    self, losses: Losses, pullback: Pullback, step: jax.Array, memory: Losses
  ) -> tuple[Tree, dict[str, jax.Array], Losses]:
    """See `make_blend`; logs `loss` (the weighted sum, without the terms s / 2) and every weight."""
    if set(memory) != set(losses):
      raise ConfigError(f"Uncertainty.losses are {', '.join(self.losses)}, but the losses are {', '.join(losses)}")
    weights = {name: jnp.exp(-s) * (0.5 if name in self.regression else 1.0) for name, s in memory.items()}
    slopes = {name: 0.5 - weights[name] * losses[name] for name in memory}
    learned = {name: jnp.clip(s - self.learning_rate * slopes[name], -10, 10) for name, s in memory.items()}
    return pullback(weights), _notes(losses, weights), learned


def _by_gram(losses: Losses, pullback: Pullback, shared: Prefix, weigh: Callable[[jax.Array], jax.Array]) -> Result:
  """One backward pass a loss; its weight on the shared parameters follows from the inner products there."""
  if len(losses) < 2:
    raise ConfigError(f"this blend combines the gradients of two losses or more, got {', '.join(losses) or 'none'}")
  rows = [pullback({name: jnp.ones(())}) for name in losses]
  mask = _mask(shared, rows[0])
  weights = weigh(aggregate.gram_matrix(rows, mask))
  return aggregate.combine(rows, weights, mask), _notes(losses, dict(zip(losses, weights, strict=True)))


def _mask(shared: Prefix, params: Tree) -> Tree:
  """True for every parameter below a prefix; ConfigError where a prefix matches none."""
  if shared is None:
    return jax.tree.map(lambda _: True, params)
  prefixes = [shared] if isinstance(shared, str) else list(shared)

  def path(keys: Any) -> str:
    return "/".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in keys)

  paths = [path(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)]
  under = {prefix: [p == prefix or p.startswith(prefix.rstrip("/") + "/") for p in paths] for prefix in prefixes}
  idle = [prefix for prefix, hits in under.items() if not any(hits)]
  if idle:
    starts = ", ".join(sorted({p.split("/")[0] for p in paths}))
    raise ConfigError(f"blend.shared names {', '.join(idle)}, but no parameter starts so; they start with {starts}")
  return jax.tree.unflatten(jax.tree.structure(params), [any(hits) for hits in zip(*under.values(), strict=True)])


def _check_names(what: str, names: Any, losses: Any) -> None:
  unknown = sorted(set(names) - set(losses))
  if unknown:
    raise ConfigError(f"{what} {', '.join(unknown)}, but the losses are {', '.join(sorted(losses))}")


def _notes(losses: Losses, weights: Losses) -> dict[str, jax.Array]:
  notes = {"loss": sum((weights[name] * loss for name, loss in losses.items()), jnp.zeros(()))}
  if len(losses) > 1:
    notes.update({f"weight/{name}": weights[name] for name in losses})
  return notes
