/**
 * `--network`: what a machine may reach, who serves its network and how its frames get there, any of them, as in `passt,loopback` or `skep,stream`.
 *
 * @module
 */
import { resolve } from "node:path"
import { InvalidArgumentError } from "commander"
import {
  LINKS,
  type NetworkLink,
  POLICIES,
  type Policy,
  PROVIDERS,
  type Provider,
} from "../machine/schema.ts"

export interface NetworkChoice {
  readonly networkPolicy?: Policy
  readonly network?: Provider
  readonly networkLink?: NetworkLink
  /** Where gvproxy is chosen: the program that `SKEP_GVPROXY` names. */
  readonly gvproxy?: string
}

/** Throws commander's error, which names the option. */
export function parseNetwork(text: string, environment: NodeJS.ProcessEnv = process.env): NetworkChoice {
  const words = text.split(",")
  const networkPolicy = POLICIES.find((policy) => words.includes(policy))
  const network = PROVIDERS.find((provider) => words.includes(provider))
  const networkLink = LINKS.find((link) => words.includes(link))
  const known = words.filter((word) => word === networkPolicy || word === network || word === networkLink)
  if (known.length !== words.length)
    throw new InvalidArgumentError(`Allowed choices are ${[...POLICIES, ...PROVIDERS, ...LINKS].join(", ")}`)
  if (networkLink !== undefined && network !== undefined && network !== "skep")
    throw new InvalidArgumentError(`${networkLink} is a way to Skep's network, and not to ${network}`)
  const gvproxy = network === "gvproxy" ? environment["SKEP_GVPROXY"] : undefined
  return {
    ...(networkPolicy === undefined ? {} : { networkPolicy }),
    ...(network === undefined ? {} : { network }),
    ...(networkLink === undefined ? {} : { networkLink }),
    ...(gvproxy === undefined ? {} : { gvproxy: resolve(gvproxy) }),
  }
}
