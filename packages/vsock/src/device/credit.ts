/**
 * Flow control of one stream, both directions: Virtual I/O Device 1.2, section 5.10.6.3 (Buffer Space Management).
 *
 *     guest ──RW──► received … undelivered … forwarded ──► host       we tell bufAlloc and forwarded (fwd_cnt)
 *     guest ◄──RW── sent (tx_cnt) … in flight … peerForwarded         the guest tells peerBufAlloc, peerForwarded
 *
 * The counters run freely modulo 2^32, so a difference is always taken as `(a - b) >>> 0`.
 *
 * @module
 */
import type { PacketView } from "./packet.ts"

/** Half the circle: a counter less than this behind another is older than it, otherwise ahead of it. */
const HALF = 2 ** 31
/** An update is due once this part of the smaller buffer was consumed unsaid. */
const UPDATE_PART = 4

/** What a stream's two ends have told each other; starts with everything at zero. */
export class Credit {
  readonly #bufAlloc: number
  #forwarded = 0
  #toldForwarded = 0
  #undelivered = 0
  #sent = 0
  #peerForwarded = 0
  #peerBufAlloc = 0

  constructor(bufAlloc: number) {
    this.#bufAlloc = bufAlloc
  }

  /** Bytes received from the guest that the host's socket has not taken yet; at most bufAlloc. */
  get undelivered(): number {
    return this.#undelivered
  }

  /** Bytes that the guest has room for. */
  get free(): number {
    return Math.max(0, this.#peerBufAlloc - this.#inFlight())
  }

  /**
   * The guest's side as its latest packet tells it. False if it claims to have taken bytes that were never sent.
   *
   * Linux fills in a header and queues the packet under different locks, so two packets may arrive the other way
   * round: an older fwd_cnt is passed over, together with the buf_alloc that came with it.
   */
  onPeer(bufAlloc: number, forwarded: number): boolean {
    if ((forwarded - this.#peerForwarded) >>> 0 <= this.#inFlight()) {
      this.#peerForwarded = forwarded
      this.#peerBufAlloc = bufAlloc
      return true
    }
    return (this.#peerForwarded - forwarded) >>> 0 < HALF
  }

  /** False if the guest has sent more than there is room for. */
  onReceived(bytes: number): boolean {
    if (bytes > this.#bufAlloc - this.#undelivered) return false
    this.#undelivered += bytes
    return true
  }

  /** The host's socket took `bytes`, or they were given up. */
  onForwarded(bytes: number): void {
    this.#undelivered -= bytes
    this.#forwarded = (this.#forwarded + bytes) >>> 0
  }

  onSent(bytes: number): void {
    this.#sent = (this.#sent + bytes) >>> 0
  }

  /** Puts our side into a header, which counts as told. */
  stamp(header: PacketView): void {
    header.bufAlloc = this.#bufAlloc
    header.fwdCnt = this.#forwarded
    this.#toldForwarded = this.#forwarded
  }

  /**
   * Whether the guest should hear of the room it has again. Linux lets a sender have no more in flight than its own
   * buffer holds either, so the smaller of both buffers counts: with ours alone it stalls.
   */
  get updateDue(): boolean {
    const unsaid = (this.#forwarded - this.#toldForwarded) >>> 0
    return unsaid > 0 && unsaid >= Math.floor(Math.min(this.#bufAlloc, this.#peerBufAlloc) / UPDATE_PART)
  }

  #inFlight(): number {
    return (this.#sent - this.#peerForwarded) >>> 0
  }
}
