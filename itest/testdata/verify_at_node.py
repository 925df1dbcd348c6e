"""Verifies a proof as `ots verify --bitcoin-node URL` does: the same library, the same three calls.

Usage: verify_at_node.py PROOF DIGEST URL
Prints the height and the time of the attested block.
"""
import sys

import bitcoin
import bitcoin.rpc
from bitcoin.core import b2x, x
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.serialize import StreamDeserializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

bitcoin.SelectParams("regtest")
path, digest, url = sys.argv[1], x(sys.argv[2]), sys.argv[3]
with open(path, "rb") as f:
    proof = DetachedTimestampFile.deserialize(StreamDeserializationContext(f))
if proof.file_digest != digest:
    sys.exit("the proof is about %s" % b2x(proof.file_digest))

node = bitcoin.rpc.Proxy(service_url=url)
for msg, attestation in proof.timestamp.all_attestations():
    if isinstance(attestation, BitcoinBlockHeaderAttestation):
        if attestation.height > node.getblockcount():
            sys.exit("block %d is not here" % attestation.height)
        header = node.getblockheader(node.getblockhash(attestation.height))
        print(attestation.height, attestation.verify_against_blockheader(msg, header))
        try:
            node.getblockhash(node.getblockcount() + 1)
        except IndexError:
            sys.exit(0)
        sys.exit("a block that is not there was found")
sys.exit("no Bitcoin attestation")
