"""The licence in a model's card beside its weights."""

import numpy as np
import pytest

from tests.weights.test_transformers import NETWORKS, load_whole, tensors
from vidjax.weights.__main__ import show
from vidjax.weights.read import read_tensors


@pytest.mark.parametrize(
  ("licence", "line"),
  [
    ('"cc-by-nc-4.0"', "licence cc-by-nc-4.0, which forbids commercial use"),
    ("mit", "licence mit"),
    ("other\nlicense_name: dinov3-license", "licence dinov3-license"),
  ],
)
def test_the_licence_of_the_models_card_is_said(tmp_path, capsys, licence, line):
  np.savez(tmp_path / "model.npz", **tensors("tiny_vit_timm"))
  (tmp_path / "README.md").write_text(f"---\ntags:\n- video\nlicense: {licence}\n---\n# Model\nlicense: none\n")
  _, report = load_whole(NETWORKS["tiny_vit_timm"], tmp_path / "model.npz")
  said = capsys.readouterr()
  assert said.err == f"{tmp_path}/model.npz: {line}\n"
  assert str(report).splitlines()[1] == f"  {line}"
  show(read_tensors(tmp_path / "model.npz"))
  assert capsys.readouterr().out.endswith(f" numbers, {line}\n")
  (tmp_path / "README.md").write_text("# license: mit\nof nothing\n")
  assert not load_whole(NETWORKS["tiny_vit_timm"], tmp_path / "model.npz")[1].licence
