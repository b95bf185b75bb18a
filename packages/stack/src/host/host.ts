/**
 * The host's side of flows, as the core asks for it. Two drivers supply it: `../loop` by system calls, `../node` by Node's sockets.
 *
 * Nothing here waits. What happens later comes by the events, on the thread of the core, and never from within a call of the core.
 *
 * @module
 */
import type { Parts } from "@skep/link"

/** An address of the host or beyond, and a port. */
export interface Endpoint {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  readonly port: number
}

/** A Unix socket of the host, for services of our own. */
export interface LocalEndpoint {
  readonly path: string
}

/** What a stream tells. */
export interface StreamEvents {
  /** The connection stands. Not called for a stream that was handed over connected. */
  onConnected(): void
  /** It never stood: the positive error number, as ECONNREFUSED. The stream is gone. */
  onFailed(errno: number): void
  /** There may be something to peek at: bytes, the end, or an error. */
  onReadable(): void
  /** There may be room to write. */
  onWritable(): void
}

/** One TCP socket of the host. Addresses are those of the driver's memory. */
export interface HostStream {
  /** Whether it stands. */
  readonly connected: boolean
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

// Error numbers that the core tells from each other; they are Linux's, and drivers map others to them.
export const EAGAIN = 11
export const EACCES = 13
export const ENETUNREACH = 101
export const ECONNRESET = 104
export const ETIMEDOUT = 110
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
