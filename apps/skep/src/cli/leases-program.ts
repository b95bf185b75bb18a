/**
 * `skep leases`: the verbs of `skep-leases`, loaded only when they are asked for.
 *
 * @module
 */
import type { Command } from "commander"

export function addLeasesCommand(program: Command): void {
  program
    .command("leases [words...]")
    .description("addresses that DHCP servers of this host have given, and taking back what no machine has")
    .usage("ls | show | explain | prune | undo | reserve | unreserve [options]")
    // Options and help are those of the verbs.
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (words: string[]) => {
      const { leases } = await import("./commands/leases.ts")
      await leases(words)
    })
}
