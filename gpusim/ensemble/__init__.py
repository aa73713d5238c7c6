"""Studies: a scenario many times over, on Dask workers (needs the extra `study`)."""
