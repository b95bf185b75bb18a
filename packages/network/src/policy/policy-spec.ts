/**
 * What a policy says, as data.
 *
 * @module
 */

/**
 * "nothing": no flow leaves the network. "loopback": only to the host's own loopback, by the address of the gateway or of the host. "open":
 * wherever the host gets, too.
 */
export type PolicyMode = "nothing" | "loopback" | "open"

/** Both ends included. */
export type PortRange = readonly [first: number, last: number]

export interface PolicySpec {
  readonly mode: PolicyMode
  /** Ports of the host's loopback that no guest reaches, such as those of the programs that run the machines. */
  readonly closedPorts: readonly PortRange[]
}
