"""What stands behind ``kit.py``: set-up, JupyterLab, tests, doctor, benchmarks. Standard library only."""
