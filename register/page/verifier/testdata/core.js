// What the tests of the core call in the browser.

import * as V from "/verifier.js";

const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

// Values as JSON: numbers without bounds as text, bytes as hexadecimal digits.
const plain = (value) => JSON.parse(JSON.stringify(value ?? null, (_, x) => (typeof x === "bigint" ? String(x) : x instanceof Uint8Array ? V.hex(x) : x)));

const question = (q) => ({
  digest: bytes(q.digest),
  proof: bytes(q.proof),
  windows: q.windows.map(bytes),
  now: q.now,
  network: q.network,
});

globalThis.V = V;
globalThis.judgeAll = (questions) => questions.map((q) => plain(V.judge(question(q))));

globalThis.parseReceipts = (receipts) =>
  receipts.map((r) => {
    const parsed = V.parseReceipt(bytes(r));
    if (V.isFault(parsed)) return { fault: plain(parsed) };
    const proof = V.receiptProof(parsed);
    return { version: parsed.version, digest: V.hex(parsed.digest), steps: proof ? V.steps(proof).map((s) => s.result ?? `block ${s.height}`) : null };
  });

const leastOf = (times, f) => {
  let least = Infinity;
  for (let i = 0; i < times; i++) {
    const began = performance.now();
    f();
    least = Math.min(least, performance.now() - began);
  }
  return least;
};

// How many milliseconds a judgement takes: the least of several.
globalThis.timeOf = (q, times) => {
  const asked = question(q);
  return leastOf(times, () => V.judge(asked));
};

// How many it takes to hash the headers of its windows twice.
globalThis.floorOf = (q, times) => {
  const raw = question(q).windows.map((w) => w.subarray(44, -32));
  const sha256 = (bytes) => {
    const h = V.newHasher("sha256");
    h.update(bytes);
    return h.digest();
  };
  return leastOf(times, () => {
    for (const r of raw) for (let i = 0; i < r.length; i += 80) sha256(sha256(r.subarray(i, i + 80)));
  });
};
