"""RTSAE-DSCNN beside other methods on HMDB51 (rtsae Table 5): a column of Table 4, which this command runs."""

from experiments.rtsae import table_4
from experiments.tables.command import run_table

if __name__ == "__main__":
  run_table(table_4.TABLE)
