/**
 * `skep leases reserve` and `unreserve`: their options and their help.
 *
 * @module
 */
import type { Command } from "commander"
import type { Session } from "./session.ts"

const EXAMPLES = `
A machine has the same address as long as it exists; when it is removed, the next one may get it. What is reserved is for
machines of that name alone, whether there is one now or not. A machine that runs with another address gets it when it
asks for one the next time: at its next start, or when half of its lease is over.

Examples:
  skep leases reserve                        what is reserved
  skep leases reserve db 192.168.64.20
  skep rm --keep-lease db                    remove it, and reserve the address that it has
  skep leases unreserve db`

interface Options {
  readonly json?: boolean
}

/** Adds them to `skep leases`. `open`: the session, which prints JSON or not. */
export function addReserveCommands(leases: Command, open: (json: boolean) => Session): void {
  leases
    .command("reserve [name] [address]")
    .description("reserve an address for a machine; without words, list what is reserved")
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action(async (name: string | undefined, address: string | undefined, options: Options) => {
      const { leasesReserve } = await import("./commands/leases-reserve.ts")
      await leasesReserve(open(options.json === true), name, address)
    })
  leases
    .command("unreserve <name>")
    .description("give the address that is reserved for a machine up")
    .option("--json", "print JSON")
    .action(async (name: string, options: Options) => {
      const { leasesUnreserve } = await import("./commands/leases-reserve.ts")
      await leasesUnreserve(open(options.json === true), name)
    })
}
