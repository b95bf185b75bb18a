import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { dnsmasq } from "../../src/servers/dnsmasq.ts"

let directory: TemporaryDirectory
beforeEach(async () => {
  directory = await temporaryDirectory()
  put("srv/lan.leases")
})
afterEach(async () => await directory[Symbol.asyncDispose]())

function put(path: string, text = ""): void {
  mkdirSync(dirname(directory.at(path)), { recursive: true })
  writeFileSync(directory.at(path), text)
}

/** A host on which one dnsmasq runs, started with these words. */
async function runs(...words: readonly string[]): Promise<boolean | undefined> {
  put("proc/42/comm", "dnsmasq\n")
  put("proc/42/cmdline", ["/usr/sbin/dnsmasq", ...words].map((word) => `${word}\0`).join(""))
  const host = { run: async () => "", root: directory.path, platform: "linux" } as const
  return await dnsmasq.isRunning(directory.at("srv/lan.leases"), host, new AbortController().signal)
}

const SETTING = "dhcp-leasefile=/srv/lan.leases\n"

describe("dnsmasq has a lease file that", () => {
  it("its words name, or the configuration that it has unless told", async () => {
    expect(await runs()).toBe(false)
    expect(await runs("--dhcp-leasefile=/srv/lan.leases")).toBe(true)
    put("etc/dnsmasq.conf", SETTING)
    expect(await runs()).toBe(true)
    expect(await runs("-C", "/etc/other.conf")).toBe(false)
  })

  it("a file of a directory names, as Debian starts it, but none that is not read", async () => {
    const debian = ["-x", "/run/dnsmasq/dnsmasq.pid", "-7", "/etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new"]
    for (const name of ["lan.dpkg-old", "lan~", ".lan", "#lan#"]) put(`etc/dnsmasq.d/${name}`, SETTING)
    expect(await runs(...debian)).toBe(false)
    put("etc/dnsmasq.d/lan.conf", SETTING)
    expect(await runs(...debian)).toBe(true)
    expect(await runs("--conf-dir=/etc/dnsmasq.d,*.conf")).toBe(true)
    expect(await runs("--conf-dir=/etc/dnsmasq.d,*.cfg")).toBe(false)
  })

  it("a configuration names that another one names, also where they go round in circles", async () => {
    put("etc/dnsmasq.conf", "conf-file=/etc/one.conf\n")
    put("etc/one.conf", "conf-file=/etc/dnsmasq.conf\nconf-dir=/etc/more\n")
    expect(await runs()).toBe(false)
    put("etc/more/two.conf", SETTING)
    expect(await runs()).toBe(true)
  })

  it("is open in it, whatever its configuration says", async () => {
    mkdirSync(directory.at("proc/42/fd"), { recursive: true })
    symlinkSync(directory.at("srv/lan.leases"), directory.at("proc/42/fd/5"))
    expect(await runs()).toBe(true)
  })
})
