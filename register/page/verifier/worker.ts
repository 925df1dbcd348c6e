// The worker: hashes a file in pieces, so that the page stays usable and memory stays flat. The
// script of the page is also the script of its worker, so there is one file to load and to check.

import { type HashName, newHasher } from "./verifier";

/** What the page asks of the worker. */
export interface Task {
  file: Blob;
  hash: HashName;
}

/** What the worker tells the page: that it runs, how far it is, and the end. */
export type Message = { ready: true } | { done: number } | { digest: Uint8Array } | { error: string };

/** How many bytes are read at a time. */
const PIECE = 4 << 20;

/**
 * Hashes a file piece by piece. The next piece is read while one is hashed. tell is told the number
 * of bytes that are done, and may return a promise to be waited for.
 */
export async function hashPieces(
  file: Blob,
  hash: HashName,
  tell: (done: number) => Promise<void> | void,
  piece = PIECE,
): Promise<Uint8Array> {
  const hasher = newHasher(hash);
  const read = (at: number) => file.slice(at, at + piece).arrayBuffer();
  let next = read(0);
  for (let at = 0; at < file.size; ) {
    const bytes = new Uint8Array(await next);
    if (bytes.length !== Math.min(piece, file.size - at)) throw new Error("the file became shorter while it was read");
    at += bytes.length;
    if (at < file.size) {
      next = read(at);
      next.catch(() => {}); // an error is met where the piece is awaited
    }
    hasher.update(bytes);
    await tell(at);
  }
  return hasher.digest();
}

/** Serves as the worker: one task, then the page ends it. */
export function serve(scope: Pick<Worker, "postMessage"> & { onmessage: ((e: MessageEvent<Task>) => void) | null }): void {
  const post = (m: Message) => scope.postMessage(m);
  scope.onmessage = (e) => {
    hashPieces(e.data.file, e.data.hash, (done) => post({ done })).then(
      (digest) => post({ digest }),
      (error: unknown) => post({ error: String(error) }),
    );
  };
  post({ ready: true });
}
