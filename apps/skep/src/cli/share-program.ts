/**
 * `skep share`: its subcommands, their options and their help.
 *
 * @module
 */
import { type Command, Option } from "commander"
import { CACHES, OWNERSHIPS } from "../machine/schema.ts"
import type { ShareWish } from "../machine/share-rules.ts"
import { openSession, type Session } from "./session.ts"
import { parseShareArgument } from "./share-choice.ts"

const DEFAULT = "default"

const EXAMPLES = `
A machine has the home directory, writable and at the same path, unless it was made with --no-home-share or
settings.json says other "shares". Shares come and go while it runs.

Examples:
  skep share add /srv/www                        at /srv/www in the machine "default"
  skep share add . --read-only                   where you are, for reading
  skep share add ~/data:/data -m dev             at another place in the machine "dev"
  skep share ls
  skep share rm /srv/www
  skep share events                              what changes in them, as it happens
  skep share owners export /srv/www > owners     whose its files are in the machine: to go with a copy

Then containers mount what is in them as if Docker ran here: docker run -v $PWD:/src ...`

const CACHE_HELP = `
What --cache promises, at the latest; events make most of it sooner:
  consistent  each side sees what the other has changed at once (the default)
  cached      the machine sees within a second what this host has changed
  delegated   the machine sees within half a minute: for files that it alone changes

What --ownership means:
  virtual     files belong to whoever looks; chown and chmod in the machine are kept beside them (the default)
  real        owners are those of this host`

const OWNERS_EXAMPLES = `
What chown and chmod in a machine have said of a share's files is kept beside them, in extended attributes. A copy
without those (cp -r, tar without --xattrs, another file system) gets it by a file with a line of JSON for each.

Examples:
  skep share owners export /srv/db > owners.jsonl
  cp -r /srv/db /mnt/db && skep share add /mnt/db
  skep share owners import /mnt/db owners.jsonl
  skep share owners export /srv/db | skep share owners import /srv/db - -m dev

The machine has to run. A share with --ownership real keeps none: its owners are those of this host.`

interface Chosen {
  readonly machine: string
  readonly json?: boolean
}

interface Added extends Chosen, Omit<ShareWish, "path"> {}

export function addShareCommands(program: Command): void {
  const share = program
    .command("share")
    .description("directories of this host in a machine: add, rm, ls, events, owners")
    .addHelpText("after", EXAMPLES)
  chosen(share, "add", "share a directory, also with a machine that runs")
    .argument("<path>", "as for --share of skep up: PATH, PATH:TARGET or PATH:TARGET:ro", parseShareArgument)
    .option("-t, --target <path>", "where in the machine; the same path unless told")
    .option("-r, --read-only", "the machine cannot change it")
    .addOption(new Option("--cache <mode>", "how fresh it has to be").choices(CACHES))
    .addOption(new Option("--ownership <kind>", "whose the files are").choices(OWNERSHIPS))
    .addHelpText("after", CACHE_HELP)
    .action(async (named: ShareWish, options: Added) => {
      const { shareAdd } = await import("./commands/share.ts")
      const { machine, json: _json, ...wish } = options
      await shareAdd(session(options), machine, { ...named, ...wish })
    })
  chosen(share, "rm <target>", "stop sharing; named by its place in the machine or on this host")
    .alias("remove")
    .action(async (target: string, options: Chosen) => {
      const { shareRemove } = await import("./commands/share.ts")
      await shareRemove(session(options), options.machine, target)
    })
  chosen(share, "ls", "list what is shared, and how it gets into the machine")
    .alias("list")
    .action(async (options: Chosen) => {
      const { shareList } = await import("./commands/share.ts")
      await shareList(session(options), options.machine)
    })
  chosen(share, "events", "print what changes in shared directories, until Ctrl-C").action(
    async (options: Chosen) => {
      const { shareEvents } = await import("./commands/share.ts")
      await shareEvents(session(options), options.machine)
    },
  )
  addOwners(share)
}

function addOwners(share: Command): void {
  const owners = share
    .command("owners")
    .description("whose files are in the machine, to move with a copy: export, import")
    .addHelpText("after", OWNERS_EXAMPLES)
  chosen(owners, "export <target>", "print a line of JSON for each file that was given to somebody")
    .addHelpText("after", OWNERS_EXAMPLES)
    .action(async (target: string, options: Chosen) => {
      const { shareOwnersExport } = await import("./commands/share-owners.ts")
      await shareOwnersExport(session(options), options.machine, target)
    })
  chosen(owners, "import <target> <file>", "take such lines; - reads standard input")
    .addHelpText("after", OWNERS_EXAMPLES)
    .action(async (target: string, file: string, options: Chosen) => {
      const { shareOwnersImport } = await import("./commands/share-owners.ts")
      await shareOwnersImport(session(options), options.machine, target, file)
    })
}

function chosen(parent: Command, usage: string, description: string): Command {
  return parent
    .command(usage)
    .description(description)
    .option("-m, --machine <name>", "which machine", DEFAULT)
    .option("--json", "print JSON")
}

function session(options: Chosen): Session {
  return openSession(options.json === true)
}
