"""Many runs of a scenario: studies, and trials, which are studies with expected orders.

A run is a scenario with everything set, a seed, and places for its outcomes and its result (`runs.py`). All of them are
carried out, kept, found again and put into a table in the same way, on Dask workers or processes (`execution.py`).
"""
