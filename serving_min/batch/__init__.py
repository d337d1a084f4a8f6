"""Lists for all users at once, for e-mail and push: the same engine as online, Parquet in and out. No HTTP here."""
