"""Which way of mining is best on a device: measured through the sessions that mine, kept in the
rig's folder, and taken up by the mine workload."""
