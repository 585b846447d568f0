"""Run by the Python of PYNQ's own environment (it pins older libraries than ours): prints the
boards it sees as JSON. PYNQ.remote's ``PYNQ_REMOTE_DEVICES`` works as for any PYNQ program.
"""

import json

from pynq import Device, __version__

boards = [
    {"name": str(device.name), "tag": str(getattr(device, "tag", "")), "version": __version__}
    for device in Device.devices
]
print(json.dumps(boards))
