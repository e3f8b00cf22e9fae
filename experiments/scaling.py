"""What a GPU needs of the machine around it, from measured costs of decoding and sizes: clips to cores and bytes.

`python -m experiments.scaling --film=FILM` encodes the film's frames as `prepare` does (short side 256). It measures
bytes a frame, and the CPU time from the record of a video to a clip in one thread; what other programs do on the
machine does not count. Then it prints what `--rate` clips a second on each GPU take: the rate is that of
`python -m vidjax.benchmark train` on the GPU.
"""

import itertools
import statistics
import time
from collections.abc import Sequence

import cv2
import numpy as np
from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.data.augment import MultiScaleCrop
from vidjax.data.sampling import UniformSegments
from vidjax.data.schema import Record, encode_frames, example_message
from vidjax.data.video_file import decode
from vidjax.errors import InputError

GPUS = (1, 8, 64)


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.film:
    raise InputError("--film=FILE is missing: name a film")
  frames, length = values.frames, values.length
  with open(values.film, "rb") as file:
    images = list(itertools.islice(decode(file.read(), 256, name=values.film), 100))
  size, clip = measure(images, frames, length)
  height, width, _ = images[0].shape
  say(f"frames of {width} x {height}: {size / 1e3:.1f} KB each; a clip of {frames} from a video of {length}:")
  say(f"{1e3 * clip:.2f} ms of one core to parse, decode and crop")
  for line in table([float(rate) for rate in values.rate], frames, length, size, clip):
    say(line)


def measure(images: Sequence[np.ndarray], frames: int, length: int, rounds: int = 20) -> tuple[float, float]:
  """Bytes of a frame; and CPU seconds from the bytes of a record in memory to a clip, the median over rounds.

  Args:
    images: uint8 RGB `[H, W, 3]`, of one size.
    frames: of a clip.
    length: of the record, which repeats the images.
    rounds: clips.
  """
  cv2.setNumThreads(0)
  stored = encode_frames(images)
  record = example_message()()
  values = record.features.feature
  values["video"].bytes_list.value.extend(itertools.islice(itertools.cycle(stored), length))
  values["video_id"].bytes_list.value.append(b"film")
  for name, number in (("label", 0), ("num_frames", length)):
    values[name].int64_list.value.append(number)
  values["fps"].float_list.value.append(30)
  raw, crop, times = record.SerializeToString(), MultiScaleCrop(224), []
  sampler, rng = UniformSegments(frames), np.random.default_rng(0)
  for _ in range(rounds):
    start = time.process_time()
    found = Record.parse(raw)
    crop({"video": found.decode(sampler.train(length, rng)), "label": 0}, rng)
    times.append(time.process_time() - start)
  return sum(map(len, stored)) / len(stored), statistics.median(times)


def table(rates: Sequence[float], frames: int, length: int, size: float, cost: float) -> list[str]:
  """The plan in Markdown.

  Args:
    rates: clips a second of one GPU.
    frames: of a clip, each one JPEG.
    length: frames of a stored video, all of which are read for a clip.
    size: bytes of a frame.
    cost: CPU seconds of a clip.
  """
  lines = [
    "| clips/s a GPU | GPUs | clips/s | JPEG/s | cores, at least | GB/s read | TB a day |",
    "|---|---|---|---|---|---|---|",
  ]
  for rate in rates:
    for gpus in GPUS:
      clips = rate * gpus
      read = clips * length * size
      numbers = [rate, gpus, clips, clips * frames, clips * cost, read / 1e9, read * 86400 / 1e12]
      lines.append("| " + " | ".join(f"{x:,.3g}" if x < 1000 else f"{x:,.0f}" for x in numbers) + " |")
  return lines


if __name__ == "__main__":
  flags.DEFINE_string("film", None, "A film with the pictures of those to be trained on.")
  flags.DEFINE_list("rate", ["25", "100", "400"], "Clips a second on one GPU.")
  flags.DEFINE_integer("frames", 8, "Frames of a clip.")
  flags.DEFINE_integer("length", 300, "Frames of a stored video: 10 s at 30 frames a second.")
  run_main(main)
