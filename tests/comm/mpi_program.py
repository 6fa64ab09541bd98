"""Run by mpiexec: one small search with toy parts, and what can go wrong in it. Usage: mpi_program.py MODE"""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from comm_toys import CountingOptimizer, MemoryRecord, toy_evaluator

from snnhpo_mpi.comm.mpi import connect
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.master.loop import Master, MasterSettings, dismiss
from snnhpo_mpi.master.proposer import Proposer
from snnhpo_mpi.worker.supervisor import WorkerSettings, run_worker

MODE = sys.argv[1]
BUDGET = 12
SETTINGS = MasterSettings(budget=BUDGET, heartbeat_timeout_s=2.0, beat_s=0.3, closing_s=3.0)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")  # in one piece: ranks share the output
    sys.stdout.flush()


def lead(transport) -> int:
    optimizer = CountingOptimizer(lambda number: {"slow": "sleep:0.2", "big": "big"}.get(MODE, "fine"))
    record = MemoryRecord()
    if MODE == "optimizer raises":
        optimizer.tell = lambda outcome, seconds: 1 / 0
    if MODE == "wrong config":
        dismiss(transport, 2)
        say("wrong config")
        return 2
    master = Master(transport, Proposer(optimizer), record, SETTINGS)
    if MODE == "interrupted":
        record.on_event = lambda event: master.request_stop()
    ending = master.run()
    say(f"{ending.value} {len(record.outcomes)} outcomes")
    if MODE == "print order":
        say(str(optimizer.calls))
    return ending.exit_code


def work(transport) -> int:
    def prepare(config):
        if MODE == "worker raises" and transport.rank == 1:
            raise RuntimeError("no such device")
        if MODE == "worker dies" and transport.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if MODE == "worker halts" and transport.rank == 1:
            time.sleep(3600)
        return toy_evaluator(environment={"OMP_NUM_THREADS": "1"})

    code = run_worker(transport, prepare, WorkerSettings(beat_s=0.3, master_timeout_s=30.0))
    peak_mb = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
    say(f"supervisor {peak_mb} MB")
    return code


def main() -> int:
    try:
        transport = connect(os.environ)
    except ConfigError as error:
        say(f"ConfigError: {error}")
        return error.exit_code
    code = lead(transport) if transport.rank == 0 else work(transport)
    transport.close(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
