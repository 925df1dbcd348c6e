// The verifier: proofs, windows of block headers, and the verdict. One file that a reader can
// follow from top to bottom, and that is all the page trusts.
//
// It is pure: no network, no clock, no document, no state. Its inputs are bytes, and each of them
// may come from somebody who lies: the file's owner, the maker of the proof, the server that sends
// headers. Whatever they are, the verdict says "anchored" only if
//
//   - the operations of the proof lead from the digest to the Merkle root in a block's header,
//   - that header is in a window whose every header names the one before it and meets its own
//     difficulty,
//   - six headers stand there, its own included, and
//   - a checkpoint of ours stands at or above it, or all of them are as hard to make as the network
//     demands today.
//
// No exception leaves this file, and no input makes it work for more than some seconds.
//
// The Go packages proof, proof/receipt and headers say the same of the same bytes. Tests hold them
// together: itest/verifier_test.go.

import { ripemd160, sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { keccak_256 } from "@noble/hashes/sha3.js";

// ---------------------------------------------------------------------------------------------
// What this file gives

/** The hash of the file that a proof is about. Today's proofs are about SHA-256. */
export type HashName = "sha1" | "ripemd160" | "sha256" | "keccak256";

/** Why bytes could not be read. A code never changes its meaning; the words are the page's. */
export type FaultCode =
  // of proofs, as in Go's proof.SyntaxError
  | "too-large" // more than a proof, a receipt or a window may have
  | "not-a-proof" // another kind of file
  | "cut" // it ends too early
  | "version" // a version of the format that is not known
  | "hash-kind" // a kind of hash that is not known
  | "number" // it does not fit into 64 bits
  | "length" // longer or shorter than the format allows
  | "uri" // a calendar's address with characters that none has
  | "trailing" // bytes after the end
  | "unknown-operation"
  | "operation" // its message or result is too long or too short
  | "too-deep" // more than 255 operations after each other
  | "too-much-work"
  | "transaction" // bytes that are not a transaction of Bitcoin
  // of receipts, as in Go's receipt.SyntaxError
  | "not-json"
  | "receipt" // a member is missing, unknown, twice there, or not of its form
  // of windows, as in Go's headers.ParseWindow and headers.RuleError
  | "not-a-window" // another kind of file
  | "window-length" // it has too many headers, or a piece of one
  | "checksum" // it was changed
  | "other-network"
  | "link" // a header does not name the one before it
  | "limit" // a difficulty that the network does not have
  | "pow" // a header's hash does not meet its difficulty
  | "retarget" // the difficulty changes where it cannot, or by more than a factor of 4
  | "time" // in the future, or far from that of known blocks
  | "checkpoint" // another block stands where a known one should
  | "internal"; // of all: a fault of this program

/** Why bytes are not what they should be, and where. */
export interface Fault {
  fault: FaultCode;
  /** Into the bytes; of a window the height of the header. */
  at: number;
  /** Another program, or a later version of this one, may be able to read them. */
  unsupported: boolean;
  /** Of a receipt: which member, as in "anchors[1].tx". */
  member?: string;
}

export type AttestationKind = "pending" | "bitcoin" | "litecoin" | "ethereum" | "unknown";

/** An attestation, and the message that it is about. */
export interface Attestation {
  kind: AttestationKind;
  message: Uint8Array;
  tag: Uint8Array;
  payload: Uint8Array;
  height?: bigint; // of a block
  uri?: string; // of a calendar
  weak?: HashName; // the first hash on the way there for which two messages can be found
}

/** A proof that was read. Its tree is canonical: sorted, nothing twice. */
export interface Proof {
  hash: HashName;
  digest: Uint8Array;
  tree: Stamp;
  attestations: Attestation[];
  /** It names a Bitcoin block. Whether that is true is for judge to say. */
  complete: boolean;
}

/** A message, what attests it, and where operations lead from it. */
export interface Stamp {
  message: Uint8Array;
  attestations: Attestation[];
  branches: Branch[];
}

export interface Branch {
  tag: number;
  argument: Uint8Array; // of append and prepend
  next: Stamp;
}

/** One line of an explanation: a step, or an attestation. Values are hexadecimal digits. */
export interface Step {
  level: number; // how many forks lie above
  branch?: string; // of the first line of a branch: which one, as in "2/3"
  op?: string; // of a step: sha256, append …
  argument?: string;
  result?: string;
  txid?: string; // the result is a transaction's id: as it is displayed
  transaction?: number; // the result is the hash of a transaction of so many bytes
  attestation?: AttestationKind;
  uri?: string; // of a calendar
  commitment?: string; // of a calendar: what to ask it for
  height?: bigint;
  merkleRoot?: string; // as it is displayed
  tag?: string; // of an unknown attestation
  payload?: string;
}

/** What is known of a network: Go's headers.Network, as networks.json has it. */
export interface Network {
  name: string;
  genesis: string; // the hash of the first block, as it is displayed
  test: boolean; // its blocks cost next to nothing, or are signed: the page must say so
  difficulties: "retargets" | "testnet4" | "fixed" | "any";
  limit: number; // the easiest difficulty, as bits
  period: number; // blocks of one difficulty
  late: number; // testnet4: seconds after its parent from which on a block may be easy
  halving: number; // seconds in which retargets can at best halve the difficulty
  fall: number; // how often it may have been halved since the newest dated checkpoint
  /** By height: height, hash as it is displayed, bits and time; the last two 0 if not known. */
  checkpoints: [number, string, number, number][];
}

/** A block that attests. */
export interface Block {
  height: number;
  hash: string; // as it is displayed
  merkleRoot: string; // as it is displayed
  time: number; // seconds since 1970, as the miner wrote it
  header: Uint8Array; // 80 bytes
}

/** Why a header is believed. */
export interface Trust {
  /** A known block, at or above the block, to which its headers lead; undefined: there is none. */
  checkpoint?: number;
  /**
   * The nearest known block at or below the block that is in the window. Without it and a checkpoint
   * the height is only what the window claims; the rest is as sure as with it.
   */
  base?: number;
  /** How many headers with proof of work there are from the block on, its own included. */
  blocks: number;
  /** The least difficulty of these, where the easiest of mainnet is 1. */
  difficulty: number;
  /** The same as bits. */
  bits: number;
}

export type Result = "anchored" | "pending" | "invalid" | "uncheckable";

/** Why. A code never changes its meaning; the words are the page's. */
export type Reason =
  | "anchored"
  // pending
  | "few-blocks" // in a block, and fewer than six headers with work stand there
  | "promised" // a calendar promised to have it attested
  // invalid
  | "malformed" // not a proof: fault says why
  | "other-file" // the proof is about another digest
  | "wrong-root" // the block has another Merkle root
  | "root-size" // it claims a Merkle root that has not 32 bytes
  | "too-high" // no chain can have a block so high
  | "contradiction" // of a receipt: what it says and what its steps lead to differ
  // uncheckable
  | "unsupported" // another program may be able to read it: fault says why
  | "no-header" // no window has its block
  | "bad-window" // a window that should have its block was refused: fault says why
  | "little-work" // the headers were too cheap to make to be believed
  | "other-new-block" // the block has another Merkle root, and is so new that it may be replaced
  | "windows-disagree" // two windows have different blocks at its height
  | "other-chain" // of Litecoin or Ethereum
  | "unknown-kind" // of an attestation
  | "too-many-blocks" // the proof names more than 256
  | "needs-transaction" // a receipt that names a transaction and does not hold it
  | "sealed" // a receipt with a signature, which is not checked here
  | "internal"; // a fault of this program

/** One attestation of a proof, and what became of it. */
export interface Check {
  attestation: Attestation;
  outcome: "valid" | "pending" | "invalid" | "no-block" | "unchecked";
  reason: Reason;
  block?: Block;
  trust?: Trust;
  fault?: Fault;
}

/** What a verdict does not show. It never changes the result. */
export type Warning =
  | { warning: "false-attestation" | "not-checked"; reason: Reason; height?: bigint }
  | { warning: "weak-file-hash"; hash: HashName }
  /** strong: the lowest block that attests without this weakness. */
  | { warning: "weak-path"; hash: HashName; height: bigint; strong?: bigint };

export interface Verdict {
  result: Result;
  reason: Reason;
  digest: string; // of the file, as it was given
  height?: bigint; // of the block that the reason is about
  block?: Block; // when anchored, or pending in a block
  trust?: Trust; // of that block
  fault?: Fault;
  uri?: string; // when promised
  proofDigest?: string; // when the proof is about another file
  txid?: string; // of a receipt
  testNetwork: boolean; // the blocks cost (almost) nothing: the page must say so
  checks: Check[];
  warnings: Warning[];
}

export interface Question {
  /** Of the file, by the hash that the proof is about. */
  digest: Uint8Array;
  /** The bytes of an .ots file or of a receipt. */
  proof: Uint8Array;
  /** The bytes of windows of headers, in any order. */
  windows: Uint8Array[];
  /** Seconds since 1970. */
  now: number;
  network: Network;
}

// ---------------------------------------------------------------------------------------------
// Bytes

const DIGITS = "0123456789abcdef";

/** Bytes as lower-case hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  let s = "";
  for (const b of bytes) s += DIGITS[b >> 4] + DIGITS[b & 15];
  return s;
}

/** The bytes that lower-case hexadecimal digits stand for; null if they are none. */
export function unhex(digits: string): Uint8Array | null {
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/.test(digits)) return null;
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** A hash as Bitcoin's programs display it: its bytes in reverse order. */
export function displayed(hash: Uint8Array): string {
  return hex(hash.slice().reverse());
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return compare(a, b) === 0;
}

function join(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    whole.set(p, at);
    at += p.length;
  }
  return whole;
}

/** Hashes twice, as Bitcoin does. */
function twice(bytes: Uint8Array): Uint8Array {
  return sha256(sha256(bytes));
}

/** A hash that takes a file piece by piece. */
export interface Hasher {
  update(piece: Uint8Array): void;
  digest(): Uint8Array;
}

/** Returns a new hash of the kind, for files that are too large to be held in memory. */
export function newHasher(name: HashName): Hasher {
  const hash = hashes[name].create();
  return {
    update: (piece) => {
      hash.update(piece);
    },
    digest: () => hash.digest(),
  };
}

const hashes = { sha1, ripemd160, sha256, keccak256: keccak_256 };

/** Carries a fault from where it is found to the function that was called from outside. */
class Refusal {
  constructor(readonly fault: Fault) {}
}

function refuse(code: FaultCode, at: number, unsupported = false): never {
  throw new Refusal({ fault: code, at, unsupported });
}

/** Returns what f returns, or the fault that it met. Nothing is thrown on. */
function guarded<T>(f: () => T): T | Fault {
  try {
    return f();
  } catch (e) {
    return e instanceof Refusal ? e.fault : { fault: "internal", at: 0, unsupported: true };
  }
}

/** Reports whether a reading function returned a fault. */
export function isFault(x: object): x is Fault {
  return "fault" in x;
}

// ---------------------------------------------------------------------------------------------
// Reading a proof: docs/proofs.md, and the package proof in Go

const MAGIC = "004f70656e54696d657374616d7073000050726f6f6600bf89e2e884e89294";

// The limits of the format, and the last two of ours, as in proof/format.go.
const MAX_MESSAGE = 4096;
const MAX_HEXLIFY = 2048;
const MAX_PAYLOAD = 8192;
const MAX_URI = 1000;
const MAX_DEPTH = 255;
const MAX_SIZE = 1 << 20;
const MAX_WORK = 32 << 20;
const NODE_COST = 200;

const MAX_HEIGHT = 0x7fffffff; // Bitcoin Core counts heights in an int
const MAX_HEIGHTS = 256; // different blocks that one proof may make us look at

const APPEND = 0xf0;
const PREPEND = 0xf1;
const REVERSE = 0xf2;
const HEXLIFY = 0xf3;
const SHA256 = 0x08;
const ATTESTATION = 0x00;
const MORE = 0xff; // stands before each item but the last

const operations: Record<number, string | undefined> = {
  0x02: "sha1",
  0x03: "ripemd160",
  [SHA256]: "sha256",
  0x67: "keccak256",
  [APPEND]: "append",
  [PREPEND]: "prepend",
  [REVERSE]: "reverse",
  [HEXLIFY]: "hexlify",
};

/** The hash that a tag stands for, undefined when it is another operation or none. */
function hashOf(tag: number): HashName | undefined {
  const name = operations[tag];
  return name !== undefined && name in hashes ? (name as HashName) : undefined;
}

const BITCOIN = "0588960d73d71901";

const kinds: Record<string, AttestationKind | undefined> = {
  "83dfe30d2ef90c8e": "pending",
  [BITCOIN]: "bitcoin",
  "06869a0d73d71b45": "litecoin",
  "30fe8087b5c7ead7": "ethereum",
};

/** Takes bytes from the front of bytes[at:end]. */
class Reader {
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly end: number,
  ) {}

  byte(): number {
    if (this.at >= this.end) refuse("cut", this.at);
    return this.bytes[this.at++];
  }

  take(n: number): Uint8Array {
    if (n > this.end - this.at) refuse("cut", this.at);
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  /** Reads LEB128 of at most 64 bits. Zeros above the value are read over, however many. */
  varuint(): bigint {
    const start = this.at;
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const c = this.byte();
      const bits = BigInt(c & 0x7f);
      if (bits !== 0n) {
        if (shift > 63n || (bits << shift) >> 64n !== 0n) refuse("number", start);
        value |= bits << shift;
      }
      if ((c & 0x80) === 0) return value;
    }
  }

  /** Reads a length of low to high, and so many bytes. */
  varbytes(low: number, high: number): Uint8Array {
    const start = this.at;
    const n = this.varuint();
    if (n < BigInt(low) || n > BigInt(high)) refuse("length", start);
    return this.take(Number(n));
  }

  done(): void {
    if (this.at < this.end) refuse("trailing", this.at);
  }
}

/** Reads an .ots file as Go's proof.Parse does: the same is refused, at the same place. */
export function parseProof(bytes: Uint8Array): Proof | Fault {
  return guarded(() => readProof(bytes));
}

function readProof(input: Uint8Array): Proof {
  if (input.length > MAX_SIZE) refuse("too-large", MAX_SIZE);
  const r = new Reader(input.slice(), 0, input.length); // the caller may change his bytes
  const magic = unhex(MAGIC)!;
  for (let i = 0; i < Math.min(magic.length, input.length); i++) {
    if (input[i] !== magic[i]) refuse("not-a-proof", i);
  }
  r.take(magic.length);
  let at = r.at;
  const version = r.varuint();
  if (version !== 1n) refuse("version", at, version > 1n);
  at = r.at;
  const tag = r.byte();
  const hash = hashOf(tag);
  if (hash === undefined) return refuse("hash-kind", at, operations[tag] === undefined);
  const digest = r.take(hashes[hash].outputLen);
  const tree = merge([new Parser(r).stamp(digest, 0)]);
  r.done();
  return newProof(hash, digest, tree);
}

function newProof(hash: HashName, digest: Uint8Array, tree: Stamp): Proof {
  const attestations: Attestation[] = [];
  collect(tree, attestations);
  return { hash, digest, tree, attestations, complete: attestations.some((a) => a.kind === "bitcoin") };
}

/** Lists attestations in the order in which they are written. The depth is at most MAX_DEPTH. */
function collect(t: Stamp, list: Attestation[], weak?: HashName): void {
  for (const a of t.attestations) list.push(weak === undefined ? a : { ...a, weak });
  for (const b of t.branches) {
    const hash = hashOf(b.tag);
    collect(b.next, list, weak ?? (hash !== undefined && isWeak(hash) ? hash : undefined));
  }
}

/** Two contents with the same hash can be made: see weakness in proof/warnings.go. */
function isWeak(hash: HashName): boolean {
  return hash === "sha1" || hash === "ripemd160";
}

class Parser {
  private left = MAX_WORK;

  constructor(private readonly r: Reader) {}

  private spend(bytes: number, at: number): void {
    this.left -= bytes + NODE_COST;
    if (this.left < 0) refuse("too-much-work", at);
  }

  /** Reads the stamp of a message that depth operations led to. */
  stamp(message: Uint8Array, depth: number): Stamp {
    const r = this.r;
    if (depth > MAX_DEPTH) refuse("too-deep", r.at);
    const t: Stamp = { message, attestations: [], branches: [] };
    for (let more = true; more; ) {
      let at = r.at;
      let tag = r.byte();
      more = tag === MORE;
      if (more) {
        at = r.at;
        tag = r.byte();
      }
      if (tag === ATTESTATION) {
        const a = readAttestation(r, message);
        this.spend(a.size, at);
        t.attestations.push(a.attestation);
        continue;
      }
      const argument = readArgument(r, tag, at);
      const result = apply(tag, argument, message);
      if (result === null) return refuse("operation", at);
      this.spend(message.length + result.length, at);
      t.branches.push({ tag, argument, next: this.stamp(result, depth + 1) });
    }
    return t;
  }
}

function readArgument(r: Reader, tag: number, at: number): Uint8Array {
  // No version can have an operation that is named as what stands before items.
  if (operations[tag] === undefined) refuse("unknown-operation", at, tag !== MORE);
  return tag === APPEND || tag === PREPEND ? r.varbytes(1, MAX_MESSAGE) : new Uint8Array(0);
}

/** Performs an operation; null if the message or the result has not a length that is allowed. */
function apply(tag: number, argument: Uint8Array, message: Uint8Array): Uint8Array | null {
  const n = message.length;
  if (n > MAX_MESSAGE) return null;
  switch (tag) {
    case APPEND:
    case PREPEND:
      if (n + argument.length > MAX_MESSAGE) return null;
      return tag === APPEND ? join(message, argument) : join(argument, message);
    case REVERSE:
      return n === 0 ? null : message.slice().reverse();
    case HEXLIFY:
      return n === 0 || n > MAX_HEXLIFY ? null : new TextEncoder().encode(hex(message));
  }
  return hashes[hashOf(tag)!](message);
}

/** Reads what follows after the byte 00. size is that of the payload as it was written. */
function readAttestation(r: Reader, message: Uint8Array): { attestation: Attestation; size: number } {
  const tag = r.take(8);
  const payload = r.varbytes(0, MAX_PAYLOAD);
  const inner = new Reader(r.bytes, r.at - payload.length, r.at);
  const a: Attestation = { kind: kinds[hex(tag)] ?? "unknown", message, tag, payload };
  if (a.kind === "pending") {
    const at = inner.at;
    const uri = String.fromCharCode(...inner.varbytes(0, MAX_URI));
    if (!/^[A-Za-z0-9\-._/:]*$/.test(uri)) refuse("uri", at);
    a.uri = uri;
    inner.done();
  } else if (a.kind !== "unknown") {
    a.height = inner.varuint();
    inner.done();
  }
  return { attestation: a, size: payload.length };
}

/**
 * Unites stamps of one message: attestations and operations sorted, nothing twice. It is what Go's
 * proof.Parse returns, so that both list the same in the same order.
 */
function merge(stamps: Stamp[]): Stamp {
  const attestations = stamps.flatMap((t) => t.attestations).sort(compareAttestations);
  const branches = stamps.flatMap((t) => t.branches).sort(compareBranches);
  const united: Stamp = { message: stamps[0].message, attestations: [], branches: [] };
  attestations.forEach((a, i) => {
    if (i === 0 || compareAttestations(attestations[i - 1], a) !== 0) united.attestations.push(a);
  });
  for (let i = 0, j = 0; i < branches.length; i = j) {
    while (j < branches.length && compareBranches(branches[i], branches[j]) === 0) j++;
    const { tag, argument } = branches[i];
    united.branches.push({ tag, argument, next: merge(branches.slice(i, j).map((b) => b.next)) });
  }
  return united;
}

/** By tag, then by what they say, heights as numbers. */
function compareAttestations(a: Attestation, b: Attestation): number {
  const byTag = compare(a.tag, b.tag);
  if (byTag !== 0) return byTag;
  if (a.uri !== undefined && b.uri !== undefined) return a.uri < b.uri ? -1 : a.uri > b.uri ? 1 : 0;
  if (a.height !== undefined && b.height !== undefined) {
    return a.height < b.height ? -1 : a.height > b.height ? 1 : 0;
  }
  return compare(a.payload, b.payload);
}

function compareBranches(a: Branch, b: Branch): number {
  return a.tag - b.tag || compare(a.argument, b.argument);
}

// ---------------------------------------------------------------------------------------------
// A proof in steps: Go's proof.Explain

/** Lists the steps of a proof, the first of them if there are more than most. */
export function steps(proof: Proof, most = Infinity): Step[] {
  const lines: Step[] = [];
  explain(lines, proof.tree, 0, -1, most);
  return lines;
}

/** hashed is how often a Bitcoin transaction was hashed to get here, -1 when none was. */
function explain(lines: Step[], t: Stamp, level: number, hashed: number, most: number): void {
  for (const a of t.attestations) if (lines.length < most) lines.push(explainAttestation(a, level));
  if (t.branches.length > 0 && outputs(t.message) !== null) hashed = 0;
  t.branches.forEach((b, i) => {
    if (lines.length >= most) return;
    const line: Step = { level, op: operations[b.tag], argument: hex(b.argument), result: hex(b.next.message) };
    if (t.branches.length > 1) {
      line.level++;
      line.branch = `${i + 1}/${t.branches.length}`;
    }
    const below = b.tag === SHA256 && hashed >= 0 ? hashed + 1 : -1;
    if (below === 1) line.transaction = t.message.length;
    if (below === 2) line.txid = displayed(b.next.message); // its hash hashed again
    lines.push(line);
    explain(lines, b.next, line.level, below, most);
  });
}

function explainAttestation(a: Attestation, level: number): Step {
  const line: Step = { level, attestation: a.kind, height: a.height };
  switch (a.kind) {
    case "pending":
      line.uri = a.uri;
      line.commitment = hex(a.message);
      break;
    case "bitcoin":
    case "litecoin":
      if (a.message.length === 32) line.merkleRoot = displayed(a.message);
      break;
    case "unknown":
      line.tag = hex(a.tag);
      line.payload = hex(a.payload);
  }
  return line;
}

// ---------------------------------------------------------------------------------------------
// A Bitcoin transaction: Go's proof.parseTx

/** The script of an output, and where in the transaction it begins. */
interface Output {
  at: number;
  script: Uint8Array;
}

/**
 * Returns the outputs of a transaction without witnesses; null if the bytes are none. One of 64
 * bytes cannot be told from a node of the block's Merkle tree (CVE-2017-12842).
 */
function outputs(tx: Uint8Array): Output[] | null {
  if (tx.length === 64 || tx.length < 10) return null;
  const found = guarded(() => readOutputs(new Reader(tx, 4, tx.length)));
  return isFault(found) ? null : found;
}

function readOutputs(r: Reader): Output[] {
  const inputs = compactSize(r);
  if (inputs === 0) refuse("transaction", r.at);
  for (let i = 0; i < inputs; i++) {
    r.take(36); // the outpoint
    r.take(compactSize(r));
    r.take(4); // the sequence
  }
  const count = compactSize(r);
  if (count === 0) refuse("transaction", r.at);
  const list: Output[] = [];
  for (let i = 0; i < count; i++) {
    r.take(8); // the value
    const script = r.take(compactSize(r));
    list.push({ at: r.at - script.length, script });
  }
  r.take(4); // the lock time
  r.done();
  return list;
}

/** Reads a number that must be written as short as it can be. */
function compactSize(r: Reader): number {
  const first = r.byte();
  if (first < 0xfd) return first;
  const size = 1 << (first - 0xfc); // 2, 4 or 8 bytes
  let n = 0;
  r.take(size).forEach((b, i) => (n += b * 256 ** i));
  if (n < (size === 2 ? 0xfd : 256 ** (size / 2))) refuse("transaction", r.at);
  return n;
}

// ---------------------------------------------------------------------------------------------
// Windows of headers: docs/windows.md, and Go's headers.Window

const WINDOW_MAGIC = "ANCREHW1";
const WINDOW_START = 44; // magic, genesis and height
const HEADER = 80;
const CHECKSUM = 32;
const MAX_WINDOW = 4096; // headers
const MIN_BLOCKS = 6;
const NEAR = 2; // periods above a block from which headers are looked at
const AHEAD = 2 * 3600; // seconds that a header may be ahead of now
const ADRIFT = 24 * 3600; // seconds that the times of blocks may differ from the order of their heights
const EASIEST = 0x1d; // the exponent of mainnet's limit, by which difficulties are counted

/** Headers one after the other, and where the first one stands in the chain. */
interface Run {
  genesis: string; // as it is displayed
  first: number;
  last: number;
  raw: Uint8Array;
}

/** A header of a run whose rules were checked. */
interface Header {
  raw: Uint8Array;
  hash: Uint8Array;
  bits: number;
  time: number;
  target: bigint;
  easy: boolean; // a late block of a test network: it counts as no work
  known: boolean; // a checkpoint
}

/** A run that obeys the rules so far. */
interface Chain {
  first: number;
  headers: Header[];
  real: number; // index of the newest header that is not easy; -1: there is none
}

/** Reads a window: its form and its checksum, and nothing of the headers. */
function readWindow(bytes: Uint8Array): Run {
  const body = bytes.length - WINDOW_START - CHECKSUM;
  if (String.fromCharCode(...bytes.subarray(0, 8)) !== WINDOW_MAGIC) refuse("not-a-window", 0);
  if (body < HEADER) refuse("cut", bytes.length);
  if (body % HEADER !== 0 || body / HEADER > MAX_WINDOW) refuse("window-length", bytes.length);
  const end = bytes.length - CHECKSUM;
  if (!equal(sha256(bytes.subarray(0, end)), bytes.subarray(end))) refuse("checksum", end);
  const first = uint32(bytes, 40);
  const last = first + body / HEADER - 1;
  if (last > MAX_HEIGHT) refuse("window-length", 40);
  return { genesis: displayed(bytes.subarray(8, 40)), first, last, raw: bytes.slice(WINDOW_START, end) };
}

function uint32(b: Uint8Array, at: number): number {
  return (b[at] | (b[at + 1] << 8) | (b[at + 2] << 16) | (b[at + 3] << 24)) >>> 0;
}

/** The target that compact bits stand for; 0 if they stand for none. */
function targetOf(bits: number): bigint {
  const mantissa = BigInt(bits & 0x7fffff);
  if ((bits & 0x800000) !== 0) return 0n;
  const shift = 8 * ((bits >>> 24) - 3);
  return shift < 0 ? mantissa >> BigInt(-shift) : mantissa << BigInt(shift);
}

/** The distance between a compact number and the next one. */
function unit(bits: number): bigint {
  return 1n << BigInt(8 * (Math.max(bits >>> 24, 3) - 3));
}

/** How many times harder than the easiest of mainnet. */
function difficulty(bits: number): number {
  return (0xffff / (bits & 0xffffff)) * 2 ** (8 * (EASIEST - (bits >>> 24)));
}

/** Reports whether a hash, which is a little-endian number, is higher than a target. */
function isAbove(hash: Uint8Array, target: bigint): boolean {
  for (let i = 31; i >= 0; i--) {
    const digit = Number((target >> BigInt(8 * i)) & 0xffn);
    if (hash[i] !== digit) return hash[i] > digit;
  }
  return false;
}

/** Checks the header that comes next and appends it: rules 1 to 4 of docs/windows.md. */
function append(chain: Chain, raw: Uint8Array, n: Network): void {
  const i = chain.headers.length;
  const height = chain.first + i;
  const before = chain.headers[i - 1] as Header | undefined;
  const bits = uint32(raw, 72);
  const h: Header = { raw, hash: twice(raw), bits, time: uint32(raw, 68), target: targetOf(bits), easy: false, known: false };
  if (before !== undefined && !equal(raw.subarray(4, 36), before.hash)) refuse("link", height);
  if (h.target === 0n || h.target > targetOf(n.limit)) refuse("limit", height);
  if (isAbove(h.hash, h.target)) refuse("pow", height);
  const late = before === undefined || h.time > before.time + n.late;
  h.easy = n.difficulties === "testnet4" && bits === n.limit && height % n.period !== 0 && late;
  if (!h.easy) {
    checkDifficulty(chain, h, height, n);
    chain.real = i;
  }
  chain.headers.push(h);
}

/** Checks how a header's difficulty follows from that of an earlier one, if one is known. */
function checkDifficulty(chain: Chain, h: Header, height: number, n: Network): void {
  if (n.difficulties === "any") return;
  if (n.difficulties === "fixed") {
    if (h.bits !== n.limit) refuse("retarget", height);
    return;
  }
  if (chain.real < 0) return;
  const was = chain.headers[chain.real];
  if (period(chain.first + chain.real, n) === period(height, n)) {
    if (h.bits !== was.bits) refuse("retarget", height);
    return;
  }
  // Compact numbers are rounded down. A unit more than the new target is more than a quarter.
  if (h.target > 4n * was.target || 4n * (h.target + unit(h.bits)) <= was.target) refuse("retarget", height);
}

function period(height: number, n: Network): number {
  return Math.floor(height / n.period);
}

/** Compares a header with the clock and the checkpoints: rules 5 and 6 of docs/windows.md. */
function checkKnown(h: Header, height: number, n: Network, now: number): void {
  if (!(h.time <= now + AHEAD)) refuse("time", height); // now may be no number
  let at = 0; // the first checkpoint at height or above
  for (let end = n.checkpoints.length; at < end; ) {
    const middle = (at + end) >> 1;
    if (n.checkpoints[middle][0] < height) at = middle + 1;
    else end = middle;
  }
  let above = at; // the nearest dated one, and the nearest dated one below
  while (above < n.checkpoints.length && n.checkpoints[above][2] === 0) above++;
  let below = at - 1;
  while (below >= 0 && n.checkpoints[below][2] === 0) below--;
  if (above < n.checkpoints.length) {
    if (n.checkpoints[above][0] === height) below = above;
    if (h.time > n.checkpoints[above][3] + ADRIFT) refuse("time", height);
  }
  if (below >= 0 && h.time < n.checkpoints[below][3] - ADRIFT) refuse("time", height);
  if (at < n.checkpoints.length && n.checkpoints[at][0] === height) {
    if (n.checkpoints[at][1] !== displayed(h.hash)) refuse("checkpoint", height);
    h.known = true;
  }
}

/** A window that was refused, and the blocks that it claims to have: none if it cannot be read. */
interface RefusedWindow {
  fault: Fault;
  first: number;
  last: number;
}

/**
 * Reads and checks the windows that say something of blocks at these heights. Those that continue
 * each other are joined, and obey the rules as a whole: a block near the end of one window needs the
 * headers of the next. Work that a proof does not need is left out: a register has many windows.
 */
function readWindows(q: Question, heights: number[]): { chains: Chain[]; refused: RefusedWindow[] } {
  const { network: n, now } = q;
  const chains: Chain[] = [];
  const refused: RefusedWindow[] = [];
  const runs: Run[] = [];
  for (const bytes of q.windows) {
    const run = guarded(() => readWindow(bytes));
    if (isFault(run)) refused.push({ fault: run, first: 0, last: -1 });
    else if (heights.some((h) => run.first <= h + NEAR * n.period && h <= run.last)) runs.push(run);
  }
  runs.sort((a, b) => a.first - b.first);
  for (const run of runs) {
    const other: Fault = { fault: "other-network", at: 8, unsupported: false };
    const fault = run.genesis !== n.genesis ? other : place(run, chains, n, now);
    if (fault !== null) refused.push({ fault, first: run.first, last: run.last });
  }
  return { chains, refused };
}

/** Adds a run to the chain that it continues, or makes it a chain of its own. */
function place(run: Run, chains: Chain[], n: Network, now: number): Fault | null {
  for (const chain of chains) if (extend(chain, run, n, now) === null) return null;
  const chain: Chain = { first: run.first, headers: [], real: -1 };
  const fault = extend(chain, run, n, now);
  if (fault === null) chains.push(chain);
  return fault;
}

/**
 * Appends to a chain the headers of a run that has the same ones where both have some. If they
 * cannot follow, the chain stays as it was.
 */
function extend(chain: Chain, run: Run, n: Network, now: number): Fault | null {
  const { length } = chain.headers;
  const { real } = chain;
  const fault = guarded(() => {
    const end = chain.first + length;
    if (run.first < chain.first || run.first > end) refuse("link", run.first);
    for (let at = 0; at < run.raw.length; at += HEADER) {
      const raw = run.raw.subarray(at, at + HEADER);
      const i = run.first + at / HEADER - chain.first;
      if (i >= length) append(chain, raw, n);
      else if (!equal(raw, chain.headers[i].raw)) refuse("link", run.first);
    }
    for (let i = length; i < chain.headers.length; i++) checkKnown(chain.headers[i], chain.first + i, n, now);
    return null;
  });
  if (fault !== null) {
    chain.headers.length = length;
    chain.real = real;
  }
  return fault;
}

/** What the headers of a chain say of one block, as Go's CheckedWindow.Judge does. */
interface Judged {
  block: Block;
  merkleRoot: Uint8Array;
  trust: Trust;
  reason: "anchored" | "few-blocks" | "little-work";
}

function judgeBlock(chain: Chain, height: number, n: Network): Judged {
  const at = height - chain.first;
  const { raw, hash, time } = chain.headers[at];
  const merkleRoot = raw.slice(36, 68);
  const trust: Trust = { blocks: 0, difficulty: 0, bits: 0 };
  const newest = targetOf(newestDated(n)[2]);
  let easiest = 0n;
  let weak = false;
  for (let i = at; i < chain.headers.length; i++) {
    const h = chain.headers[i];
    if (h.known && trust.checkpoint === undefined) trust.checkpoint = chain.first + i;
    if (h.easy) continue;
    trust.blocks++;
    if (h.target > easiest) {
      easiest = h.target;
      trust.bits = h.bits;
      trust.difficulty = difficulty(h.bits);
    }
    // The floor is never below the newest known difficulty.
    if (h.target > newest && h.target > floor(n, chain.first + i, h.time)) weak = true;
  }
  for (let i = at; i >= 0 && trust.base === undefined; i--) if (chain.headers[i].known) trust.base = chain.first + i;
  const believed = trust.checkpoint !== undefined;
  return {
    block: { height, hash: displayed(hash), merkleRoot: displayed(merkleRoot), time, header: raw.slice() },
    merkleRoot,
    trust,
    reason: believed ? "anchored" : weak ? "little-work" : trust.blocks < MIN_BLOCKS ? "few-blocks" : "anchored",
  };
}

/** The newest checkpoint of which bits and time are known. The first block of a network always is. */
function newestDated(n: Network): Network["checkpoints"][0] {
  return n.checkpoints.filter((c) => c[2] !== 0).pop()!;
}

/**
 * The highest target, which is the lowest difficulty, that a header may have without a checkpoint
 * above it: docs/windows.md says why.
 */
function floor(n: Network, height: number, time: number): bigint {
  const [from, , bits, since] = newestDated(n);
  let halvings = n.fall;
  if (height >= from) {
    const byTime = 2 + Math.ceil(Math.max(time - since, 0) / n.halving);
    halvings = Math.min(halvings, 2 * (period(height, n) - period(from, n)), byTime);
  }
  const highest = targetOf(bits) << BigInt(halvings);
  const limit = targetOf(n.limit);
  return highest > limit ? limit : highest;
}

// ---------------------------------------------------------------------------------------------
// Chainpoint receipts: docs/proofs.md, and the package proof/receipt in Go

/** A receipt that was read. */
export interface Receipt {
  version: number; // 2 to 5
  digest: Uint8Array; // of the file
  target: Uint8Array; // what is anchored: the digest, or of a sealed receipt the hash of its signature
  signature?: string; // of a sealed receipt
  v2?: ReceiptV2;
  branches: ReceiptBranch[]; // of the other versions
}

/** What a receipt of version 2 says. */
export interface ReceiptV2 {
  path: ReceiptOp[]; // from the target to the root
  root: Uint8Array;
  named?: Uint8Array; // the transaction that holds the root: its id, in internal byte order
  held?: { height: number; tx: Uint8Array; up: ReceiptOp[] }; // the transaction, and the way to its block
  ether: boolean; // it has an anchor in Ethereum too
}

/** Operations one after the other, and what continues from their result. */
export interface ReceiptBranch {
  ops: ReceiptOp[];
  branches: ReceiptBranch[];
}

/** One operation: bytes to the left, bytes to the right, a hash, or anchors of the value. */
export interface ReceiptOp {
  left?: Uint8Array;
  right?: Uint8Array;
  hash?: string;
  anchors?: { type: string; id: string }[];
}

const MAX_STEPS = 255;
const MAX_LEVELS = 32; // of the way from a transaction to its block's header
const MAX_ANCHORS = 16;
const MAX_TEXT = 4096;
const MAX_NESTING = 24;
const MAX_VALUES = 10000;
const MAX_MEMBERS = 16;
const MAX_VALUE = 512; // characters of l or r
const MAX_LABEL = 64;
const MAX_BRANCHES = 8; // in each other
const MAX_OPS = 1024;

const CHAINPOINT = "https://w3id.org/chainpoint/";
const TWICE = "sha-256-x2"; // SHA-256 of SHA-256, as Bitcoin hashes

/** The hashes that receipts are seen to have. Chainpoint knows seven more, which ancre reads. */
const receiptHashes = new Map([
  ["sha-256", sha256],
  [TWICE, twice],
]);

/** A value of JSON and its place. It keeps every member, so that none can hide. */
interface Value {
  path: string;
  kind: "object" | "array" | "string" | "other"; // a number, a truth value, null
  text: string;
  members: [string, Value][];
  items: Value[];
}

/** Reports whether bytes begin as a receipt does, well-formed or not. */
export function looksLikeReceipt(bytes: Uint8Array): boolean {
  for (const c of bytes) if (c !== 0x20 && c !== 0x09 && c !== 0x0d && c !== 0x0a) return c === 0x7b;
  return false;
}

/** Reads a receipt of version 2 to 5, as strictly as Go's receipt.Parse. Version 1 is not read. */
export function parseReceipt(bytes: Uint8Array): Receipt | Fault {
  return guarded(() => {
    if (bytes.length > MAX_SIZE) refuse("too-large", MAX_SIZE);
    const v = readJSON(bytes);
    if (has(v, "header") && has(v, "target") && !has(v, "@context")) refuse("version", 0, true);
    const context = contextOf(v);
    if (context === CHAINPOINT + "v2") return readV2(v);
    const version = ["v3", "v4", "v5"].indexOf(context.slice(CHAINPOINT.length)) + 3;
    if (!context.startsWith(CHAINPOINT) || version < 3) wrong(member(v, "@context"), context.startsWith(CHAINPOINT));
    return readV4(v, version);
  });
}

function wrong(v: Value, unsupported = false): never {
  throw new Refusal({ fault: "receipt", at: 0, unsupported, member: v.path });
}

/** Reads one JSON object. JSON.parse says whether it is JSON, and nothing that it returns is used. */
function readJSON(bytes: Uint8Array): Value {
  let text = "";
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    JSON.parse(text);
  } catch {
    refuse("not-json", 0);
  }
  const token = /[{}[\]:,]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s{}[\]:,"]+/g;
  let left = MAX_VALUES;
  const next = () => token.exec(text)![0];
  const read = (t: string, path: string, depth: number): Value => {
    const v: Value = { path, kind: "other", text: t, members: [], items: [] };
    if (depth > MAX_NESTING || --left < 0) wrong(v);
    if (t[0] === '"') {
      v.kind = "string";
      v.text = JSON.parse(t) as string;
    } else if (t === "{") {
      v.kind = "object";
      for (let name = next(); name !== "}"; name = next()) {
        if (name === ",") continue;
        const plain = JSON.parse(name) as string;
        const at = (path && path + ".") + (plain.length > 80 ? plain.slice(0, 80) + "…" : plain);
        const known = plain === "@type" ? "type" : plain; // JSON-LD's name for the same member
        if (has(v, known)) wrong({ ...v, path: at });
        next(); // the colon
        v.members.push([known, read(next(), at, depth + 1)]);
        if (v.members.length > MAX_MEMBERS) wrong(v);
      }
    } else if (t === "[") {
      v.kind = "array";
      for (let item = next(); item !== "]"; item = next()) {
        if (item !== ",") v.items.push(read(item, `${path}[${v.items.length}]`, depth + 1));
      }
    }
    return v;
  };
  const v = read(next(), "", 0);
  if (v.kind !== "object") wrong(v);
  return v;
}

function has(v: Value, name: string): boolean {
  return v.members.some((m) => m[0] === name);
}

function member(v: Value, name: string): Value {
  const found = v.members.find((m) => m[0] === name);
  return found ? found[1] : { path: (v.path && v.path + ".") + name, kind: "other", text: "", members: [], items: [] };
}

/** Checks that v is an object with these members, and no other ones. */
function members(v: Value, required: string[], optional: string[] = []): void {
  if (v.kind !== "object") wrong(v);
  for (const name of required) if (!has(v, name)) wrong(member(v, name));
  for (const [name, m] of v.members) if (!required.includes(name) && !optional.includes(name)) wrong(m);
}

function items(v: Value, low: number, high: number): Value[] {
  if (v.kind !== "array" || v.items.length < low || v.items.length > high) wrong(v);
  return v.items;
}

/** Returns a string of low to high bytes. */
function text(v: Value, low: number, high: number): string {
  if (v.kind !== "string") wrong(v);
  const n = new TextEncoder().encode(v.text).length;
  if (n < low || n > high) wrong(v);
  return v.text;
}

/** Returns bytes written as lower-case digits: verifiers compare them as text. */
function digits(v: Value, low: number, high: number): Uint8Array {
  return unhex(text(v, 2 * low, 2 * high)) ?? wrong(v);
}

function hash32(v: Value): Uint8Array {
  return digits(v, 32, 32);
}

/** Returns a block's height, which receipts write as a string. */
function heightOf(v: Value): string {
  const s = text(v, 1, MAX_TEXT);
  if (!/^(0|[1-9][0-9]{0,9})$/.test(s) || Number(s) > MAX_HEIGHT) wrong(v);
  return s;
}

/** JSON-LD may write a single value as an array. */
function single(v: Value): Value {
  return v.kind === "array" && v.items.length === 1 ? v.items[0] : v;
}

function contextOf(v: Value): string {
  const c = member(v, "@context");
  if (c.kind !== "array") return text(c, 1, MAX_TEXT);
  const all = items(c, 1, 8).map((item) => text(item, 1, MAX_TEXT));
  const found = all.length === 1 ? all : all.filter((s) => s.startsWith(CHAINPOINT));
  return found.length === 1 ? found[0] : wrong(c);
}

/** Checks the type of a receipt. Chainpoint's other types are read by other programs. */
function checkType(v: Value, want: string): void {
  if (!has(v, "type")) return;
  const t = single(member(v, "type"));
  if (t.kind !== "string" || t.text !== want) wrong(t, t.kind === "string" && t.text.startsWith("Chainpoint"));
}

/** Reads the steps of a path, each followed by a hash. */
function pathOf(v: Value, limit: number, hash: string): ReceiptOp[] {
  return items(v, 0, limit).flatMap((item) => {
    members(item, [], ["left", "right"]);
    if (item.members.length !== 1) wrong(item);
    const [[side, m]] = item.members;
    const bytes = hash32(m);
    return [side === "left" ? { left: bytes } : { right: bytes }, { hash }];
  });
}

function readV2(v: Value): Receipt {
  checkType(v, "ChainpointSHA256v2");
  members(v, ["@context", "type", "targetHash", "merkleRoot", "proof", "anchors"], ["signature"]);
  const target = hash32(member(v, "targetHash"));
  const v2: ReceiptV2 = { root: hash32(member(v, "merkleRoot")), path: pathOf(member(v, "proof"), MAX_STEPS, "sha-256"), ether: false };
  const seen: string[] = [];
  for (const item of items(member(v, "anchors"), 1, MAX_ANCHORS)) {
    const type = readAnchorV2(item, v2);
    if (seen.includes(type)) wrong(item); // readers would not agree on which one counts
    seen.push(type);
  }
  const r: Receipt = { version: 2, digest: target, target, v2, branches: [] };
  if (has(v, "signature")) readSeal(member(v, "signature"), r);
  return r;
}

function readAnchorV2(v: Value, r: ReceiptV2): string {
  members(v, ["type", "sourceId"], ["tx", "blockProof"]);
  const type = single(member(v, "type"));
  const source = member(v, "sourceId");
  const name = text(type, 1, MAX_TEXT);
  switch (name) {
    case "BTCOpReturn":
      members(v, ["type", "sourceId"]);
      r.named = hash32(source).reverse();
      break;
    case "ETHData":
      members(v, ["type", "sourceId"]);
      hash32(source);
      r.ether = true;
      break;
    case "BTCBlockHeader":
      members(v, ["type", "sourceId", "tx", "blockProof"]);
      r.held = {
        height: Number(heightOf(source)),
        tx: digits(member(v, "tx"), 1, MAX_SIZE),
        up: pathOf(member(v, "blockProof"), MAX_LEVELS, TWICE),
      };
      break;
    default:
      wrong(type, true);
  }
  return name;
}

/** Reads Woleet's seal: a key signed the digest, and the hash of the signature is anchored. */
function readSeal(v: Value, r: Receipt): void {
  members(v, ["signedHash", "pubKey", "signature"], ["identityURL", "signedIdentity", "signedIssuerDomain"]);
  r.digest = hash32(member(v, "signedHash"));
  text(member(v, "pubKey"), 1, MAX_TEXT);
  r.signature = text(member(v, "signature"), 1, MAX_TEXT);
  for (const name of ["identityURL", "signedIdentity", "signedIssuerDomain"]) if (has(v, name)) text(member(v, name), 0, MAX_TEXT);
}

const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

function readV4(v: Value, version: number): Receipt {
  checkType(v, "Chainpoint");
  const about = version === 3 ? ["hash_id_node", "hash_submitted_node_at", "hash_id_core", "hash_submitted_core_at"] : ["proof_id", "hash_received"];
  members(v, ["@context", "type", "hash", ...about, "branches"]);
  const hash = member(v, "hash");
  // Only the length tells which kind of hash it is.
  if (hash.kind === "string" && hash.text.length !== 64 && /^([0-9a-fA-F]{2}){20,64}$/.test(hash.text)) wrong(hash, true);
  const target = hash32(hash);
  about.forEach((name, i) => {
    const m = member(v, name);
    const s = text(m, 1, MAX_TEXT);
    if (i % 2 === 1) checkTime(m, s);
    else if (!RegExp(`^${UUID}$`, "i").test(s) && !(version !== 3 && /^[0-9A-HJKMNP-TV-Z]{26}$/.test(s))) wrong(m);
  });
  const branches = readBranches(member(v, "branches"), 1, { ops: MAX_OPS, anchors: MAX_ANCHORS });
  return { version, digest: target, target, branches };
}

/** Checks a time as 2026-01-31T12:00:00Z. */
function checkTime(v: Value, s: string): void {
  const t = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(s) ? new Date(s).getTime() : NaN;
  if (Number.isNaN(t) || new Date(t).toISOString() !== s.replace("Z", ".000Z")) wrong(v);
}

/** left is how many operations and anchors the rest of the receipt may have. */
function readBranches(v: Value, depth: number, left: { ops: number; anchors: number }): ReceiptBranch[] {
  if (depth > MAX_BRANCHES) wrong(v);
  return items(v, 1, MAX_ANCHORS).map((item) => {
    members(item, ["ops"], ["label", "branches"]);
    const label = member(item, "label");
    if (has(item, "label") && !/^[a-zA-Z0-9\-_.]*$/.test(text(label, 0, MAX_LABEL))) wrong(label);
    const list = items(member(item, "ops"), 0, MAX_OPS);
    if ((left.ops -= list.length) < 0) wrong(item);
    const ops = list.map((o) => readOp(o, left));
    return { ops, branches: has(item, "branches") ? readBranches(member(item, "branches"), depth + 1, left) : [] };
  });
}

function readOp(v: Value, left: { anchors: number }): ReceiptOp {
  members(v, [], ["l", "r", "op", "anchors"]);
  if (v.members.length !== 1) wrong(v);
  const [[name, m]] = v.members;
  if (name === "l") return { left: concatenated(m) };
  if (name === "r") return { right: concatenated(m) };
  if (name === "op") {
    const hash = text(m, 1, MAX_TEXT);
    if (!receiptHashes.has(hash)) wrong(m, true);
    return { hash };
  }
  const list = items(m, 1, MAX_ANCHORS);
  if ((left.anchors -= list.length) < 0) wrong(m);
  return { anchors: list.map(readAnchorV4) };
}

function readAnchorV4(v: Value): { type: string; id: string } {
  members(v, ["type", "anchor_id"], ["uris"]);
  const type = single(member(v, "type"));
  const name = text(type, 1, MAX_TEXT);
  if (!["cal", "btc", "tcal", "tbtc", "eth"].includes(name)) wrong(type, true);
  const id = text(member(v, "anchor_id"), 1, MAX_VALUE);
  if (name === "btc") heightOf(member(v, "anchor_id"));
  if (has(v, "uris")) for (const u of items(member(v, "uris"), 0, MAX_ANCHORS)) text(u, 1, MAX_VALUE);
  return { type: name, id };
}

/** The bytes that l or r stands for: hexadecimal digits if they look so, as Chainpoint does, or text. */
function concatenated(v: Value): Uint8Array {
  const s = text(v, 1, MAX_VALUE);
  return /^([0-9a-fA-F]{2})+$/.test(s) ? digits(v, 1, MAX_VALUE) : new TextEncoder().encode(s);
}

/** What an anchor says: the block at the height has the Merkle root to which the receipt leads. */
interface Claim {
  height: number;
  root: Uint8Array;
  txid: Uint8Array;
}

/** What all anchors of a receipt say. */
interface Claims {
  bitcoin: Claim[];
  others: number; // anchors that are not checked here
  reason: Reason; // without one in Bitcoin: why it cannot be checked
}

/** Thrown when what a receipt says is not what its steps lead to. */
class Contradiction {}

function contradict(): never {
  throw new Contradiction();
}

function perform(ops: ReceiptOp[], value: Uint8Array): Uint8Array {
  for (const { left, right, hash } of ops) {
    if (left) value = join(left, value);
    if (right) value = join(value, right);
    if (hash) value = receiptHashes.get(hash)!(value);
  }
  return value;
}

/** Returns where in a transaction the 32 bytes of its first OP_RETURN begin, which must hold no more. */
function commitmentAt(tx: Uint8Array): number {
  const [RETURN, PUSH32] = [0x6a, 0x20];
  const found = outputs(tx)?.find((o) => o.script[0] === RETURN);
  if (!found || found.script.length !== 34 || found.script[1] !== PUSH32) return contradict();
  return found.at + 2;
}

function claimsV2(target: Uint8Array, r: ReceiptV2): Claims {
  const claims: Claims = { bitcoin: [], others: r.ether ? 1 : 0, reason: "other-chain" };
  if (!equal(perform(r.path, target), r.root)) contradict();
  if (r.held) {
    const { tx, up, height } = r.held;
    const at = commitmentAt(tx);
    const txid = twice(tx);
    if (!equal(tx.subarray(at, at + 32), r.root) || (r.named && !equal(r.named, txid))) contradict();
    claims.bitcoin.push({ height, root: perform(up, txid), txid });
  } else if (r.named) claims.reason = "needs-transaction";
  return claims;
}

/** What the operations of a branch have computed so far, as in Go's receipt.state. */
interface State {
  value: Uint8Array;
  core: Uint8Array; // what the last hash gave: value is this with bytes put around it
  before: number; // how many on the left
  after: number; // and on the right
  txid: Uint8Array;
  levels: number; // -1 before the transaction, then how many levels of its block were climbed
  wrong: boolean; // an anchor from here on does not hold
}

function claimsV4(r: Receipt): Claims {
  const claims: Claims = { bitcoin: [], others: 0, reason: "unknown-kind" };
  const { target } = r;
  walk(r.branches, { value: target, core: target, before: 0, after: 0, txid: target, levels: -1, wrong: false }, claims);
  return claims;
}

function walk(branches: ReceiptBranch[], from: State, claims: Claims): void {
  for (const b of branches) {
    const s = { ...from };
    for (const op of b.ops) {
      s.value = op.hash === undefined ? perform([op], s.value) : s.value;
      s.before += op.left?.length ?? 0;
      s.after += op.right?.length ?? 0;
      if (op.hash !== undefined) hashState(s, op.hash);
      if (s.value.length > MAX_MESSAGE) contradict();
      for (const a of op.anchors ?? []) {
        if (a.type !== "btc") {
          claims.others++;
          claims.reason = "other-chain";
          continue;
        }
        if (s.levels < 0 || s.wrong || s.before + s.after !== 0) contradict();
        claims.bitcoin.push({ height: Number(a.id), root: s.value, txid: s.txid });
      }
    }
    walk(b.branches, s, claims);
  }
}

/** Hashes the value: once, or twice as Bitcoin does with a transaction, then with pairs of nodes. */
function hashState(s: State, hash: string): void {
  const sum = receiptHashes.get(hash)!(s.value);
  if (hash !== TWICE) {
    if (s.levels >= 0) s.wrong = true; // between the transaction and the block nothing else belongs
  } else if (s.levels < 0) {
    s.levels = 0;
    s.txid = sum;
    s.wrong = !holdsCore(s);
  } else if (s.levels === MAX_LEVELS) {
    s.wrong = true;
  } else {
    s.levels++;
    if (s.before + s.after !== 32 || (s.before !== 0 && s.after !== 0)) s.wrong = true;
  }
  s.value = s.core = sum;
  s.before = s.after = 0;
}

/** Reports whether the value is a transaction whose first OP_RETURN holds the core. */
function holdsCore(s: State): boolean {
  try {
    return commitmentAt(s.value) === s.before && s.core.length === 32;
  } catch {
    return false;
  }
}

/** Writes a receipt as a proof, to be shown in steps; null if it cannot be written as one. */
export function receiptProof(r: Receipt): Proof | null {
  try {
    let { branches } = r;
    if (r.v2) {
      if (!r.v2.held) return null;
      const { tx, up, height } = r.v2.held;
      const at = commitmentAt(tx);
      const around = [{ left: tx.subarray(0, at) }, { right: tx.subarray(at + 32) }, { hash: TWICE }];
      branches = [{ ops: [...r.v2.path, ...around, ...up, { anchors: [{ type: "btc", id: String(height) }] }], branches: [] }];
    }
    const tree: Stamp = { message: r.target, attestations: [], branches: [] };
    plant(tree, branches, 0);
    return newProof("sha256", r.target, merge([tree]));
  } catch {
    return null;
  }
}

/** Adds to a stamp what branches say. It throws where no .ots could say it. */
function plant(t: Stamp, branches: ReceiptBranch[], depth: number): void {
  for (const b of branches) {
    let [at, deep] = [t, depth];
    for (const op of b.ops) {
      const tags = op.left ? [PREPEND] : op.right ? [APPEND] : op.hash === TWICE ? [SHA256, SHA256] : op.hash ? [SHA256] : [];
      for (const tag of tags) {
        const argument = op.left ?? op.right ?? new Uint8Array(0);
        const message = apply(tag, argument, at.message);
        if (message === null || ++deep > MAX_DEPTH) return contradict();
        const next: Stamp = { message, attestations: [], branches: [] };
        at.branches.push({ tag, argument, next });
        at = next;
      }
      for (const a of op.anchors ?? []) if (a.type === "btc") at.attestations.push(bitcoinAt(at.message, a.id));
    }
    plant(at, b.branches, deep);
  }
}

function bitcoinAt(message: Uint8Array, height: string | number): Attestation {
  return { kind: "bitcoin", message, tag: unhex(BITCOIN)!, payload: new Uint8Array(0), height: BigInt(height) };
}

// ---------------------------------------------------------------------------------------------
// The verdict

/** Judges a file's digest, its proof and windows of headers. It never throws. */
export function judge(q: Question): Verdict {
  const v: Verdict = {
    result: "uncheckable",
    reason: "internal",
    digest: "",
    testNetwork: true,
    checks: [],
    warnings: [],
  };
  try {
    v.digest = hex(q.digest);
    v.testNetwork = q.network.test;
    judgeProof(v, q);
  } catch {
    v.result = "uncheckable";
    v.reason = "internal";
  }
  return v;
}

function conclude(v: Verdict, result: Result, reason: Reason): void {
  v.result = result;
  v.reason = reason;
}

function judgeProof(v: Verdict, q: Question): void {
  const p = looksLikeReceipt(q.proof) ? parseReceipt(q.proof) : parseProof(q.proof);
  if (isFault(p)) {
    v.fault = p;
    if (p.unsupported) conclude(v, "uncheckable", "unsupported");
    else conclude(v, "invalid", "malformed");
    return;
  }
  if (!equal(p.digest, q.digest)) {
    v.proofDigest = hex(p.digest);
    conclude(v, "invalid", "other-file");
    return;
  }
  if ("tree" in p) {
    // Of an attestation of less than 32 bytes no block is looked at.
    const bitcoin = p.attestations.filter((a) => a.kind === "bitcoin" && a.message.length === 32);
    const look = newLookup(q, bitcoin.map((a) => a.height!));
    v.checks = p.attestations.map((a) => check(a, look));
    decide(v, ["valid", "few", "invalid", "no-block", "pending", "unchecked"]);
    v.warnings = warn(v, p);
  } else judgeReceipt(v, p, q);
}

/** Of a receipt, every anchor that can be checked must hold: Go's receipt.Verify. */
function judgeReceipt(v: Verdict, r: Receipt, q: Question): void {
  if (r.signature !== undefined) {
    // Without this, a seal could be put on any other receipt. Whether a key made it is not checked.
    const right = equal(sha256(new TextEncoder().encode(r.signature)), r.target);
    return right ? conclude(v, "uncheckable", "sealed") : conclude(v, "invalid", "contradiction");
  }
  let claims: Claims;
  try {
    claims = r.v2 ? claimsV2(r.target, r.v2) : claimsV4(r);
  } catch (e) {
    if (e instanceof Contradiction) return conclude(v, "invalid", "contradiction");
    throw e;
  }
  if (claims.bitcoin.length === 0) return conclude(v, "uncheckable", claims.reason);
  claims.bitcoin.sort((a, b) => a.height - b.height);
  const look = newLookup(q, claims.bitcoin.map((c) => BigInt(c.height)));
  v.checks = claims.bitcoin.map((c) => check(bitcoinAt(c.root, c.height), look));
  decide(v, ["invalid", "valid", "few", "no-block"]);
  const first = claims.bitcoin.find((c) => v.height === BigInt(c.height));
  if (first && v.result !== "invalid") v.txid = displayed(first.txid);
  if (v.result !== "anchored" && v.result !== "pending") return;
  v.warnings = named(v.checks, "no-block", "not-checked");
  if (claims.others > 0) v.warnings.push({ warning: "not-checked", reason: "other-chain" });
}

/** Returns what the windows say of the block at a height. */
type Lookup = (height: bigint) => Found;

type Found = Judged | { reason: "too-high" | "no-header" | "bad-window" | "windows-disagree" | "too-many-blocks"; fault?: Fault };

/** Answers for the first different heights of a proof, and for no more. */
function newLookup(q: Question, heights: bigint[]): Lookup {
  const first = new Set([...new Set(heights)].slice(0, MAX_HEIGHTS));
  const low = [...first].filter((h) => h <= BigInt(MAX_HEIGHT)).map(Number);
  const { chains, refused } = readWindows(q, low);
  const known = new Map<bigint, Found>();
  for (const h of first) known.set(h, h > BigInt(MAX_HEIGHT) ? { reason: "too-high" } : find(Number(h), chains, refused, q.network));
  return (height) => known.get(height) ?? { reason: "too-many-blocks" };
}

/** The best that a chain says of a block. Headers that cost nothing do not count beside others. */
function find(height: number, chains: Chain[], refused: RefusedWindow[], n: Network): Found {
  const all = chains.filter((c) => c.first <= height && height < c.first + c.headers.length).map((c) => judgeBlock(c, height, n));
  const most = Math.max(...all.map((j) => rank[j.reason]));
  const [best, ...others] = all.filter((j) => rank[j.reason] === most) as [Judged | undefined, ...Judged[]];
  if (best !== undefined) {
    return others.some((j) => j.block.hash !== best.block.hash) ? { reason: "windows-disagree" } : best;
  }
  const bad = refused.find((r) => r.first <= height && height <= r.last) ?? refused.find((r) => r.last < r.first);
  return bad !== undefined ? { reason: "bad-window", fault: bad.fault } : { reason: "no-header" };
}

const rank = { anchored: 2, "few-blocks": 1, "little-work": 0 };

/** Says what becomes of one attestation, as Go's headerCache.check does. */
function check(attestation: Attestation, look: Lookup): Check {
  const { kind, message, height } = attestation;
  if (kind === "pending") return { attestation, outcome: "pending", reason: "promised" };
  if (kind === "unknown") return { attestation, outcome: "unchecked", reason: "unknown-kind" };
  if (kind !== "bitcoin") return { attestation, outcome: "unchecked", reason: "other-chain" };
  if (message.length !== 32) return { attestation, outcome: "invalid", reason: "root-size" };
  return { attestation, ...compareRoot(look(height!), message) };
}

/** Compares what a proof leads to with what the windows say. */
function compareRoot(found: Found, root: Uint8Array): Omit<Check, "attestation"> {
  if (found.reason === "too-many-blocks") return { outcome: "unchecked", reason: found.reason };
  if (found.reason === "too-high") return { outcome: "invalid", reason: found.reason };
  if (!("block" in found)) return { outcome: "no-block", reason: found.reason, fault: found.fault };
  const { block, trust, reason } = found;
  const right = equal(found.merkleRoot, root);
  if (reason === "little-work") return { outcome: "no-block", reason, block, trust };
  if (reason === "few-blocks" && !right) return { outcome: "no-block", reason: "other-new-block", block, trust };
  if (!right) return { outcome: "invalid", reason: "wrong-root", block, trust };
  return { outcome: reason === "anchored" ? "valid" : "pending", reason, block, trust };
}

/** Concludes from the first outcome that a check has. Of several blocks the lowest counts. */
function decide(v: Verdict, order: (Check["outcome"] | "few")[]): void {
  const results = { valid: "anchored", few: "pending", pending: "pending", invalid: "invalid", "no-block": "uncheckable", unchecked: "uncheckable" } as const;
  const outcome = (c: Check) => (c.reason === "few-blocks" ? "few" : c.outcome);
  for (const o of order) {
    const byHeight = o === "valid" || o === "few" || o === "no-block"; // else the first of the proof
    let best: Check | undefined;
    for (const c of v.checks) {
      if (outcome(c) !== o) continue;
      if (best === undefined || (byHeight && c.attestation.height! < best.attestation.height!)) best = c;
    }
    if (best === undefined) continue;
    conclude(v, results[o], best.reason);
    v.height = best.attestation.height;
    v.block = best.block;
    v.trust = best.trust;
    v.fault = best.fault;
    v.uri = best.attestation.uri;
    return;
  }
}

const MAX_WARNINGS = 8; // of one kind

/** What a reader of a good verdict should know besides, as Go's Result.warnings does. */
function warn(v: Verdict, proof: Proof): Warning[] {
  if (v.result !== "anchored" && v.result !== "pending") return [];
  const list: Warning[] = named(v.checks, "invalid", "false-attestation");
  if (isWeak(proof.hash)) list.push({ warning: "weak-file-hash", hash: proof.hash });
  const valid = v.checks.filter((c) => c.outcome === "valid");
  const lowest = valid.filter((c) => c.attestation.height === v.height);
  const weak = lowest[lowest.length - 1]?.attestation.weak;
  if (weak !== undefined && lowest.every((c) => c.attestation.weak !== undefined)) {
    const strong = valid.filter((c) => c.attestation.weak === undefined).map((c) => c.attestation.height!);
    list.push({ warning: "weak-path", hash: weak, height: v.height!, strong: strong.sort((a, b) => (a < b ? -1 : 1))[0] });
  }
  return list.concat(named(v.checks, "no-block", "not-checked"), named(v.checks, "unchecked", "not-checked"));
}

/** Names the checks with an outcome, each reason and height once. */
function named(checks: Check[], outcome: Check["outcome"], warning: "false-attestation" | "not-checked"): Warning[] {
  const seen = new Map<string, Warning>();
  for (const { outcome: o, reason, attestation } of checks) {
    const key = `${reason} ${attestation.height}`;
    if (o === outcome && seen.size < MAX_WARNINGS && !seen.has(key)) seen.set(key, { warning, reason, height: attestation.height });
  }
  return [...seen.values()];
}
