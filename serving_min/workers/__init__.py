"""One process per core behind one port: a supervisor that answers nothing itself, and its workers."""
