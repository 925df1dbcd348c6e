"""Reads an OpenTimestamps proof with the reference library, and checks it against a Bitcoin block header.

Usage: read_proof.py PROOF DIGEST HEIGHT HEADER
Prints the time of the attested block. Ends with status 1 and the reason when the proof does not hold.
"""
import io
import sys

from bitcoin.core import CBlockHeader, x
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.serialize import StreamDeserializationContext, StreamSerializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

path, digest, height, header = sys.argv[1], x(sys.argv[2]), int(sys.argv[3]), CBlockHeader.deserialize(x(sys.argv[4]))
with open(path, "rb") as f:
    raw = f.read()
proof = DetachedTimestampFile.deserialize(StreamDeserializationContext(io.BytesIO(raw)))
if proof.file_digest != digest:
    sys.exit("the proof is about %s" % proof.file_digest.hex())

out = io.BytesIO()
proof.serialize(StreamSerializationContext(out))
if out.getvalue() != raw:
    sys.exit("the library writes the proof otherwise: it is not canonical")

attested = [(msg, a) for msg, a in proof.timestamp.all_attestations() if isinstance(a, BitcoinBlockHeaderAttestation)]
if len(attested) != 1:
    sys.exit("%d Bitcoin attestations, want 1" % len(attested))
msg, attestation = attested[0]
if attestation.height != height:
    sys.exit("attested block %d, want %d" % (attestation.height, height))
print(attestation.verify_against_blockheader(msg, header))
