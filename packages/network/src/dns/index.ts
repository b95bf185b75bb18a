/**
 * DNS for the machines of a network: what the host resolves they resolve, and the names of the network itself.
 *
 * @module
 */
export { Dns, type DnsOptions } from "./dns.ts"
export { HostResolver, type HostResolverOptions } from "./host/host-resolver.ts"
export type { NameServer } from "./host/resolv-conf.ts"
export type { SystemAnswer, SystemLookup } from "./host/system-lookup.ts"
export { type NamedMachine, OWN_DOMAIN, type OwnNames } from "./names/own.ts"
export { parseZone, type Zone, type ZoneRecord } from "./names/zone.ts"
export { Zones } from "./names/zones.ts"
export { type From, type Outside, Resolver, type ResolverLimits, type ResolverOptions } from "./resolver.ts"
export { type DnsServer, type DnsServerLimits, type DnsServerOptions, startDnsServer } from "./server.ts"
