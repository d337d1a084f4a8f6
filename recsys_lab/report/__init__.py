"""Leaderboards as self-contained HTML pages with plots. Reads results, computes no metric."""
