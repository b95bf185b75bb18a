/**
 * The verbs `mount` and `unmount` of the command line.
 *
 * @module
 */

import { SidecarError } from "@skep/contract"
import type { Command } from "commander"
import { openSession } from "./session.ts"

const MOUNT_HELP = `
Without words it lists what is mounted. A mount ends with its machine, and stays when skep itself is restarted.

Examples:
  skep mount default ~/machine                   all files of the machine
  skep mount default:/etc ~/machine-etc --read-only
  skep mount default ~/data --volume pgdata      a Docker volume
  skep mount default:/app ~/app --container web  a directory of a running container
  skep unmount ~/machine`

interface MountOptions {
  readonly json?: boolean
  readonly readOnly?: boolean
  readonly volume?: string
  readonly container?: string
}

interface UnmountOptions {
  readonly json?: boolean
  readonly force?: boolean
  readonly all?: boolean
}

export function addMountCommands(program: Command): void {
  program
    .command("mount [place] [directory]")
    .description("show a machine's own files on this host")
    .usage("[options] [name[:path] directory]")
    .option("--json", "print JSON")
    .option("-r, --read-only", "refuse every change")
    .option("--volume <name>", "a Docker volume of the machine; the path is below it")
    .option("--container <name>", "a running container's files; the path is below its root")
    .addHelpText("after", MOUNT_HELP)
    .action(async (place: string | undefined, directory: string | undefined, options: MountOptions) => {
      const { mount, showMounts } = await import("./commands/mount.ts")
      const session = openSession(options.json === true)
      if (place === undefined) {
        await showMounts(session)
        return
      }
      if (directory === undefined) {
        throw new SidecarError(
          "bad-options",
          `Cannot mount "${place}": the directory of this host is missing`,
          {
            next: `For example: skep mount ${place} ~/machine`,
          },
        )
      }
      const { readOnly = false, volume, container } = options
      await mount(session, place, directory, {
        readOnly,
        ...(volume === undefined ? {} : { volume }),
        ...(container === undefined ? {} : { container }),
      })
    })
  program
    .command("unmount [directories...]")
    .alias("umount")
    .description("take a machine's files away from a directory of this host")
    .option("--json", "print JSON")
    .option("-a, --all", "all of them")
    .option("-f, --force", "though programs use it: they get errors")
    .action(async (directories: string[], options: UnmountOptions) => {
      const { unmount } = await import("./commands/mount.ts")
      const { force = false, all = false } = options
      await unmount(openSession(options.json === true), directories, { force, all })
    })
}
