"""Raw events to folds: columns, preparation, log, catalogue, split, audit.

Knows nothing of models. Ids are strings in files and dense int32 codes inside.
"""
