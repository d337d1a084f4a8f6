"""The embedded default data: a small shop that is simulated, so that its truth is known.

``assortment`` makes the items (from ``product_lines``, ``labels`` and the ``vocabulary``) and
``shoppers`` the users. ``behaviour`` lets them browse: ``opening_hours`` say when they come,
``habits`` and ``crowd`` what they have in mind, ``choice`` what they pick. ``event_log`` writes down
what they did, ``impressions`` what the shop's own recommender showed, ``truth`` what all of it was
made from. ``generate`` runs these in order.
"""
