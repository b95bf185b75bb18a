/**
 * What `--network` takes: words for what a machine may reach, and for who is its network.
 *
 * @module
 */
import { InvalidArgumentError } from "commander"
import type { Changes } from "../machine/record.ts"

const POLICIES = ["open", "loopback", "restricted"] as const
const PROVIDERS = ["skep", "user"] as const

/** `loopback`, `user`, `restricted,user`. Throws commander's error for anything else. */
export function parseNetwork(text: string): Pick<Changes, "networkPolicy" | "network"> {
  const words = text.split(",")
  const policy = POLICIES.find((each) => words.includes(each))
  const provider = PROVIDERS.find((each) => words.includes(each))
  const known = (policy === undefined ? 0 : 1) + (provider === undefined ? 0 : 1)
  if (known !== words.length) {
    throw new InvalidArgumentError(
      `Allowed choices are ${POLICIES.join(", ")}, and ${PROVIDERS.join(", ")}: one of each at most, with a comma between.`,
    )
  }
  return {
    ...(policy === undefined ? {} : { networkPolicy: policy }),
    ...(provider === undefined ? {} : { network: provider }),
  }
}
