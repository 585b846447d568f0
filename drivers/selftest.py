"""Known-answer tests: what a device must answer before it may work at a capability."""

from __future__ import annotations

import time
from typing import cast

import numpy as np
from numpy.typing import NDArray

from drivers.base import (
    Capability,
    CuckooJob,
    CuckooSession,
    CuckooSolution,
    InferSession,
    SelfTest,
    Session,
    TrainSession,
    VerifySession,
)
from drivers.errors import DriverError, NotSupported, SelfTestFailed
from drivers.hashes import HashJob, HashSession
from drivers.program import Program, Step
from drivers.worker import open_session

DEADLINE_SECONDS = 60.0

#: One 42-cycle in graphs 0 to 11 of 2^16 edges, found by an independent slow solver.
CUCKOO_JOB = CuckooJob(header=bytes(range(32)), edge_bits=16)
CUCKOO_GRAPHS = 12
# fmt: off
CUCKOO_ANSWER = CuckooSolution(8, (
    1177, 4575, 4742, 8215, 8592, 9320, 12700, 12948, 17165, 18026, 22885, 23273, 26180, 26433,
    26803, 29036, 29995, 31211, 34406, 36968, 38727, 39517, 39728, 43040, 43565, 44643, 47893,
    49445, 49505, 50303, 50944, 52358, 53326, 53327, 53980, 54835, 56828, 59584, 60883, 62950,
    63491, 64355,
))
# fmt: on
#: Cortex, main network, block 6,839,772.
MAINNET_JOB = CuckooJob(
    header=bytes.fromhex("40a45fbfca40832fb4c704880c87875958d9bc0646bfe6323444e59cb6ec78b3"),
    edge_bits=30,
)
# fmt: off
MAINNET_PROOF = CuckooSolution(11369230609443549943, (
    13608074, 42736631, 54825486, 99642100, 146179831, 157659643, 165181349, 217761886,
    235165505, 273697782, 284704189, 295862087, 324589697, 330250357, 396051660, 426356538,
    463394489, 486745775, 488859732, 579888629, 604722188, 611650182, 613211719, 629234456,
    654619510, 660045480, 705977491, 725551429, 734503893, 778986150, 825311203, 834278032,
    855007896, 930779059, 945302433, 951450587, 981020827, 988546049, 1007646198,
    1020525811, 1041448089, 1066456251,
))
# fmt: on

#: Bitcoin's first block (main network, 2009), and its nonce.
GENESIS_JOB = HashJob(
    header=bytes.fromhex(
        "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
        "29ab5f49ffff001d00000000"
    ),
    target=0xFFFF << 208,
)
GENESIS_NONCE = 2_083_236_893

#: A small convolutional net whose numbers follow from a formula, and what it must answer.
INFER_ANSWER = (12667, 27569, 11476, 29648, 59746)


def prove(
    family: str, device_id: str, capability: Capability, deadline_seconds: float = DEADLINE_SECONDS
) -> SelfTest:
    """Put a device to the test in a worker. Never raises: what goes wrong is in the answer."""
    started = time.monotonic()
    try:
        with open_session(family, device_id, capability, deadline_seconds) as session:
            detail, passed = check(session, capability), True
    except DriverError as error:
        detail, passed = str(error), False
    return SelfTest(capability, passed, detail, time.monotonic() - started)


def check(session: Session, capability: Capability) -> str:
    """Test an open session; returns what was shown. Raises `SelfTestFailed`."""
    if capability == Capability.CUCKOO:
        return _check_cuckoo(cast(CuckooSession, session))
    if capability == Capability.VERIFY_CUCKOO:
        return _check_verifier(cast(VerifySession, session))
    if capability == Capability.INFER:
        return _check_infer(cast(InferSession, session))
    if capability == Capability.TRAIN:
        return _check_train(cast(TrainSession, session))
    if capability == Capability.HASH_SHA256D:
        return _check_hashes(cast(HashSession, session))
    raise NotSupported(f"there is no known answer for {capability} yet")


def _check_cuckoo(session: CuckooSession) -> str:
    done, found = session.search(CUCKOO_JOB, 0, CUCKOO_GRAPHS, lambda: False)
    if done != CUCKOO_GRAPHS or found != [CUCKOO_ANSWER]:
        raise SelfTestFailed(f"{len(found)} cycles in {done} graphs are not the known one")
    return f"the known cycle in {done} graphs; {_check_verifier(session)}"


def _check_verifier(session: VerifySession) -> str:
    job, proof = MAINNET_JOB, MAINNET_PROOF
    if not session.verify(job, proof.nonce, proof.edges):
        raise SelfTestFailed("a proof of Cortex's main network is refused")
    if session.verify(job, proof.nonce + 1, proof.edges):
        raise SelfTestFailed("a proof passes for another nonce")
    return "a main network proof verified"


def _check_infer(session: InferSession) -> str:
    program = infer_program()
    data = spread(program.input_shape, 251, 127).astype("<i4").tobytes()
    session.load("self-test", program)
    answer = session.run("self-test", data)
    session.unload("self-test")
    found = np.frombuffer(answer, dtype="<i4")
    if tuple(found.tolist()) != INFER_ANSWER:
        raise SelfTestFailed(f"the small net answered {found.tolist()}, not {INFER_ANSWER}")
    return "a small convolutional net answered to the bit"


def _check_train(session: TrainSession) -> str:
    x, w = spread((8, 5), 11, 5), spread((5, 3), 7, 3)
    expected = 2 * x.T @ (x @ w)
    if not np.array_equal(session.gradient(x, w), expected):
        raise SelfTestFailed("the gradient of a small product is wrong")
    return "a gradient by automatic differentiation is exact"


def _check_hashes(session: HashSession) -> str:
    heard: list[int] = []
    session.scan(GENESIS_JOB, 0, 2**32, lambda: GENESIS_NONCE in heard, heard.append)
    if GENESIS_NONCE not in heard:
        raise SelfTestFailed("the nonce of Bitcoin's first block was not found")
    return "the nonce of Bitcoin's first block found"


def spread(shape: tuple[int, ...], modulus: int, offset: int) -> NDArray[np.int32]:
    """Numbers −offset … modulus−1−offset in a fixed order without pattern."""
    count = np.arange(1, int(np.prod(shape)) + 1, dtype=np.int64)
    return (count * count * 7919 % modulus - offset).astype(np.int32).reshape(shape)


def infer_program() -> Program:
    """conv2d 3×3 → shift → relu → max_pool2d → flatten → dense, on 1×2×8×8."""
    parameters = {
        1: spread((4, 2, 3, 3), 255, 127),
        2: spread((4,), 1009, 504),
        3: spread((5, 64), 251, 125),
    }
    shapes = ((1, 2, 8, 8), (4, 2, 3, 3), (4,), (5, 64))
    feature = (1, 4, 8, 8)
    steps = (
        Step("conv2d", (0, 1, 2), (4,), {"padding": (1, 1), "strides": (1, 1), "groups": 1}),
        Step("cvm_right_shift", (4,), (5,), {"precision": 8, "shift_bit": 9}),
        Step("relu", (5,), (6,), {}),
        Step("max_pool2d", (6,), (7,), {"pool_size": (2, 2), "strides": (2, 2)}),
        Step("flatten", (7,), (8,), {}),
        Step("dense", (8, 3), (9,), {"units": 5}),
    )
    return Program(
        shapes=(*shapes, feature, feature, feature, (1, 4, 4, 4), (1, 64), (1, 5)),
        precisions=(8, 8, 11, 8, 22, 8, 8, 8, 8, 22),
        parameters=parameters,
        steps=steps,
        heads=(9,),
    )
