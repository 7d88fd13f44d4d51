"""Compute on patients that the computing side cannot read: CKKS and BFV by TenSEAL, with authenticated messages."""
