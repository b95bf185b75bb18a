/**
 * A real dockerd without a machine: in mount and network namespaces of its own, with an image of busybox.
 *
 * @module
 */
import { execFile, execFileSync, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { copyFile } from "node:fs/promises"
import { tmpdir, userInfo } from "node:os"
import { join } from "node:path"
import { Cleanup } from "@skep/runtime"

const DOCKERD = "/usr/sbin/dockerd"
const DOCKER = ["/usr/local/bin/docker", "/usr/bin/docker"].find((path) => existsSync(path)) ?? ""
const BUSYBOX = "/bin/busybox"
const APPLETS = [
  "sh",
  "cat",
  "echo",
  "true",
  "sleep",
  "dd",
  "sha256sum",
  "wc",
  "head",
  "tty",
  "httpd",
  "ls",
  "kill",
]

/** Why there is none, or undefined. */
export const noDockerd: string | undefined = reasonAgainst()

export interface Dockerd extends AsyncDisposable {
  readonly socket: string
  readonly directory: string
}

/** Resolves when it answers and has the image `busybox`. */
export async function dockerd(): Promise<Dockerd> {
  await using cleanup = new Cleanup()
  const directory = mkdtempSync(join(tmpdir(), "skep-dockerd-"))
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }))
  const socket = join(directory, "docker.sock")
  const script = [
    "mount --make-rprivate /",
    "mount -t tmpfs tmpfs /run",
    "{ mount -t cgroup2 none /sys/fs/cgroup || true; }",
    "ip link set lo up",
    'exec "$@"',
  ].join(" && ")
  const command = [DOCKERD, "--data-root", join(directory, "data"), "--exec-root", join(directory, "exec")]
  command.push("-p", join(directory, "pid"), "-H", `unix://${socket}`, "--storage-driver=vfs")
  const child = spawn("unshare", ["-m", "-n", "sh", "-c", script, "sh", ...command], {
    stdio: ["ignore", "ignore", "pipe"],
  })
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  cleanup.defer(async () => {
    child.kill("SIGTERM")
    await ended
    unmountUnder(directory)
  })
  await new Promise<void>((resolve, reject) => {
    let said = ""
    child.stderr.on("data", (chunk: Buffer) => {
      said = `${said}${chunk.toString()}`.slice(-8_192)
      if (said.includes("API listen on")) resolve()
    })
    void ended.then(() => reject(new Error(`dockerd ended: ${said}`)))
  })
  await importBusybox(directory, socket)
  const owned = cleanup.move()
  return { socket, directory, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly error: string
}

/** Runs the shell's `command` with `docker` before the engine at `socket`. */
export function shell(socket: string, command: string): Promise<Ran> {
  const path = `${join(DOCKER, "..")}:${process.env["PATH"]}`
  const env = {
    ...process.env,
    PATH: path,
    DOCKER_HOST: `unix://${socket}`,
    DOCKER_BUILDKIT: "0",
    DOCKER_CLI_HINTS: "false",
  }
  return new Promise((resolve) => {
    const child = execFile(
      "bash",
      ["-c", command],
      { env, timeout: 60_000, maxBuffer: 1 << 26 },
      (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 255), out, error: err })
      },
    )
    child.stdin?.end()
  })
}

async function importBusybox(directory: string, socket: string): Promise<void> {
  const root = join(directory, "root")
  for (const name of ["bin", "tmp", "etc"]) mkdirSync(join(root, name), { recursive: true })
  await copyFile(BUSYBOX, join(root, "bin/busybox"))
  for (const applet of APPLETS) symlinkSync("busybox", join(root, "bin", applet))
  const { code, error } = await shell(socket, `tar -C ${root} -c . | docker import - busybox`)
  if (code !== 0) throw new Error(`docker import: ${error}`)
}

/** What a dockerd that was ended leaves mounted in its namespace goes with it; this is for the case that it did not. */
function unmountUnder(directory: string): void {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
  for (const mount of mounts.filter((path) => path.startsWith(directory)).toReversed())
    execFileSync("umount", ["-l", mount])
}

function reasonAgainst(): string | undefined {
  if (userInfo().uid !== 0) return "a dockerd of its own needs root"
  if (DOCKER === "") return "the docker command is not installed"
  const missing = [DOCKERD, BUSYBOX, "/usr/bin/unshare", "/usr/bin/script"].find((path) => !existsSync(path))
  if (missing !== undefined) return `${missing} is not installed`
  return isStatic(BUSYBOX) ? undefined : "busybox is not static, and an image of its own has no C library"
}

function isStatic(path: string): boolean {
  try {
    execFileSync("ldd", [path], { stdio: "ignore" })
    return false
  } catch {
    return true // ldd fails for what is not dynamic
  }
}
