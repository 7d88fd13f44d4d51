"""The Flower app of the hospitals: a folder of its own, which can be copied to a hospital without the rest."""
