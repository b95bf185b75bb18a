import { temporaryDirectory } from "@skep/testkit"
import ssh2 from "ssh2"
import { expect, it } from "vitest"
import { createKeys } from "../../src/machine/keys.ts"

const MACHINES = 300

it("createKeys() makes keys that can be read, each time", async () => {
  await using directory = await temporaryDirectory()
  const paths = { identityFile: directory.at("id"), hostKeyFile: directory.at("host") }
  for (let machine = 0; machine < MACHINES; machine++) {
    const { user, host } = await createKeys(paths, "m")
    for (const { privateKey } of [user, host])
      expect(ssh2.utils.parseKey(privateKey)).not.toBeInstanceOf(Error)
  }
})
