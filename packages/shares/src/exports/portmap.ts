/**
 * Where a program of Sun RPC listens on this host, as its rpcbind says: GETPORT of version 2 (RFC 1833, section 3), over TCP with a record mark (RFC
 * 5531, section 11).
 *
 * ```
 *  call   mark xid 0 2 100000 2 3  0 0  0 0  program version protocol 0
 *  reply  mark xid 1 0  0 0  0  port
 * ```
 *
 * @module
 */
import { randomBytes } from "node:crypto"
import { connect } from "node:net"
import { SidecarError } from "@skep/contract"
import { withDeadline } from "@skep/runtime/deadline"

/** RFC 1813: the server itself, and who gives out the handles of its directories. */
export const PROGRAMS = { nfs: 100_003, mount: 100_005 } as const
export const VERSION_3 = 3

/** Where it listens, and whom it is asked for. */
export interface PortQuery {
  readonly program: number
  readonly version: number
  /** rpcbind's own; 111 unless told. */
  readonly rpcbind?: number
}

const RPCBIND = 111
const PORTMAP = { program: 100_000, version: 2, getport: 3 } as const
const RPC_VERSION = 2
const TCP = 6
const LAST = 0x8000_0000
const MARK = 4
const REPLY_WORDS = 7
const REPLY_MAX = 512
const DEADLINE_MS = 5000

/** Undefined where the program is not there. Rejects with "unreachable" where no rpcbind answers, with "protocol" for an answer that is none. */
export async function portOf(query: PortQuery, signal: AbortSignal): Promise<number | undefined> {
  const xid = randomBytes(4).readUInt32BE()
  const answer = await withDeadline("ask the host's rpcbind", DEADLINE_MS, signal, (limit) =>
    ask(query.rpcbind ?? RPCBIND, emitGetport(xid, query), limit),
  )
  const port = parseGetport(answer, xid)
  if (port === undefined)
    throw new SidecarError("protocol", "Cannot read what the host's rpcbind says: it is no answer to GETPORT")
  return port === 0 ? undefined : port
}

export function emitGetport(xid: number, { program, version }: PortQuery): Uint8Array {
  const call = [xid, 0, RPC_VERSION, PORTMAP.program, PORTMAP.version, PORTMAP.getport]
  const nobody = [0, 0, 0, 0] // AUTH_NONE, twice
  return words([...call, ...nobody, program, version, TCP, 0])
}

/** The port of a whole reply, its mark included; 0 where there is none. Undefined for what is no such reply. */
export function parseGetport(bytes: Uint8Array, xid: number): number | undefined {
  if (bytes.length < MARK + REPLY_WORDS * 4) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [said, kind, denied, , verifier, status, port = 0] = Array.from({ length: REPLY_WORDS }, (_, index) =>
    view.getUint32(MARK + index * 4),
  )
  const isAnswer = said === xid && kind === 1 && denied === 0 && verifier === 0 && status === 0
  return isAnswer && port <= 0xffff ? port : undefined
}

function words(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(MARK + values.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of [LAST + values.length * 4, ...values].entries())
    view.setUint32(index * 4, value)
  return bytes
}

/** Resolves with the first record. */
function ask(port: number, call: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port })
    const over = (settle: () => void): void => {
      signal.removeEventListener("abort", aborted)
      socket.destroy()
      settle()
    }
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the signal's own reason
    const aborted = (): void => over(() => reject(signal.reason))
    signal.addEventListener("abort", aborted, { once: true })
    let got = Buffer.alloc(0)
    socket.on("data", (chunk: Buffer) => {
      got = Buffer.concat([got, chunk])
      if (isWhole(got)) over(() => resolve(got))
      else if (got.length > REPLY_MAX) over(() => reject(silent("it says too much")))
    })
    socket.once("error", (error) => over(() => reject(silent(error.message, error))))
    socket.once("end", () => over(() => reject(silent("it hung up"))))
    socket.write(call)
  })
}

function isWhole(bytes: Buffer): boolean {
  return bytes.length >= MARK && bytes.length >= MARK + (bytes.readUInt32BE() & (LAST - 1))
}

function silent(reason: string, cause?: unknown): SidecarError {
  return new SidecarError("unreachable", `Cannot ask the host's rpcbind: ${reason}`, { cause })
}
