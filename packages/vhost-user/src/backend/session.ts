/**
 * One front end's negotiation with a device: what each message does. No I/O but what queues do with their own descriptors.
 *
 * docs/interop/vhost-user.rst, "Front-end message types". Reply rules: a request with an answer of its own is answered; any other is
 * acknowledged where its NEED_REPLY flag is set, whatever was negotiated, since QEMU does not negotiate again after it re-attaches.
 *
 * @module
 */
import type { Scope } from "@skep/loop"
import { GuestMemory, type GuestMemoryOptions } from "../memory/guest-memory.ts"
import * as features from "../protocol/features.ts"
import { HEADER, type Header } from "../protocol/header.ts"
import * as payload from "../protocol/payload.ts"
import * as request from "../protocol/request.ts"
import type { BrokenRing } from "../ring/split-ring.ts"
import type { Device } from "./device.ts"
import { Queue, type RingFeatures } from "./queue.ts"

/** The most regions that `ADD_MEM_REG` may make. */
const SLOTS = 32
/** Bytes of an Ethernet address. */
const MAC = 6

export interface SessionOptions {
  readonly device: Device
  readonly scope: Scope
  readonly memory?: GuestMemoryOptions
  readonly onBroken?: (queue: Queue, why: BrokenRing) => void
}

/** A message as it came. Descriptors that the session does not take stay in `fds`. */
export interface Message {
  readonly header: Header
  /** Header and payload; the payload begins at `HEADER`. */
  readonly bytes: Uint8Array
  readonly fds: number[]
}

/** Bytes of an answer's payload, or undefined where there is none. Thrown `ProtocolError`s end the connection. */
export type Answer = Uint8Array | undefined

/** The front end broke the protocol, so that nothing it says later can be trusted. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError"
}

const PROTOCOL_FEATURES =
  features.PROTOCOL_F_MQ |
  features.PROTOCOL_F_REPLY_ACK |
  features.PROTOCOL_F_RESET_DEVICE |
  features.PROTOCOL_F_CONFIGURE_MEM_SLOTS

export class Session implements Disposable {
  readonly queues: readonly Queue[]
  readonly memory: GuestMemory
  readonly #device: Device
  readonly #offered: bigint
  #chosen = 0n

  constructor({ device, scope, memory, onBroken }: SessionOptions) {
    this.#device = device
    this.memory = new GuestMemory(memory)
    this.#offered = device.features | features.RING_FEATURES
    this.queues = Array.from(
      { length: device.queueCount },
      (_, index) =>
        new Queue({
          index,
          device,
          memory: this.memory,
          scope,
          onBroken: onBroken ?? (() => undefined),
        }),
    )
  }

  /** Whether `GET_PROTOCOL_FEATURES` was promised, so that rings begin disabled. */
  get #hasProtocolFeatures(): boolean {
    return (this.#chosen & features.VHOST_USER_F_PROTOCOL_FEATURES) !== 0n
  }

  get #ringFeatures(): RingFeatures {
    return {
      eventIndex: (this.#chosen & features.VIRTIO_RING_F_EVENT_IDX) !== 0n,
      indirect: (this.#chosen & features.VIRTIO_RING_F_INDIRECT_DESC) !== 0n,
    }
  }

  /**
   * Does what the message says and returns the payload of its answer. Throws a `ProtocolError`, and what the memory and the rings throw,
   * for a request that cannot be fulfilled: with NEED_REPLY the front end is told so by a value that is not 0.
   */
  handle(message: Message): Answer {
    switch (message.header.request) {
      case request.GET_FEATURES:
        return bits(this.#offered)
      case request.SET_FEATURES:
        return this.#setFeatures(this.#bits(message))
      case request.GET_PROTOCOL_FEATURES:
        return bits(this.#protocolFeatures())
      case request.GET_QUEUE_NUM:
        return bits(BigInt(this.#device.announcedQueues ?? this.queues.length))
      case request.GET_MAX_MEM_SLOTS:
        return bits(BigInt(SLOTS))
      case request.SET_OWNER:
      case request.SET_PROTOCOL_FEATURES:
      case request.SET_LOG_FD:
        return undefined
      case request.RESET_OWNER:
      case request.RESET_DEVICE:
        return this.#reset()
      case request.SET_MEM_TABLE:
        return this.#setMemory(message)
      case request.ADD_MEM_REG:
        return this.#addRegion(message)
      case request.REM_MEM_REG:
        return this.#removeRegion(message)
      default:
        return this.#handleDevice(message)
    }
  }

  /** Shows the guest what the devices gave back in this batch. */
  flush(): void {
    for (const queue of this.queues) queue.flush()
  }

  /** Stops every queue, closes every descriptor, unmaps the guest. */
  [Symbol.dispose](): void {
    for (const queue of this.queues) queue.reset()
    this.memory.clear()
    this.#device.onGone?.()
  }

  /** What only some devices know. */
  #handleDevice(message: Message): Answer {
    switch (message.header.request) {
      case request.GET_CONFIG:
        return this.#config(message)
      case request.NET_SET_MTU:
        return this.#setMtu(Number(this.#bits(message)))
      case request.SEND_RARP:
        return this.#announce(message)
      default:
        return this.#handleRing(message)
    }
  }

  #handleRing(message: Message): Answer {
    switch (message.header.request) {
      case request.SET_VRING_NUM: {
        const { queue, value } = this.#state(message)
        queue.setSize(value)
        return undefined
      }
      case request.SET_VRING_BASE: {
        const { queue, value } = this.#state(message)
        queue.setBase(value)
        return undefined
      }
      case request.GET_VRING_BASE: {
        const { queue } = this.#state(message)
        queue.stop()
        return stateOf(queue)
      }
      case request.SET_VRING_ENABLE: {
        const { queue, value } = this.#state(message)
        queue.enable(value === 1)
        return undefined
      }
      case request.SET_VRING_ADDR:
        return this.#setAddresses(message)
      case request.SET_VRING_KICK: {
        const { queue, fd } = this.#descriptor(message)
        if (fd < 0) throw new ProtocolError("a queue without a kick would have to be polled")
        queue.start(fd, this.#ringFeatures)
        if (!this.#hasProtocolFeatures) queue.enable(true)
        return undefined
      }
      case request.SET_VRING_CALL: {
        const { queue, fd } = this.#descriptor(message)
        queue.setCall(fd)
        return undefined
      }
      case request.SET_VRING_ERR: {
        const { queue, fd } = this.#descriptor(message)
        queue.setError(fd)
        return undefined
      }
      default:
        throw new RangeError(`${request.nameOf(message.header.request)} is not offered`)
    }
  }

  #setFeatures(chosen: bigint): undefined {
    const unknown = chosen & ~this.#offered
    // Dirty-page logging is for live migration: to take it silently would corrupt the guest that is moved.
    if (unknown !== 0n) throw new ProtocolError(`features 0x${unknown.toString(16)} were not offered`)
    this.#chosen = chosen
    this.#device.onFeatures?.(chosen)
  }

  #protocolFeatures(): bigint {
    let offered = PROTOCOL_FEATURES
    if (this.#device.config !== undefined) offered |= features.PROTOCOL_F_CONFIG
    if (this.#device.onMtu !== undefined) offered |= features.PROTOCOL_F_MTU
    if (this.#device.onAnnounce !== undefined) offered |= features.PROTOCOL_F_RARP
    return offered
  }

  #setMtu(mtu: number): undefined {
    if (this.#device.onMtu?.(mtu) !== true)
      throw new RangeError(`${this.#device.name} cannot have an MTU of ${mtu}`)
  }

  #announce(message: Message): undefined {
    this.#bits(message) // has the size of a number, and is six bytes in their order
    if (this.#device.onAnnounce === undefined) throw new RangeError("SEND_RARP is not offered")
    this.#device.onAnnounce(message.bytes.slice(HEADER, HEADER + MAC))
  }

  #reset(): undefined {
    for (const queue of this.queues) queue.reset()
    return undefined
  }

  #setMemory(message: Message): undefined {
    const regions = checked(payload.parseMemoryTable(message.bytes, HEADER, endOf(message)))
    if (message.fds.length !== regions.length)
      throw new ProtocolError(`${regions.length} regions came with ${message.fds.length} descriptors`)
    this.#remap(() => {
      this.memory.clear()
      for (const [index, region] of regions.entries()) this.memory.add(region, message.fds[index] ?? -1)
    })
  }

  #addRegion(message: Message): undefined {
    const region = checked(payload.parseSingleRegion(message.bytes, HEADER, endOf(message)))
    const [fd] = message.fds
    if (fd === undefined) throw new ProtocolError("a region came without a descriptor")
    if (this.memory.regions.length >= SLOTS) throw new RangeError(`there are ${SLOTS} regions already`)
    this.memory.add(region, fd)
  }

  #removeRegion(message: Message): undefined {
    const region = checked(payload.parseSingleRegion(message.bytes, HEADER, endOf(message)))
    if (!this.#remap(() => this.memory.remove(region))) throw new RangeError("there is no such region")
    return undefined
  }

  /** Rings that run are closed while the memory moves, and opened again at the same addresses of the front end. */
  #remap<T>(move: () => T): T {
    const ran = this.queues.filter((queue) => queue.close())
    const result = move()
    for (const queue of ran) queue.open(this.#ringFeatures)
    return result
  }

  #config(message: Message): Uint8Array {
    const part = checked(payload.parseConfig(message.bytes, HEADER, endOf(message)))
    const { config } = this.#device
    const answer = new Uint8Array(payload.CONFIG_HEAD + part.size)
    payload.emitConfigHead(part, answer, 0)
    // What the device does not have reads as zeros: QEMU asks for its own idea of the size.
    if (config !== undefined)
      answer.set(config.subarray(part.offset, part.offset + part.size), payload.CONFIG_HEAD)
    return answer
  }

  #setAddresses(message: Message): undefined {
    const address = checked(payload.parseVringAddress(message.bytes, HEADER, endOf(message)))
    if (address.logsDirtyPages) throw new ProtocolError("logging of dirty pages was not offered")
    this.#queue(address.index).setAddresses(address)
  }

  #state(message: Message): { readonly queue: Queue; readonly value: number } {
    const { index, value } = checked(payload.parseVringState(message.bytes, HEADER, endOf(message)))
    return { queue: this.#queue(index), value }
  }

  /** Takes the message's descriptor: it is the caller's from now on. */
  #descriptor(message: Message): { readonly queue: Queue; readonly fd: number } {
    const { index, hasDescriptor } = checked(
      payload.parseVringDescriptor(message.bytes, HEADER, endOf(message)),
    )
    const queue = this.#queue(index)
    if (!hasDescriptor) return { queue, fd: -1 }
    const fd = message.fds.shift()
    if (fd === undefined) throw new ProtocolError("a descriptor was announced and did not come")
    return { queue, fd }
  }

  #bits(message: Message): bigint {
    return checked(payload.parseBits(message.bytes, HEADER, endOf(message)))
  }

  #queue(index: number): Queue {
    const queue = this.queues[index]
    if (queue === undefined) throw new RangeError(`there is no queue ${index}`)
    return queue
  }
}

function endOf({ header }: Message): number {
  return HEADER + header.size
}

function checked<T>(parsed: T | payload.MalformedPayload): T {
  if (typeof parsed === "string") throw new ProtocolError(`the payload is malformed: ${parsed}`)
  return parsed
}

function bits(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  payload.emitBits(value, bytes, 0)
  return bytes
}

function stateOf(queue: Queue): Uint8Array {
  const bytes = new Uint8Array(payload.VRING_STATE)
  payload.emitVringState({ index: queue.index, value: queue.base }, bytes, 0)
  return bytes
}
