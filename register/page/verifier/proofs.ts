// Proofs and receipts, read as the same thing.

import { type Proof, isFault, looksLikeReceipt, parseProof, parseReceipt, receiptProof } from "./verifier";

/** Reads a proof or a receipt: the proof that it holds, null if it holds none that can be shown. */
export function proofIn(bytes: Uint8Array): Proof | null {
  const r = looksLikeReceipt(bytes) ? parseReceipt(bytes) : null;
  const p = r === null ? parseProof(bytes) : isFault(r) ? null : receiptProof(r);
  return p === null || isFault(p) ? null : p;
}
