#!/usr/bin/python3
"""Writes the vectors in this directory with python-opentimestamps (Debian: python3-opentimestamps), so that another
implementation than ours says which bytes are a proof and which are not. Run it here after changing it; then
`go test ./proof -run TestVectors -update` writes the expected texts, to be read before they are committed.

These are not from here, and this script leaves them alone: hello-world and incomplete are examples that the OpenTimestamps
project publishes; two-calendars-pending and two-calendars-complete are real proofs of 2017, from the tests of
rust-opentimestamps (src/lib.rs, SMALL_TEST and LARGE_TEST); built-complete and built-pending are written by the Go tests.
"""
import os
import sys

from opentimestamps.core.notary import (BitcoinBlockHeaderAttestation, LitecoinBlockHeaderAttestation,
                                        PendingAttestation, UnknownAttestation)
from opentimestamps.core.dubious.notary import EthereumBlockHeaderAttestation
from opentimestamps.core.op import (OpAppend, OpHexlify, OpKECCAK256, OpPrepend, OpReverse, OpRIPEMD160, OpSHA1,
                                    OpSHA256)
from opentimestamps.core.serialize import BytesDeserializationContext, BytesSerializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

os.chdir(os.path.dirname(os.path.abspath(__file__)))
for d in ("valid", "loose", "invalid"):
    os.makedirs(d, exist_ok=True)


def read(b):
    return DetachedTimestampFile.deserialize(BytesDeserializationContext(b))


def write(f):
    ctx = BytesSerializationContext()
    f.serialize(ctx)
    return ctx.getbytes()


def save(path, b):
    with open(path, "wb") as fd:
        fd.write(b)


MESSAGE = b"Convocation: the council meets on Monday at 19:00.\n"
CALENDAR = PendingAttestation("https://calendar.example.org")


def then(t, *ops):
    for op in ops:
        t = t.ops.add(op)
    return t


def valid(name, make, hash_op=OpSHA256()):
    t = Timestamp(hash_op(MESSAGE))
    make(t)
    b = write(DetachedTimestampFile(hash_op, t))
    assert write(read(b)) == b, name
    save("valid/%s.ots" % name, b)
    return b


def pending(t):
    then(t, OpAppend(bytes(range(32))), OpSHA256()).attestations.add(CALENDAR)


def several(t):
    for i, uri in enumerate(("https://b.example.org", "https://a.example.org", "https://a.example.org/x")):
        then(t, OpAppend(bytes([3 - i]) * 16), OpSHA256()).attestations.add(PendingAttestation(uri))
    top = then(t, OpPrepend(b"\x01"), OpSHA256())
    top.attestations.update([
        BitcoinBlockHeaderAttestation(300), BitcoinBlockHeaderAttestation(127), BitcoinBlockHeaderAttestation(128),
        LitecoinBlockHeaderAttestation(1000000), EthereumBlockHeaderAttestation(0), CALENDAR,
        UnknownAttestation(b"\x00" * 8, b""), UnknownAttestation(b"\xff" * 8, b"future"),
        UnknownAttestation(b"\xff" * 8, b"futurf")])
    then(top, OpSHA1()).attestations.add(BitcoinBlockHeaderAttestation(2**64 - 1))


def every_operation(t):
    then(t, OpAppend(b"after"), OpPrepend(b"before"), OpReverse(), OpHexlify(), OpSHA1(), OpRIPEMD160(), OpKECCAK256(),
         OpSHA256()).attestations.add(CALENDAR)
    for op in (OpAppend(b"b"), OpAppend(b"aa"), OpAppend(b"a"), OpPrepend(b"a"), OpReverse(), OpHexlify(), OpSHA1(),
               OpRIPEMD160(), OpKECCAK256(), OpSHA256()):
        then(t, op).attestations.add(CALENDAR)


def at_the_limits(t):
    then(t, OpAppend(b"\x55" * (4096 - 32)), OpReverse(), OpSHA256()).attestations.add(PendingAttestation("a" * 1000))
    then(t, OpPrepend(b"\x66" * (2048 - 32)), OpHexlify(), OpSHA256()).attestations.add(
        UnknownAttestation(b"12345678", b"\x77" * 8192))


def complete(t):
    """As a calendar completes it: through a transaction, which is the second of a block of two. The promise stays."""
    leaf = then(t, OpAppend(bytes(range(32))), OpSHA256())
    leaf.attestations.add(CALENDAR)
    tx = then(leaf, OpPrepend(bytes.fromhex("0200000001" + "11" * 36 + "00fdffffff010000000000000000226a20")), OpAppend(b"\0" * 4))
    block = then(tx, OpSHA256(), OpSHA256(), OpPrepend(b"\x22" * 32), OpSHA256(), OpSHA256())
    block.attestations.add(BitcoinBlockHeaderAttestation(400000))


def other_chains(t):
    for height in (0, 127, 128, 2**32, 2**64 - 1):
        for attestation in BitcoinBlockHeaderAttestation, LitecoinBlockHeaderAttestation, EthereumBlockHeaderAttestation:
            t.attestations.add(attestation(height))


valid("pending", pending)
valid("complete", complete)
valid("complete-sha1", complete, OpSHA1())
valid("complete-ripemd160", complete, OpRIPEMD160())
valid("complete-keccak256", complete, OpKECCAK256())
valid("other-chains", other_chains)
valid("pending-sha1", pending, OpSHA1())
valid("pending-ripemd160", pending, OpRIPEMD160())
valid("pending-keccak256", pending, OpKECCAK256())
valid("several-attestations", several)
valid("every-operation", every_operation)
valid("at-the-limits", at_the_limits)
valid("unknown-attestation-only", lambda t: then(t, OpSHA256()).attestations.add(UnknownAttestation(b"\x01" * 8, b"x")))
valid("255-operations", lambda t: then(t, *[OpAppend(b"\x01")] * 255).attestations.add(CALENDAR))
valid("255-operations-in-a-fork", lambda t: [
    then(t, *[op] * 255).attestations.add(CALENDAR) for op in (OpSHA1(), OpSHA256(), OpReverse())])
valid("empty-uri", lambda t: t.attestations.add(PendingAttestation("")))
valid("bitcoin-on-a-short-message", lambda t: then(t, OpSHA1()).attestations.add(BitcoinBlockHeaderAttestation(5)))

# Below, bytes are put together by hand.
MAGIC = DetachedTimestampFile.HEADER_MAGIC
HEAD = MAGIC + b"\x01\x08" + OpSHA256()(MESSAGE)
PENDING = bytes.fromhex("83dfe30d2ef90c8e")
BITCOIN = bytes.fromhex("0588960d73d71901")
LITECOIN = bytes.fromhex("06869a0d73d71b45")
ETHEREUM = bytes.fromhex("30fe8087b5c7ead7")


def varbytes(b):
    ctx = BytesSerializationContext()
    ctx.write_varbytes(b)
    return ctx.getbytes()


def att(tag, payload):
    return b"\x00" + tag + varbytes(payload)


P = att(PENDING, varbytes(b"https://calendar.example.org"))


def loose(name, items, head=HEAD):
    """A proof that readers take, and the same as it is written."""
    b = head + items
    canonical = write(read(b))
    assert canonical != b, name
    save("loose/%s.ots" % name, b)
    save("valid/%s.ots" % name, canonical)


loose("operations-before-attestations", b"\xff\x08" + P + P)
loose("operations-unsorted", b"\xff\xf0\x02bb" + P + b"\xff\xf0\x01c" + P + b"\xff\xf0\x01b" + P + b"\x08" + P)
loose("attestations-unsorted", b"\xff" + P + b"\xff" + att(BITCOIN, b"\x80\x01") + att(BITCOIN, b"\x7f"))
loose("attestations-twice", b"\xff" + P + b"\xff" + att(BITCOIN, b"\x05") + b"\xff" + P + att(BITCOIN, b"\x85\x00"))
loose("operations-twice", b"\xff\x08" + P + b"\xff\x08" + P + b"\x08" + P)
loose("lengths-and-heights-padded", b"\xff\x00" + BITCOIN + b"\x83\x80\x00" + b"\xac\x82\x00"
      + b"\xff\xf0\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00x" + P + b"\x00" + PENDING + b"\x84\x00\x82\x00ab")
loose("everything-twice", b"\xff" + P + b"\xff\x08" + P + b"\xff" + P + b"\x08\xff" + P + P)
loose("a-fork-within-a-fork", b"\xff\x08\xff\xf2" + P + b"\xf0\x01a" + P + b"\xff\x02\xff" + P + b"\x03" + P + P)
loose("version-padded", P, MAGIC + b"\x81\x00\x08" + OpSHA256()(MESSAGE))


def invalid(name, b, only_ours=False):
    try:
        read(b)
        refused = False
    except Exception:
        refused = True
    if refused == only_ours:
        sys.exit("%s: the reference implementation thinks otherwise" % name)
    save("invalid/%s.ots" % name, b)


good = HEAD + b"\xf0\x01\x55\x08" + P
invalid("empty", b"")
invalid("cut-in-the-header", MAGIC[:20])
invalid("another-kind-of-file", b"%PDF-1.7 is not a proof at all, it only lies in the wrong place")
invalid("header-with-one-bit-changed", MAGIC[:-1] + b"\x95" + good[31:])
invalid("no-version", MAGIC)
invalid("version-0", MAGIC + b"\x00" + good[32:])
invalid("version-2", MAGIC + b"\x02" + good[32:])
invalid("no-hash", MAGIC + b"\x01")
invalid("hash-that-is-an-operation", MAGIC + b"\x01\xf0" + good[33:])
invalid("hash-that-is-unknown", MAGIC + b"\x01\x09" + good[33:])
invalid("cut-in-the-digest", good[:50])
invalid("no-timestamp", HEAD)
invalid("cut-after-an-operation", HEAD + b"\x08")
invalid("cut-after-ff", HEAD + b"\xff")
invalid("ff-before-the-last-item", HEAD + b"\xff" + P)
invalid("ff-twice", HEAD + b"\xff\xff" + P + P)
invalid("bytes-after-the-end", good + b"\x00")
invalid("another-proof-after-the-end", good + good)
invalid("unknown-operation", HEAD + b"\x42" + P)
invalid("unknown-operation-below", HEAD + b"\x08\xf4\x01\x01" + P)
invalid("append-of-nothing", HEAD + b"\xf0\x00" + P)
invalid("prepend-of-nothing", HEAD + b"\xf1\x80\x00" + P)
invalid("append-of-4097-bytes", HEAD + b"\xf0" + varbytes(b"x" * 4097) + P)
invalid("append-cut-short", HEAD + b"\xf0\x10abc")
invalid("append-cut-in-its-length", HEAD + b"\xf0\x80")
invalid("result-of-4097-bytes", HEAD + b"\xf0" + varbytes(b"x" * (4097 - 32)) + P)
invalid("hexlify-of-2049-bytes", HEAD + b"\xf1" + varbytes(b"x" * (2049 - 32)) + b"\xf3" + P)
invalid("length-over-64-bits", HEAD + b"\xf0" + b"\xff" * 9 + b"\x7f" + b"x")
invalid("256-operations", HEAD + b"\xf0\x01\x01" * 256 + P)
invalid("attestation-cut-in-its-tag", HEAD + b"\x00\x83\xdf")
invalid("attestation-without-a-payload", HEAD + b"\x00" + PENDING)
invalid("attestation-cut-in-its-payload", HEAD + b"\x00" + PENDING + b"\x20\x1f")
invalid("payload-of-8193-bytes", HEAD + att(b"12345678", b"x" * 8193))
invalid("uri-of-1001-bytes", HEAD + att(PENDING, varbytes(b"x" * 1001)))
invalid("uri-with-a-query", HEAD + att(PENDING, varbytes(b"https://example.org/?a")))
invalid("uri-with-an-escape-sequence", HEAD + att(PENDING, varbytes(b"https://\x1b[31m")))
invalid("uri-longer-than-its-payload", HEAD + att(PENDING, b"\x05abcd"))
invalid("uri-with-bytes-after-it", HEAD + att(PENDING, b"\x04abcde"))
invalid("uri-without-a-length", HEAD + att(PENDING, b""))
invalid("height-missing", HEAD + att(BITCOIN, b""))
invalid("height-cut", HEAD + att(BITCOIN, b"\x80"))
invalid("height-with-bytes-after-it", HEAD + att(BITCOIN, b"\x05\x00"))
invalid("prepend-of-4097-bytes", HEAD + b"\xf1" + varbytes(b"x" * 4097) + P)
invalid("prepend-with-a-result-of-4097-bytes", HEAD + b"\xf1" + varbytes(b"x" * (4097 - 32)) + P)
invalid("hexlify-of-hexlify-of-1025-bytes", HEAD + b"\xf0" + varbytes(b"x" * (1025 - 32)) + b"\xf3\xf3" + P)
invalid("256-operations-in-a-fork", HEAD + b"\xff" + b"\x08" * 256 + P + P)
invalid("sha1-cut-in-its-digest", MAGIC + b"\x01\x02" + b"\x55" * 19)
invalid("sha1-with-a-digest-of-32-bytes", MAGIC + b"\x01\x02" + good[33:])
invalid("two-attestations-without-ff", HEAD + P + P)
invalid("an-item-that-is-no-operation", HEAD + b"\x01" + P)
invalid("litecoin-height-missing", HEAD + att(LITECOIN, b""))
invalid("litecoin-height-with-bytes-after-it", HEAD + att(LITECOIN, b"\x05\x05"))
invalid("ethereum-height-cut", HEAD + att(ETHEREUM, b"\x80\x80"))
invalid("payload-longer-than-the-proof", HEAD + b"\x00" + b"12345678" + b"\x80\x40" + b"x" * 100)
invalid("payload-length-cut", HEAD + b"\x00" + b"12345678" + b"\x80")
invalid("uri-of-1001-bytes-at-the-end-of-its-payload", HEAD + att(PENDING, b"\xe9\x07" + b"x" * 1001))
invalid("uri-with-a-space", HEAD + att(PENDING, varbytes(b"https://example.org/ a")))
invalid("uri-with-a-login", HEAD + att(PENDING, varbytes(b"https://me@example.org")))
invalid("uri-that-is-not-ascii", HEAD + att(PENDING, varbytes("https://\u00e9.example".encode())))
# The reference implementation counts without bounds; no chain has so many blocks.
invalid("height-of-2-to-the-64", HEAD + att(BITCOIN, b"\x80" * 9 + b"\x02"), only_ours=True)
invalid("height-bit-far-above-64", HEAD + att(BITCOIN, b"\x80" * 20 + b"\x01"), only_ours=True)
invalid("version-over-64-bits", MAGIC + b"\x81" + b"\x80" * 20 + b"\x01" + good[32:])
