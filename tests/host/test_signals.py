import os
import signal

from snnhpo_mpi.host.signals import StopSignals


def test_signals_reach_the_search_and_early_ones_wait_for_it() -> None:
    calls: list[str] = []
    before = signal.getsignal(signal.SIGUSR1)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert calls == []
        signals.pass_to(lambda: calls.append("stop"))
        assert calls == ["stop", "stop"]
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(calls) == 3
    assert signal.getsignal(signal.SIGUSR1) is before
