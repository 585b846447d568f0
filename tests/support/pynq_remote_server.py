"""A board for PYNQ.remote: PYNQ's own gRPC services over the simulated core.

Run by the Python that has PYNQ: ``pynq_remote_server.py ADDRESS STAND_IN``. Prints a line when
it listens; ends with its standard input.
"""

import importlib.util
import sys
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
from pynq.remote import (
    buffer_pb2,
    buffer_pb2_grpc,
    mmio_pb2,
    mmio_pb2_grpc,
    remote_device_pb2,
    remote_device_pb2_grpc,
)

FILES = {
    "/proc/version": b"Linux version 6.6.0 (armv7l)",
    "/proc/device-tree/chosen/pynq_board": b"Pynq-Z2\0",
}
CHUNK = 1 << 20


class Files(remote_device_pb2_grpc.RemoteDeviceServicer):
    def existsfile(self, request, context):
        return remote_device_pb2.ExistsFileResponse(exists=request.file_path in FILES)

    def readfile(self, request, context):
        yield remote_device_pb2.ReadFileResponse(data=FILES[request.file_path])


class Registers(mmio_pb2_grpc.MmioServicer):
    def __init__(self, simulated):
        self._simulated = simulated
        self._open = {}

    def get_mmio(self, request, context):
        number = str(len(self._open))
        self._open[number] = self._simulated.MMIO(request.base_addr, request.length)
        return mmio_pb2.GetMmioResponse(status=True, mmio_id=number)

    def read(self, request, context):
        value = self._open[request.mmio_id].read(request.offset)
        return mmio_pb2.ReadResponse(status=True, data=value)

    def write(self, request, context):
        value = int.from_bytes(request.data, "little")
        self._open[request.mmio_id].write(request.offset, value)
        return mmio_pb2.WriteResponse(status=True)


class Buffers(buffer_pb2_grpc.RemoteBufferServicer):
    def __init__(self, simulated):
        self._simulated = simulated
        self._buffers = {}
        self._allocated = 0

    def allocate(self, request, context):
        self._allocated += 1
        number = str(self._allocated)
        self._buffers[number] = self._simulated.allocate((request.size,), np.uint8)
        print("buffers", len(self._buffers), flush=True)
        return buffer_pb2.AllocateResponse(buffer_id=number)

    def write(self, request_iterator, context):
        start = 0
        for request in request_iterator:
            content = np.frombuffer(request.data, np.uint8)
            self._buffers[request.buffer_id][start : start + content.size] = content
            start += content.size
        return buffer_pb2.BufferWriteResponse()

    def read(self, request, context):
        content = self._buffers[request.buffer_id].tobytes()
        for start in range(0, len(content), CHUNK):
            yield buffer_pb2.BufferReadResponse(data=content[start : start + CHUNK])

    def flush(self, request, context):
        self._buffers[request.buffer_id].flush()
        return buffer_pb2.FlushResponse()

    def invalidate(self, request, context):
        self._buffers[request.buffer_id].invalidate()
        return buffer_pb2.InvalidateResponse()

    def physical_address(self, request, context):
        address = self._buffers[request.buffer_id].physical_address
        return buffer_pb2.AddressResponse(address=address)

    def freebuffer(self, request, context):
        self._buffers.pop(request.buffer_id).freebuffer()
        print("buffers", len(self._buffers), flush=True)
        return buffer_pb2.FreeBufferResponse()


def load_stand_in(path):
    spec = importlib.util.spec_from_file_location("simulated_pynq", Path(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(address, stand_in):
    simulated = load_stand_in(stand_in)
    # One core, one thread: calls come one after another, as the board's own server has them.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    remote_device_pb2_grpc.add_RemoteDeviceServicer_to_server(Files(), server)
    mmio_pb2_grpc.add_MmioServicer_to_server(Registers(simulated), server)
    buffer_pb2_grpc.add_RemoteBufferServicer_to_server(Buffers(simulated), server)
    if not server.add_insecure_port(address):
        sys.exit(f"cannot listen at {address}")
    server.start()
    print("listens", flush=True)
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
