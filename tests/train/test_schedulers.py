"""Processes that find each other by what SLURM, Open MPI and Kubernetes set, here faked on the loopback address."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.train.test_processes import free_port
from vidjax.apply.processes import scheduler

SLURM = {"SLURM_JOB_ID": "4711", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}
MPI = {
  "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://127.0.0.1:34911",
  "OMPI_COMM_WORLD_SIZE": "2",
  "OMPI_VERSION": "4.1",
}
PODS = """
import types
from jax._src.clusters.k8s_cluster import K8sCluster
K8sCluster._namespace = classmethod(lambda cls: "here")
K8sCluster.get_coordinator_address = classmethod(lambda cls, **rest: f"localhost:{rest['override_coordinator_port']}")
job = types.SimpleNamespace(spec=types.SimpleNamespace(parallelism=2))
pod = types.SimpleNamespace(metadata=types.SimpleNamespace(labels={"job-name": "vidjax"}))
pods = lambda namespace, field_selector: types.SimpleNamespace(items=[pod])
config = types.SimpleNamespace(load_incluster_config=lambda: None)
client = types.SimpleNamespace(
  CoreV1Api=lambda: types.SimpleNamespace(list_namespaced_pod=pods),
  BatchV1Api=lambda: types.SimpleNamespace(read_namespaced_job=lambda name, namespace: job),
  exceptions=types.SimpleNamespace(ApiException=RuntimeError),
)
"""
"""A `kubernetes` of one job with two pods: what JAX asks its API, but for the name of the first pod."""


def of_process(name: str, number: int, folder: pathlib.Path) -> dict[str, str]:
  """What the scheduler sets for a process."""
  if name == "SLURM":
    return {**SLURM, "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)}
  if name == "Open MPI":
    return {**MPI, "OMPI_COMM_WORLD_RANK": str(number), "OMPI_COMM_WORLD_LOCAL_RANK": str(number)}
  (folder / "kubernetes.py").write_text(PODS)
  pods = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": str(number), "HOSTNAME": "localhost"}
  return {**pods, "PYTHONPATH": f"{folder}:{ROOT}"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SLURM", "Open MPI", "Kubernetes"])
def test_processes_of_a_scheduler_find_each_other(name, command, environment, tmp_path):
  """They compare their configs, which here are not the same: that takes both, and no training."""
  port, processes = str(free_port()), []
  for number, flag in enumerate(("--config.train.epochs=2", "--config.train.epochs=3")):
    env = {**environment, "JAX_COORDINATOR_PORT": port, **of_process(name, number, tmp_path)}
    line = command(tmp_path / "run", flag)
    processes.append(subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
  outputs = [process.communicate(timeout=200)[0] for process in processes]
  assert [process.returncode for process in processes] == [2, 2], outputs
  assert all("train.epochs: 2.0 in process 0, 3.0 in process 1" in output for output in outputs), outputs


@pytest.mark.slow
def test_what_a_scheduler_lacks_is_one_line(command, environment, tmp_path):
  """An indexed job without JAX's extra for Kubernetes."""
  (tmp_path / "kubernetes.py").write_text("raise ImportError")
  pods = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
  env = {**environment, **pods}
  line = command(tmp_path / "run")
  done = subprocess.run(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
  assert done.returncode == 2, done.stdout
  assert "error: Kubernetes (JOB_COMPLETION_INDEX=0): the processes cannot join" in done.stdout
  assert "jax[k8s]" in done.stdout
  assert "--num_processes=1 to train alone" in done.stdout


@pytest.mark.parametrize(
  ("environ", "method", "devices"),
  [
    ({}, "none", {}),
    (
      {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
      "none",
      {},
    ),  # a batch script
    ({**SLURM, "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, "none", {}),  # a shell in a job
    ({**SLURM, "SLURM_PROCID": "1", "SLURM_GPUS_ON_NODE": "8", "SLURM_STEP_TASKS_PER_NODE": "8(x2)"}, "slurm", {}),
    (
      {**SLURM, "SLURM_PROCID": "1", "SLURM_GPUS_ON_NODE": "4", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"},
      "slurm",
      {"local_device_ids": [0, 1, 2, 3]},
    ),
    (MPI, "ompi", {}),
    ({**SLURM, "SLURM_STEP_NUM_TASKS": "", **MPI}, "ompi", {}),  # mpirun in a job of SLURM
    ({"OMPI_COMM_WORLD_SIZE": "2"}, "mpi4py", {}),  # Open MPI 5
    ({"OMPI_COMM_WORLD_SIZE": "1"}, "none", {}),
    ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "none", {}),  # any pod
    ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "3"}, None, {}),
  ],
)
def test_what_is_one_of_several(environ, method, devices):
  found = scheduler(environ)
  assert (found.method if found else "none") == method
  assert dict(found.devices if found else {}) == devices


SCRIPT = ROOT / "docs" / "train.sbatch"
FAKE = """#!/bin/bash
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in *vidjax.train*) exit "$CODE" ;; esac
"""


@pytest.mark.parametrize(
  ("code", "restarts", "requeued"), [(0, 0, False), (75, 0, True), (75, 100, False), (2, 0, False)]
)
def test_the_sbatch_script_is_requeued_where_a_run_can_resume(code, restarts, requeued, tmp_path):
  """A dry run, with commands of SLURM that only write down how they were called."""
  subprocess.run(["bash", "-n", SCRIPT], check=True)
  tools = tmp_path / "bin"
  tools.mkdir()
  for name in ("srun", "scontrol"):
    (tools / name).write_text(FAKE)
    (tools / name).chmod(0o755)
  env = {
    "PATH": f"{tools}:{os.environ['PATH']}",
    "CALLS": str(tmp_path / "calls"),
    "CODE": str(code),
    "HOME": "/home/me",
    "TMPDIR": "/local",
  }
  env |= {"SLURM_JOB_ID": "4711", "SLURM_RESTART_COUNT": str(restarts)}
  done = subprocess.run(["bash", SCRIPT], env=env, cwd=tmp_path, capture_output=True, text=True)
  assert done.returncode == code, done.stderr
  calls = (tmp_path / "calls").read_text().splitlines()
  assert ("scontrol requeue 4711" in calls) == requeued
  (training,) = [call for call in calls if "vidjax.train" in call]
  assert sum("rsync" in call for call in calls) == 1
  if code == 0:  # the flags are ours, and the config takes its values
    words = training.partition("python -m vidjax.train ")[2].split()
    program = "import sys, vidjax.train.__main__\nfrom absl import flags\nflags.FLAGS(sys.argv)"
    parsed = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True)
    assert parsed.returncode == 0, parsed.stderr
