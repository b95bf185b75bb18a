/**
 * Whether this host can export at all, and where its NFS server listens: each thing that is missing is told in a sentence with the step that mends it.
 *
 * ```
 *  checkHost   programs there? a kernel with the server? settings that shut machines out?      before root is asked
 *  findServer  rpcbind: NFS and MOUNT of version 3 over TCP                                    before (Linux), after (macOS starts it for exports)
 * ```
 *
 * @module
 */
import { readFile } from "node:fs/promises"
import { release } from "node:os"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import { PROGRAMS, portOf, VERSION_3 } from "./portmap.ts"
import type { ExportsSystem } from "./system.ts"

/** Ports of 127.0.0.1. */
export interface ServerPorts {
  readonly nfs: number
  readonly mount: number
}

/** What is asked of the host beside its exports. */
export interface ServerHost {
  /** `/`, below which the kernel's own files are. */
  readonly root?: string
  /** Of the kernel, as `uname -r`. */
  readonly release?: string
  /** Of rpcbind; 111 unless told. */
  readonly rpcbind?: number
}

const INSTEAD = "Say --share-protocol nfs: Skep's own server needs nothing of this host"

/** Throws "host-program-missing" and "unsupported". Looks only at what any user may read. */
export async function checkHost(system: ExportsSystem, host: ServerHost = {}): Promise<void> {
  if (system.platform === "macos") await checkMacos(system)
  else await checkLinux(system, host)
}

/** Where the server listens. Throws "not-running" where it does not run, "unreachable" where no rpcbind tells. */
export async function findServer(
  { platform }: Pick<ExportsSystem, "platform">,
  signal: AbortSignal,
  { rpcbind }: ServerHost = {},
): Promise<ServerPorts> {
  const find = async (program: number): Promise<number | undefined> =>
    await portOf({ program, version: VERSION_3, ...(rpcbind === undefined ? {} : { rpcbind }) }, signal)
  try {
    const [nfs, mount] = await Promise.all([find(PROGRAMS.nfs), find(PROGRAMS.mount)])
    if (nfs === undefined) throw notRunning(platform)
    if (mount === undefined) throw withoutMount(platform)
    return { nfs, mount }
  } catch (error) {
    if (error instanceof SidecarError && error.code === "unreachable") {
      throw new SidecarError("unreachable", `Cannot find this host's NFS server: ${lastOf(error.message)}`, {
        cause: error,
        next: platform === "macos" ? START_MACOS : "sudo systemctl start rpcbind nfs-server",
      })
    }
    throw error
  }
}

const START_MACOS =
  "sudo nfsd enable, or where that does not do: sudo launchctl kickstart -k system/com.apple.nfsd"

function notRunning(platform: ExportsSystem["platform"]): SidecarError {
  const next = platform === "macos" ? START_MACOS : "sudo systemctl start nfs-server"
  return new SidecarError("not-running", "Cannot export anything: the NFS server of this host does not run", {
    next: `${next}. ${INSTEAD}`,
  })
}

function withoutMount(platform: ExportsSystem["platform"]): SidecarError {
  const next =
    platform === "macos" ? START_MACOS : "sudo systemctl start nfs-mountd, and see vers3 in /etc/nfs.conf"
  return new SidecarError(
    "not-running",
    "Cannot export anything: this host's NFS server has no mountd of version 3",
    { next: `${next}. ${INSTEAD}` },
  )
}

async function checkLinux(
  { run }: ExportsSystem,
  { root = "/", release: kernel = release() }: ServerHost,
): Promise<void> {
  if (!(await hasNfsd(root, kernel))) {
    throw new SidecarError(
      "unsupported",
      `Cannot export anything: the kernel of this host (${kernel}) has no NFS server`,
      { next: INSTEAD },
    )
  }
  // Its version: writes nothing, and needs no root.
  await run("exportfs", ["-h"]).catch((error: unknown) => {
    if (error instanceof SidecarError && error.code === "host-program-missing") throw error
  })
}

/** In use, built in, or there to be loaded. */
async function hasNfsd(root: string, kernel: string): Promise<boolean> {
  const modules = join(root, "lib/modules", kernel)
  const texts = await Promise.all(
    [join(root, "proc/filesystems"), join(modules, "modules.builtin"), join(modules, "modules.dep")].map(
      textOf,
    ),
  )
  const [systems = "", ...lists] = texts
  return (
    /^nodev\s+nfsd$/m.test(systems) || lists.some((list) => /(?:^|\/)nfsd\.ko(?:\.\w+)?(?::|$)/m.test(list))
  )
}

async function checkMacos({ etc, run }: ExportsSystem): Promise<void> {
  await run("nfsd", ["status"]).catch((error: unknown) => {
    // It fails where the server is off, which an export mends.
    if (error instanceof SidecarError && error.code === "host-program-missing") throw error
  })
  // nfs.conf(5): the last word counts. A machine's mount comes from a high port, through the network of its host.
  const words = [...(await textOf(join(etc, "nfs.conf"))).matchAll(RESERVED)]
  if (words.at(-1)?.[1] === "0") return
  throw new SidecarError(
    "unsupported",
    `Cannot export to machines: this host's NFS server takes mounts from privileged ports only`,
    {
      next: `echo 'nfs.server.mount.require_resv_port = 0' | sudo tee -a ${join(etc, "nfs.conf")} && sudo nfsd restart`,
    },
  )
}

const RESERVED = /^\s*nfs\.server\.mount\.require_resv_port\s*=\s*(\d+)/gm

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8")
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return ""
  }
}

function lastOf(message: string): string {
  return message.slice(message.indexOf(": ") + 2)
}
