/**
 * The SSH keys of one machine: ours to get in, the guest's own so that it is known before it first boots.
 *
 * @module
 */
import { readFile } from "node:fs/promises"
import { writeFileWhole } from "@skep/runtime/files"
import ssh2 from "ssh2"
import type { MachinePaths } from "../home/paths.ts"

export interface KeyPair {
  /** OpenSSH private key format. */
  readonly privateKey: string
  /** `ssh-ed25519 AAAA… comment` */
  readonly publicKey: string
}

export interface MachineKeys {
  readonly user: KeyPair
  readonly host: KeyPair
}

/** Creates both key pairs, with what ssh(1) needs to use them. */
export async function createKeys(paths: MachinePaths, name: string, sshPort: number): Promise<MachineKeys> {
  const keys = { user: newPair(`skep-${name}`), host: newPair(`skep-${name}-guest`) }
  await writeFileWhole(paths.identityFile, keys.user.privateKey)
  await writeFileWhole(`${paths.identityFile}.pub`, `${keys.user.publicKey}\n`)
  await writeFileWhole(paths.hostKeyFile, keys.host.privateKey)
  await writeFileWhole(`${paths.hostKeyFile}.pub`, `${keys.host.publicKey}\n`)
  await writeSshFiles(paths, name, sshPort, keys)
  return keys
}

export async function readKeys(paths: MachinePaths): Promise<MachineKeys> {
  const [userPrivate, userPublic, hostPrivate, hostPublic] = await Promise.all(
    [paths.identityFile, `${paths.identityFile}.pub`, paths.hostKeyFile, `${paths.hostKeyFile}.pub`].map(
      (path) => readFile(path, "utf8"),
    ),
  )
  return {
    user: { privateKey: userPrivate ?? "", publicKey: (userPublic ?? "").trim() },
    host: { privateKey: hostPrivate ?? "", publicKey: (hostPublic ?? "").trim() },
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

function newPair(comment: string): KeyPair {
  const pair = ssh2.utils.generateKeyPairSync("ed25519", { comment })
  return { privateKey: pair.private, publicKey: pair.public }
}
