/**
 * The seed: what makes one machine of the image that all share. A small raw disk, attached read-only with the serial
 * `skep-seed`, whose content is a plain tar:
 *
 * ```
 * hostname               one line
 * authorized_keys        who may log in as root
 * ssh_host_ed25519_key   the machine's host key, OpenSSH form, so the host knows it before the first boot
 * vsock_secret           proves to the host that this guest's root asks, not a container  (optional)
 * daemon.json            settings of dockerd                                      (optional)
 * env                    environment of dockerd, shell assignments                (optional)
 * shares                 empty: dockerd waits for the host's directories, if it has containers (optional)
 * boot.local             script run in the background once Docker answers         (optional)
 * ```
 * It holds a private key: the file is readable by its owner only.
 *
 * @module
 */
import { randomUUID } from "node:crypto"
import { rename, rm, writeFile } from "node:fs/promises"
import { pack } from "tar-stream"

/** A multiple of the largest block size that a hypervisor may ask of a raw disk. */
const DISK_GRAIN = 64 * 1024
const PRIVATE = 0o600
const EXECUTABLE = 0o700

export interface Seed {
  readonly hostname: string
  /** Lines of `authorized_keys`. */
  readonly authorizedKeys: readonly string[]
  /** The private Ed25519 key by which the machine proves who it is, in OpenSSH's form. */
  readonly hostKey: string
  /** One line that only this machine's root and its host know: see AGENT.md, port 1026. */
  readonly vsockSecret?: string
  /** Settings of dockerd: laid over the image's own `daemon.json`, key by key. */
  readonly daemon?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
  /** Whether directories of the host will be there: see SHARES.md, `ready`. */
  readonly shares?: boolean
  readonly bootLocal?: string
}

/** The image's own settings of dockerd, as in rootfs/etc/docker/daemon.json. */
export const DAEMON_DEFAULTS: Readonly<Record<string, unknown>> = {
  "storage-driver": "overlay2",
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "shutdown-timeout": 8,
  "log-driver": "json-file",
  "log-opts": { "max-size": "10m", "max-file": "3" },
}

/** Writes the seed disk, whole or not at all, with mode 0600. Equal seeds give equal bytes. */
export async function writeSeed(path: string, seed: Seed): Promise<void> {
  const temporary = `${path}.${randomUUID()}`
  try {
    await writeFile(temporary, await emit(seed), { mode: PRIVATE, flag: "wx" })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Returns the bytes of the seed disk. */
export async function emit(seed: Seed): Promise<Buffer> {
  const archive = pack()
  for (const [name, content] of files(seed)) {
    const mode = name === "boot.local" ? EXECUTABLE : PRIVATE
    archive.entry({ name, mode, mtime: new Date(0), uid: 0, gid: 0 }, content)
  }
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive) {
    if (chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk))
  }
  const bytes = Buffer.concat(chunks)
  return Buffer.concat([bytes, Buffer.alloc((DISK_GRAIN - (bytes.length % DISK_GRAIN)) % DISK_GRAIN)])
}

function files(seed: Seed): readonly (readonly [name: string, content: string])[] {
  const list: [string, string][] = [
    ["hostname", `${seed.hostname}\n`],
    ["authorized_keys", seed.authorizedKeys.map((line) => `${line.trim()}\n`).join("")],
    ["ssh_host_ed25519_key", `${seed.hostKey.trim()}\n`],
  ]
  if (seed.vsockSecret !== undefined) list.push(["vsock_secret", `${seed.vsockSecret}\n`])
  if (seed.daemon !== undefined) {
    list.push(["daemon.json", `${JSON.stringify({ ...DAEMON_DEFAULTS, ...seed.daemon }, null, 2)}\n`])
  }
  if (seed.env !== undefined) list.push(["env", environment(seed.env)])
  if (seed.shares === true) list.push(["shares", ""])
  if (seed.bootLocal !== undefined) list.push(["boot.local", seed.bootLocal])
  return list
}

function environment(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .map(([name, value]) => `${name}='${value.replaceAll("'", `'\\''`)}'\n`)
    .join("")
}
