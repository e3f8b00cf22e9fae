"""Weights under another normalisation than their own."""

import pytest

from vidjax.apply.device_augment import AsStored, Normalise
from vidjax.released import CLIP, HALF, IMAGENET
from vidjax.weights.colours import colours_of, other_colours


@pytest.mark.parametrize(
  ("name", "colours"),
  [
    ("vision_model.pre_layrnorm.weight", CLIP),
    ("visual.ln_pre.bias", CLIP),
    ("vision_model.embeddings.patch_embedding.bias", HALF),
    ("attn_pool.latent", HALF),
    ("blocks.0.norm1.weight", None),
  ],
)
def test_names_tell_the_colours_of_two_families(name, colours):
  assert colours_of(["cls_token", name]) == colours


def test_other_colours_are_told_with_the_remedy():
  text = other_colours(Normalise(), HALF)
  assert 'set --config.normalise.mean="(0.5, 0.5, 0.5)" --config.normalise.std="(0.5, 0.5, 0.5)"' in text
  assert other_colours(Normalise(), CLIP)  # its deviations are 17% larger
  assert other_colours(Normalise(*CLIP), CLIP) == ""
  assert other_colours(Normalise((0.485, 0.456, 0.406), (0.23, 0.23, 0.23)), IMAGENET) == ""
  assert other_colours(Normalise(), None) == ""
  assert other_colours(Normalise((0.5,) * 5, (0.5,) * 5), HALF) == ""
  assert other_colours(AsStored(), HALF) == ""
