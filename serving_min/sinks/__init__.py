"""The log of what happened and of what was recommended, for retraining and off-policy evaluation."""
