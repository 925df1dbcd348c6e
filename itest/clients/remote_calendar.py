"""Stamps and upgrades as `ots stamp` and `ots upgrade` do, with the reference library.

Usage: remote_calendar.py stamp URL DIGEST FILE      asks the calendar, and writes FILE
       remote_calendar.py upgrade URL FILE           follows pending attestations that the whitelist of URL holds; rewrites FILE
Ends with status 3 and the calendar's words while it has nothing more, with 1 and the reason when something is wrong.
"""
import os
import sys

from bitcoin.core import x
from opentimestamps.calendar import CommitmentNotFoundError, RemoteCalendar, UrlWhitelist
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation
from opentimestamps.core.op import OpAppend, OpSHA256
from opentimestamps.core.serialize import StreamDeserializationContext, StreamSerializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

TIMEOUT = 20  # seconds


def write(proof, path):
    with open(path, "wb") as f:
        proof.serialize(StreamSerializationContext(f))


def stamp(url, digest, path):
    timestamp = Timestamp(x(digest))
    blinded = timestamp.ops.add(OpAppend(os.urandom(16))).ops.add(OpSHA256())
    answer = RemoteCalendar(url).submit(blinded.msg, timeout=TIMEOUT)
    blinded.merge(answer)
    write(DetachedTimestampFile(OpSHA256(), timestamp), path)


def walk(timestamp):
    yield timestamp
    for below in timestamp.ops.values():
        yield from walk(below)


def upgrade(url, path):
    with open(path, "rb") as f:
        proof = DetachedTimestampFile.deserialize(StreamDeserializationContext(f))
    whitelist = UrlWhitelist([url])
    pending = [(t, a) for t in walk(proof.timestamp) for a in t.attestations if isinstance(a, PendingAttestation)]
    if not pending:
        sys.exit("no pending attestation")
    for timestamp, attestation in pending:
        if attestation.uri not in whitelist:
            sys.exit("%s is not in the whitelist %r" % (attestation.uri, whitelist))
        try:
            timestamp.merge(RemoteCalendar(attestation.uri).get_timestamp(timestamp.msg, timeout=TIMEOUT))
        except CommitmentNotFoundError as err:
            print(err.reason)
            sys.exit(3)
    if not any(isinstance(a, BitcoinBlockHeaderAttestation) for _, a in proof.timestamp.all_attestations()):
        sys.exit("the calendar's answer attests no block")
    write(proof, path)


{"stamp": stamp, "upgrade": upgrade}[sys.argv[1]](*sys.argv[2:])
