"""What the neural models share: batches of sequences, losses, negatives, the Lightning module.

No recommending and no file formats here.
"""
