/**
 * The network sidecar: switch, gateway, DHCP, DNS, NAT, forwards, policy. See `client.ts` for the lighter entry.
 *
 * @module
 */
export {
  type AdoptNetwork,
  adoptNetwork,
  controlSocketOf,
  type LinkSpec,
  type MachineNetwork,
  machineNetwork,
  type NetworkCommand,
  type NetworkOptions,
  type NetworkPlan,
  type NetworkVerbs,
  networkProcess,
  type PolicySpec,
  parseForwardSpec,
  parseLinkSpec,
  parseNetworkOptions,
  parseSkepNetworkStatus,
  type RemoteNetwork,
  type SkepNetwork,
  type SkepNetworkStatus,
} from "./client.ts"
export { skepNetworkRoutes } from "./control/routes.ts"
export type { NameService, NameServiceOptions, StartNameService } from "./names/name-service.ts"
export { createNetwork, type NetworkParts, type NetworkSidecar, network } from "./network.ts"
export { type Engine, type EngineOptions, loopEngine, type StartEngine } from "./thread/engine.ts"
