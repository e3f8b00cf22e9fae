"""What is known of a released model: where its weights are, and how its authors' test feeds it."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn

Colours = tuple[tuple[float, float, float], tuple[float, float, float]]

IMAGENET: Colours = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP: Colours = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF: Colours = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
PLAIN: Colours = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
SLOWFAST: Colours = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)


class Clip(NamedTuple):
  """What a model is fed with in its authors' test.

  Attributes:
    frames: of a clip.
    stride: frames from one to the next; 0 spreads them over the whole video.
    size: side of the crop in pixels.
    short_side: of the frames that it is cut from.
    colours: mean and standard deviation by channel that frames are normalised with, on a scale of 0 to 1.
    rule: with a stride, that of `vidjax.data.sampling.Dense`.
  """

  frames: int
  stride: int
  size: int = 224
  short_side: int = 224
  colours: Colours = IMAGENET
  rule: str = "stride"


@dataclasses.dataclass(frozen=True)
class Released:
  """A released model.

  Attributes:
    network: makes it.
    weights: a model on the Hugging Face hub, "owner/name[:file]", or an https address. Both are fetched when asked for.
    licence: of the weights.
    source: where its authors state what stands here, such as the accuracy.
    data: data set of its classes; of an encoder, what it was trained on.
    classes: how many, 0 of an encoder without a classifier.
    clip: what it is fed with.
    views: CLIPSxCROPS of the authors' test.
    accuracy: its top-1 in percent as they print it, or None where they print none for this test.
    parity: name in `vidjax.verify.parity.NETWORKS` of the same network, or of a tiny one of its family that starts
      with "tiny_"; "" where there is none.
    parameters: in millions, as its authors print them, or None.
    unused: prefixes of the tensors that are left over.
    note: what else to know, as one sentence.
  """

  network: Callable[[], nn.Module]
  weights: str
  licence: str
  source: str
  data: str
  classes: int
  clip: Clip
  views: str = ""
  accuracy: float | None = None
  parity: str = ""
  parameters: float | None = None
  unused: tuple[str, ...] = ()
  note: str = ""

  @property
  def address(self) -> str:
    """Where a person finds the weights."""
    if self.weights.startswith("https://"):
      return self.weights
    model, _, file = self.weights.partition(":")
    return f"https://huggingface.co/{model}" + (f"/resolve/main/{file}" if file else "")
