import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.cost import count_macs
from vidjax.errors import InputError
from vidjax.plugins.ett import ETT

CLIP = jax.random.normal(jax.random.key(1), (2, 3, 2, 5, 8))


def outline(module, *shape):
  clip = jax.ShapeDtypeStruct(shape, jnp.float32)
  variables = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), clip)
  return clip, variables


@pytest.mark.parametrize("variant", ["separate_frame", "shared_frame", "separate_spacetime"])
def test_golden_equations(shared_golden, variant):
  golden = np.load(shared_golden / "ttsn_equations.npz")
  spacetime, shared = variant.endswith("spacetime"), variant.startswith("shared")
  module = ETT(2, "spacetime" if spacetime else "frames", shared)
  names = ["h"] if shared else ["h_alpha", "h_beta", "h_gamma"]
  positions = golden["PE"].reshape(3, 6, 8, 3, 3)  # flattened as channels, rows, columns
  params = {
    **{name: {"kernel": golden["W_h"][k].T, "bias": golden["b_h"][k]} for k, name in enumerate(names)},
    "positions": np.moveaxis(positions, 2, -1),
    "lambda": golden["lam"],
    "h_inverse": {"kernel": golden["W_hinv"].T, "bias": golden["b_hinv"]},
    **({"scale": np.float32(1)} if spacetime else {}),
  }
  clip = np.moveaxis(golden["X"], 2, -1)
  run = jax.jit(lambda params, clip: module.apply({"params": params}, clip, False, mutable=["intermediates"]))
  output, sown = run(params, clip)
  np.testing.assert_allclose(output, np.moveaxis(golden[f"Y_{variant}"], 2, -1), rtol=1e-4, atol=1e-5)
  attention = sown["intermediates"]["attention"][0].full()
  assert attention.shape == ((2, 6, 3, 3, 6, 3, 3) if spacetime else (2, 6, 6))
  expected = golden[f"attn_{variant}"]
  np.testing.assert_allclose(attention.reshape(expected.shape), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
  ("module", "sets"),
  [(ETT(4), 3), (ETT(4, shared=True, position_sets=1), 1), (ETT(4, "spacetime"), 3), (ETT(4, position_sets=0), 0)],
)
@pytest.mark.parametrize("frames", [1, 3])
def test_starts_as_the_identity_and_every_parameter_counts(module, sets, frames):
  clip = CLIP[:, :frames]

  def run(key, clip):
    variables = module.init(key, clip, False)
    moved = jax.tree.map(lambda leaf: leaf + 0.1, variables)
    gradient = jax.grad(lambda variables: (module.apply(variables, clip, False) * jnp.sin(7 * clip)).sum())(moved)
    return variables["params"], module.apply(variables, clip, False), gradient["params"]

  params, output, gradient = jax.jit(run)(jax.random.key(0), clip)
  np.testing.assert_array_equal(output, clip)
  assert ("positions" in params) == (sets > 0)
  if sets:
    assert params["positions"].shape == (sets, frames, 2, 5, 2)
    assert params["positions"].std() == pytest.approx(0.02, rel=0.3)
  length = 2 if module.tokens == "spacetime" else 2 * 5 * 2
  assert params["lambda"] == pytest.approx(length**-0.5)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
  if frames > 1:
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(("frames", "parameters"), [(8, 2_401_025), (16, 2_702_081)])
def test_size_after_a_resnet50(frames, parameters):
  """Table V prints 2.20 M; the four convolutions have 2,099,968."""
  _, variables = outline(ETT(), 1, frames, 7, 7, 2048)
  assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == parameters
  convolutions = [leaf for name, leaf in variables["params"].items() if name.startswith("h_")]
  assert sum(leaf.size for leaf in jax.tree.leaves(convolutions)) == 2_099_968


def test_cost_of_four_clips_of_sixteen_frames():
  """Table V prints 6.58 G: the four convolutions; the frames' products are 0.4% of them."""
  clip, variables = outline(ETT(), 4, 16, 7, 7, 2048)
  macs = count_macs(lambda variables, clip: ETT().apply(variables, clip, False), variables, clip)
  convolutions, products = 4 * (4 * 16 * 49 * 2048 * 256), 2 * (4 * 16 * 16 * 12544)
  assert macs == convolutions + products
  assert convolutions == pytest.approx(6.58e9, rel=1e-3)


@pytest.mark.parametrize("shape", [(2, 4, 2, 5, 8), (2, 3, 5, 5, 8)])
def test_positions_are_of_one_size(shape):
  _, variables = outline(ETT(4), *CLIP.shape)
  message = rf"ETT.*for 3 frames of 2 x 5 x 2, and got {shape[1]} of {shape[2]} x 5 x 2: use clips of that size"
  with pytest.raises(InputError, match=message):
    jax.eval_shape(lambda variables: ETT(4).apply(variables, jnp.zeros(shape), False), variables)


@pytest.mark.parametrize(
  ("module", "shape", "message"),
  [
    (ETT(tokens="frame"), CLIP.shape, "tokens='frame'.*must be one of frames, spacetime"),
    (ETT(position_sets=2), CLIP.shape, "position_sets=2.*must be one of 0, 1, 3"),
    (ETT(compression=0), CLIP.shape, r"compression=0\) at the top: must be an int of at least 1"),
    (ETT(), CLIP.shape[1:], "ETT.*takes clips"),
  ],
)
def test_bad_input(module, shape, message):
  with pytest.raises(InputError, match=message):
    module.init(jax.random.key(0), jnp.zeros(shape), False)


def test_channels_may_expand():
  """The "up-2" of Fig. 3: h makes 16 channels of 8."""
  _, variables = outline(ETT(1, expansion=2), *CLIP.shape)
  assert variables["params"]["h_alpha"]["kernel"].shape == (8, 16)
  assert variables["params"]["h_inverse"]["kernel"].shape == (16, 8)
  with pytest.raises(InputError, match="expansion=0"):
    outline(ETT(expansion=0), *CLIP.shape)
