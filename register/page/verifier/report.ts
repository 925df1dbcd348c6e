// The report on one file: the result in words, the reason, what to do next, every step of the proof
// and the commands that do the same by hand. A person can follow it and print it.

import type { Conclusion } from "./conclude";
import { type Child, el, icon, saveLink } from "./dom";
import type { Entry, Unreachable } from "./lookup";
import { proofIn } from "./proofs";
import { type Block, type Step, type Trust, type Verdict, hex, steps } from "./verifier";
import { type Key, type Values, type Words, printable } from "./words";

/** What a report is about. */
export interface Subject {
  name: string; // of the file, "" if only a digest was typed
  size: number;
  digest: string; // SHA-256
  conclusion: Conclusion;
  entry: Entry | null;
  other: Entry | null; // of the document to which the given proof belongs, if it is about another file
  compared: string; // the digest of the document that the file was compared with and is not, or ""
  network: string;
  testNetwork: boolean;
  wantNetwork: string;
  obstacle?: Unreachable; // what the register could not be asked for
  unused: Verdict | null; // of a given proof on which the conclusion does not rest, and that is not good
  proof: Uint8Array | null; // on which the conclusion rests
  proofName: string;
  windows: [name: string, bytes: Uint8Array][]; // that were used
  base: string; // "" without a register
  now: Date;
}

/** How the tool wants its reports. */
export interface Setting {
  words: Words;
  level: number; // of the headings
  documentsLanguage: string; // of titles in the register
}

const MAX_STEPS = 300; // that are shown: a hostile proof has tens of thousands

export function report(s: Subject, set: Setting): HTMLElement {
  const { words } = set;
  const c = s.conclusion;
  const say = (key: Key, more: Values = {}) => words.say(key, { ...valuesOf(s, words), ...more });
  const r = new Report(s, set, say);
  const title = resultText(s, words);
  const heading = el(`h${set.level}` as "h2", { tabindex: "-1" }, icon(c.confirmed ? c.kind : "unconfirmed"), el("span", {}, title[0].toUpperCase() + title.slice(1)));
  return el(
    "article",
    { class: "report", "data-result": c.kind, "data-because": c.because, "data-confirmed": String(c.confirmed) },
    heading,
    el("p", { class: "because" }, say(`because-${c.because}`)),
    el("p", {}, el("strong", {}, words.say("what-next")), el("br"), say(`next-${c.because}`)),
    r.facts(),
    r.remarks(),
    c.verdict?.result === "anchored" && !s.testNetwork && el("p", { class: "note" }, words.say("limits")),
    r.steps(),
    r.byHand(),
    el("p", { class: "note" }, say("checked-at", { time: words.time(s.now) }) + ", " + (s.base ? say("checked-with") : say("checked-offline"))),
  );
}

/** The result, in words that may continue a sentence. */
export function resultText(s: Subject, words: Words): string {
  const c = s.conclusion;
  if (!c.confirmed) return words.say("unconfirmed");
  const parts: string[] = [];
  if (!s.base && c.byGiven && c.kind !== "invalid") parts.push(words.say("offline"));
  parts.push(words.say(`kind-${c.kind}`));
  if (s.testNetwork) parts.push(words.say("test", { network: printable(s.network) }));
  return parts.join(" ");
}

/** What is wrong with a proof, in words that continue a sentence. */
export function why(v: Verdict, words: Words): string {
  const reason = `reason-${v.reason}`;
  let text = words.has(reason) ? words.say(reason, { height: String(v.height ?? v.block?.height ?? ""), proofDigest: v.proofDigest ?? "" }) : v.reason;
  if (v.fault) {
    const fault = `fault-${v.fault.fault}`;
    text += ` (${words.has(fault) ? words.say(fault) : v.fault.fault}, ${v.fault.member ?? v.fault.at})`;
  }
  return text;
}

/** The values that the sentences of a report may name. */
function valuesOf(s: Subject, words: Words): Values {
  const v = s.conclusion.verdict;
  const o = s.obstacle;
  const obstacle = o ? words.say(`obstacle-${o.obstacle}`, { status: o.status }) : "";
  return {
    name: printable(s.name),
    digest: s.digest,
    height: String(v?.block?.height ?? v?.height ?? ""),
    blocks: v?.trust?.blocks ?? 0,
    proofDigest: v?.proofDigest ?? "",
    why: [v && why(v, words), obstacle].filter(Boolean).join("; "),
    obstacle,
    network: printable(s.network),
    want: printable(s.wantNetwork),
    base: s.base,
  };
}

class Report {
  constructor(
    private readonly s: Subject,
    private readonly set: Setting,
    private readonly say: (key: Key, more?: Values) => string,
  ) {}

  /** What is known: the file, the register's entry, the block. */
  facts(): HTMLElement {
    const { s, say } = this;
    const rows: Child[] = [];
    const row = (key: Key, ...children: Child[]) => rows.push(el("div", {}, el("dt", {}, say(key)), el("dd", {}, ...children)));
    if (s.name) row("your-file", el("bdi", {}, printable(s.name)), ` (${this.set.words.size(s.size)})`);
    row("fingerprint", el("code", {}, s.digest));
    if (s.entry) row("in-register", ...this.entry(s.entry));
    if (s.other) row("proof-of", ...this.entry(s.other));
    if (s.compared) row("compared", el("code", {}, printable(s.compared)));
    const v = s.conclusion.verdict;
    if (v?.block) {
      if (v.result === "anchored") row("existed", el("strong", {}, say("before")));
      row("block-time", ...this.blockTime(v.block));
      row("block-hash", el("code", {}, v.block.hash));
      if (v.trust) row("trusted", this.trust(v.trust), s.testNetwork && " ", s.testNetwork && el("strong", {}, say("test-note")));
    }
    return el("dl", {}, ...rows);
  }

  private entry(e: Entry): Child[] {
    const { say } = this;
    const { words, documentsLanguage } = this.set;
    const title = printable(e.title || e.fileName);
    const about = [
      words.kind(e.kind),
      e.title && e.fileName && say("as-file", { name: printable(e.fileName) }),
      e.meeting && say("meeting", { meeting: printable(e.meeting) }),
      e.onlineSince && say("online-since", { date: printable(words.date(e.onlineSince)) }),
    ].filter(Boolean);
    return [
      title && el("bdi", { lang: documentsLanguage }, title),
      title && el("br"),
      about.join(", "),
      e.page && el("br"),
      e.page && el("a", { href: e.page }, say("document-page")),
      e.withdrawn && el("p", {}, say("withdrawn", { date: printable(words.date(e.withdrawn)) })),
      e.replacedBy && el("p", {}, say("replaced", { digest: printable(e.replacedBy) })),
    ].filter((c) => c !== "");
  }

  /** The time of a block, in UTC and as it was in Paris. */
  private blockTime(b: Block): Child[] {
    const { words } = this.set;
    const t = new Date(b.time * 1000);
    const datetime = t.toISOString().replace(".000", "");
    return [
      el("time", { datetime }, words.time(t, "UTC") + " UTC"),
      " (",
      el("time", { datetime }, this.say("paris", { time: words.time(t, "Europe/Paris") })),
      "). ",
      this.say("time-note"),
    ];
  }

  private trust(t: Trust): string {
    return t.checkpoint === undefined
      ? this.say("trusted-work", { difficulty: this.set.words.number(Number(t.difficulty.toPrecision(4))) })
      : this.say("trusted-checkpoint", { checkpoint: t.checkpoint });
  }

  /** What the verdict does not show. */
  remarks(): Child {
    const { say } = this;
    const { unused, conclusion } = this.s;
    const list = conclusion.verdict?.warnings ?? [];
    if (list.length === 0 && !unused) return null;
    const text = (w: (typeof list)[number]) =>
      say(`warn-${w.warning}`, { hash: "hash" in w ? w.hash : "", height: "height" in w && w.height !== undefined ? String(w.height) : "" });
    const texts = new Set(list.slice(0, 50).map(text));
    if (unused) texts.add(say("warn-unused", { why: why(unused, this.set.words) }));
    return el("div", {}, el("strong", {}, say("warnings")), el("ul", {}, ...[...texts].map((t) => el("li", {}, t))));
  }

  /** Every step, from the digest to the header of the block and the work on top of it. */
  steps(): Child {
    const { s, say } = this;
    const v = s.conclusion.verdict;
    const parsed = s.proof && proofIn(s.proof);
    if (!v || !parsed) return null;
    const lines = steps(parsed, MAX_STEPS);
    const item = (text: string, ...values: string[]) => el("li", {}, text, ...values.map((x) => el("code", {}, x)));
    const list = el("ol", {}, item(say("step-digest"), hex(parsed.digest)), ...lines.map((l) => this.step(l)));
    if (lines.length === MAX_STEPS) list.append(item(say("step-more")));
    if (v.block) {
      list.append(
        item(say("step-header", { height: v.block.height }), hex(v.block.header)),
        item(say("step-header-hash"), v.block.hash),
        item(say("step-work", { height: v.block.height })),
      );
    }
    return el("details", {}, el("summary", {}, say("steps")), list);
  }

  private step(l: Step): HTMLElement {
    const { say } = this;
    const parts: Child[] = [];
    const code = (x: string | undefined) => x && parts.push(el("code", {}, x));
    if (l.branch) parts.push(say("step-branch", { branch: l.branch }) + ". ");
    if (l.attestation === "bitcoin") {
      parts.push(say("step-root", { height: String(l.height) }));
      code(l.merkleRoot);
    } else if (l.attestation === "pending") {
      parts.push(say("step-pending", { uri: l.uri ?? "" }));
      code(l.commitment);
    } else if (l.attestation) {
      parts.push(say("step-foreign", { kind: l.attestation }));
      code(l.payload);
    } else if (l.op === "append" || l.op === "prepend") {
      parts.push(say(`step-${l.op}`));
      code(l.argument);
    } else {
      const hash = l.op === "reverse" || l.op === "hexlify" ? "" : l.op!.replace("sha", "SHA-");
      parts.push(hash ? say("step-hash", { hash }) : say("step-other", { op: l.op! }));
      code(l.result);
      if (l.txid) parts.push(say("step-txid"));
      code(l.txid);
    }
    return el("li", { class: `level${Math.min(l.level, 8)}` }, ...parts);
  }

  /** The commands that do the same, and the files that they need. */
  byHand(): HTMLElement {
    const { s, say } = this;
    const file = shellQuote(s.name || (this.set.words.language === "fr" ? "FICHIER" : "FILE"));
    const children: Child[] = [
      el("p", {}, say("by-hand-digest")),
      commands(`sha256sum ${file}`, `shasum -a 256 ${file}`, `Get-FileHash -Algorithm SHA256 -LiteralPath ${powershellQuote(s.name || "FILE")}`),
    ];
    if (s.proof) {
      const links = [
        saveLink(say("save-proof", { name: printable(s.proofName) }), s.proofName, s.proof),
        ...s.windows.map(([name, bytes]) => saveLink(say("save-headers", { name: printable(name) }), name, bytes)),
      ];
      const proof = shellQuote(s.proofName);
      const network = s.network === "mainnet" ? "" : ` --network ${shellQuote(s.network)}`;
      const headers = s.windows.slice(0, 1).map(([name]) => ` --headers ${shellQuote(name)}`).join("");
      children.push(
        el("p", {}, say("by-hand-ancre")),
        el("ul", { class: "save" }, ...links.map((l) => el("li", {}, l))),
        commands(`ancre verify${network}${headers} ${proof}`),
        el("p", {}, say("by-hand-ots")),
        commands(`ots verify ${proof}`),
      );
    }
    return el("details", {}, el("summary", {}, say("by-hand")), ...children);
  }
}

function commands(...lines: string[]): HTMLElement {
  return el("pre", { tabindex: "0" }, el("code", {}, lines.join("\n")));
}

/** A file name as one word of a shell. Signs that cannot be shown cannot be copied either. */
function shellQuote(name: string): string {
  const n = printable(name).replace(/^-/, "./-");
  return /^[\w./-]+$/.test(n) ? n : `'${n.replace(/'/g, "'\\''")}'`;
}

function powershellQuote(name: string): string {
  return `'${printable(name).replace(/'/g, "''")}'`;
}
