/**
 * `--network`: what a machine may reach, who serves its network, or both, as in `passt,loopback`.
 *
 * @module
 */
import { InvalidArgumentError } from "commander"
import { POLICIES, type Policy, PROVIDERS, type Provider } from "../machine/schema.ts"

export interface NetworkChoice {
  readonly networkPolicy?: Policy
  readonly network?: Provider
}

/** Throws commander's error, which names the option. */
export function parseNetwork(text: string): NetworkChoice {
  const words = text.split(",")
  const networkPolicy = POLICIES.find((policy) => words.includes(policy))
  const network = PROVIDERS.find((provider) => words.includes(provider))
  const known = words.filter((word) => word === networkPolicy || word === network)
  if (known.length !== words.length)
    throw new InvalidArgumentError(`Allowed choices are ${[...POLICIES, ...PROVIDERS].join(", ")}`)
  return {
    ...(networkPolicy === undefined ? {} : { networkPolicy }),
    ...(network === undefined ? {} : { network }),
  }
}
