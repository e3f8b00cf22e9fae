"""Do clips reach released weights with the mean and deviation that they were trained with?"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from vidjax.released import CLIP, HALF, Colours

FAMILIES = (
  (r"\.(?:pre_layrnorm|ln_pre|norm_pre)\.", CLIP),
  (r"\.embeddings\.patch_embedding\.bias$|\.attn_pool\.latent$|\.head\.probe$", HALF),  # SigLIP
)
"""Names of tensors that only a family has, and its colours."""
NEAR = 0.05
"""Share of a deviation by which colours may differ."""


def colours_of(names: Iterable[str]) -> Colours | None:
  """Mean and deviation by channel that the family of a checkpoint was trained with, where its names tell one.

  Args:
    names: of its tensors.
  """
  names = [f".{name}" for name in names]
  return next((colours for pattern, colours in FAMILIES if any(re.search(pattern, name) for name in names)), None)


def other_colours(normalise: Any, wanted: Colours | None) -> str:
  """How a config's normalisation differs from that of its weights, with the remedy; "" where it does not.

  Args:
    normalise: of the recipe; one without `mean` and `std` for three channels is not compared.
    wanted: that of the weights, None where it is not known.
  """
  here = tuple(getattr(normalise, "mean", ())), tuple(getattr(normalise, "std", ()))
  if wanted is None or not len(here[0]) == len(here[1]) == 3:
    return ""
  apart = [np.abs(np.subtract(a, b)) / np.array(wanted[1]) for a, b in zip(here, wanted, strict=True)]
  if max(np.max(one) for one in apart) <= NEAR:
    return ""
  flags = [f'--config.normalise.{name}="{value}"' for name, value in zip(("mean", "std"), wanted, strict=True)]
  return (
    f"the weights were trained on frames normalised by mean {wanted[0]} and std {wanted[1]}, and this config takes "
    f"{here[0]} and {here[1]}: set {' '.join(flags)}"
  )
