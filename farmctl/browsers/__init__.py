"""Browsers that lend their processor: each is a device of the rig `farmctl.browsers.rig.RIG`."""
