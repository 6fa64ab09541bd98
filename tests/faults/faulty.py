"""A user's evaluation that does what the hyperparameter ``do`` says; everything that evaluations do wrong."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def evaluate(params, seed, device):
    with Path(os.environ["FAULTY_PIDS"]).open("a") as pids:
        pids.write(f"{os.getpid()}\n")
    time.sleep(params["seconds"])
    answer = {"objective": params["x"], "constraints": [params["x"] - 0.8], "metrics": {"seed": seed}}
    return globals()[params["do"]](answer)


def fine(answer):
    return answer


def fine_too(answer):
    return answer


def raises(answer):
    raise ValueError("no such network")


def nan(answer):
    return answer | {"objective": float("nan")}


def infinite(answer):
    return answer | {"objective": float("inf")}


def beyond_floats(answer):
    return answer | {"objective": 10**400}


def infinite_constraint(answer):
    return answer | {"constraints": [float("inf")]}


def two_constraints(answer):
    return answer | {"constraints": [0.0, 0.0]}


def no_objective(answer):
    return {}


def garbage(answer):
    os.write(1, b'{"Result": {}}\n\xff\xfe\x00' * 1000)
    os.write(2, b"\n\n{}\n" * 1000)
    return answer


def segfault(answer):
    ctypes.string_at(0)


def exits(answer):
    sys.exit(3)


def exits_at_once(answer):
    os._exit(0)


def killed(answer):
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def out_of_memory(answer):
    return bytearray(1 << 60)


def runs_into_a_memory_limit(answer):
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    return [bytearray(1 << 20) for _ in range(1000)]


def many_metrics(answer):
    return answer | {"metrics": answer["metrics"] | {f"{answer['objective']}_{i}": 0.5 for i in range(20_000)}}


def hangs(answer):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(3600)


def forks(answer):
    subprocess.Popen(["sleep", "300"])
    if os.fork() == 0:
        time.sleep(300)
    return answer


def forked_child_runs_on(answer):
    os.fork()
    return answer


def leaves_a_thread(answer):
    threading.Thread(target=time.sleep, args=(300,)).start()
    return answer
