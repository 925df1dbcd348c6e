// The networks that the page knows.

import list from "./networks.json";
import { type Network, displayed } from "./verifier";

const networks = list as unknown as Network[];

/** Returns the network with a name. */
export function networkNamed(name: string): Network | undefined {
  return networks.find((n) => n.name === name);
}

/** Returns the name of the network that a window claims to be of. */
export function networkOfWindow(window: Uint8Array): string | undefined {
  const genesis = displayed(window.subarray(8, 40));
  return networks.find((n) => n.genesis === genesis)?.name;
}
