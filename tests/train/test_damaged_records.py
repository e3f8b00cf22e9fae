"""Damaged records in a real training: replaced and named while training; in validation an error that loses no step."""

import numpy as np
import pytest

from vidjax.data import schema, write


@pytest.fixture(scope="module")
def damaged_data(tmp_path_factory):
  """A data folder with folder/tiny, of which one training and one validation record are damaged."""
  root = tmp_path_factory.mktemp("damaged")

  def examples():
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("validation", 4)):
      for i in range(count):
        jpegs = schema.encode_frames(rng.integers(0, 255, (3, 16, 20, 3)).astype(np.uint8))
        jpegs[1] = jpegs[1][:-60] + jpegs[1][-20:] if i == 2 else jpegs[1]
        yield split, schema.example(i % 2, f"{split}_{i}", 10.0, 3, video=jpegs)

  def fill(folder):
    write.write_records(folder, "folder/tiny", ("train", "validation"), examples(), ("left", "right"), ())

  write.fill_folder(root / "folder" / "tiny" / write.VERSION, fill)
  return root


@pytest.mark.slow
def test_training_names_them_and_loses_no_step(damaged_data, train, tmp_path):
  workdir, data = tmp_path / "run", (f"--config.data.dir={damaged_data}", "--config.data.max_damaged=.2")
  output = train(workdir, *data, code=2)
  assert "is replaced by the next: frame 1 of train_2 cannot be decoded" in output
  assert "error: frame 1 of validation_2 cannot be decoded" in output
  assert "--config.data.skip_damaged=True" in output
  assert "Traceback" not in output
  assert [path.name for path in (workdir / "checkpoints").iterdir() if path.name.isdigit()] == ["4"]
  output = train(workdir, *data, "--config.data.skip_damaged=True")
  assert "is finished" in output
  output = train(tmp_path / "other", *data, "--config.data.skip_damaged=True")
  assert "damaged 1" in output
