// Windows of headers as files to be saved: "ancre verify --headers" takes one.

import { newHasher } from "./verifier";

const BEGINS = 44; // magic, genesis block and height
const HEADER = 80;
const CHECKSUM = 32;

function heights(window: Uint8Array): { first: number; last: number } {
  const first = new DataView(window.buffer, window.byteOffset).getUint32(BEGINS - 4, true);
  return { first, last: first + (window.length - BEGINS - CHECKSUM) / HEADER - 1 };
}

/** Joins a window and the one that continues it; null if they do not fit together. */
export function joinWindows(a: Uint8Array, b: Uint8Array): Uint8Array | null {
  if (Math.min(a.length, b.length) < BEGINS + HEADER + CHECKSUM) return null;
  const begin = heights(a);
  const end = heights(b);
  // The last header of a period's window is the first of the next one's.
  const skip = begin.last + 1 - end.first;
  if (skip < 0 || begin.first > end.first || end.last <= begin.last) return null;
  const head = a.subarray(0, a.length - CHECKSUM);
  const tail = b.subarray(BEGINS + skip * HEADER, b.length - CHECKSUM);
  const whole = new Uint8Array(head.length + tail.length + CHECKSUM);
  whole.set(head);
  whole.set(tail, head.length);
  const sum = newHasher("sha256");
  sum.update(whole.subarray(0, -CHECKSUM));
  whole.set(sum.digest(), head.length + tail.length);
  return whole;
}
