"""Corpora as they are found in the wild, made into Kaldi data directories.

What every preparation needs lives here: finding files whatever the pressing, reading SPHERE headers, downloading, and
writing data directories without holding them in memory. What only one corpus needs lives in ``egs/<corpus>/local``.
"""
