/**
 * nfs-ganesha in the shares role: an export for each share, added, changed and taken away while it runs, by its configuration and SIGHUP.
 *
 * It ends at once where it cannot register with a portmapper, whatever its configuration says, and listens on ports: so it has a network, a `/run` and a
 * portmapper of its own, in namespaces that go with it. The guest reaches it by two Unix sockets.
 *
 * @module
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Share, ShareRule, SharesRunning, SharesStatus } from "@skep/contract"
import { type Program, startProgram } from "@skep/testkit"
import { checkDirectory, checkTarget, directoryAt } from "../../packages/shares/src/rules/check.ts"

const PROGRAM = "ganesha.nfsd"
const NFS_PORT = 2049
const MOUNT_PORT = 2050

/** What has to be installed. */
export const GANESHA_PROGRAMS = [PROGRAM, "rpcbind", "socat", "unshare"]

export interface Ganesha extends SharesRunning {
  readonly sockets: { readonly nfs: string; readonly mount: string }
  /** Kills it without a warning, and starts it again. */
  restart(): Promise<void>
}

interface Export {
  readonly id: number
  readonly rule: ShareRule
}

/** Resolves when it serves these. `directory` is its own. */
export async function startGanesha(directory: string, rules: readonly ShareRule[]): Promise<Ganesha> {
  let exports: readonly Export[] = rules.map((rule, index) => ({ id: index + 1, rule }))
  let last = exports.length
  const file = join(directory, "ganesha.conf")
  const sockets = { nfs: join(directory, "nfs.sock"), mount: join(directory, "mount.sock") }
  const write = (): void => writeFileSync(file, [CORE, ...exports.map(exportBlock)].join("\n"))
  write()
  let program = await started(file, sockets)
  let ended = (): void => undefined
  const closed = new Promise<void>((resolve) => {
    ended = resolve
  })

  const reload = async (): Promise<void> => {
    write()
    const done = (): number => program.lines.filter((line) => line.includes(RELOADED)).length
    const before = done()
    process.kill(innerPid(program), "SIGHUP")
    await program.line(() => done() > before)
  }
  const remove = async (rule: ShareRule): Promise<void> => {
    if (exports.every((one) => one.rule !== rule)) return
    exports = exports.filter((one) => one.rule !== rule)
    await reload()
  }
  const shareOf = (rule: ShareRule): Share => ({
    rule,
    [Symbol.asyncDispose]: () => remove(rule),
  })

  return {
    sockets,
    endpoints: [sockets.nfs, sockets.mount],
    closed,
    status: async (): Promise<SharesStatus> => ({
      protocol: "nfs",
      reason: "nfs-ganesha serves nothing else here",
      guestReady: false,
      shares: exports.map(({ rule }) => ({
        ...rule,
        protocol: "nfs",
        state: directoryAt(rule.path) === undefined ? "gone" : "waiting",
      })),
      counters: {},
    }),
    share: async (rule) => {
      const others = exports.map((one) => one.rule).filter(({ target }) => target !== rule.target)
      checkTarget(rule, { others, hidden: [] })
      checkDirectory(rule, { hidden: [] })
      const old = exports.find((one) => one.rule.target === rule.target)
      if (old !== undefined && isSame(old.rule, rule)) return shareOf(old.rule)
      exports = [...exports.filter((one) => one !== old), { id: old?.id ?? ++last, rule }]
      await reload()
      return shareOf(rule)
    },
    restart: async () => {
      program.child.kill("SIGKILL")
      await program[Symbol.asyncDispose]()
      program = await started(file, sockets)
    },
    [Symbol.asyncDispose]: async () => {
      program.child.kill("SIGKILL") // it has nothing that the host's kernel has not
      await program[Symbol.asyncDispose]()
      ended()
    },
  }
}

const READY = "NFS SERVER INITIALIZED"
const RELOADED = "Reread exports complete"

/** In a new namespace. Its words are data. */
const SCRIPT = `
nfs=$1 mount=$2
shift 2
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir -p /run/ganesha
rpcbind -f -w &
while ! [ -S /run/rpcbind.sock ]; do sleep 0.05; done
socat UNIX-LISTEN:"$nfs",fork TCP:127.0.0.1:${NFS_PORT} &
socat UNIX-LISTEN:"$mount",fork TCP:127.0.0.1:${MOUNT_PORT} &
exec ${PROGRAM} "$@"
`

async function started(file: string, sockets: Ganesha["sockets"]): Promise<Program> {
  for (const path of Object.values(sockets)) rmSync(path, { force: true })
  const namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child"]
  const words = ["-F", "-f", file, "-L", "STDOUT", "-N", "NIV_EVENT", "-p", `${file}.pid`]
  const script = ["sh", "-ec", SCRIPT, "ganesha", sockets.nfs, sockets.mount]
  const program = startProgram("unshare", [...namespaces, ...script, ...words])
  await program.line((line) => line.includes(READY))
  return program
}

/** The first process of the namespace, as this one sees it. */
function innerPid({ child }: Program): number {
  return Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "latin1").trim())
}

function isSame(one: ShareRule, other: ShareRule): boolean {
  return one.path === other.path && one.readOnly === other.readOnly
}

/** Nothing of what it remembers of directories and attributes: the host changes them too. */
const CORE = `NFS_CORE_PARAM {
  Protocols = 3;
  NFS_Port = ${NFS_PORT};
  MNT_Port = ${MOUNT_PORT};
  Enable_NLM = false;
  Enable_RQUOTA = false;
  Enable_UDP = false;
  mount_path_pseudo = true;
}
MDCACHE { Dir_Chunk = 0; }
`

function exportBlock({ id, rule }: Export): string {
  return `EXPORT {
  Export_Id = ${id};
  Path = ${rule.path};
  Pseudo = ${rule.target};
  Access_Type = ${rule.readOnly ? "RO" : "RW"};
  Squash = No_Root_Squash;
  SecType = sys;
  PrivilegedPort = false;
  Protocols = 3;
  Transports = TCP;
  Attr_Expiration_Time = 0;
  FSAL { Name = VFS; }
}
`
}
