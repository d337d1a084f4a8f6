"""The embedded default data: a small shop that is simulated, so that its truth is known.

``vocabulary`` (what is on the shelves) → ``assortment`` (items) and ``shoppers`` (users) →
``behaviour`` (sessions, on the clock of ``opening_hours``) → ``impressions`` (what the shop's
own recommender showed) → ``truth`` (what all of it was made from). ``generate`` runs them in order.
"""
