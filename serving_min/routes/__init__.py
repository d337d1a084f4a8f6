"""The routes by what they are about; each module has ``routes(shop)``. They decode, ask the shop, encode: no more."""
