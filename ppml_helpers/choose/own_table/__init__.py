"""The widgets with which the roles of somebody's own table are corrected."""
