"""Known answers of Grin's verifiers (grin/core/src/pow/cuckaroo.rs, cuckatoo.rs, siphash.rs).

A header is 80 zero bytes, the last four of them replaced by the nonce, little-endian.
"""

from __future__ import annotations

HEADER = bytes(76)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


#: Nonce, siphash keys, a proof in the graph of 2^19 edges.
CUCKAROO19 = (
    (
        71,
        _numbers("23796193872092ea f1017d8a68c4b745 d312bd53d2cd307b 840acce5833ddc52"),
        _numbers(
            "45e9 6a59 f1ad 10ef7 129e8 13e58 17936 19f7f 208df 23704 24564 27e64 2b828 2bb41"
            " 2ffc0 304c5 31f2a 347de 39686 3ab6c 429ad 45254 49200 4f8f8 5697f 57ad1 5dd47"
            " 607f8 66199 686c7 6d5f3 6da7a 6dbdf 6f6bf 6ffbb 7580e 78594 785ac 78b1d 7b80d"
            " 7c11c 7da35"
        ),
    ),
    (
        143,
        _numbers("6a54f2a35ab7e976 68818717ff5cd30e 09c14260c1bdbaf7 ea5b4cd5d0de3cf0"),
        _numbers(
            "2b1e 67d3 b041 b289 c6c3 d31e d75c 111d7 145aa 1712e 1a3af 1ecc5 206b1 2a55c 2a9cd"
            " 2b67e 321d8 35dde 3721e 37ac0 39edb 3b80b 3fc79 4148b 42a48 44395 4bbc9 4f775"
            " 515c5 56f97 5aa10 5bc1b 5c56d 5d552 60a2e 66646 6c3aa 70709 71d13 762a3 79d88"
            " 7e3ae"
        ),
    ),
)

#: Edge bits, nonce, a proof.
CUCKATOO = (
    (
        29,
        20,
        _numbers(
            "48a9e2 9cf043 155ca30 18f4783 248f86c 2629a64 5bad752 72e3569 93db760 97d3b37"
            " 9e05670 a315d5a a3571a1 a48db46 a7796b6 ac43611 b64912f bb6c71e bcc8be1 c38a43a"
            " d4faa99 e018a66 e37e49c fa975fa 11786035 1243b60a 12892da0 141b5453 1483c3a0"
            " 1505525e 1607352c 16181fe3 17e3a1da 180b651e 1899d678 1931b0bb 19606448 1b041655"
            " 1b2c20ad 1bd7a83c 1c05d5b0 1c0b9caa"
        ),
    ),
    (
        31,
        99,
        _numbers(
            "1128e07 c181131 110fad36 1135ddee 1669c7d3 1931e6ea 1c0005f3 1dd6ecca 1e29ce7e"
            " 209736fc 2692bf1a 27b85aa9 29bb7693 2dc2a047 2e28650a 2f381195 350eb3f9 3beed728"
            " 3e861cbc 41448cc1 41f08f6d 42fbc48a 4383ab31 4389c61f 4540a5ce 49a17405 50372ded"
            " 512f0db0 588b6288 5a36aa46 5c29e1fe 6118ab16 634705b5 6633d190 6683782f 6728b6e1"
            " 67adfb45 68ae2306 6d60f5e1 78af3c4f 7dde51ab 7faced21"
        ),
    ),
    (
        32,
        17,
        _numbers(
            "6da0bbf b175276 f978803 187bea71 2074a1a6 22270923 2c70b560 411d193f 417c55d4"
            " 4ebbda62 5238584a 545efac9 569e98e1 57040b66 5e16153e 5e749d2e 60b771c2 68e63420"
            " 74a2825e 755790ac 7d5e280f 7fe4d148 934b32c8 94a0c441 9643fb25 9718e41d 982e6b8b"
            " 9c47d21c a1f64135 a90e209c abb868cb afef989e b0fc021e b20a7b56 b5e59931 b63e46b9"
            " b8823ed5 d11e966c d95e515d e0245efe f3edc79a fb8a29ce"
        ),
    ),
)
