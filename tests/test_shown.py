"""What tables show: numbers side by side, Kendall's tau, and the heat map of a figure."""

import math
from unittest import mock

import cv2
import numpy as np

from experiments.tables import shown
from experiments.tables.row import Row, Table, Training
from experiments.thesis import figure_5_3

ROWS = (
  Row("first", {"top": 10.0}, "rerun"),
  Row("second", {"top": 20.0}),
  Row("both", {"top": 30.0}, partners=("first", "second")),
  Row("wrong", {"top": 5.0}, mini={"": Training("configs/quickstart.py")}),
  Row("elsewhere", {"top": 90.0}, "cited"),
)
TINY_TABLE = Table("a table", ROWS, pairs=(("top", "top-1 %"),))


def stored(row, number, seed=0, commit="a", date="2026-01-01"):
  numbers = {"top-1 %": number}
  origin = {"commit": commit, "date": date, "machine": "here", "seconds": 60, "cores": 2, "command": [["vidjax.train"]]}
  return {"row": row, "column": "", "seed": seed, "numbers": numbers, **origin}


def test_printed_and_own_numbers_side_by_side(tmp_path):
  found = [
    stored("first", 50.0, date="2026-01-02"),
    stored("first", 60.0, 1, date="2026-01-02"),
    stored("second", 40.0, commit="b"),
    stored("both", math.nan),
  ]
  lines = shown.markdown(TINY_TABLE, found).splitlines()
  assert lines[0] == "| a table | | top, printed | top-1 %, here |"
  assert lines[2:5] == [
    "| first | rerun | 10 | 55 (50 to 60) |",
    "| second | own | 20 | 40* |",
    "| both | own | 30 |  |",
  ]
  assert "Means over 1 or 2 seeds; the smallest and the largest in brackets where they differ." in lines
  assert "Kendall's tau of 'top-1 %' here and 'top' in print, 2 rows: -1.00." in lines
  assert any("another commit" in line for line in lines)
  shown.draw(tmp_path / "table.png", TINY_TABLE, shown.gather(found))
  assert cv2.imread(str(tmp_path / "table.png")).std() > 10
  alone = Table("a table", TINY_TABLE.rows)  # nothing to compare with: the accuracies are drawn
  shown.draw(tmp_path / "alone.png", alone, shown.gather(found))
  assert cv2.imread(str(tmp_path / "alone.png")).std() > 10
  shown.write_csv(tmp_path / "results.csv", TINY_TABLE, "mini", found)
  text = (tmp_path / "results.csv").read_text()
  assert "a table,second,own,trained mini,top-1 %,0,40,b,here,2026-01-01,60,2,,python -m vidjax.train" in text
  assert "a table,wrong,own,not run" in text
  assert "elsewhere,cited,printed,top,,90" in text


def test_tau_of_single_seeds():
  """Seeds may disagree; one that lacks a row takes no part, and equal numbers have no range."""
  numbers = [("first", 60.0, 0), ("second", 50.0, 0), ("first", 10.0, 1), ("second", 90.0, 1), ("first", 99.0, 2)]
  found = [stored(row, number, seed) for row, number, seed in numbers]
  [one] = shown.agreement(TINY_TABLE, found)
  assert (one.rows, one.tau, one.low, one.high, str(one)) == (2, 1.0, -1.0, 1.0, "1.00 (-1.00 to 1.00)")
  alike = [stored("first", 50.0, seed) for seed in (0, 1)]
  assert "| first | rerun | 10 | 50 |" in shown.markdown(TINY_TABLE, alike)
  assert shown.agreement(TINY_TABLE, alike) == []


def test_the_heat_map_of_the_figure_has_each_number_in_its_place(tmp_path):
  """Size to the right, scale upwards; 11x11 is of one scale, and one row of the table was not trained."""
  numbers = {row.name: {"top-1 %": shown.Spread(i, i, i, 1)} for i, row in enumerate(figure_5_3.TABLE.rows[:-1])}
  drawn = []
  keep = mock.patch("matplotlib.axes.Axes.imshow", lambda axes, values, **_: drawn.append(values) or mock.MagicMock())
  with keep, mock.patch("matplotlib.figure.Figure.colorbar"):
    figure_5_3.draw_heat(tmp_path / "x.png", figure_5_3.TABLE, numbers)
  gap = np.nan
  np.testing.assert_array_equal(drawn[0], [[0, 1, 2, gap], [3, 4, 5, 6], [7, 8, 9, gap]])
  np.testing.assert_array_equal(drawn[1], [[10, 11, 12, gap], [13, 14, 15, 16], [17, 18, gap, gap]])
