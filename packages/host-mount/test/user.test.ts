// Mounts of users that are not root: in a mount namespace of the test's own, whose /dev/fuse has what permissions the test wants.
import { execFile, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { fromSource } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { noSftpServer } from "./server.ts"

const run = promisify(execFile)
const NOBODY = 65_534
/** Each is a process from source, on a host that may be busy with others. */
const SLOW_MS = 60_000
/** In no /etc/passwd. */
const NAMELESS = 54_321
const PROGRAM = join(import.meta.dirname, "mount-once.ts")

/** The directory of a user's own, on a file system that all may reach; lost with the namespace. */
const PREPARE = [
  "mount -t tmpfs -o mode=755,dev none /mnt",
  "mkdir -m 1777 /mnt/tmp",
  'mkdir -m 700 /mnt/own && chown "$1:$1" /mnt/own',
  "mkdir -m 755 /mnt/root",
  'mknod -m "$2" /mnt/fuse c 10 229 && mount --bind /mnt/fuse /dev/fuse',
].join(" && ")
/** Reads the checkout, wherever it is; what fusermount may is not changed by that, which loses it as it is executed. */
const READS = ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"]

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can become another user"
  if (!existsSync("/dev/fuse")) return "there is no /dev/fuse"
  if (!existsSync("/usr/bin/fusermount3")) return "fusermount is not installed"
  const namespaces = spawnSync("unshare", ["-m", "sh", "-c", "mount -t tmpfs none /mnt"])
  if (namespaces.status !== 0) return "there are no mount namespaces to be had"
  return noSftpServer
}
const skipped = whyNot()

interface Case {
  readonly uid?: number
  readonly device?: string
  readonly directory?: string
  /** Run before, as root, in the namespace. */
  readonly also?: string
  readonly kind?: string
}

/** What the program says as that user. */
async function mountAs({
  uid = NOBODY,
  device = "666",
  directory,
  also = "true",
  kind,
}: Case): Promise<unknown> {
  const user = ["--reuid", String(uid), "--regid", String(uid), "--clear-groups", ...READS]
  const program = [
    process.execPath,
    ...fromSource(PROGRAM),
    directory ?? "/mnt/own/m",
    ...(kind ? [kind] : []),
  ]
  const script = `${PREPARE} && ${also} && shift 2 && export TMPDIR=/mnt/tmp HOME=/mnt/own && exec setpriv "$@"`
  const args = ["-m", "sh", "-ec", script, "sh", String(uid), device, ...user, ...program]
  const { stdout } = await run("unshare", args, { cwd: import.meta.dirname })
  return JSON.parse(stdout)
}

describe.skipIf(skipped !== undefined)(
  `a mount of a user that is not root ${skipped ?? ""}`,
  { timeout: SLOW_MS },
  () => {
    it("shows files, writes them as that user, and is gone when it is asked to", async () => {
      expect(await mountAs({})).toEqual({
        uid: NOBODY,
        there: "written below",
        source: "skep-test",
        after: null,
      })
    })

    it("is refused where the user may not open /dev/fuse", async () => {
      expect(await mountAs({ device: "600" })).toEqual({
        code: "permission-denied",
        message: "Cannot mount anything: this user may not open /dev/fuse",
        next: "Let every user open it, as most systems do: sudo chmod 0666 /dev/fuse",
      })
    })

    it("is refused where the user has no name, which fusermount wants", async () => {
      expect(await mountAs({ uid: NAMELESS, kind: "bare" })).toMatchObject({
        code: "permission-denied",
        message: `Cannot mount on "/mnt/own/m": the user ${NAMELESS} has no name on this host, and fusermount wants one`,
      })
    })

    it("is refused on a directory of somebody else's", async () => {
      expect(await mountAs({ directory: "/mnt/root" })).toMatchObject({
        code: "permission-denied",
        message: 'Cannot mount on "/mnt/root": this user may not write to it',
      })
    })

    it("is refused where fusermount is not set-user-id root", async () => {
      const also = [
        "cp /usr/bin/fusermount3 /mnt/plain",
        "chmod 755 /mnt/plain",
        "mount --bind /mnt/plain /usr/bin/fusermount3",
      ].join(" && ")
      expect(await mountAs({ also })).toMatchObject({
        code: "permission-denied",
        message: expect.stringMatching(/fusermount is not set-user-id root, so that only root can mount$/),
      })
    })
  },
)
