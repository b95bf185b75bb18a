import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { newSshKey } from "../src/ssh-key.ts"

const KEYGEN = "/usr/bin/ssh-keygen"
const directory = mkdtempSync(join(tmpdir(), "key-"))
/** Every length that the padding may have. */
const COMMENTS = Array.from({ length: 9 }, (_, index) => "c".repeat(index))

afterAll(() => rmSync(directory, { recursive: true }))

it.each(COMMENTS)("newSshKey(%j) makes a key that OpenSSH reads and signs with", (comment) => {
  const file = join(directory, `key${comment}`)
  const signed = `${file}.sig`
  const { privateKey, publicKey } = newSshKey(comment)
  writeFileSync(file, privateKey, { mode: 0o600 })
  expect(execFileSync(KEYGEN, ["-y", "-f", file], { encoding: "utf8" }).trim()).toBe(publicKey)
  const signature = execFileSync(KEYGEN, ["-Y", "sign", "-q", "-f", file, "-n", "test"], { input: "signed" })
  writeFileSync(signed, signature)
  const check = ["-Y", "check-novalidate", "-n", "test", "-s", signed]
  const said = execFileSync(KEYGEN, check, { input: "signed", encoding: "utf8" })
  expect(said).toMatch(/^Good "test" signature with ED25519 key/)
})

it("newSshKey() makes another key each time", () => {
  expect(new Set(COMMENTS.map(() => newSshKey("").publicKey)).size).toBe(COMMENTS.length)
})
