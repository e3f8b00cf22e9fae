"""A run's folder without training: a tiny data set of original video files and a random network's checkpoint."""

import pathlib
from typing import Any

import av
import jax
import jax.numpy as jnp
import numpy as np

from configs import quickstart
from vidjax.data import schema, write
from vidjax.run.checkpoint import Checkpoints
from vidjax.run.folder import write_folder
from vidjax.run.opened import Run, open_run
from vidjax.types import State

CLASSES = [f"class {k}" for k in range(6)]
VIDEOS = 11


def write_video(
  path: pathlib.Path, seed: int, frames: int = 9, size: tuple[int, int] = (40, 32), codec: str = "libx264"
) -> pathlib.Path:
  """A short film of drifting noise of one colour."""
  rng = np.random.default_rng(seed)
  colour = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]], np.uint8)[seed % 5]
  image = colour * rng.integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, rate=8)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
    for i in range(frames):
      picture = av.VideoFrame.from_ndarray(np.roll(image, 2 * i, axis=seed % 2), format="rgb24")
      container.mux(stream.encode(picture))
    container.mux(stream.encode(None))
  return path


def write_data(root: pathlib.Path, damaged: tuple[int, ...] = ()) -> pathlib.Path:
  """`root/folder/tiny` with a validation split of VIDEOS records, and the files themselves as `root/films/K.mp4`."""
  films = root / "films"
  films.mkdir(parents=True)

  def example(i: int):
    content = write_video(films / f"{i}.mp4", i, frames=5 + i).read_bytes()
    content = b"not a video" if i in damaged else content
    return schema.example(i % len(CLASSES), f"film {i}", 8.0, 5 + i, encoded=content, short_side=24)

  def fill(folder: pathlib.Path) -> None:
    examples = (("validation", example(i)) for i in range(VIDEOS))
    write.write_records(folder, "folder/tiny", ("validation",), examples, CLASSES, encoding="video")

  write.fill_folder(root / "folder" / "tiny" / write.VERSION, fill)
  return root


def make_run(
  workdir: pathlib.Path, data: pathlib.Path, seed: int = 0, class_names: list[str] | None = None, config: Any = None
) -> Run:
  """Writes and opens the folder of a run on `write_data`'s data, of the quickstart's network or another config's."""
  if config is None:
    config = quickstart.get_config()
    config.model.backbone.widths = (8, 8, 8, 8)
  config.data.name, config.data.dir = "folder/tiny", str(data)
  config.sampler.num_segments = 4
  config.test.size, config.test.short_side = 16, 16
  config.train.batch_size = 4
  config = config.to_dict()
  run = Run(config, class_names or CLASSES)
  variables = run.network.init(jax.random.key(seed), jnp.zeros((1, *run.clip_shape)), False)
  head = variables["params"]["classifier"]
  head["kernel"] = 4 * jax.random.normal(jax.random.key(seed + 1), head["kernel"].shape)
  colours = 255 * jnp.eye(3, dtype=jnp.uint8)[:, None, None, None, :].repeat(run.clip_shape[0], 1)
  clips = run.normalise(colours.repeat(16, 2).repeat(16, 3))
  head["bias"] = -run.network.apply(variables, clips, False).logits.mean(axis=0)  # lets the colour decide
  write_folder(workdir, config, run.class_names)
  checkpoints = Checkpoints(workdir)
  state = State(jnp.int32(3), variables["params"], variables["batch_stats"], {"count": jnp.int32(3)})
  checkpoints.save(state, 3, config, {"top1": 0.5})
  checkpoints.close()
  return open_run(workdir)
