/**
 * The host's side of flows, as the core asks for it. Two drivers supply it: `../loop` by system calls, `../node` by Node's sockets.
 *
 * Nothing here waits. What happens later comes by the events, on the thread of the core, and never from within a call of the core.
 *
 * @module
 */
import type { Parts } from "@skep/link"
import type { HeapShare } from "./heap-share.ts"

/** An address of the host or beyond, and a port. */
export interface Endpoint {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  readonly port: number
  /** Asked in its place where it refuses the connection, as the host's other loopback address. */
  readonly or?: Endpoint
}

/** A Unix socket of the host, for services of our own. */
export interface LocalEndpoint {
  readonly path: string
}

/** What a stream tells. */
export interface StreamEvents {
  /** Its machine's part of the memory in which a driver keeps what cannot stay in a socket. */
  readonly share?: HeapShare
  /** The connection stands. Not called for a stream that was handed over connected. */
  onConnected(): void
  /** It never stood: the positive error number, as ECONNREFUSED. The stream is gone. */
  onFailed(errno: number): void
  /** There may be something to peek at: bytes, the end, or an error. Also told of what is there from the beginning. */
  onReadable(): void
  /** There may be room to write. */
  onWritable(): void
  /** An exception of ours in the driver: nobody knows what state the stream is in. */
  onFault(error: unknown): void
}

/** One TCP socket of the host. Addresses are those of the driver's memory. */
export interface HostStream {
  /** Whether it stands. */
  readonly connected: boolean
  /** Bytes that the driver keeps until they are discarded; 0 where they stay in the socket. */
  readonly keptBytes: number
  /** Writes what the socket takes: the number of bytes, or `-errno`; -EAGAIN where it takes none, and `onWritable` tells. */
  write(parts: Parts): number
  /**
   * Copies what comes `offset` bytes after the last `discard` into `into`, without taking it: the number of bytes, 0 at the end of the stream,
   * `-errno`; -EAGAIN where nothing is there yet, and `onReadable` tells. Fewer bytes than asked for means that `onReadable` tells of more.
   */
  peek(into: Parts, offset: number): number
  /** Takes `bytes` that were peeked at: the guest has them. */
  discard(bytes: number): void
  /** No more bytes come from the guest. */
  endWrites(): void
  /** Ends both ways; what was written still goes out. */
  close(): void
  /** Ends at once, by a reset where there is one. */
  abort(): void
}

/** What a driver supplies to TCP. */
export interface StreamHost {
  /** Begins to connect. `-errno` where that fails at once. */
  connect(to: Endpoint | LocalEndpoint, events: StreamEvents): HostStream | number
}

/** A client of the host that was accepted, and is nobody's yet. One of the two is called, once. */
export interface Client {
  /** Makes it a stream, which stands. */
  serve(events: StreamEvents): HostStream
  close(): void
}

/** A socket that listens. Disposing it lets its clients be. */
export interface Listener extends Disposable {
  /**
   * Where it is not known yet whether it can listen: 0 where it does, or `-errno`, and then it is over. Undefined where it listens already. Never
   * rejects.
   */
  readonly opening: Promise<number> | undefined
}

/** Who takes the datagrams of one client: each lies at the buffer's place, `length` bytes long, until this returns. */
export interface DatagramTaker {
  deliver(length: number): void
}

/** What a driver supplies to forwards. */
export interface ListenerHost {
  /** `-errno` where it cannot listen. An IPv6 address takes IPv6 only. */
  tcp(at: Endpoint, onClient: (client: Client) => void): Listener | number
  /** `onClient` begins an association for a client that is new; its answers go by the socket. Undefined drops its datagram. */
  udp(
    at: Endpoint,
    buffer: number,
    onClient: (socket: DatagramSocket) => DatagramTaker | undefined,
  ): Listener | number
}

// Error numbers that the core tells from each other; they are Linux's, and drivers map others to them.
export const EAGAIN = 11
export const EACCES = 13
export const ENETUNREACH = 101
export const ECONNRESET = 104
const ETIMEDOUT = 110
export const ECONNREFUSED = 111
export const EHOSTUNREACH = 113

/** What a datagram socket tells. */
export interface DatagramEvents {
  /** There may be datagrams, or an error that one of ours has brought. */
  onReadable(): void
}

/** One socket of the host that sends to, and receives from, one other side. */
export interface DatagramSocket {
  /** Sends one datagram: 0 or more, or `-errno`. What the host cannot take now is lost, as datagrams are. */
  send(parts: Parts): number
  /** Sends each piece as a datagram of its own, in order, one that fails or not: 0 or more, or the `-errno` of the first that failed. */
  sendEach(datagrams: Parts): number
  /**
   * Receives one datagram to `address`: its length, which is at most `room`, or `-errno`; -EAGAIN where there is none. -ECONNREFUSED where one of
   * ours came back as unreachable.
   */
  receive(address: number, room: number): number
  close(): void
}

/** What a driver supplies to UDP and to echo requests. */
export interface DatagramHost {
  /** A socket connected to `to`, or `-errno`. */
  udp(to: Endpoint, events: DatagramEvents): DatagramSocket | number
  /**
   * A socket for echo requests (icmp(7), "ping sockets"), whose datagrams are ICMP messages; the kernel puts an identifier of its own. -EACCES where
   * this user may not: then there is no echo.
   */
  echo(to: Endpoint, events: DatagramEvents): DatagramSocket | number
}

/** By their names, for drivers that have names only; the last ones mean the same to the core as others do. */
const NUMBERS: Readonly<Record<string, number>> = {
  EPERM: 1,
  ENOENT: 2,
  EAGAIN,
  EACCES,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EPIPE: 32,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH,
  ECONNRESET,
  ETIMEDOUT,
  ECONNREFUSED,
  EHOSTUNREACH,
  ENETDOWN: ENETUNREACH,
  ECONNABORTED: ECONNRESET,
  EHOSTDOWN: EHOSTUNREACH,
}

/** The positive error number of a name, where it is one of those that are told from each other. */
export function errorNumber(name: string): number | undefined {
  return NUMBERS[name]
}

/** The name of a positive error number; its digits where it is none of those. */
export function errorName(errno: number): string {
  return Object.keys(NUMBERS).find((name) => NUMBERS[name] === errno) ?? `errno ${errno}`
}
