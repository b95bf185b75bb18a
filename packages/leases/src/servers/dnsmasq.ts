/**
 * dnsmasq, by itself and as libvirt, NetworkManager, Multipass and LXD run it. It has its leases in memory and writes the file from there; SIGHUP has it read its hosts
 * again, but not its leases. What takes a lease away while it runs is the DHCPRELEASE of the client (RFC 2131, section 4.4.6), which anybody on its host may send for it:
 * dhcp_release of dnsmasq-utils does just that.
 *
 * libvirt's dnsmasq (`leasefile-ro`) tells each change to libvirt's script, which writes `virbr*.status`.
 *
 * @module
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type HostProcess, names, processesNamed } from "./programs.ts"
import { sendRelease } from "./release.ts"
import { sameFile } from "./same-file.ts"
import type { LeaseServer, ServerHost } from "./server.ts"

/** Debian's own, and what dnsmasq is built with. */
const DEFAULTS = ["/var/lib/misc/dnsmasq.leases", "/var/db/dnsmasq.leases"]
const CONFIGURATION = "/etc/dnsmasq.conf"
/** Files that name each other have no end. */
const CONFIGURATIONS_MAX = 500

export const dnsmasq: LeaseServer = {
  name: "dnsmasq",
  title: "dnsmasq",
  places: [
    "/var/lib/misc/dnsmasq.leases",
    "/var/lib/NetworkManager/dnsmasq-*.leases",
    "/var/snap/multipass/common/data/multipassd/network/dnsmasq.leases",
    "/var/snap/lxd/common/lxd/networks/*/dnsmasq.leases",
    "/var/lib/incus/networks/*/dnsmasq.leases",
  ],
  whileRunning: "ask",
  next: "Stop dnsmasq, prune, and start it again",
  async isRunning(path, host) {
    if (host.platform !== "linux") return undefined
    return processesNamed("dnsmasq", host.root).some(
      (process) =>
        leaseFilesOf(process).some((file) => sameFile(process.seen(file), path)) || process.hasOpen(path),
    )
  },
  ask: sendRelease,
}

export const libvirt: LeaseServer = {
  name: "libvirt",
  title: "libvirt's dnsmasq",
  places: ["/var/lib/libvirt/dnsmasq/*.status"],
  whileRunning: "ask",
  next: "Stop the network (virsh net-destroy NAME), prune, and start it again (virsh net-start NAME)",
  async isRunning(path, host: ServerHost) {
    if (host.platform !== "linux") return undefined
    const bridge = /([^/]+)\.status$/.exec(path)?.[1]
    const running = processesNamed("dnsmasq", host.root)
    return running.some((process) => {
      const settings = configurationsOf(process).flatMap((file) => settingsOf(process, file))
      const isOf = settings.some(([name, value]) => name === "interface" && value === bridge)
      return isOf && settings.some(([name]) => name === "dhcp-script" || name === "leasefile-ro")
    })
  },
  ask: sendRelease,
}

/** Where that process has its leases; what it says last counts, but a file too many does no harm. */
function leaseFilesOf(process: HostProcess): readonly string[] {
  const said = [
    ...wordsOf(process.words, "dhcp-leasefile", "-l"),
    ...configurationsOf(process).flatMap((file) =>
      settingsOf(process, file).flatMap(([name, value]) => (name === "dhcp-leasefile" ? [value] : [])),
    ),
  ]
  return said.length === 0 ? DEFAULTS : said
}

/** All that it reads: those of its words, or the one that it has unless told, and what each of them names. */
function configurationsOf(process: HostProcess): readonly string[] {
  const { words } = process
  const said = wordsOf(words, "conf-file", "-C")
  const directories = wordsOf(words, "conf-dir", "-7")
  const found = new Set(said.length === 0 ? [CONFIGURATION] : said)
  for (const each of directories.flatMap((value) => filesOf(process, value))) found.add(each)
  // A set that grows is gone through to its end.
  for (const file of found) {
    for (const [name, value] of settingsOf(process, file)) {
      if (found.size >= CONFIGURATIONS_MAX) return [...found]
      if (name === "conf-file") found.add(value)
      if (name === "conf-dir") for (const each of filesOf(process, value)) found.add(each)
    }
  }
  return [...found]
}

/** `DIRECTORY[,EXTENSION…]`: of an extension with `*` only those are read, of another all but those; never what editors and packages leave there. */
function filesOf(process: HostProcess, value: string): readonly string[] {
  const [directory = "", ...extensions] = value.split(",")
  const wanted = extensions.filter((each) => each.startsWith("*")).map((each) => each.slice(1))
  const unwanted = extensions.filter((each) => !each.startsWith("*"))
  return names(process.seen(directory))
    .filter((name) => !/^\.|~$|^#.*#$/.test(name))
    .filter((name) => !unwanted.some((each) => name.endsWith(each)))
    .filter((name) => wanted.length === 0 || wanted.some((each) => name.endsWith(each)))
    .map((name) => join(directory, name))
}

/** `--name=VALUE`, `--name VALUE`, `-nVALUE` and `-n VALUE`. */
function wordsOf(words: readonly string[], name: string, short: string): readonly string[] {
  return words.flatMap((word, index) => {
    if (word === `--${name}` || word === short) return words[index + 1] ?? []
    if (word.startsWith(`--${name}=`)) return word.slice(name.length + 3)
    return word.startsWith(short) && !word.startsWith("--") ? word.slice(short.length) : []
  })
}

function settingsOf(process: HostProcess, file: string): readonly (readonly [string, string])[] {
  let text: string
  try {
    text = readFileSync(process.seen(file), "utf8")
  } catch {
    return []
  }
  return text.split("\n").flatMap((line) => {
    const [, name, value = ""] = /^\s*([a-z-]+)\s*(?:=\s*(.*?))?\s*$/.exec(line) ?? []
    return name === undefined ? [] : [[name, value] as const]
  })
}
