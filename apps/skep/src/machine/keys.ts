/**
 * The SSH keys of one machine: ours to get in, the guest's own so that it is known before it first boots.
 *
 * @module
 */
import { createHmac } from "node:crypto"
import { readFile } from "node:fs/promises"
import { SidecarError } from "@skep/contract"
import { errnoOf, writeFileWhole } from "@skep/runtime/files"
import { newSshKey, type SshKey } from "@skep/runtime/ssh-key"
import type { MachinePaths } from "../home/paths.ts"

export interface MachineKeys {
  readonly user: SshKey
  readonly host: SshKey
}

/** A line that only the host and the guest's root know: the guest learns it from its seed, as it does the key that it comes from. */
export function vsockSecretOf({ host }: MachineKeys): string {
  return createHmac("sha256", host.privateKey).update("skep vsock secret").digest("hex")
}

/** Creates both key pairs. */
export async function createKeys(
  paths: Pick<MachinePaths, "identityFile" | "hostKeyFile">,
  name: string,
): Promise<MachineKeys> {
  const keys = { user: newSshKey(`skep-${name}`), host: newSshKey(`skep-${name}-guest`) }
  await writeFileWhole(paths.identityFile, keys.user.privateKey)
  await writeFileWhole(`${paths.identityFile}.pub`, `${keys.user.publicKey}\n`)
  await writeFileWhole(paths.hostKeyFile, keys.host.privateKey)
  await writeFileWhole(`${paths.hostKeyFile}.pub`, `${keys.host.publicKey}\n`)
  return keys
}

/** The keys that there are, or new ones where one is missing: a guest learns them from its seed at each boot. */
export async function ensureKeys(paths: MachinePaths, name: string): Promise<MachineKeys> {
  try {
    return await readKeys(paths, name)
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== "not-found") throw error
    return await createKeys(paths, name)
  }
}

/** Throws "not-found" when one of the files is missing. */
export async function readKeys(paths: MachinePaths, name: string): Promise<MachineKeys> {
  return {
    user: await readPair(paths.identityFile, name),
    host: await readPair(paths.hostKeyFile, name),
  }
}

async function readPair(path: string, name: string): Promise<SshKey> {
  try {
    return {
      privateKey: await readFile(path, "utf8"),
      publicKey: (await readFile(`${path}.pub`, "utf8")).trim(),
    }
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error
    throw new SidecarError("not-found", `Cannot find the SSH key "${path}" of the machine "${name}"`, {
      cause: error,
      next: `Make new keys with: skep restart ${name}`,
    })
  }
}

/** (Re)writes known_hosts and ssh_config, which name the port. */
export async function writeSshFiles(
  paths: MachinePaths,
  name: string,
  sshPort: number,
  keys: MachineKeys,
): Promise<void> {
  await writeFileWhole(paths.knownHosts, `[127.0.0.1]:${sshPort} ${keys.host.publicKey}\n`)
  await writeFileWhole(paths.sshConfig, sshConfig(paths, name, sshPort))
}

/** A `Host` block for ssh(1), scp, rsync and editors. */
export function sshConfig(paths: MachinePaths, name: string, sshPort: number): string {
  return [
    `Host skep-${name}`,
    "  HostName 127.0.0.1",
    `  Port ${sshPort}`,
    "  User root",
    `  IdentityFile "${paths.identityFile}"`,
    "  IdentitiesOnly yes",
    `  UserKnownHostsFile "${paths.knownHosts}"`,
    "  StrictHostKeyChecking yes",
    "",
  ].join("\n")
}
