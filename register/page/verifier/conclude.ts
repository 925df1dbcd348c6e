// What is said of a file: one of four results, from what the verifier says of its proofs and what
// the register says of its digest. Pure, like the verifier.
//
// The rules, first to last:
//
//   - A proof that was given with the file is about another file, is damaged or is false: invalid.
//   - The register could not be asked: not confirmed, whatever proof was given. Anybody can anchor
//     any file, so a good proof does not show that the register published it.
//   - The register does not list the digest: unknown, whatever proof was given; or invalid, if the
//     page compares the file with one document.
//   - The register lists it: what its proof, or the given one, is worth in this browser.
//   - No register belongs to the page (it was saved, or is a file): what the given proof is worth.
//
// "Anchored" needs a verdict "anchored" of the verifier. What could not be checked is never called
// authentic: it is unknown (of the register nothing is known) or invalid (a proof that does not
// hold here), and not confirmed.

import type { Entry, Unreachable } from "./lookup";
import type { Verdict } from "./verifier";

export type Kind = "anchored" | "pending" | "unknown" | "invalid";

/** Why. The words are in words.ts, one for each. */
export type Because =
  | "listed-anchored"
  | "given-anchored" // without a register
  | "waiting" // listed, and nothing is proven yet
  | "few-blocks"
  | "promised"
  | "not-listed"
  | "not-listed-anchored" // and the given proof is good
  | "other-file" // the given proof is about another file
  | "other-document" // not listed, and not the document that it is compared with
  | "given-bad"
  | "listed-bad" // the register's proof is not good
  | "no-register" // it could not be asked
  | "other-network" // the register is one of another network than the page wants
  | "no-proof" // without a register nor a proof
  | "listed-unproven" // the register says that there is a proof, and gives none
  | "unchecked"; // the proof can be neither confirmed nor refuted here

/** What is known of a file. */
export interface Facts {
  /** What the register says: its entry, none, why it could not be asked; or that there is none. */
  register: { entry: Entry | null; network: string } | Unreachable | null;
  /** The network of which the register must be, "" if any will do. */
  wantNetwork: string;
  /** The file is compared with a document, and is not that one. */
  unlike: boolean;
  /** Of the proof that was given with the file. */
  given: Verdict | null;
  /** Of the proof in the register's entry. */
  listed: Verdict | null;
}

export interface Conclusion {
  kind: Kind;
  /** False: the check itself could not be done. */
  confirmed: boolean;
  because: Because;
  /** What the conclusion rests on, if on a proof. */
  verdict: Verdict | null;
  /** The verdict is that of the given proof, not of the register's. */
  byGiven: boolean;
}

export function conclude(f: Facts): Conclusion {
  const { given, listed, register } = f;
  const say = (kind: Kind, because: Because, verdict: Verdict | null = null, confirmed = true): Conclusion => ({
    kind,
    confirmed,
    because,
    verdict,
    byGiven: verdict !== null && verdict === given,
  });

  if (given?.result === "invalid") return say("invalid", given.reason === "other-file" ? "other-file" : "given-bad", given);
  if (register && "obstacle" in register) return say("unknown", "no-register", given, false);
  if (register && f.wantNetwork && register.network !== f.wantNetwork) return say("unknown", "other-network", null, false);
  if (register && !register.entry) {
    if (f.unlike) return say("invalid", "other-document", given);
    return given?.result === "anchored" ? say("unknown", "not-listed-anchored", given) : say("unknown", "not-listed", given);
  }

  if (!register && !given) return say("unknown", "no-proof", null, false);
  const anchored = [listed, given].find((v) => v?.result === "anchored");
  if (anchored) return say("anchored", register ? "listed-anchored" : "given-anchored", anchored);
  // The register's proof comes first: it is the newer one.
  const v = listed ?? given;
  if (listed?.result === "invalid") return say("invalid", "listed-bad", listed);
  if (v?.result === "pending" && v.reason === "few-blocks") return say("pending", "few-blocks", v);
  // Anybody can write a promise into a proof. Only the register's list makes it more than that.
  if (v?.result === "pending") return say("pending", "promised", v, register !== null);
  if (v) return say("invalid", "unchecked", v, false);
  const state = register?.entry?.state;
  if (state === "waiting" || state === "pending") return say("pending", "waiting");
  return say("invalid", "listed-unproven", null, false);
}
