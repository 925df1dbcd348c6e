// Judges a batch of questions of TestTheBrowserAgrees with the verifier of the page.

import { hex, isFault, judge, parseProof, steps } from "/verifier.js";

const decode = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

const sha256 = async (text) => hex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));

// A line for each step, as stepLines in browser_test.go writes it.
const line = (s) =>
  [s.level, s.branch, s.op, s.argument, s.result, s.attestation, s.uri, s.commitment, s.height, s.merkleRoot, s.tag, s.payload, s.txid, s.transaction]
    .map((x) => (x === undefined ? "" : String(x)))
    .join("|");

globalThis.judgeBatch = async (address, whole) => {
  const networks = await (await fetch("/networks.json")).json();
  const questions = await (await fetch(address)).json();
  return Promise.all(
    questions.map(async (q) => {
      const proof = decode(q.proof);
      const parsed = parseProof(proof);
      const fault = isFault(parsed) ? parsed : null;
      const lines = fault ? "" : steps(parsed).map(line).join("\n");
      const v = judge({
        digest: decode(q.digest),
        proof,
        windows: q.windows.map(decode),
        now: q.now,
        network: networks.find((n) => n.name === q.network),
      });
      return {
        fault: fault?.fault ?? "",
        at: fault?.at ?? 0,
        unsupported: fault?.unsupported ?? false,
        steps: whole ? lines : await sha256(lines),
        complete: !fault && parsed.complete,
        result: v.result,
        reason: v.reason,
        height: v.height === undefined ? "" : String(v.height),
        block: v.block?.hash ?? "",
        checks: await sha256(v.checks.map((c) => `${c.outcome} ${c.reason}`).join("\n")),
        checkList: whole ? v.checks.map((c) => `${c.outcome} ${c.reason}`).join("\n") : "",
        warnings: v.warnings.map((w) => [w.warning, w.reason ?? w.hash, w.height ?? "", w.strong ?? ""].join(" ")).sort().join("\n"),
        trust: v.trust ? `${v.trust.checkpoint ?? -1} ${v.trust.base ?? -1} ${v.trust.blocks} ${v.trust.bits}` : "",
      };
    }),
  );
};
