/**
 * Servers of others: QEMU's own virtiofsd in C, and nfs-ganesha.
 *
 * @module
 */
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { runIn, start, until } from "../network/process.ts"
import type { Place, Served, Server } from "./server.ts"

const VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
const GANESHA = "ganesha.nfsd"
/** What the guest's kernel needs to mount without a portmapper; `hard`, as everybody has it. */
export const NFS_OPTIONS = "vers=3,proto=tcp,nolock,noacl,mountproto=tcp,rsize=1048576,wsize=1048576"

// `cache=auto` is its default and what distributions start it with.
export const virtiofsd: Server = virtiofsdWith("virtiofsd", "cache=auto")
/** With extended attributes, which ours has only where it is asked for them: Linux asks for one before it writes to a file, unless the server has none at all. */
export const virtiofsdExtended: Server = virtiofsdWith("virtiofsd-xattr", "cache=auto,xattr")

function virtiofsdWith(name: string, options: string): Server {
  return {
    name,
    kind: "virtiofs",
    missing: () => (existsSync(VIRTIOFSD) ? undefined : `there is no ${VIRTIOFSD}`),
    serve: async ({ source, directory, log }: Place): Promise<Served> => {
      const socket = join(directory, "fs.sock")
      const words = [`--socket-path=${socket}`, "-o", `source=${source}`, "-o", options]
      const program = await start([VIRTIOFSD, ...words], { log })
      await until("virtiofsd at its socket", () => {
        program.check()
        return existsSync(socket) ? true : undefined
      })
      return { program, socket, mount: "-t virtiofs TAG", within: "." }
    },
  }
}

export const ganesha: Server = {
  name: "ganesha",
  kind: "nfs",
  missing: () => ([GANESHA, "rpcbind"].every(isInstalled) ? undefined : "nfs-ganesha is not installed"),
  serve: async ({ source, directory, log, namespace, port }: Place): Promise<Served> => {
    const file = join(directory, "ganesha.conf")
    writeFileSync(file, ganeshaConfig(source, port))
    const words = ["-F", "-f", file, "-L", `${log}.ganesha`, "-N", "NIV_EVENT", "-p", join(directory, "pid")]
    const alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", WITH_PORTMAPPER, "sh"]
    const program = await start([...alone, GANESHA, ...words], { log, namespace })
    await until("nfs-ganesha at its port", async () => {
      program.check()
      const listening = await runIn(namespace, ["ss", "-Hltn", `sport = :${port}`])
      return listening.trim() === "" ? undefined : true
    })
    return { program, mount: nfsMount("/export", port, port + 1), within: "." }
  },
}

/**
 * It ends at once where it cannot register with a portmapper, whatever its configuration says; that one wants a /run of its own. The rest are its
 * arguments.
 */
const WITH_PORTMAPPER =
  'mount -t tmpfs tmpfs /run && mkdir -p /run/ganesha && { rpcbind -f -w & } && sleep 1 && exec "$@"'

/** Words of busybox's and the kernel's mount. */
export function nfsMount(path: string, port: number, mountPort: number): string {
  return `-t nfs -o ${NFS_OPTIONS},addr=10.0.2.2,port=${port},mountport=${mountPort} 10.0.2.2:${path}`
}

function isInstalled(program: string): boolean {
  return ["/usr/bin", "/usr/sbin", "/sbin"].some((directory) => existsSync(join(directory, program)))
}

function ganeshaConfig(source: string, port: number): string {
  return `NFS_CORE_PARAM {
  Protocols = 3;
  NFS_Port = ${port};
  MNT_Port = ${port + 1};
  Enable_NLM = false;
  Enable_RQUOTA = false;
  Enable_UDP = false;
  mount_path_pseudo = true;
}
EXPORT {
  Export_Id = 1;
  Path = ${source};
  Pseudo = /export;
  Tag = export;
  Access_Type = RW;
  Squash = No_Root_Squash;
  SecType = sys, none;
  PrivilegedPort = false;
  Protocols = 3;
  Transports = TCP;
  FSAL { Name = VFS; }
}
`
}
