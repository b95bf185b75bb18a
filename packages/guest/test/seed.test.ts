/** writeSeed(): content, mode, reproducibility. */
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { extract } from "tar-stream"
import { expect, test } from "vitest"
import { DAEMON_DEFAULTS, type Seed, writeSeed } from "../src/index.ts"
import { emit } from "../src/seed.ts"

const SMALL: Seed = {
  hostname: "hive",
  authorizedKeys: ["ssh-ed25519 AAAA me"],
  hostKey: "-----BEGIN OPENSSH…-----\n",
}
const WHOLE: Seed = {
  ...SMALL,
  daemon: { debug: true },
  env: { NAME: "it's" },
  shares: true,
  bootLocal: "echo hello\n",
}

async function files(disk: Buffer): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  const archive = extract()
  archive.on("entry", (header, body, next) => {
    const chunks: Uint8Array[] = []
    body.on("data", (chunk: unknown) => chunks.push(chunk as Uint8Array))
    body.on("end", () => {
      found.set(`${header.name} ${header.mode.toString(8)} ${header.uid}`, Buffer.concat(chunks).toString())
      next()
    })
  })
  await pipeline(Readable.from([disk]), archive)
  return found
}

test("emit() holds what is given and nothing else", async () => {
  expect(await files(await emit(SMALL))).toEqual(
    new Map([
      ["hostname 600 0", "hive\n"],
      ["authorized_keys 600 0", "ssh-ed25519 AAAA me\n"],
      ["ssh_host_ed25519_key 600 0", "-----BEGIN OPENSSH…-----\n"],
    ]),
  )
})

test("emit() lays the daemon's settings over the image's own and quotes the environment", async () => {
  const found = await files(await emit(WHOLE))
  expect(JSON.parse(found.get("daemon.json 600 0") ?? "")).toEqual({ ...DAEMON_DEFAULTS, debug: true })
  expect(found.get("env 600 0")).toBe("NAME='it'\\''s'\n")
  expect(found.get("boot.local 700 0")).toBe("echo hello\n")
  expect(found.get("shares 600 0")).toBe("")
})

test("emit() gives equal bytes for equal seeds, in whole blocks of a disk", async () => {
  const disk = await emit(WHOLE)
  expect(await emit(WHOLE)).toEqual(disk)
  expect(disk.length % 65_536).toBe(0)
})

test("writeSeed() writes for the owner only, replaces, and leaves no other file", async () => {
  const directory = await mkdtemp(join(tmpdir(), "skep-seed-"))
  try {
    const path = join(directory, "seed.img")
    await writeSeed(path, SMALL)
    await writeSeed(path, WHOLE)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readFile(path)).toEqual(await emit(WHOLE))
    expect(await readdir(directory)).toEqual(["seed.img"])
    await expect(writeSeed(join(directory, "no/seed.img"), SMALL)).rejects.toMatchObject({ code: "ENOENT" })
  } finally {
    await rm(directory, { recursive: true })
  }
})

test("DAEMON_DEFAULTS are what the image holds", async () => {
  const text = await readFile(new URL("../rootfs/etc/docker/daemon.json", import.meta.url), "utf8")
  expect(JSON.parse(text)).toEqual(DAEMON_DEFAULTS)
})
