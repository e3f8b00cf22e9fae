"""Trackers: a process beside the training follows `metrics.jsonl` and sends it to Weights & Biases or MLflow.

The folder of a run is all that a tracker reads. So it cannot slow or stop the training, what could not be sent is sent
later, and a finished run can be sent as well. A new tracker is one file, `to_NAME.py`, with a class `Writer`.
"""
