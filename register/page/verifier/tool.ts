// <ancre-verify>: the check tool of the public page, as a custom element. It takes files, has them
// hashed, looks their digests up, has the verifier judge their proofs, and shows one report each.
//
// Without this script the page shows what stands inside the element.
//
//	<ancre-verify
//	  base="https://preuves.example.fr/"  where the register's page is; where this script is, if it is missing
//	  lang="fr"                           fr or en; the page's own, if it is missing
//	  level="3"                           of the headings of reports, 2 if it is missing
//	  network="mainnet"                   refuse a register of another network
//	  digest="…64 digits…"                the document that a file is compared with
//	  documents-lang="fr"                 the language of the documents' titles
//	  offline                             ask no register: everything is picked by hand
//	  timeout="30"                        seconds that the register may take
//	  memory="256"                        MiB up to which a file is hashed as a whole, and not in pieces
//	>sha256sum FILE …</ancre-verify>

import { type Facts, conclude } from "./conclude";
import { el } from "./dom";
import { hashFile, scriptAddress } from "./hashing";
import { type Entry, type List, Lookup, Unreachable, periodsOf } from "./lookup";
import { type Proof, emptyPile, pair, sort } from "./picked";
import { type Setting, type Subject, report, resultText, why } from "./report";
import style from "./tool.css";
import { proofIn } from "./proofs";
import { networkNamed, networkOfWindow } from "./networks";
import { type Verdict, hex, isFault, judge, looksLikeReceipt, parseProof, parseReceipt, unhex } from "./verifier";
import { type Key, type Values, Words, printable } from "./words";
import { joinWindows } from "./windows";
import { serve } from "./worker";

/** A file whose digest is known, or a digest that was typed. */
interface Checked {
  name: string;
  size: number;
  file: File | null;
  digest: Uint8Array; // SHA-256
  digests: string[];
}

/** What the register answered: no list if it could not be asked, no windows if not for them. */
interface Answer {
  list: List | null;
  windows: Map<number, Uint8Array>;
  obstacle?: Unreachable;
}

const PATIENCE = 30; // seconds
const IN_MEMORY = 256; // MiB

// A worker has no elements. It is only there to hash.
const Base = (typeof HTMLElement === "undefined" ? Object : HTMLElement) as typeof HTMLElement;

export class AncreVerify extends Base {
  private words = new Words("en");
  private lookup: Lookup | null = null;
  private pile = emptyPile();
  private kept: Checked[] = []; // without a register: files that wait for a proof or for headers
  private run: AbortController | null = null;
  private parts!: ReturnType<typeof build>;

  connectedCallback(): void {
    if (this.shadowRoot) return; // it was moved
    this.words = new Words(/^fr/i.test(this.closest("[lang]")?.getAttribute("lang") ?? "") ? "fr" : "en");
    if (!this.hasAttribute("offline")) {
      const base = new URL(this.getAttribute("base") ?? ".", this.hasAttribute("base") ? document.baseURI : scriptAddress || document.baseURI);
      if (!base.pathname.endsWith("/")) base.pathname += "/";
      base.search = base.hash = "";
      this.lookup = new Lookup(base, 1000 * Number(this.getAttribute("timeout") ?? PATIENCE));
    }
    this.parts = build(this.words, this.lookup === null);
    const root = this.attachShadow({ mode: "open" });
    root.append(this.parts.whole);
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(style);
      root.adoptedStyleSheets = [sheet];
    } catch {
      // An old browser shows the tool without our style. The policy allows no other way to set it.
    }
    this.listen();
  }

  private listen(): void {
    const { input, drop, form, digest, cancel, again } = this.parts;
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      input.value = ""; // the same file may be picked again
      void this.take(files);
    });
    drop.addEventListener("dragover", (e) => {
      e.preventDefault();
      drop.classList.add("over");
    });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (e) => {
      e.preventDefault();
      drop.classList.remove("over");
      void this.take([...(e.dataTransfer?.files ?? [])]);
    });
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      void this.takeDigest(digest.value);
    });
    cancel.addEventListener("click", () => this.run?.abort());
    again.addEventListener("click", () => this.restart());
    // What is folded would be missing on paper.
    let opened: HTMLDetailsElement[] = [];
    addEventListener("beforeprint", () => {
      opened = [...this.parts.results.querySelectorAll("details")].filter((d) => !d.open);
      for (const d of opened) d.open = true;
    });
    addEventListener("afterprint", () => {
      for (const d of opened) d.open = false;
    });
  }

  private restart(): void {
    this.run?.abort();
    this.pile = emptyPile();
    this.kept = [];
    this.parts.results.replaceChildren();
    this.parts.after.hidden = true;
    this.announce("");
    this.parts.input.focus();
  }

  /** Checks files, as if they had been picked. */
  async take(files: File[]): Promise<void> {
    if (files.length === 0) return;
    await this.during(async (signal) => {
      await sort(files, this.pile);
      signal.throwIfAborted();
      const documents = this.pile.documents.splice(0);
      const checked: Checked[] = [];
      for (const file of documents) {
        try {
          checked.push(await this.hash(file, signal));
        } catch (e) {
          signal.throwIfAborted();
          this.pile.unreadable.push({ name: file.name, why: e instanceof Error ? e.message : String(e) });
        }
      }
      return checked;
    });
  }

  /** Checks a digest that was typed. */
  async takeDigest(text: string): Promise<void> {
    const { digest, error } = this.parts;
    const typed = text.replace(/\s/g, "").toLowerCase();
    const bytes = typed.length === 64 ? unhex(typed) : null;
    error.textContent = bytes ? "" : this.words.say("typed-bad", { n: typed.length });
    digest.setAttribute("aria-invalid", String(!bytes));
    if (!bytes) {
      digest.focus();
      return;
    }
    await this.during(() => Promise.resolve([{ name: "", size: 0, file: null, digest: bytes, digests: [typed] }]));
  }

  /** Runs a check: what was running ends, and progress is shown until all reports are there. */
  private async during(prepare: (signal: AbortSignal) => Promise<Checked[]>): Promise<void> {
    this.run?.abort();
    const run = (this.run = new AbortController());
    const { results, work, after, print } = this.parts;
    results.replaceChildren();
    after.hidden = true;
    this.announce("");
    try {
      const checked = await prepare(run.signal);
      await this.judgeAll(checked, run.signal);
    } catch (e) {
      if (this.run !== run) return; // another check has begun
      if (this.lookup) this.pile = emptyPile(); // a proof must not meet the next file
      this.announce(run.signal.aborted ? this.words.say("cancelled") : String(e));
    }
    if (this.run !== run) return;
    const lostFocus = work.contains(this.shadowRoot!.activeElement);
    work.hidden = true;
    print.hidden = results.childElementCount === 0;
    after.hidden = print.hidden && this.pile.proofs.length + this.pile.windows.length + this.pile.lists.length === 0;
    const heading = results.querySelector<HTMLElement>("[tabindex]");
    if (lostFocus) (heading ?? this.parts.input).focus();
    heading?.scrollIntoView({ block: "nearest" });
  }

  private async hash(file: File, signal: AbortSignal): Promise<Checked> {
    const { words } = this;
    const name = printable(file.name);
    const size = words.size(file.size);
    const show = (done: number | null) =>
      done === null
        ? this.progress(words.say("hashing-whole", { name, size }))
        : this.progress(words.say("hashing", { name, size, done: words.size(done) }), done, file.size);
    const whole = file.size <= Number(this.getAttribute("memory") ?? IN_MEMORY) * 2 ** 20;
    const digest = await hashFile(file, "sha256", whole, show, signal);
    const digests = [hex(digest)];
    // A proof may be about another hash of the file.
    for (const p of this.pile.proofs) {
      const hash = proofIn(p.bytes)?.hash ?? "sha256";
      if (hash !== "sha256") digests.push(hex(await hashFile(file, hash, false, show, signal)));
    }
    return { name: file.name, size: file.size, file, digest, digests };
  }

  private async judgeAll(fresh: Checked[], signal: AbortSignal): Promise<void> {
    const { words, pile } = this;
    const { results } = this.parts;
    const checked = [...this.kept, ...fresh];
    this.kept = [];
    const { pairs, left } = pair(checked, pile.proofs);
    const subjects: Subject[] = [];
    const notes: string[] = [];
    for (const u of pile.unreadable.splice(0)) notes.push(words.say("unreadable", { name: printable(u.name), why: printable(u.why) }));
    for (const c of checked) {
      this.progress(words.say("checking-proof", { name: printable(c.name) }));
      const proof = pairs.get(c) ?? null;
      const s = await this.judgeOne(c, proof, signal);
      // Without a register, what is missing may be picked next.
      if (!this.lookup && !s.conclusion.confirmed) this.kept.push(c);
      subjects.push(s);
      results.append(report(s, this.setting()));
    }
    for (const p of left) notes.push(this.alone(p));
    // With a register, a proof is used once. One that cannot be read is of no use at all.
    pile.proofs = (this.lookup ? left : pile.proofs).filter((p) => p.digest);
    if (subjects.length === 0 && notes.length === 0) notes.push(words.say("got-data", { n: pile.windows.length + pile.lists.length }));
    if (subjects.length === 1) {
      const [s] = subjects;
      notes.push(words.say("finished", { name: printable(s.name) || s.digest, result: resultText(s, words) }));
    } else if (subjects.length > 1) notes.push(words.say("finished-many", { n: subjects.length }));
    this.announce(notes.join(" "));
  }

  /** What is said of a proof without a file. */
  private alone(p: Proof): string {
    const { words } = this;
    const name = printable(p.name);
    if (p.digest) return words.say("need-file", { name, digest: p.digest });
    const parsed = looksLikeReceipt(p.bytes) ? parseReceipt(p.bytes) : parseProof(p.bytes);
    const v = { reason: "malformed", fault: isFault(parsed) ? parsed : undefined } as Verdict;
    return words.say("bad-proof", { name, why: why(v, words) });
  }

  private setting(): Setting {
    const level = Math.min(6, Math.max(2, Number(this.getAttribute("level") ?? 2) || 2));
    return { words: this.words, level, documentsLanguage: this.getAttribute("documents-lang") ?? "fr" };
  }

  /** Asks the register, has the proofs judged, and concludes. */
  private async judgeOne(c: Checked, given: Proof | null, signal: AbortSignal): Promise<Subject> {
    const digest = c.digests[0];
    const asked = await this.ask(digest, signal);
    const entry = asked.list?.entries.get(digest) ?? null;
    const networkName = asked.list?.network ?? this.networkOfPile();
    const about = (proof: Uint8Array) => this.windowsFor(proof, asked.windows);
    const judged = (proof: Uint8Array, hashed: Uint8Array): Verdict | null => {
      const network = networkNamed(networkName);
      const windows = about(proof).map(([, bytes]) => bytes);
      return network ? judge({ digest: hashed, proof, windows, now: Date.now() / 1000, network }) : null;
    };
    const compared = this.getAttribute("digest") ?? "";
    const unlike = compared !== "" && compared !== digest;
    const facts: Facts = {
      register: asked.list ? { entry, network: networkName } : (asked.obstacle ?? null),
      wantNetwork: this.getAttribute("network") ?? "",
      unlike,
      given: given && judged(given.bytes, unhex(c.digests.find((d) => d === given.digest) ?? digest)!),
      listed: entry?.proof ? judged(entry.proof, c.digest) : null,
    };
    const conclusion = conclude(facts);
    const { given: own } = facts;
    const proof = conclusion.verdict && (conclusion.byGiven ? given!.bytes : entry!.proof);
    return {
      name: c.name,
      size: c.size,
      digest,
      conclusion,
      entry,
      network: networkName,
      testNetwork: networkNamed(networkName)?.test ?? false,
      wantNetwork: facts.wantNetwork,
      compared: unlike ? compared : "",
      other: conclusion.because === "other-file" ? await this.entryOf(conclusion.verdict!.proofDigest ?? "", signal) : null,
      obstacle: asked.obstacle,
      unused: own && own.result !== "anchored" && !conclusion.byGiven ? own : null,
      proof,
      proofName: conclusion.byGiven ? given!.name : `${c.name || digest}.ots`,
      windows: proof ? joined(about(proof)) : [],
      base: this.lookup?.base.href ?? "",
      now: new Date(),
    };
  }

  /** Asks the register for a digest. The questions are the same for all with its first byte. */
  private async ask(digest: string, signal: AbortSignal): Promise<Answer> {
    const { words, lookup } = this;
    const answer: Answer = { list: null, windows: new Map() };
    if (!lookup) {
      answer.list = this.pile.lists.find((l) => l.entries.has(digest)) ?? null;
      return answer;
    }
    try {
      const first = digest.slice(0, 2);
      this.progress(words.say("looking-up", { first }));
      answer.list = await lookup.list(first, signal);
      answer.windows = await lookup.windows(answer.list, signal, (done, of) =>
        this.progress(words.say("getting-headers", { done, of }), done, of),
      );
    } catch (e) {
      signal.throwIfAborted();
      if (!(e instanceof Unreachable)) throw e;
      answer.obstacle = e;
    }
    return answer;
  }

  /** What the register says of another digest; null if it cannot say or does not list it. */
  private async entryOf(digest: string, signal: AbortSignal): Promise<Entry | null> {
    if (!this.lookup || !/^[0-9a-f]{64}$/.test(digest)) return null;
    const list = await this.lookup.list(digest.slice(0, 2), signal).catch(() => null);
    signal.throwIfAborted();
    return list?.entries.get(digest) ?? null;
  }

  /** The windows for a proof: the register's that it needs, and all that were picked. */
  private windowsFor(proof: Uint8Array, windows: Map<number, Uint8Array>): [string, Uint8Array][] {
    const found: [string, Uint8Array][] = [...this.pile.windows];
    for (const p of periodsOf(proofIn(proof))) {
      const w = windows.get(p);
      if (w) found.push([`${p}.headers`, w]);
    }
    return found;
  }

  /** Without a register, the network is the one of the headers that were picked. */
  private networkOfPile(): string {
    for (const [, bytes] of this.pile.windows) {
      const n = networkOfWindow(bytes);
      if (n) return n;
    }
    return "mainnet";
  }

  private progress(text: string, done?: number, of?: number): void {
    const { work, doing, bar } = this.parts;
    work.hidden = false;
    doing.textContent = text;
    if (done === undefined || !of) bar.removeAttribute("value");
    else bar.value = done / of;
  }

  private announce(text: string): void {
    this.parts.status.textContent = text;
  }
}

/** Two windows of which one continues the other become one: ancre verify takes one. */
function joined(windows: [string, Uint8Array][]): [string, Uint8Array][] {
  if (windows.length !== 2) return windows;
  const [[a, first], [b, second]] = windows;
  const whole = joinWindows(first, second);
  return whole ? [[`${a.replace(/\.headers$/, "")}-${b}`, whole]] : windows;
}

/** Makes the elements that stay. */
function build(words: Words, offline: boolean) {
  const say = (key: Key, values: Values = {}) => words.say(key, values);
  const input = el("input", { type: "file", id: "file", multiple: true, "aria-describedby": "hint privacy" });
  const drop = el(
    "div",
    { class: "drop" },
    el("label", { for: "file" }, say("choose")),
    input,
    el("p", { id: "hint" }, say(offline ? "hint-offline" : "hint")),
    el("p", { id: "privacy" }, say(offline ? "privacy-offline" : "privacy")),
  );
  const digest = el("input", { type: "text", id: "digest", autocomplete: "off", spellcheck: "false", maxlength: "200", "aria-describedby": "error" });
  const error = el("p", { id: "error", class: "error" });
  const form = el("form", { novalidate: true }, el("label", { for: "digest" }, say("typed-label")), digest, error, el("button", {}, say("check")));
  const typed = el("details", { class: "typed" }, el("summary", {}, say("typed")), form);
  const doing = el("p", { id: "doing" });
  const bar = el("progress", { "aria-labelledby": "doing" });
  const cancel = el("button", { type: "button" }, say("cancel"));
  const work = el("div", { class: "work", hidden: true }, doing, bar, cancel);
  const status = el("p", { class: "status", role: "status" });
  const results = el("div", { class: "results" });
  const print = el("button", { type: "button" }, say("print"));
  print.addEventListener("click", () => globalThis.print());
  const again = el("button", { type: "button" }, say("again"));
  const after = el("p", { hidden: true }, print, " ", again);
  const whole = el("div", { lang: words.language }, drop, typed, work, status, results, after);
  return { whole, drop, input, form, digest, error, work, doing, bar, cancel, status, results, after, print, again };
}

if (typeof document === "undefined") serve(self as unknown as Parameters<typeof serve>[0]);
else if (globalThis.customElements && !customElements.get("ancre-verify")) customElements.define("ancre-verify", AncreVerify);
