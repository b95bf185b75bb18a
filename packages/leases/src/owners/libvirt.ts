/**
 * Machines of libvirt: `/etc/libvirt/qemu/NAME.xml`, and a session's own in `~/.config/libvirt/qemu`. What is looked for has one spelling there, since libvirt writes
 * these files itself.
 *
 * @module
 */
import { join } from "node:path"
import type { Host } from "./host.ts"
import { type Machine, macOfText } from "./machine.ts"

const TOOL = "libvirt"

export function readLibvirt(host: Host): readonly Machine[] {
  const system = { files: host.at("/etc/libvirt/qemu"), run: host.at("/run/libvirt/qemu") }
  const sessions = host.homes.map((home) => ({
    files: join(home, ".config/libvirt/qemu"),
    run: join(home, ".cache/libvirt/qemu/run"),
  }))
  return [system, ...sessions].flatMap(({ files, run }) =>
    host
      .names(TOOL, files)
      .filter((name) => name.endsWith(".xml"))
      .flatMap((file) => {
        const path = join(files, file)
        const text = host.text(TOOL, path)
        const machine = text === undefined ? undefined : libvirtMachine(text, path)
        if (machine === undefined) return []
        return [{ ...machine, running: host.runs(TOOL, [join(run, `${machine.name}.pid`)]) }]
      }),
  )
}

/** Undefined for what describes no machine. */
export function libvirtMachine(text: string, path: string): Machine | undefined {
  if (!/<domain[\s>]/.test(text)) return undefined
  const name = /<name>([^<]+)<\/name>/.exec(text)?.[1]
  if (name === undefined) return undefined
  const macs = [...text.matchAll(/<mac address=['"]([^'"]+)['"]/g)]
    .map(([, mac = ""]) => macOfText(mac))
    .filter((mac) => mac !== undefined)
  const plain = unescaped(name)
  return {
    tool: TOOL,
    name: plain,
    path,
    macs,
    macsComplete: true,
    hostNames: [plain],
    addresses: [],
  }
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" }

function unescaped(text: string): string {
  return text.replaceAll(/&(lt|gt|amp|quot|apos);/g, (whole, name: string) => ENTITIES[name] ?? whole)
}
