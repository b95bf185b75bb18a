/**
 * `skep mount` and `skep unmount`: a machine's own files, its volumes and its containers' files as a directory of the host.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { canonicalDirectory } from "@skep/host-mount"
import { connectPath } from "@skep/vsock/dialect"
import { checkExists, connectBackend } from "../../client/backend.ts"
import { machinePaths } from "../../home/paths.ts"
import { readKeys } from "../../machine/keys.ts"
import { endMount, listMounts, startMount } from "../../mount/mounts.ts"
import { findPlace, parsePlace } from "../../mount/place.ts"
import type { Session } from "../session.ts"

export interface MountFlags {
  readonly readOnly: boolean
  readonly volume?: string
  readonly container?: string
}

const CACHE_MS = 1000
const DEADLINE_MS = 10_000

/** Mounts; the directory shows the machine's files when it resolves. */
export async function mount(
  session: Session,
  place: string,
  directory: string,
  flags: MountFlags,
): Promise<void> {
  const { home, output, signal } = session
  if (flags.volume !== undefined && flags.container !== undefined) {
    throw new SidecarError("bad-options", "Cannot mount a volume and a container at once", {
      next: "Leave out --volume or --container",
    })
  }
  const wanted = parsePlace(place)
  checkExists(home, wanted.machine)
  const backend = await connectBackend(home, signal)
  const machine = await backend.machine(wanted.machine)
  if (machine.record === undefined || machine.vm === undefined) {
    throw new SidecarError("not-running", `Cannot mount "${place}": the machine is ${machine.state}`, {
      next: `Start it with skep up ${wanted.machine}`,
    })
  }
  const found = await findPlace({ ...wanted, ...flags }, machine.dockerSocket, signal)
  const paths = machinePaths(home, wanted.machine)
  const keys = await readKeys(paths, wanted.machine)
  const mounted = await startMount(
    home,
    {
      ...found,
      machine: wanted.machine,
      directory: await canonicalDirectory(directory),
      readOnly: flags.readOnly,
      cacheMs: CACHE_MS,
      deadlineMs: DEADLINE_MS,
      connect: connectPath(paths.vsockDirectory),
      sshPort: machine.record.sshPort,
      identityFile: paths.identityFile,
      hostKey: keys.host.publicKey,
      hypervisor: machine.vm.process,
    },
    signal,
  )
  if (output.json) output.value(mounted)
  else output.note(`${mounted.directory} shows ${mounted.path} of ${mounted.machine}`)
}

export async function showMounts(session: Session): Promise<void> {
  const mounts = await listMounts(session.home, session.signal)
  if (session.output.json) {
    session.output.value(mounts)
    return
  }
  const rows = mounts.map((one) => [
    one.directory,
    one.machine,
    one.path,
    one.readOnly ? "ro" : "rw",
    String(one.openFiles),
  ])
  session.output.table(["DIRECTORY", "MACHINE", "PATH", "MODE", "OPEN"], rows)
}

export async function unmount(
  session: Session,
  directories: readonly string[],
  { force, all }: { readonly force: boolean; readonly all: boolean },
): Promise<void> {
  const { home, output, signal } = session
  if (all === directories.length > 0) {
    throw new SidecarError("bad-options", "Cannot unmount: name directories, or --all", {
      next: "See what is mounted with skep mount",
    })
  }
  const wanted = all
    ? (await listMounts(home, signal)).map(({ directory }) => directory)
    : await Promise.all(directories.map((directory) => canonicalDirectory(directory)))
  for (const directory of wanted) {
    await endMount(home, directory, force, signal)
    if (output.json) output.item({ type: "unmounted", directory })
    else output.note(`${directory} is unmounted`)
  }
}
