"""How `farmctl bench` found a device to search best."""

from __future__ import annotations

import logging

from drivers import registry
from drivers.base import CuckooJob
from drivers.errors import DriverError
from farmctl.tuning.records import Options, TuningFile
from farmctl.workloads.base import Place

log = logging.getLogger(__name__)


def find_options(place: Place, job: CuckooJob) -> Options:
    """Options of the session for such graphs; none where the device was not tuned for them with
    the driver it has now."""
    try:
        info = registry.find_device(place.family, place.device_id).info
    except DriverError as error:
        log.warning("%s is opened as its driver chooses: %s", place.device_id, error)
        return {}
    tuned = TuningFile(place.folder).find(info, job)
    return {} if tuned is None else tuned.options
