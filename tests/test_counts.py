"""What tables count, and how it is compared with the print."""

import dataclasses

import pytest

from experiments.tables import command, shown
from experiments.tables.row import Row, Stated, Table, Training
from vidjax.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections


def test_a_count_that_differs_for_no_known_reason_fails_the_command():
  """CI counts all tables by `python -m experiments.tables --scale=cost`."""
  cost = Stated(lambda: {"params": 2.0, "GFLOPs": 3.0})
  rows = Row("near", {"GFLOPs": 3.01}, cost=cost), Row("far", {"params M": 1.0}, cost=cost)
  text, unexplained, lines = shown.costs(Table("a table", rows), rows)
  assert "What differs from the print by more than 1.00%:\n" in text
  with pytest.raises(InputError, match=r"1 counts differ from the print without a reason: far: params M 2 here, 1 in"):
    command.report_unexplained(unexplained)
  assert lines[:2] == [
    ("a table", "near", "own", "GFLOPs", "3.01", "3"),
    ("a table", "near", "own", "params M", "", "2"),
  ]
  noted = [dataclasses.replace(rows[1], reasons={"params M": "a reason"})]
  text, unexplained, _ = shown.costs(Table("a table", noted), noted)
  assert "What differs from the print by more than 1.00%:\nfar: params M 2 here, 1 in print: a reason." in text
  assert unexplained == []
  other = [dataclasses.replace(rows[1], reasons={"GFLOPs": "of another column"})]
  _, unexplained, _ = shown.costs(Table("a table", other), other)
  assert sorted(unexplained) == [
    "far: GFLOPs has a reason, but does not differ",
    "far: params M 2 here, 1 in print",
  ]


def test_a_row_of_averaged_scores_costs_what_its_partners_do():
  parts = [Row(name, cost=Stated(lambda: {"params": 2.0, "GFLOPs": 3.0})) for name in ("one", "two")]
  both = Row("both", {"GFLOPs": 6.0, "params M": 4.0}, partners=("one", "two"))
  text, unexplained, _ = shown.costs(Table("a table", (*parts, both)), [both])
  assert "| both | 6 | 6 | 4 | 4 |" in text
  assert unexplained == []


def test_a_table_that_prints_no_cost_is_counted_when_it_is_asked_for():
  """By the networks of its rows on the paper's data; where one row has a cost, no other is counted so."""
  rows = Row("big", full={"UCF101": Training("configs/quickstart.py")}), Row("none", {"top": 1.0}, "cited")
  assert shown.costs(Table("a table", rows), rows).lines == []
  found = shown.costs(Table("a table", rows), rows, more=True)
  assert [line[1:4] for line in found.lines] == [
    ("big", "own", name) for name in ("GFLOPs", "params M", "GMAC executed")
  ]
  beside = (*rows, Row("counted", cost=Stated(lambda: {"params": 2.0, "GFLOPs": 3.0})))
  assert {line[1] for line in shown.costs(Table("a table", beside), beside, more=True).lines} == {"counted"}


def test_the_command_writes_what_it_counts(tmp_path):
  row = Row("net", {"params M": 2.0}, cost=Stated(lambda: {"params": 2.0, "GFLOPs": 3.0}))
  command.write_costs(tmp_path / "out", shown.costs(Table("a table", [row]), [row]))
  lines = (tmp_path / "out" / "cost.csv").read_text().splitlines()
  assert lines == ["table,row,kind,column,printed,here", "a table,net,own,params M,2,2", "a table,net,own,GFLOPs,,3"]
  assert "| net | 2 | 2 | 3 |" in (tmp_path / "out" / "cost.md").read_text()
