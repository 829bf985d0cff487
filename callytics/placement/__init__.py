"""Which queue runs where: what stages cost, a simulation of the pipeline, and a search among placements."""
