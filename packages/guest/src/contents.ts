/**
 * What the guest's root and its initial RAM disk hold: files of Debian packages, our own, and the links between them.
 * Pure: entries in, entries out.
 *
 * @module
 */
import { posix } from "node:path"
import { SidecarError } from "@skep/contract"
import * as elf from "./elf.ts"
import type { Kernel } from "./kernel.ts"
import type { Sources } from "./sources.ts"
import { directory, type Entry, file, link } from "./tree.ts"

const CERTIFICATES = "usr/share/ca-certificates/"
const BUSYBOX = "usr/bin/busybox"
const EMPTY = [
  "dev",
  "home",
  "mnt",
  "opt",
  "proc",
  "root",
  "run",
  "srv",
  "sys",
  "usr/local/bin",
  "usr/local/sbin",
  "var/lib/containerd",
  "var/lib/docker",
  "var/lib/skep",
  "var/log",
]
/** `/usr` is merged, as Debian has it. */
const MERGED = ["bin", "sbin", "lib", "lib64"]
/** Where programs look for these, whatever their PATH. */
const SYSTEM_APPLETS = ["halt", "init", "insmod", "modprobe", "poweroff", "reboot"]
/** The kernel's older tables: a third less time for each rule (7.5 against 11.5 ms, emulated), and dockerd sets seventy at start. */
const IPTABLES = [
  "iptables",
  "iptables-save",
  "iptables-restore",
  "ip6tables",
  "ip6tables-save",
  "ip6tables-restore",
]
const INITIAL_APPLETS = ["insmod", "mkdir", "mount", "sh", "switch_root", "usleep"]

/** Returns the entries of the root. Throws "image-build-failed" if a program misses a library. */
export function root(packaged: readonly Entry[], kernel: Kernel, sources: Sources): readonly Entry[] {
  const tree = new Map<string, Entry>()
  const put = (entry: Entry): void => {
    tree.set(entry.path, entry)
  }
  for (const entry of packaged) if (!entry.path.startsWith(CERTIFICATES)) put(entry)
  put(file("etc/ssl/certs/ca-certificates.crt", 0o644, certificates(packaged)))
  for (const entry of kernel.tree) put(entry)
  for (const name of sources.applets) {
    if (!tree.has(`usr/bin/${name}`) && !tree.has(`usr/sbin/${name}`)) put(link(`usr/bin/${name}`, "busybox"))
  }
  for (const name of SYSTEM_APPLETS) put(link(`usr/sbin/${name}`, "../bin/busybox"))
  for (const name of IPTABLES) put(link(`usr/sbin/${name}`, "xtables-legacy-multi"))
  for (const name of MERGED) put(link(name, `usr/${name}`))
  put(link("etc/mtab", "../proc/self/mounts"))
  put(link("var/run", "../run"))
  for (const path of EMPTY) put(directory(path))
  for (const path of ["tmp", "var/tmp"]) put(directory(path, 0o1777))
  for (const entry of sources.root) put(entry)
  checkLibraries([...tree.values()])
  return [...tree.values()]
}

/** Returns the entries of the initial RAM disk: a shell and what it takes to mount the root. */
export function initial(packaged: readonly Entry[], kernel: Kernel, sources: Sources): readonly Entry[] {
  const busybox = packaged.find((entry) => entry.path === BUSYBOX)
  if (busybox?.type !== "file")
    throw new SidecarError("image-build-failed", "Cannot build the guest image: there is no busybox")
  const name = (path: string): string => posix.basename(path)
  return [
    file("init", 0o755, sources.init),
    file("bin/busybox", 0o755, busybox.data),
    ...INITIAL_APPLETS.map((applet) => link(`bin/${applet}`, "busybox")),
    ...["dev", "layer", "lower", "newroot", "proc", "sys"].map((path) => directory(path)),
    ...kernel.initial.map((module) => file(`modules/${name(module.path)}`, 0o644, module.data)),
    file("modules/order", 0o644, kernel.initial.map((module) => `${name(module.path)}\n`).join("")),
  ]
}

/** One file of all certificate authorities, as update-ca-certificates makes it. */
function certificates(packaged: readonly Entry[]): Buffer {
  const each = packaged.flatMap((entry) =>
    entry.type === "file" && entry.path.startsWith(CERTIFICATES) ? [entry] : [],
  )
  return Buffer.concat(each.toSorted((a, b) => (a.path < b.path ? -1 : 1)).map((entry) => entry.data))
}

function checkLibraries(entries: readonly Entry[]): void {
  const present = new Set(entries.map((entry) => posix.basename(entry.path)))
  for (const entry of entries) {
    if (entry.type !== "file") continue
    const missing = elf.neededLibraries(entry.data).find((name) => !present.has(name))
    if (missing !== undefined) {
      throw new SidecarError(
        "image-build-failed",
        `Cannot build the guest image: ${entry.path} needs ${missing}, which no package of the recipe has`,
      )
    }
  }
}
