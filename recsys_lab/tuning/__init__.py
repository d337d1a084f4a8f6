"""Tuning: a search for one model's settings, which never sees the test part of a split.

space.py    what is tried, as conf/tune/MODEL.yaml says it
study.py    what has been tried: Optuna's storage, sampler and pruner
trial.py    one configuration, fitted and measured; the processes that do it
search.py   a budget spent on several processes
outcome.py  what came of it: the best settings, the front, what mattered
"""
