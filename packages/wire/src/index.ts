/**
 * Bytes to values and back. Each codec is also an entry of its own, `@skep/wire/udp` and so on.
 *
 * On the packet path: `parse(bytes, at, head, end, into)` fills a view that the caller keeps, and returns it or the reason why not. Bytes from `at`
 * to `head` can be read; the frame goes up to `end`, beyond `head` where its payload lies elsewhere. Never throws, never reads past either.
 *
 * @module
 */
export * as address from "./address.ts"
export * as arp from "./arp.ts"
export * as bytes from "./bytes.ts"
export * as checksum from "./checksum/index.ts"
export * as ethernet from "./ethernet.ts"
export * as icmp from "./icmp.ts"
export * as icmpv6 from "./icmpv6.ts"
export * as ip from "./ip.ts"
export * as ipv4 from "./ipv4.ts"
export * as ipv6 from "./ipv6.ts"
export * as mac from "./mac.ts"
export * as ndp from "./ndp.ts"
export * as pcapng from "./pcapng.ts"
export * as tcp from "./tcp.ts"
export * as transport from "./transport.ts"
export * as udp from "./udp.ts"
