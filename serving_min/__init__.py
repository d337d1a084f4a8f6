"""The server: loads a bundle and answers. Imports nothing from ``recsys_lab``, and never torch,
pandas or hydra; the lab imports this package instead, so that offline equals online."""
