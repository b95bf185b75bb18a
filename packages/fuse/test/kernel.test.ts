/**
 * This host's kernel and its programs on a session.
 *
 * @module
 */
import { memoryFileSystem } from "@skep/vfs"
import { describe, expect, it } from "vitest"
import { CACHED, CONSISTENT, DELEGATED, type FuseSessionOptions } from "../src/index.ts"
import { mountHere, unavailable } from "./kernel-mount.ts"

const why = unavailable()

async function on(
  script: string,
  options: Partial<FuseSessionOptions> = {},
): Promise<{ readonly text: string; readonly counts: Readonly<Record<string, number>> }> {
  using fileSystem = memoryFileSystem()
  using mounted = mountHere({ fileSystem, policyOf: () => CACHED, ...options })
  const text = await mounted.run(script)
  return { text: text.trim(), counts: mounted.session.counts() }
}

describe.skipIf(why !== undefined)(`this host's kernel${why === undefined ? "" : ` (${why})`}`, () => {
  it.each([
    ["consistent", { policyOf: () => CONSISTENT }],
    ["cached", { policyOf: () => CACHED }],
    ["delegated", { policyOf: () => DELEGATED }],
    ["with write-back", { policyOf: () => DELEGATED, writeback: true }],
    ["with locks of the host", { locks: "host" as const }],
    ["direct", { policyOf: () => ({ ...CONSISTENT, direct: true }) }],
  ])("finds files as it left them: %s", async (_what, options) => {
    const { text, counts } = await on(
      `
      mkdir -p a/b; echo one > a/b/f; echo two >> a/b/f; cat a/b/f
      ln a/b/f a/l; ln -s b/f a/s; cat a/s | wc -l; stat -c '%h %s %F' a/l
      mv a/b/f a/g; mv -T a/b a/c; ls a | tr '\\n' ' '; echo
      touch -d '1969-12-31T23:59:58.123456789Z' a/g; stat -c %.9Y a/g
      chmod 4755 a/g; chown 12:34 a/g; stat -c '%u:%g %a' a/g
      mkfifo p; (echo through > p &); cat p; stat -c %F p
      dd if=/dev/urandom of=r bs=100000 count=30 2> /dev/null; cp r r2; cmp r r2 && echo same
      truncate -s 5G sparse; stat -c %s sparse; rm sparse
      fallocate -l 100000 pre; stat -c %s pre
      exec 5> gone; rm gone; echo still >&5; exec 5>&-
      flock r true && echo locked
      rm -r a p r r2 pre; ls | wc -l
      `,
      options,
    )
    expect(text.split("\n")).toEqual([
      "one",
      "two",
      "2",
      "2 8 regular file",
      "c g l s ",
      "-1.876543211",
      "12:34 755",
      "through",
      "fifo",
      "same",
      "5368709120",
      "100000",
      "locked",
      "0",
    ])
    expect(Object.keys(counts).filter((key) => key.startsWith("malformed"))).toEqual([])
  })

  it("shows directories of any size whole, and names of any bytes", async () => {
    const { text } = await on(`
      seq 1 5000 | xargs touch; ls -f | wc -l; ls -l | wc -l; seq 1 2 5000 | xargs rm; ls | wc -l
      touch "$(printf 'b\\303\\050\\377')"; ls -b | tail -1`)
    expect(text.split("\n")).toEqual(["5002", "5001", "2500", String.raw`b\303(\377`])
  })

  it("lets git work", async () => {
    const { text } = await on(`
      export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=b
      git init -q repo; cd repo; seq 1 200 | while read n; do mkdir -p d$((n % 10)); echo $n > d$((n % 10))/f$n; done
      git add -A; git commit -qm one; git status --short | wc -l; cd ..; git clone -q repo clone; cd clone; echo more >> d1/f1
      git status --short; git gc -q; git fsck 2> /dev/null; git log --oneline | wc -l`)
    expect(text.split("\n").map((line) => line.trim())).toEqual(["0", "M d1/f1", "1"])
  })

  it("waits for locks of the host, and hears of signals meanwhile", async () => {
    const { text, counts } = await on(
      `
      mkfifo /tmp/held.$$; exec 4<>/tmp/held.$$; rm /tmp/held.$$
      touch f; mkfifo go; flock f sh -c 'echo held >&4; read line < go; echo first' & read line <&4
      timeout --foreground 0.1 flock f true || echo interrupted
      flock f echo second & echo now > go; wait; wait`,
      { locks: "host" },
    )
    expect(text.split("\n")).toEqual(["interrupted", "first", "second"])
    expect(counts["setlkw"]).toBeGreaterThanOrEqual(3)
    expect(counts).toMatchObject({ waiting: 0, interrupt: 1 })
  })

  it("asks for nothing twice that a policy lets it keep", async () => {
    const script = `mkdir d; echo x > d/f; for i in 1 2 3 4 5 6 7 8; do stat d/f > /dev/null; cat d/f > /dev/null; done`
    const [fresh, kept] = [
      await on(script, { policyOf: () => CONSISTENT }),
      await on(script, { policyOf: () => DELEGATED }),
    ]
    expect(fresh.counts["lookup"]).toBeGreaterThan(16)
    expect(kept.counts["lookup"]).toBeLessThan(5)
    expect(kept.counts["read"] ?? 0).toBeLessThanOrEqual(1)
    expect(fresh.counts["flush"]).toBe(1)
  })
})
