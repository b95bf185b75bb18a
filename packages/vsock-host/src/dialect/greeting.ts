/**
 * The first bytes that a host client sends on a bridge's socket, in either dialect, told apart by what they are:
 *
 *     HyperKit, xhyve                 00000003.00000948\n     guest's cid and port, 8 lower-case hex digits each
 *                                                             (hyperkit src/lib/pci_virtio_sock.c, handle_connect_fd)
 *     Firecracker, Cloud Hypervisor   CONNECT 2376\n          the word in any case, at most 32 bytes in all, answered
 *                                                             with `OK <host port>\n` (firecracker docs/vsock.md)
 *
 * HyperKit read its line by one `read` and gave up on less; here it may come in pieces. What follows the line belongs
 * to the stream.
 *
 * @module
 */
import { CID_MAX, PORT_MAX } from "./address.ts"

/** The port in the guest on which vpnkit's forwarder expects a multiplexer: it sends "00000003.0000f3a5\n". */
export const VPNKIT_PORT = 62_373

/** No greeting is longer, its line feed included. */
export const GREETING_MAX = 32

export type Dialect = "hyperkit" | "firecracker"

/** Whoever is refused gets no answer, in both dialects: the socket is closed. */
export type Refusal =
  /** Neither dialect begins like this. */
  | "unknown-dialect"
  /** It began like one of them and went on otherwise. */
  | "bad-greeting"
  /** No line feed within GREETING_MAX bytes. */
  | "too-long"
  /** Another guest's address. */
  | "wrong-cid"
  /** Not a port of 32 bits, or the one that stands for any. */
  | "bad-port"

/** `end` is where the greeting ends and the stream begins. */
export interface Greeting {
  readonly dialect: Dialect
  readonly port: number
  readonly end: number
}

const LINE_FEED = 0x0a
const HYPERKIT = /^([0-9a-f]{8})\.([0-9a-f]{8})\n$/
const FIRECRACKER = /^connect[ \t]+([0-9]{1,10})[ \t\r]*\n$/i
/** What there is so far could still become a line of that dialect. */
const HYPERKIT_SO_FAR = /^[0-9a-f]{1,8}$|^[0-9a-f]{8}\.[0-9a-f]{0,8}$/
const FIRECRACKER_WORD = "connect"
const FIRECRACKER_SO_FAR = /^connect[ \t]+[0-9]*[ \t\r]*$/i

/**
 * Reads the greeting that begins at `at`; `end` is where the bytes received so far end. Says "more" as long as it is
 * not whole but could be; refuses as soon as it could not. Never throws, never reads past `end`.
 */
export function parse(
  bytes: Uint8Array,
  at: number,
  end: number,
  guestCid: number,
): Greeting | Refusal | "more" {
  const seen = bytes.subarray(at, Math.min(end, at + GREETING_MAX))
  const feed = seen.indexOf(LINE_FEED)
  const text = String.fromCharCode(...(feed === -1 ? seen : seen.subarray(0, feed + 1)))
  if (feed !== -1) return whole(text, at + feed + 1, guestCid)
  if (text === "" || couldBe(text)) return seen.length < GREETING_MAX ? "more" : "too-long"
  return couldBe(text.slice(0, 2)) ? "bad-greeting" : "unknown-dialect"
}

/** The answer to a Firecracker greeting once the guest accepted. HyperKit's clients get none. */
export function acknowledgement(hostPort: number): string {
  return `OK ${hostPort}\n`
}

/** A HyperKit greeting, for clients. */
export function hyperkitGreeting(guestCid: number, port: number): string {
  return `${hex(guestCid)}.${hex(port)}\n`
}

/** Eight lower-case hex digits. */
export function hex(value: number): string {
  return value.toString(16).padStart(8, "0")
}

function whole(line: string, end: number, guestCid: number): Greeting | Refusal {
  const hyperkit = HYPERKIT.exec(line)
  if (hyperkit !== null) {
    const cid = Number.parseInt(hyperkit[1] ?? "", 16)
    const port = Number.parseInt(hyperkit[2] ?? "", 16)
    if (cid > CID_MAX || cid !== guestCid) return "wrong-cid"
    return port > PORT_MAX ? "bad-port" : { dialect: "hyperkit", port, end }
  }
  const firecracker = FIRECRACKER.exec(line)
  if (firecracker !== null) {
    const port = Number.parseInt(firecracker[1] ?? "", 10)
    return port > PORT_MAX ? "bad-port" : { dialect: "firecracker", port, end }
  }
  return couldBe(line.slice(0, 2)) ? "bad-greeting" : "unknown-dialect"
}

function couldBe(text: string): boolean {
  if (HYPERKIT_SO_FAR.test(text) || FIRECRACKER_SO_FAR.test(text)) return true
  return FIRECRACKER_WORD.startsWith(text.toLowerCase())
}
