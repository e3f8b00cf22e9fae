"""The papers' data sets, one file each, read from the official files as they are shipped.

A source is found by the name of its file. It has `PLACE`, a `vidjax.data.place.Place`, and
`read(source) -> vidjax.data.official.Official`.
"""
