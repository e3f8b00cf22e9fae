"""Accuracies on training and held-out clips (TDRL Table 3): columns of Table 4, which this command runs."""

from experiments.tables.command import run_table
from experiments.tdrl import table_4

if __name__ == "__main__":
  run_table(table_4.TABLE)
