// What a person picked or dropped: which of the files are documents, which are proofs, headers or
// lists of the register, and which proof belongs to which document.

import { type List, readList } from "./lookup";
import { hex, isFault, parseProof, parseReceipt } from "./verifier";

export interface Proof {
  name: string;
  bytes: Uint8Array;
  /** The digest that it is about as hexadecimal digits, "" if it cannot be read. */
  digest: string;
}

/** The picked files, by what they are. */
export interface Pile {
  documents: File[];
  proofs: Proof[];
  windows: [name: string, bytes: Uint8Array][];
  lists: List[];
  unreadable: { name: string; why: string }[];
}

export function emptyPile(): Pile {
  return { documents: [], proofs: [], windows: [], lists: [], unreadable: [] };
}

const MAX_PROOF = 1 << 20;
const MAX_DATA = 16 << 20; // of a list or a window

/** Adds files to a pile. What they are is seen from their first bytes, not from their names. */
export async function sort(files: Iterable<File>, pile: Pile): Promise<void> {
  for (const file of files) {
    try {
      await sortOne(file, pile);
    } catch (e) {
      pile.unreadable.push({ name: file.name, why: e instanceof Error ? e.message : String(e) });
    }
  }
}

async function sortOne(file: File, pile: Pile): Promise<void> {
  const head = new TextDecoder("latin1").decode(await file.slice(0, 32).arrayBuffer());
  const whole = async () => new Uint8Array(await file.arrayBuffer());
  const named = /\.ots$/i.test(file.name);
  if (file.size <= MAX_PROOF && (named || head.startsWith("\0OpenTimestamps\0"))) {
    const bytes = await whole();
    const parsed = parseProof(bytes);
    pile.proofs.push({ name: file.name, bytes, digest: isFault(parsed) ? "" : hex(parsed.digest) });
    return;
  }
  if (file.size <= MAX_DATA && head.startsWith("ANCREHW1")) {
    pile.windows.push([file.name, await whole()]);
    return;
  }
  if (file.size <= MAX_DATA && /^\s*\{/.test(head)) {
    const bytes = await whole();
    const list = readList("", bytes, null);
    if (list) {
      pile.lists.push(list);
      return;
    }
    const digest = receiptDigest(bytes);
    if (digest !== null && file.size <= MAX_PROOF) {
      pile.proofs.push({ name: file.name, bytes, digest });
      return;
    }
  }
  pile.documents.push(file);
}

/** The digest that a receipt names, "" if it cannot be read, null if the bytes are none. */
function receiptDigest(bytes: Uint8Array): string | null {
  const r = parseReceipt(bytes);
  if (!isFault(r)) return hex(r.digest);
  return /chainpoint/i.test(new TextDecoder().decode(bytes.subarray(0, 4096))) ? "" : null;
}

/** A document by its name and digests, as pairing needs it. */
interface Named {
  name: string;
  digests: string[]; // as hexadecimal digits
}

/**
 * Finds the proof of each document: the one about its digest, else the one with its name, else the
 * only one if there is one document. left are proofs without a document.
 */
export function pair<D extends Named>(documents: D[], proofs: Proof[]): { pairs: Map<D, Proof>; left: Proof[] } {
  const pairs = new Map<D, Proof>();
  let left = [...proofs];
  const take = (fits: (d: D, p: Proof) => boolean) => {
    for (const d of documents) {
      const p = pairs.has(d) ? undefined : left.find((p) => fits(d, p));
      if (!p) continue;
      pairs.set(d, p);
      left = left.filter((other) => other !== p);
    }
  };
  take((d, p) => d.digests.includes(p.digest));
  take((d, p) => p.name.startsWith(d.name + "."));
  if (documents.length === 1 && left.length === 1) take(() => true);
  return { pairs, left };
}
