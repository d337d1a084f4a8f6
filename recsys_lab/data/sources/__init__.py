"""One file per input format. A source fills raw tables and documents its own cleaning rules."""
