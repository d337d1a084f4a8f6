"""Recommenders: ``base.py`` is the contract, then one file per model.

Masking, top-k, filling and blocking happen in the base alone; a model only scores.
"""
