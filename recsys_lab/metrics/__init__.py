"""Pure functions that return one value per query; means and intervals come later.

No model, no file, no plotting: arrays in, arrays out.
"""
