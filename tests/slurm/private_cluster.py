"""A private Slurm on the loopback of this machine: two nodes, each of 32 made-up cores and two made-up GPUs."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
HOST = socket.gethostname().partition(".")[0]
PATH = f"{os.environ['PATH']}:/usr/sbin"
NODES = (HOST, f"{HOST}-b")  # Open MPI under PMIx wants the first to have the name of its host
# The devices are files that every machine has: Slurm hands them out and sets CUDA_VISIBLE_DEVICES, nobody opens them.
GRES = "".join(f"NodeName={','.join(NODES)} Name=gpu File={file}\n" for file in ("/dev/null", "/dev/zero"))
CONFIG = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
TmpFS={folder}/tmp/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
MinJobAge=3000
KillWait=30
ReturnToService=2
GresTypes=gpu
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=32 RealMemory=4000 Gres=gpu:2
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=32 RealMemory=4000 Gres=gpu:2
PartitionName=gpu Nodes={nodes[0]},{nodes[1]} Default=YES MaxTime=INFINITE State=UP
PartitionName=cpu Nodes={nodes[0]} MaxTime=INFINITE State=UP
"""
# cred_expire: a requeued job waits for it; two minutes by default.


def missing() -> str | None:
    """Why no cluster can be started here, None if one can."""
    if os.geteuid() != 0:
        return "only root can start a Slurm that runs jobs"
    lacking = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    return f"{', '.join(lacking)} not installed (Debian: slurm-wlm, munge)" if lacking else None


class PrivateCluster:
    """Starts its daemons in a folder, as children of this process, and stops those."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._variables = dict(os.environ) | {"PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self, limit_s: float = 60.0) -> None:
        for name in ("state", "log", "run", *(f"{kind}/{node}" for kind in ("spool", "tmp") for node in NODES)):
            (self._folder / name).mkdir(parents=True)
            (self._folder / name).chmod(0o755)
        self._folder.chmod(0o755)  # munge asks for it
        key = self._folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        text = CONFIG.format(folder=self._folder, host=HOST, nodes=NODES, ports=_free_ports(3))
        (self._folder / "slurm.conf").write_text(text)
        (self._folder / "gres.conf").write_text(GRES)
        run = self._folder / "run"
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={run}/munge.socket",
            f"--pid-file={run}/munged.pid", f"--log-file={self._folder}/log/munged.log", f"--seed-file={run}/seed",
        )  # fmt: skip
        self._wait_for((run / "munge.socket").exists, limit_s)
        self._daemon("slurmctld", "-D")
        for node in NODES:
            self._daemon("slurmd", "-D", "-N", node)
        states = ("sinfo", "-h", "-N", "-p", "gpu", "-o", "%T")
        self._wait_for(lambda: self.ask(*states).split() == ["idle"] * len(NODES), limit_s)

    def stop(self) -> None:
        if self.ask("squeue", "-h"):
            self.ask("scancel", "--user=root")
            end = time.monotonic() + 15
            while self.ask("squeue", "-h") and time.monotonic() < end:
                time.sleep(0.2)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env=self._variables, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip()

    def logs(self) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()[-2000:]}" for log in (self._folder / "log").iterdir())

    def _daemon(self, *command: str) -> None:
        with (self._folder / "log" / "output").open("ab") as log:
            self._daemons.append(
                subprocess.Popen(command, env=self._variables, stdout=log, stderr=log, preexec_fn=_die_with_parent)
            )

    def _wait_for(self, condition: Callable[[], bool], limit_s: float) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, self.logs()
            assert all(daemon.poll() is None for daemon in self._daemons), self.logs()
            time.sleep(0.1)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
