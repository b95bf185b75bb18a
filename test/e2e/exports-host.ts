/**
 * A host that exports, in namespaces of its own: the real exportfs with an /etc/exports.d and a table of its own, the real rpcbind, and in the place of the
 * kernel's nfsd, which few kernels of test hosts have, nfs-ganesha with the same exports to the same address.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Program, startProgram } from "@skep/testkit"
import { expect } from "vitest"
import { type Outcome, type RunOptions, run } from "./skep.ts"

/** Mounts of this namespace alone; then rpcbind, in the foreground as the last child of its own init. */
const INSIDE = `
set -e
ip link set lo up
mount --make-rprivate /
mkdir -p /etc/exports.d && touch /etc/exports
mount --bind "$0/etc/exports.d" /etc/exports.d
mount --bind "$0/etc/exports" /etc/exports
mount --bind "$0/nfs" /var/lib/nfs
mount --bind "$0/filesystems" /proc/filesystems
mount -t tmpfs tmpfs /run && mkdir /run/ganesha
echo ready
exec rpcbind -f -w`

export interface ExportsHost extends AsyncDisposable {
  /** Runs a program on it to its end. */
  run(file: string, args: readonly string[], options?: RunOptions): Promise<Outcome>
  /** Starts the NFS server, with these directories for one client. */
  serve(directories: readonly string[], client: string): Promise<void>
  /** nfs-utils' own table: a path, a blank, a client and its options. */
  table(): readonly string[]
  /** Names in /etc/exports.d. */
  files(): readonly string[]
}

/** Why there can be none here, or undefined. */
export function whyNoExportsHost(): string | undefined {
  if (process.getuid?.() !== 0) return "only root has namespaces"
  const absent = ["exportfs", "rpcbind", "rpcinfo", "ganesha.nfsd", "nsenter", "unshare"].filter(
    (program) => !["/usr/sbin", "/usr/bin", "/sbin", "/bin"].some((bin) => existsSync(join(bin, program))),
  )
  if (absent.length > 0) return `there is no ${absent.join(", ")}`
  const tried = spawnSync("unshare", ["--mount", "--net", "exportfs", "-s"], { encoding: "utf8" })
  return tried.status === 0 ? undefined : `exportfs does not run: ${tried.stderr}`
}

/** `root` is its own: nothing but what it is made of may be there. */
export async function startExportsHost(root: string): Promise<ExportsHost> {
  for (const name of ["etc/exports.d", "nfs"]) mkdirSync(join(root, name), { recursive: true })
  writeFileSync(join(root, "etc/exports"), "")
  const systems = readFileSync("/proc/filesystems", "utf8")
  writeFileSync(join(root, "filesystems"), `${systems}nodev\tnfsd\n`)
  const words = ["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, root]
  const host = startProgram("unshare", words)
  await host.line((line) => line === "ready")
  const [inside = ""] = readFileSync(`/proc/${host.child.pid}/task/${host.child.pid}/children`, "utf8").split(
    " ",
  )
  const there = ["-t", inside, "-m", "-n"]
  let server: Program | undefined
  return {
    run: (file, args, options = {}) => run("nsenter", [...there, file, ...args], options),
    serve: async (directories, client) => {
      const file = join(root, "ganesha.conf")
      writeFileSync(file, configOf(directories, client))
      const words = ["-F", "-f", file, "-L", join(root, "ganesha.log"), "-p", join(root, "ganesha.pid")]
      server = startProgram("nsenter", [...there, "ganesha.nfsd", ...words])
      const known = async (): Promise<string> =>
        (await run("nsenter", [...there, "rpcinfo", "-p", "127.0.0.1"], { check: false })).stdout
      await expect.poll(known, { timeout: 60_000 }).toMatch(/nfs\n(?:.*\n)*.* 3 +tcp +\d+ +mountd/)
    },
    table: () => {
      const path = join(root, "nfs/etab")
      const text = existsSync(path) ? readFileSync(path, "utf8") : ""
      return text.split("\n").flatMap((line) => (line === "" ? [] : [line.replace("\t", " ")]))
    },
    files: () => readdirSync(join(root, "etc/exports.d")),
    [Symbol.asyncDispose]: async () => {
      await server?.[Symbol.asyncDispose]()
      // Not unshare: what runs inside has become another user, and forgot to die with its parent.
      process.kill(Number(inside), "SIGKILL")
      await host[Symbol.asyncDispose]()
    },
  }
}

/** Everybody is the user whom it is exported as, and nobody has it from elsewhere. */
function configOf(directories: readonly string[], client: string): string {
  const ids = `Squash = All_Squash; Anonymous_Uid = ${process.getuid?.()}; Anonymous_Gid = ${process.getgid?.()};`
  const exports = directories.map(
    (path, index) => `EXPORT {
  Export_Id = ${index + 1}; Path = ${path}; Pseudo = ${path}; Access_Type = None; ${ids}
  SecType = sys, none; PrivilegedPort = false; Protocols = 3; Transports = TCP; FSAL { Name = VFS; }
  CLIENT { Clients = ${client}; Access_Type = RW; ${ids} }
}`,
  )
  return `NFS_CORE_PARAM {
  Protocols = 3; NFS_Port = 2049; MNT_Port = 33333;
  Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false; mount_path_pseudo = true;
}
${exports.join("\n")}
`
}
