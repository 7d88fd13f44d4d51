"""The owner stays in control: PySyft between hospitals and a researcher, over an ordinary shared folder."""
