"""recsys-lab: train and compare recommenders honestly, export the winner, serve it.

The package's front door is :mod:`recsys_lab.pipeline`: the main job as plain functions.
Importing ``recsys_lab`` alone loads nothing heavy (no torch, no pandas).
"""

__version__ = "0.1.0"
