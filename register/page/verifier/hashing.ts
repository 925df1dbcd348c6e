// Hashing a file in the browser: the fastest way that this browser and this file allow.
//
//   - crypto.subtle, for SHA-256 of files that fit into memory, where it exists (not on plain http:),
//   - else a worker that reads the file in pieces,
//   - else the same in the page itself: a page on another origin than its script, or one from a
//     file, may not start a worker.

import { type HashName } from "./verifier";
import { type Message, type Task, hashPieces } from "./worker";

/** How long a worker may take to load before the page hashes by itself. */
const WORKER_START = 10_000;

/** How many bytes the page hashes before it lets the browser draw. */
const PIECE_IN_PAGE = 1 << 20;

/** Is told how many bytes of the file are hashed; null while that is not known. */
export type Progress = (done: number | null) => void;

// Where this script came from: its address, or its text if it stands in the page. Only now, while
// it is loaded, does the browser say so.
const script = typeof document === "undefined" ? null : (document.currentScript as HTMLScriptElement | null);
export const scriptAddress = script?.src ?? "";
const scriptText = script && !script.src ? (script.textContent ?? "") : "";

/** Returns the hash of a file. whole allows to hold all of it in memory. It rejects if the file cannot be read, or if the signal is aborted. */
export async function hashFile(file: Blob, hash: HashName, whole: boolean, progress: Progress, signal: AbortSignal): Promise<Uint8Array> {
  const subtle = globalThis.crypto?.subtle;
  if (hash === "sha256" && subtle && whole) {
    progress(null);
    const bytes = await file.arrayBuffer().catch(() => null); // too large for this device, or unreadable
    signal.throwIfAborted();
    if (bytes) {
      const digest = new Uint8Array(await subtle.digest("SHA-256", bytes));
      signal.throwIfAborted();
      return digest;
    }
  }
  const worker = await startWorker();
  if (worker) return hashInWorker(worker, { file, hash }, progress, signal);
  const tell = async (done: number) => {
    signal.throwIfAborted();
    progress(done);
    await new Promise((drawn) => setTimeout(drawn));
  };
  return hashPieces(file, hash, tell, PIECE_IN_PAGE);
}

/** Starts this script as a worker; null if the browser refuses. */
function startWorker(): Promise<Worker | null> {
  return new Promise((resolve) => {
    let worker: Worker;
    let address = "";
    const end = (w: Worker | null) => {
      clearTimeout(timer);
      if (address) URL.revokeObjectURL(address);
      if (!w) worker?.terminate();
      resolve(w);
    };
    const timer = setTimeout(() => end(null), WORKER_START);
    try {
      if (scriptText) address = URL.createObjectURL(new Blob([scriptText], { type: "text/javascript" }));
      worker = new Worker(address || scriptAddress);
    } catch {
      return end(null);
    }
    worker.onerror = () => end(null);
    worker.onmessage = () => end(worker);
  });
}

function hashInWorker(worker: Worker, task: Task, progress: Progress, signal: AbortSignal): Promise<Uint8Array> {
  const hashed = new Promise<Uint8Array>((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    worker.onerror = (e) => reject(new Error(e.message || "the worker failed"));
    worker.onmessage = (e: MessageEvent<Message>) => {
      const m = e.data;
      if ("done" in m) progress(m.done);
      else if ("digest" in m) resolve(m.digest);
      else if ("error" in m) reject(new Error(m.error));
    };
    worker.postMessage(task);
  });
  return hashed.finally(() => worker.terminate());
}
