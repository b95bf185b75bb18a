/**
 * Key pairs for guests of tests.
 *
 * @module
 */
import ssh2 from "ssh2"

const TRIES = 20

/** One of some three hundred that ssh2 makes cannot be read again: see apps/skep/src/machine/keys.ts. */
export function ed25519Pair(): { readonly private: string; readonly public: string } {
  for (let tries = TRIES; tries > 0; tries--) {
    const pair = ssh2.utils.generateKeyPairSync("ed25519")
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) return pair
  }
  throw new Error("ssh2 makes no key that it can read")
}
