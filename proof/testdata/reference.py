#!/usr/bin/python3
"""Says what python-opentimestamps (Debian: python3-opentimestamps) makes of proofs, for TestTheReferenceImplementationAgrees.

Questions come on standard input, each 4 bytes of length (big endian) and: a byte that says what is asked, and what it is asked of.
    F file                         an .ots file
    T length[4] message timestamp  a timestamp without a file's header
    M length[4] file file          two files whose timestamps are to be merged
Answers go to standard output, each 4 bytes of length and: a byte of verdict, and more.
    N reason                       refused
    Y again[1] length[4] canonical (length[4] message tag[8] length[4] payload)*
Of what is accepted, that is the timestamp as it is written, and each attestation with the message that it is about. again is 1 where
one operation stands twice beside itself. The reference then forgets what follows the first; the answer is what it says
once told to keep both.
"""
import struct
import sys
import warnings

from opentimestamps.core.serialize import BytesDeserializationContext, BytesSerializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile, OpSet, Timestamp

warnings.simplefilter("ignore")
forget = OpSet.__setitem__
again = False


def notice(self, op, stamp):
    global again
    again = again or op in self
    forget(self, op, stamp)


def unite(self, op, stamp):
    if op in self:
        self[op].merge(stamp)
    else:
        forget(self, op, stamp)


def file(b):
    return DetachedTimestampFile.deserialize(BytesDeserializationContext(b)).timestamp


def bare(b):
    n, = struct.unpack(">I", b[:4])
    ctx = BytesDeserializationContext(b[4 + n:])
    stamp = Timestamp.deserialize(ctx, b[4:4 + n])
    ctx.assert_eof()
    return stamp


def merged(b):
    n, = struct.unpack(">I", b[:4])
    one, other = file(b[4:4 + n]), file(b[4 + n:])
    one.merge(other)
    return one


ASK = {b"F": file, b"T": bare, b"M": merged}


def sized(b):
    return struct.pack(">I", len(b)) + b


def payload(attestation):
    ctx = BytesSerializationContext()
    attestation._serialize_payload(ctx)
    return ctx.getbytes()


def answer(question):
    global again
    again = False
    read, b = ASK[question[:1]], question[1:]
    OpSet.__setitem__ = notice
    try:
        stamp = read(b)
        if again:
            OpSet.__setitem__ = unite
            stamp = read(b)
        ctx = BytesSerializationContext()
        stamp.serialize(ctx)
    except Exception as e:
        return b"N" + ("%s: %s" % (type(e).__name__, e)).encode()[:1000]
    parts = [b"Y", bytes([again]), sized(ctx.getbytes())]
    for msg, attestation in stamp.all_attestations():
        parts += [sized(msg), attestation.TAG, sized(payload(attestation))]
    return b"".join(parts)


while True:
    head = sys.stdin.buffer.read(4)
    if not head:
        break
    question = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
    sys.stdout.buffer.write(sized(answer(question)))
    sys.stdout.buffer.flush()
