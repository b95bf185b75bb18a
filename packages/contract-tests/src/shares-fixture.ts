/**
 * What the shares contract is run on: a provider with a machine before it, and the machine's files as a program in it sees them.
 *
 * @module
 */
import type { ShareRule, SharesRunning } from "@skep/contract"

/** What stat(2) says. */
export interface GuestStat {
  readonly type: "file" | "directory" | "symlink" | "other"
  /** Permissions alone. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly links: number
  readonly modifyNs: bigint
}

export interface OpenFile {
  read(offset: number, length: number): Promise<Uint8Array>
  /** Resolves when it is written, however long that takes. */
  write(offset: number, bytes: Uint8Array): Promise<void>
  sync(): Promise<void>
  close(): void | Promise<void>
}

/**
 * The files of a share as a program of the guest uses them. Paths are relative to the share, "" is its root. Rejects with an error whose `code` is the name
 * of the errno, such as "ENOENT". Nothing is cached.
 */
export interface GuestFiles {
  open(path: string): Promise<OpenFile>
  /** Makes the file, or empties the one that is there. */
  write(path: string, bytes: Uint8Array): Promise<void>
  read(path: string): Promise<Uint8Array>
  list(path: string): Promise<readonly string[]>
  /** As seen by root, unless told. */
  stat(path: string, uid?: number): Promise<GuestStat>
  makeDirectory(path: string): Promise<void>
  symlink(target: string, path: string): Promise<void>
  readLink(path: string): Promise<string>
  link(path: string, to: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  removeDirectory(path: string): Promise<void>
  chmod(path: string, mode: number): Promise<void>
  chown(path: string, uid: number, gid: number): Promise<void>
  truncate(path: string, size: number): Promise<void>
}

export interface SharesFixture extends AsyncDisposable {
  readonly running: SharesRunning
  /** A directory of the host, made anew: everything the suite shares lies in it. */
  readonly directory: string
  /** In place from the start. */
  readonly rule: ShareRule
  /** The files of the share at `target`. */
  files(target: string): Promise<GuestFiles>
  /**
   * What the host sees of a file that lost its name while the guest has it open: nothing, unless told. Where the protocol has no open files the guest
   * gives it another name until it is closed.
   */
  readonly openWithoutName?: "renamed"
  /** Kills the provider without a warning, and starts it again on the same options and the same machine. */
  restart?(): Promise<void>
}

export interface SharesSuite {
  readonly name: string
  readonly open: () => Promise<SharesFixture>
  /** Cases that the provider cannot pass, by name, and why. */
  readonly gaps?: Readonly<Record<string, string>>
  /** Why nothing of it can be run here. */
  readonly unavailable?: string
}
