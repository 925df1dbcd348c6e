// Making elements. Text from outside gets into the page here only, and as text: there is no way to
// pass HTML.

export type Child = Node | string | null | false;

/** Makes an element with attributes and children. A string is text. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | true> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value === true ? "" : value);
  e.append(...children.filter((c) => c !== null && c !== false));
  return e;
}

/** The shapes of the icons, on a square of 24. Each is as clear without its colour. */
const shapes = {
  anchored: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM7 12.5l3.5 3.5L17.5 8.5", // a tick
  pending: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM12 6v6l4 3", // a clock
  unknown: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM9 9.5a3 3 0 1 1 4 2.8c-.7.3-1 .8-1 1.7M12 17v.5", // a question mark
  invalid: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM8 8l8 8M16 8l-8 8", // a cross
  unconfirmed: "M12 3L2 21h20L12 3zM12 9v6M12 17.5v.5", // a sign of warning
};

/** Draws an icon. Readers of the screen skip it: the words beside it say the same. */
export function icon(name: keyof typeof shapes): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shapes[name]);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return svg;
}

/** A link that saves bytes which the page has already: nothing is asked for. */
export function saveLink(text: string, name: string, bytes: Uint8Array): HTMLAnchorElement {
  const address = URL.createObjectURL(new Blob([bytes as BlobPart], { type: "application/octet-stream" }));
  return el("a", { href: address, download: name }, text);
}
