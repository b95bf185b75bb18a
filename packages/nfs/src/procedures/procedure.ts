/**
 * What a procedure is, and the call it is given.
 *
 * @module
 */

import type { Claimant } from "../files/permission.ts"
import type { Volume } from "../files/volume.ts"
import { strange, volumeOf } from "../handle/handles.ts"
import type { Chunk, Memory } from "../memory/pool.ts"
import type { CallHeader } from "../rpc/call.ts"
import { GARBAGE_ARGS, type Reply } from "../rpc/reply.ts"
import type { Service } from "../service.ts"
import { type Cursor, HANDLE_SPAN } from "../xdr/cursor.ts"

export interface Procedure {
  readonly name: string
  /** The most bytes that its results take. May look into the arguments. */
  readonly room: number | ((args: Cursor) => number)
  /** Writes its results. "later": it finishes the reply itself. */
  readonly run: (call: Call, reply: Reply) => "later" | undefined
  /** Not to be done twice: its reply is kept for who asks again. */
  readonly once?: boolean
  /** Open to callers without a name. */
  readonly anonymous?: boolean
}

export interface Program {
  readonly number: number
  readonly version: number
  readonly procedures: readonly Procedure[]
}

/** A call that is carried out. One a server: valid until `run` returns. */
export class Call {
  readonly service: Service
  readonly memory: Memory
  readonly args: Cursor
  /** Where the arguments lie: hold it to use them later. */
  chunk: Chunk | undefined
  /** The one that the last handle led to. */
  volume: Volume | undefined
  readonly #header: CallHeader

  constructor(service: Service, args: Cursor, header: CallHeader) {
    this.service = service
    this.memory = service.memory
    this.args = args
    this.#header = header
  }

  get caller(): Claimant {
    return this.#header.caller
  }

  /** What the client calls itself. */
  get machine(): string {
    const { machine, machineLength } = this.#header
    return Buffer.from(this.memory.bytes.subarray(machine, machine + machineLength)).toString()
  }

  /** The node of a handle that `args.handle()` passed, or `-nfsstat3`. */
  node(handle: number): number {
    const start = Math.floor(handle / HANDLE_SPAN)
    const length = handle % HANDLE_SPAN
    const { bytes } = this.memory
    const volume = this.service.volumeById(volumeOf(bytes, start, length))
    this.volume = volume
    if (volume === undefined) return -strange(this.service.key, bytes, start, length)
    return volume.handles.find(bytes, start, length)
  }
}

/** The arguments are not what the procedure takes. */
export function garbage(reply: Reply): undefined {
  reply.refuse(GARBAGE_ARGS)
}

/** RFC 1813 §3.3.0. */
export const nothing: Procedure = {
  name: "NULL",
  room: 0,
  anonymous: true,
  run: () => undefined,
}

/** A status without anything behind it. */
export function only(reply: Reply, code: number): undefined {
  reply.rewind()
  reply.out.u32(code)
}
