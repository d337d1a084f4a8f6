"""A fitted model becomes a bundle: ONNX, FAISS, tables, and the gate that proves them equal.

Writes what ``serving_min`` reads; the format is described in ``export/README.md``.
"""
