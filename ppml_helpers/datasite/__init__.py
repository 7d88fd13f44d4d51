"""The owner stays in control: PySyft between hospitals and a researcher, over an ordinary shared folder.

Importing this package needs no syft; a `Network` does, and says so where there is none.
"""

from ppml_helpers.datasite.access import access_matrix
from ppml_helpers.datasite.environment import lean_environment
from ppml_helpers.datasite.mock_data import mock_patients
from ppml_helpers.datasite.network import Network

__all__ = ["Network", "access_matrix", "lean_environment", "mock_patients"]
