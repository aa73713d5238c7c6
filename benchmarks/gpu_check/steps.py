"""Steps of a scenario on a cube: their time, that of each kernel, of calls, and of the transport as one CUDA graph.

B=cuda python benchmarks/gpu_check/steps.py SCENARIO EDGE STEPS
"""

import os
import sys
import time
from collections import defaultdict

import numpy as np

import gpusim
from gpusim.backends import create


class Check:
    """A scenario on a machine, and how to time it."""

    def __init__(self, scenario, edge, backend):
        changes = {"grid.shape": [edge] * 3}
        if scenario.endswith("full.yaml") or edge < 48:
            changes["tissue.shapes.tumour.radius"] = f"{6 * edge} um"
        self.backend, self.edge = create(backend), edge
        begun = time.perf_counter()
        self.simulation = gpusim.Simulation(gpusim.Scenario.load(scenario, changes), self.backend)
        self.wait()
        fields = len(self.simulation.model.fields)
        print(f"{scenario} {edge}^3, {fields} fields: built in {time.perf_counter() - begun:.1f} s")

    def wait(self):
        """Until all launches so far have ended."""
        self.backend.between(self.backend.mark(), self.backend.mark())

    def milliseconds(self, action):
        """Of an action, until the device has done it."""
        self.wait()
        begun = time.perf_counter()
        action()
        self.wait()
        return 1e3 * (time.perf_counter() - begun)

    def steps(self, count):
        """Time of whole steps, and of a check."""
        simulation = self.simulation
        print(f"first step (multigrid in full) {self.milliseconds(simulation.step):.2f} ms")
        simulation.step()
        walls = [self.milliseconds(simulation.step) for _ in range(count)]
        check = min(self.milliseconds(simulation.check) for _ in range(min(count, 5)))
        month = 30 * 24 * 60 / simulation.model.step / 60e3
        print(
            f"STEP {self.edge}^3: median {np.median(walls):.3f} ms, least {min(walls):.3f}, most {max(walls):.3f}; "
            f"a check {check:.3f} ms; 30 days {month * np.median(walls):.2f} min, with a check a step "
            f"{month * (np.median(walls) + check):.2f} min"
        )

    def kernels(self, rounds=3):
        """Time of each kernel, from marks around each launch."""
        marks, run = defaultdict(list), self.backend.run

        def marked(call, *rest):
            begun = self.backend.mark()
            run(call, *rest)
            marks[call.kernel.name].append((begun, self.backend.mark()))

        self.backend.run, self.backend.graphs = marked, False
        self.simulation.step(rounds)
        self.simulation.check()
        self.backend.run, self.backend.graphs = run, True
        taken = {kernel: [1e6 * self.backend.between(*pair) for pair in pairs] for kernel, pairs in marks.items()}
        print(f"{'kernel':18} {'launches':>9} {'ms a step':>10} {'us a launch':>12}   (sum_fields: of one check)")
        for kernel, each in sorted(taken.items(), key=lambda item: -sum(item[1])):
            n = 1 if kernel == "sum_fields" else rounds
            print(f"{kernel:18} {len(each) / n:9.1f} {sum(each) / n / 1e3:10.4f} {np.mean(each):12.2f}")
        for kernel in ("explicit_step", "smooth_coarse"):
            one_step = taken.get(kernel, [])[: len(taken.get(kernel, [])) // rounds]
            print(f"{kernel}, one after the other, us:", " ".join(f"{us:.0f}" for us in one_step))

    def calls(self, count=300):
        """What single calls cost the host."""
        backend, simulation = self.backend, self.simulation
        state = simulation.site.stack.state
        tiny = backend.array(np.zeros((1, 1, 1, 32), np.uint8))
        states = backend.array(np.zeros(8, np.uint32))
        circulation = simulation._stepper.circulation
        for what, action in {
            "launch of 5 arguments": lambda: backend.launch(
                "mark_members", states=states, cells=tiny, other=tiny, members=tiny
            ),
            "array() of 96 bytes": lambda: backend.array(np.zeros(12)),
            "to_numpy() of the firings": lambda: backend.to_numpy(state.tally.fired),
            "write() of the body": lambda: backend.write(state.body, np.zeros(state.body.shape, np.float32)),
            "circulation.advance()": lambda: circulation.advance(5.0, 1),
            "transport()": lambda: simulation.site.stack.transport(5),
        }.items():
            n = 3 if "transport" in what else count
            self.wait()
            begun = time.perf_counter()
            for _ in range(n):
                action()
            told = time.perf_counter() - begun
            self.wait()
            done = time.perf_counter() - begun
            print(f"{what}: {1e6 * told / n:.1f} us to tell, {1e6 * done / n:.1f} us until done")

    def device(self):
        """Memory, registers and spills as the device has them; the transport as one CUDA graph."""
        import cupy

        used = cupy.get_default_memory_pool().used_bytes()
        print(
            f"{used / 1e9:.2f} GB, {used / self.edge**3:.1f} bytes a voxel; free, total {cupy.cuda.Device().mem_info}"
        )
        kernels = self.backend._kernels.items()
        print("registers, local bytes:", {name: (k.num_regs, k.local_size_bytes) for name, k in kernels})
        try:
            stack = self.simulation.site.stack
            with cupy.cuda.Stream(non_blocking=True) as stream:
                stream.begin_capture()
                stack.transport(5)
                graph = stream.end_capture()
                graph.launch()
                stream.synchronize()
                begun = time.perf_counter()
                for _ in range(5):
                    graph.launch()
                stream.synchronize()
                print(f"GRAPH of the transport: {1e3 * (time.perf_counter() - begun) / 5:.3f} ms a replay")
        except Exception as error:
            print("GRAPH failed:", type(error).__name__, error)


def main():
    """Print all."""
    scenario, edge, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    check = Check(scenario, edge, os.environ.get("B", "cuda"))
    check.steps(steps)
    check.kernels(min(steps, 3))
    check.calls()
    if check.backend.name == "cuda":
        check.device()


if __name__ == "__main__":
    main()
