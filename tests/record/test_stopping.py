import os
import signal

import pytest

from gpusim.record.stopping import interrupts_held


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX signals")
def test_an_interrupt_waits_and_is_not_lost():
    """Sent to the process: any thread may take it, those of BLAS included."""
    reached, before = False, signal.getsignal(signal.SIGINT)
    raised = True
    try:
        with interrupts_held():
            for _ in range(20):
                os.kill(os.getpid(), signal.SIGINT)
            reached = True
        raised = False
    except KeyboardInterrupt:
        pass
    assert reached
    assert raised
    assert signal.getsignal(signal.SIGINT) is before
