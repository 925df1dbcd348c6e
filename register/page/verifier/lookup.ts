// Looking a digest up in the register. The server learns the first byte of the digest and nothing
// more: the browser fetches the list of all digests with that first byte, then all the windows of
// headers that any proof of that list needs, whichever of them was looked for. If a proof was given
// that is about another file, the first byte of that digest is asked for too.
//
// What comes is not believed. It is bounded in size and time, read strictly, and judged by the
// verifier.
//
// A page from file: may not fetch. There, in a static export, the same data come as scripts beside
// the files, their twins. A twin is one call:
//
//	empreintes/ab.js   ancreTwin("empreintes/ab",{"first":"ab",…})      what is in empreintes/ab.json
//	entetes/3.js       ancreTwin("entetes/3","QU5DUkVIVzE…")             entetes/3.headers as base64
//
// A period without a window has no twin.

import { proofIn } from "./proofs";
import type { Proof } from "./verifier";

/** One digest of the register, as the list has it. Texts come from the server: show them as text. */
export interface Entry {
  digest: string;
  kind: string;
  title: string;
  fileName: string;
  meeting: string;
  state: string; // waiting, pending, mined, complete
  onlineSince: string;
  withdrawn: string; // "": it is on line
  replacedBy: string; // the digest of the later version, or ""
  page: string; // an address on the register's page, or ""
  proof: Uint8Array | null;
}

/** The digests of the register that begin with one byte. */
export interface List {
  network: string;
  entries: Map<string, Entry>;
}

/** Why the register could not be asked. */
export type Obstacle =
  | "network" // no answer
  | "status" // the server refuses
  | "slow"
  | "huge"
  | "type" // a web page came instead of data
  | "form"; // what came is no list

export class Unreachable extends Error {
  constructor(
    readonly obstacle: Obstacle,
    readonly address: string,
    readonly status = 0,
  ) {
    super(`${obstacle} ${address}`);
  }
}

const PERIOD = 2016; // blocks of a window, as Bitcoin counts them between changes of the difficulty
const DEEP = 6; // blocks that make a proof final

// The most that is read. A list of a register of a million documents has some 4,000 entries.
const MAX_LIST = 16 << 20;
const MAX_WINDOW = 8 + 32 + 4 + 4096 * 80 + 32;
const MAX_WINDOWS = 1024;
const MAX_TEXT = 1000;

const AT_ONCE = 4; // requests
const FRESH = 60_000; // ms for which an answer that may grow is used again

export class Lookup {
  private readonly kept = new Map<string, { until: number; signal: AbortSignal; answer: Promise<Uint8Array | null> }>();

  /** patience is how many milliseconds may pass without a byte. */
  constructor(
    readonly base: URL,
    private readonly patience: number,
  ) {}

  /** Returns the list of the digests that begin with two hexadecimal digits. */
  async list(first: string, signal: AbortSignal): Promise<List> {
    const name = `empreintes/${first}`;
    const bytes = await this.get(name, "json", MAX_LIST, signal);
    if (!bytes) throw new Unreachable("status", this.address(name, "json"), 404);
    const list = readList(first, bytes, this.base);
    if (!list) throw new Unreachable("form", this.address(name, "json"));
    return list;
  }

  /** Returns all the windows that the proofs of a list need, by period. Some may not exist. */
  async windows(list: List, signal: AbortSignal, progress: (done: number, of: number) => void): Promise<Map<number, Uint8Array>> {
    const periods = new Set<number>();
    for (const e of list.entries.values()) for (const p of e.proof ? periodsOf(proofIn(e.proof)) : []) periods.add(p);
    if (periods.size > MAX_WINDOWS) throw new Unreachable("huge", this.address("entetes/", ""));
    const found = new Map<number, Uint8Array>();
    const left = [...periods].sort((a, b) => a - b);
    let done = 0;
    const fetchSome = async () => {
      for (let p = left.shift(); p !== undefined; p = left.shift()) {
        const window = await this.get(`entetes/${p}`, "headers", MAX_WINDOW, signal);
        if (window) found.set(p, window);
        progress(++done, periods.size);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, fetchSome));
    return found;
  }

  private address(name: string, extension: string): string {
    return new URL(`${name}.${extension}`, this.base).href;
  }

  /** Returns an answer, null if there is none at that address. It is kept for a minute. */
  private get(name: string, extension: string, most: number, signal: AbortSignal): Promise<Uint8Array | null> {
    const address = this.address(name, extension);
    const now = Date.now();
    let k = this.kept.get(address);
    if (!k || k.until < now || k.signal.aborted) {
      const answer =
        this.base.protocol === "file:"
          ? loadTwin(name, new URL(`${name}.js`, this.base).href, most, signal)
          : fetchBytes(address, most, this.patience, signal);
      const own = { until: now + FRESH, signal, answer };
      this.kept.set(address, (k = own));
      answer.catch(() => this.kept.get(address) === own && this.kept.delete(address));
    }
    return k.answer;
  }
}

/** Lists the periods whose windows a proof may need: that of each block, and the next if it is near. */
export function periodsOf(proof: Proof | null): number[] {
  const periods: number[] = [];
  for (const { kind, height } of proof?.attestations ?? []) {
    if (kind !== "bitcoin" || height === undefined || height > 0x7fffffffn) continue;
    const h = Number(height);
    const p = Math.floor(h / PERIOD);
    periods.push(p);
    // A window ends with the first block of the next period.
    if (PERIOD * (p + 1) - h + 1 < DEEP) periods.push(p + 1);
  }
  return periods;
}

async function fetchBytes(address: string, most: number, patience: number, signal: AbortSignal): Promise<Uint8Array | null> {
  const own = new AbortController();
  const stop = () => own.abort();
  signal.addEventListener("abort", stop);
  let timer = setTimeout(stop, patience);
  try {
    signal.throwIfAborted();
    const answer = await fetch(address, { credentials: "omit", referrerPolicy: "no-referrer", redirect: "error", signal: own.signal });
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Unreachable("status", address, answer.status);
    if ((answer.headers.get("Content-Type") ?? "").startsWith("text/html")) throw new Unreachable("type", address);
    if (Number(answer.headers.get("Content-Length")) > most) throw new Unreachable("huge", address);
    const parts: Uint8Array[] = [];
    let size = 0;
    for (const reader = answer.body!.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return join(parts, size);
      parts.push(value);
      if ((size += value.length) > most) throw new Unreachable("huge", address);
      clearTimeout(timer);
      timer = setTimeout(stop, patience);
    }
  } catch (e) {
    signal.throwIfAborted();
    if (e instanceof Unreachable) throw e;
    throw new Unreachable(own.signal.aborted ? "slow" : "network", address);
  } finally {
    clearTimeout(timer);
    own.abort(); // the rest of an answer that is not wanted
    signal.removeEventListener("abort", stop);
  }
}

function join(parts: Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const p of parts) {
    whole.set(p, at);
    at += p.length;
  }
  return whole;
}

/** Loads a twin; null if there is none. */
function loadTwin(name: string, address: string, most: number, signal: AbortSignal): Promise<Uint8Array | null> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const end = (bytes: Uint8Array | null) => {
      script.remove();
      twins.delete(name);
      resolve(bytes);
    };
    twins.set(name, (data) => {
      const bytes = typeof data === "string" ? unbase64(data) : new TextEncoder().encode(JSON.stringify(data));
      if (!bytes || bytes.length > most) reject(new Unreachable(bytes ? "huge" : "form", address));
      else end(bytes);
    });
    (globalThis as { ancreTwin?: unknown }).ancreTwin = (n: string, data: unknown) => twins.get(n)?.(data);
    script.onload = script.onerror = () => end(null); // after the call, if there was one
    signal.addEventListener("abort", () => reject(signal.reason));
    script.src = address;
    document.head.append(script);
  });
}

/** The twins that are being loaded, and who waits for them. */
const twins = new Map<string, (data: unknown) => void>();

/** Reads a list; null if it is none. */
export function readList(first: string, bytes: Uint8Array, base: URL | null): List | null {
  try {
    const o: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (!isObject(o) || !isObject(o.digests) || typeof o.network !== "string" || typeof o.first !== "string") return null;
    if (!/^[0-9a-f]{2}$/.test(o.first) || (first && o.first !== first)) return null;
    const entries = new Map<string, Entry>();
    for (const [digest, e] of Object.entries(o.digests)) {
      if (!/^[0-9a-f]{64}$/.test(digest) || !digest.startsWith(o.first) || !isObject(e)) return null;
      entries.set(digest, readEntry(digest, e, base));
    }
    return { network: o.network, entries };
  } catch {
    return null;
  }
}

function isObject(x: unknown): x is Record<string, unknown> {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

function readEntry(digest: string, e: Record<string, unknown>, base: URL | null): Entry {
  const text = (name: string) => {
    const v = e[name];
    return typeof v === "string" ? v.slice(0, MAX_TEXT) : "";
  };
  return {
    digest,
    kind: text("kind"),
    title: text("title"),
    fileName: text("file_name"),
    meeting: text("meeting"),
    state: text("state"),
    onlineSince: text("online_since"),
    // A list may say when, or only that.
    withdrawn: text("withdrawn") || (e.withdrawn ? "1" : ""),
    replacedBy: text("replaced_by"),
    page: pageAddress(text("page"), base),
    proof: typeof e.ots === "string" ? unbase64(e.ots) : null,
  };
}

/** The address of a document's page, "" if it is not one below the register's own. */
function pageAddress(page: string, base: URL | null): string {
  if (!base || !page) return "";
  try {
    const u = new URL(page.replace(/^\/+/, ""), base);
    return u.href.startsWith(base.href) ? u.href : "";
  } catch {
    return "";
  }
}

function unbase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}
