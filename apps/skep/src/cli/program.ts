/**
 * The `skep` command line: every verb, its options, its help. What a verb does is in `commands/` and loaded when it runs.
 *
 * @module
 */
import { Command, Option as CommandOption, type Option } from "commander"
import type { Changes } from "../machine/record.ts"
import { SHARES_OVER, SHARES_PROVIDERS } from "../machine/schema.ts"
import { VERSION } from "../version.ts"
import { EXIT_HELP } from "./exit.ts"
import { addLeasesCommand } from "./leases-program.ts"
import { addMountCommands } from "./mount-commands.ts"
import { type NetworkChoice, parseNetwork } from "./network-choice.ts"
import { openSession, type Session } from "./session.ts"
import { parseShare, type SharesChoice, sharesFrom } from "./share-choice.ts"
import { addShareCommands } from "./share-program.ts"
import { parseCpus, parseDisk, parseLines, parseMemory } from "./sizes.ts"
import { throwUsageErrors } from "./usage.ts"

const DEFAULT = "default"

const EXAMPLES = `
Examples:
  skep up                          create and start the machine "default"
  docker run --rm hello-world      the docker context "skep" leads there
  skep up dev --cpus 4 --memory 4g --disk 40g
  skep shell -- uname -a           run something in the machine
  skep share add ~/data --read-only   show it a directory; it has your home directory already
  eval "$(skep env dev)"           point this shell's docker at dev
  skep rm --force dev              remove it with its disk

Environment:
  SKEP_HOME  where machines and images live (~/.skep)
  SKEP_RUN   where sockets live ($SKEP_HOME/run); a socket path may have 104 bytes

Exit codes:
  ${EXIT_HELP}`

const SHELL_HELP = `
Without a command it is a login shell as root. The exit code is the command's.

Examples:
  skep shell
  skep shell -- docker ps
  skep shell dev ls -l /
  tar c . | skep shell -- tar x -C /tmp`

interface Common {
  readonly json?: boolean
}

interface Removing {
  readonly force?: boolean
  readonly keepLease?: boolean
}

interface Sized extends Common, SharesChoice {
  readonly cpus?: number
  readonly memory?: number
  readonly disk?: number
  readonly accelerator?: Changes["accelerator"]
  readonly network?: NetworkChoice
}

/** Builds the command line. Nothing runs until it is parsed. */
export function buildProgram(): Command {
  const program = new Command("skep")
    .description("A Linux machine with Docker behind a Unix socket")
    .enablePositionalOptions()
    .version(VERSION, "-v, --version", "print the version")
    .addHelpText("after", EXAMPLES)
  addStateCommands(program)
  addShowCommands(program)
  addInsideCommands(program)
  addShareCommands(program)
  addMountCommands(program)
  addLeasesCommand(program)
  addHostCommands(program)
  throwUsageErrors(program)
  return program
}

function addStateCommands(program: Command): void {
  sized(
    command(program, "up [name]", "create the machine if needed, start it, and wait until Docker answers"),
  )
    .addHelpText(
      "after",
      "\nSizes given for a machine that exists are kept: the disk grows at the next start, the rest changes then. Shares change at once.",
    )
    .action(async (name: string | undefined, options: Sized) => {
      const { up } = await import("./commands/machine-state.ts")
      await up(session(options), name ?? DEFAULT, changesFrom(options))
    })
  command(program, "stop [names...]", "shut machines down in order").action(
    async (names: string[], options: Common) => {
      const { stop } = await import("./commands/machine-state.ts")
      await stop(session(options), orDefault(names))
    },
  )
  command(program, "kill [names...]", "end machines at once, as pulling the plug does").action(
    async (names: string[], options: Common) => {
      const { kill } = await import("./commands/machine-state.ts")
      await kill(session(options), orDefault(names))
    },
  )
  sized(command(program, "restart [name]", "stop and start a machine, with other sizes if given")).action(
    async (name: string | undefined, options: Sized) => {
      const { restart } = await import("./commands/machine-state.ts")
      await restart(session(options), name ?? DEFAULT, changesFrom(options))
    },
  )
  command(program, "rm [names...]", "remove machines with their disks")
    .option("-f, --force", "stop a running machine first, and ask nothing")
    .option("--keep-lease", "reserve its address for a machine of its name")
    .action(async (names: string[], options: Common & Removing) => {
      const { force = false, keepLease = false } = options
      const { remove } = await import("./commands/machine-state.ts")
      await remove(session(options), orDefault(names), { force, keepLease })
    })
}

function addShowCommands(program: Command): void {
  command(program, "ls", "list the machines")
    .alias("list")
    .option("-q, --quiet", "names only")
    .action(async (options: Common & { readonly quiet?: boolean }) => {
      const { list } = await import("./commands/show.ts")
      await list(session(options), { quiet: options.quiet === true })
    })
  command(
    program,
    "status [name]",
    "show how a machine is; exits with 4 while Docker does not answer",
  ).action(async (name: string | undefined, options: Common) => {
    const { status } = await import("./commands/show.ts")
    await status(session(options), name ?? DEFAULT)
  })
  command(program, "inspect [name]", "print everything about a machine as JSON").action(
    async (name: string | undefined, options: Common) => {
      const { inspect } = await import("./commands/show.ts")
      await inspect(session(options), name ?? DEFAULT)
    },
  )
  command(program, "ip [name]", "print the address where published ports are")
    .option("--guest", "the machine's own address inside its network")
    .action(async (name: string | undefined, options: Common & { readonly guest?: boolean }) => {
      const { ip } = await import("./commands/show.ts")
      await ip(session(options), name ?? DEFAULT, { guest: options.guest === true })
    })
  command(program, "url [name]", "print the value for DOCKER_HOST").action(
    async (name: string | undefined, options: Common) => {
      const { url } = await import("./commands/show.ts")
      await url(session(options), name ?? DEFAULT)
    },
  )
  command(program, "env [name]", "print shell lines that point Docker clients at a machine")
    .option("--shell <shell>", "bash, zsh, sh, fish, tcsh or powershell (from $SHELL unless told)")
    .option("-u, --unset", "print lines that take it back")
    .action(
      async (
        name: string | undefined,
        options: Common & { readonly shell?: string; readonly unset?: boolean },
      ) => {
        const { env } = await import("./commands/env.ts")
        const shell = options.shell === undefined ? {} : { shell: options.shell }
        await env(session(options), name ?? DEFAULT, { ...shell, unset: options.unset === true })
      },
    )
}

function addInsideCommands(program: Command): void {
  program
    .command("shell [words...]")
    .description("open a shell in a machine, or run a command there")
    .usage("[options] [name] [--] [command...]")
    .alias("ssh")
    .option("-m, --machine <name>", "which machine, where a command begins with the name of one")
    .addHelpText("after", SHELL_HELP)
    .passThroughOptions()
    .action(async (words: string[], options: { readonly machine?: string }) => {
      const { shell, splitWords } = await import("./commands/shell.ts")
      const opened = openSession(false)
      const { name, command: line } = splitWords(opened.home, options.machine, words, process.argv)
      await shell(opened, name, line)
    })
  command(program, "ssh-config [name]", "print a Host block for ssh, scp, rsync and editors").action(
    async (name: string | undefined, options: Common) => {
      const { printSshConfig } = await import("./commands/shell.ts")
      await printSshConfig(session(options), name ?? DEFAULT)
    },
  )
  program
    .command("console [name]")
    .description("attach to the serial console (leave with Ctrl-])")
    .action(async (name: string | undefined) => {
      const { attachConsole } = await import("./commands/console.ts")
      await attachConsole(openSession(false), name ?? DEFAULT)
    })
  command(
    program,
    "logs [name]",
    "print a machine's console, its Docker engine's log, or a log of Skep itself",
  )
    .option(
      "-s, --source <source>",
      "console, guest, docker, launcher, keeper, vsock, shares, network, qemu or backend",
      "console",
    )
    .option("-n, --lines <count>", "how many lines", parseLines, 200)
    .option("-f, --follow", "go on until Ctrl-C")
    .action(
      async (
        name: string | undefined,
        options: Common & { readonly source: string; readonly lines: number; readonly follow?: boolean },
      ) => {
        const { logs } = await import("./commands/logs.ts")
        const { source, lines } = options
        await logs(session(options), name ?? DEFAULT, { source, lines, follow: options.follow === true })
      },
    )
}

function addHostCommands(program: Command): void {
  command(program, "doctor", "check this host and say what to do").action(async (options: Common) => {
    const { doctor } = await import("./commands/doctor.ts")
    await doctor(session(options))
  })
  command(
    program,
    "docker-cli",
    "print the path of the docker command; on a host without one, put Debian's into $SKEP_HOME/bin first",
  ).action(async (options: Common) => {
    const { dockerCli } = await import("./commands/docker-cli.ts")
    await dockerCli(session(options))
  })
  const image = program.command("image").description("the guest images on this host: build, ls, rm")
  command(image, "build", "build the image of this version from the newest packages").action(
    async (options: Common) => {
      const { imageBuild } = await import("./commands/image.ts")
      await imageBuild(session(options))
    },
  )
  command(image, "ls", "list the images")
    .alias("list")
    .action(async (options: Common) => {
      const { imageList } = await import("./commands/image.ts")
      await imageList(session(options))
    })
  command(image, "rm [ids...]", "remove images")
    .option("--unused", "all but the current one, broken ones too")
    .action(async (ids: string[], options: Common & { readonly unused?: boolean }) => {
      const { imageRemove } = await import("./commands/image.ts")
      await imageRemove(session(options), ids, options.unused === true)
    })
  command(program, "version", "print the version").action((options: Common) => {
    const { output } = session(options)
    if (output.json) output.value({ version: VERSION, node: process.version })
    else output.line(VERSION)
  })
  command(program, "completion <shell>", "print a completion script for bash, zsh or fish").action(
    async (shell: string, options: Common) => {
      const { completion } = await import("./commands/completion.ts")
      await completion(session(options), shell)
    },
  )
  program.command("complete [words...]", { hidden: true }).action(async (words: string[]) => {
    const { complete } = await import("./commands/completion.ts")
    await complete(openSession(false), program, words)
  })
}

function command(parent: Command, usage: string, description: string): Command {
  return parent.command(usage).description(description).option("--json", "print JSON")
}

function sized(target: Command): Command {
  const options: Option[] = [
    new CommandOption("--cpus <count>", "processors").argParser(parseCpus),
    new CommandOption("--memory <size>", "memory, such as 2g or 512m").argParser(parseMemory),
    new CommandOption("--disk <size>", "disk for images and volumes, such as 20g; it only grows").argParser(
      parseDisk,
    ),
    new CommandOption("--accelerator <name>", "how the processor is virtualised").choices([
      "auto",
      "kvm",
      "hvf",
      "tcg",
    ]),
    new CommandOption(
      "--network <words>",
      "what the machine may reach: open, restricted, loopback; who serves it: skep, passt, gvproxy, user (QEMU itself); how it gets to skep: vhost-user, stream",
    ).argParser((text) => parseNetwork(text)),
    new CommandOption(
      "--share <path[:target][:ro]>",
      "a directory of this host that it has too; may be repeated",
    ).argParser(parseShare),
    new CommandOption("--no-home-share", "the machine does not have the home directory"),
    new CommandOption("--shares <name>", "who serves the shared directories").choices(SHARES_PROVIDERS),
    new CommandOption("--share-protocol <name>", "how they get into the machine").choices(SHARES_OVER),
    new CommandOption(
      "--share-xattrs",
      "they have extended attributes, which makes writing small files slower",
    ),
    new CommandOption("--no-share-xattrs", "they have none, as it is unless told"),
  ]
  for (const option of options) target.addOption(option)
  return target
}

function changesFrom(options: Sized): Changes {
  return {
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.memory === undefined ? {} : { memoryMiB: options.memory }),
    ...(options.disk === undefined ? {} : { diskGiB: options.disk }),
    ...(options.accelerator === undefined ? {} : { accelerator: options.accelerator }),
    ...options.network,
    ...sharesFrom(options),
  }
}

function orDefault(names: readonly string[]): readonly string[] {
  return names.length === 0 ? [DEFAULT] : names
}

function session(options: Common): Session {
  return openSession(options.json === true)
}
