import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.tsp import TSP
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Inside

RNG = np.random.default_rng(0)
TABLE = [
  ("sigmoid", "tanh"),
  ("tanh", "sigmoid"),
  ("sigmoid", "sigmoid"),
  ("relu", "relu"),
  ("leaky_relu", "sigmoid"),
  ("sigmoid", "leaky_relu"),
]
"""The pairs of Table 3.1."""
FUNCTIONS = {
  "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
  "tanh": np.tanh,
  "relu": lambda x: np.maximum(x, 0),
  "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
}


def weights(frames, rank):
  return {
    "params": {
      "mix": {"kernel": RNG.normal(size=(frames, frames)).astype("float32")},
      "subspace": {"kernel": RNG.normal(size=(frames, frames * rank)).astype("float32")},
    }
  }


def apply(module, variables, clip, train=False):
  @jax.jit
  def run(variables, clip):
    output, changed = module.apply(variables, clip, train, mutable=["aux"])
    return output, changed["aux"]["projection_mae"][0]

  return run(variables, clip)


def reference(module, variables, segment):
  """Eq. 3.1 to 3.5 for one segment `[K, H, W, C]`, in float64."""
  first, second = (FUNCTIONS[name] for name in module.activations)
  w1, w2 = (np.float64(variables["params"][name]["kernel"]).T for name in ("mix", "subspace"))
  z = segment.mean((1, 2, 3))
  a = second(w2 @ first(w1 @ z)).reshape(module.frames, module.rank)
  pixels = segment.reshape(module.frames, -1)
  y = np.linalg.pinv(a) @ pixels
  error = np.linalg.norm(pixels - a @ y, axis=0).mean()
  return y.reshape(module.rank, *segment.shape[1:]), error


@pytest.mark.parametrize("activations", TABLE)
def test_equations(activations):
  module = TSP(5, 2, activations)
  clip = RNG.normal(1, 1, size=(2, 10, 4, 3, 3))
  variables = weights(5, 2)
  if activations == ("relu", "relu"):  # which else leaves columns of zeros, of another least squares solution
    variables = jax.tree.map(np.abs, variables)
  output, error = apply(module, variables, clip.astype("float32"))
  assert output.shape == (2, 4, 4, 3, 3)
  expected = [[reference(module, variables, segment) for segment in s] for s in clip.reshape(2, 2, 5, 4, 3, 3)]
  images = np.array([[pair[0] for pair in pairs] for pairs in expected]).reshape(output.shape)
  np.testing.assert_allclose(output, images, rtol=0, atol=2e-3 * np.abs(images).max())
  np.testing.assert_allclose(error, [np.mean([pair[1] for pair in pairs]) for pairs in expected], rtol=2e-4)


@pytest.mark.parametrize(("frames", "rank", "number"), [(10, 3, 400), (16, 3, 1024), (64, 16, 69_632)])
def test_parameters(frames, rank, number):
  """K^2 + K^2 D, without biases."""
  clip = jnp.zeros((1, frames, 4, 4, 3))
  output, variables = jax.eval_shape(lambda: TSP(frames, rank).init_with_output(jax.random.key(0), clip, False))
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == number
  assert output.shape[1] == rank


def test_the_mean_of_a_frame_is_all_it_sees():
  """Pixels may be shuffled: the squeezed images are shuffled likewise (thesis 3.4's limitation)."""
  clip = RNG.normal(size=(1, 5, 4, 4, 2)).astype("float32")
  variables = weights(5, 2)
  order = RNG.permutation(16)

  def shuffled(x):
    return np.asarray(x).reshape(1, -1, 16, 2)[:, :, order].reshape(1, -1, 4, 4, 2)

  output, error = apply(TSP(5, 2), variables, clip)
  other, other_error = apply(TSP(5, 2), variables, shuffled(clip))
  np.testing.assert_allclose(other, shuffled(output), rtol=0, atol=1e-4 * np.abs(output).max())
  np.testing.assert_allclose(other_error, error, rtol=1e-4)


@pytest.mark.parametrize("activations", [("sigmoid", "leaky_relu"), ("relu", "relu")])
@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_constant_clips_and_dead_units(value, activations):
  """Finite results and gradients, also where A is all zeros, as ReLU leaves it on negative means."""
  clip = jnp.full((2, 4, 3, 3, 2), value)
  module, variables = TSP(4, 2, activations), jax.tree.map(np.abs, weights(4, 2))

  @jax.jit
  def run(variables, clip):
    def loss(variables, clip):
      output, changed = module.apply(variables, clip, True, mutable=["aux"])
      return jnp.sum(output**2) + jnp.sum(changed["aux"]["projection_mae"][0]), output

    return jax.value_and_grad(loss, (0, 1), has_aux=True)(variables, clip)

  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run(variables, clip)))


def test_an_exact_projection_has_error_and_gradient_zero():
  """Frames that lie in the subspace leave nothing, and the length of nothing pulls nowhere."""
  module = TSP(2, 1, ("sigmoid", "sigmoid"))
  variables = jax.tree.map(jnp.zeros_like, weights(2, 1))  # sigmoid(0) = 1/2: A is constant
  clip = jnp.ones((1, 2, 3, 3, 1))

  def error(clip):
    return module.apply(variables, clip, False, mutable=["aux"])[1]["aux"]["projection_mae"][0][0]

  value, gradient = jax.jit(jax.value_and_grad(error))(clip)
  assert value <= 2e-6
  assert np.isfinite(gradient).all()


def test_gradients():
  clip = jnp.asarray(RNG.normal(1, 1, size=(1, 4, 2, 2, 2)), "float32")
  module, variables = TSP(4, 1), jax.tree.map(np.abs, weights(4, 1))

  @jax.jit
  def run(variables, clip):
    output, changed = module.apply(variables, clip, True, mutable=["aux"])
    return output, changed["aux"]["projection_mae"][0]

  check_grads(run, (variables, clip), order=1, modes=["rev"], atol=3e-2, rtol=3e-2)


def test_at_several_depths_of_a_backbone():
  """Table 3.2, setting 5: two modules inside, each with its parameters, both errors among what is sown."""
  inside = (Inside(TSP(4, 2), "stem"), Inside(TSP(2, 1), "res3"))
  network = Recognizer(MiniResNet(widths=(8, 8, 8, 8), inside=inside), 3)
  clip = jnp.zeros((2, 8, 17, 19, 3))

  def run():
    variables = network.init(jax.random.key(0), clip, False)
    return variables, network.apply(variables, clip, True, mutable=["aux", "batch_stats"], rngs={"dropout": KEY})

  variables, (output, changed) = jax.eval_shape(run)
  assert output.aux["frame_logits"].shape == (2, 2, 3)
  assert {"after_stem_TSP", "after_res3_TSP"} <= set(variables["params"]["backbone"])
  sown = [changed["aux"]["backbone"][f"after_{part}_TSP"]["projection_mae"] for part in ("stem", "res3")]
  assert [leaf[0].shape for leaf in sown] == [(2,), (2,)]


KEY = jax.random.key(1)


def test_not_a_number_stays_in_its_segment():
  clip = RNG.normal(size=(2, 8, 3, 3, 2)).astype("float32")
  variables = weights(4, 2)
  clean, _ = apply(TSP(4, 2), variables, clip)
  clip[0, 5, 0, 0, 0] = np.inf
  output, error = apply(TSP(4, 2), variables, clip)
  np.testing.assert_array_equal(output[0, :2], clean[0, :2])
  np.testing.assert_array_equal(output[1], clean[1])
  assert not np.isfinite(output[0, 2:]).all()
  assert np.isfinite(error[1])


@pytest.mark.parametrize(
  ("module", "shape", "error", "words"),
  [
    (TSP(4, 2), (1, 6, 4, 4, 3), InputError, "6 frames do not make whole segments of 4"),
    (TSP(4, 2), (1, 1, 4, 4, 3), InputError, "1 frames do not"),
    (TSP(4, 2), (4, 4, 4, 3), InputError, "takes clips"),
    (TSP(4, 4), (1, 4, 4, 4, 3), ConfigError, "frames=4, rank=4"),
    (TSP(1, 1), (1, 1, 4, 4, 3), ConfigError, r"TSP\(frames=1\)"),
    (TSP(4, 2, ("sigmoid", "gelu")), (1, 4, 4, 4, 3), ConfigError, "gelu.*a tuple of 2, each one of sigmoid, tanh"),
    (TSP(4, 2, ("sigmoid",)), (1, 4, 4, 4, 3), ConfigError, "must be a tuple of 2, each one of sigmoid"),
  ],
)
def test_bad_input(module, shape, error, words):
  with pytest.raises(error, match=words):
    jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape), False))


def test_a_misfit_inside_a_backbone_names_the_place():
  network = Recognizer(MiniResNet(inside=(Inside(TSP(4, 2), "res2"),)), 3)
  with pytest.raises(InputError, match=r"TSP\(frames=4\) at backbone/after_res2_TSP: 6 frames"):
    jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 6, 16, 16, 3)), False))
