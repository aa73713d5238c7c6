import os
import signal

import pytest

from gpusim.record.stopping import interrupts_held


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX signals")
def test_an_interrupt_waits_and_is_not_lost():
    """Sent to the process: any thread may take it, those of BLAS included."""
    reached, raised = False, True
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with interrupts_held():
            for _ in range(20):
                os.kill(os.getpid(), signal.SIGINT)
            reached = True
        raised = False
    except KeyboardInterrupt:
        pass
    finally:
        after = signal.signal(signal.SIGINT, before)
    assert reached
    assert raised
    assert after is signal.default_int_handler
