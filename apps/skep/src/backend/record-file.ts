/**
 * A machine's record as its machine has it: what `machine.json` said when it was read last, or why nothing can be made of it.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { type MachineRecord, readRecord, writeRecord } from "../machine/record.ts"

export class RecordFile {
  readonly #name: string
  readonly #path: string
  #record: MachineRecord | undefined
  #broken: SidecarError | undefined
  #removed = false

  constructor(name: string, path: string) {
    this.#name = name
    this.#path = path
  }

  get record(): MachineRecord | undefined {
    return this.#record
  }

  /** Why there is no record that can be used. */
  get broken(): SidecarError | undefined {
    return this.#broken
  }

  /** Goes by this one, which somebody else writes. */
  take(record: MachineRecord): void {
    this.#record = record
  }

  /** Goes by none: the machine is no more. */
  remove(): void {
    this.#removed = true
  }

  async keep(record: MachineRecord): Promise<void> {
    await writeRecord(this.#path, record)
    this.#record = record
  }

  async read(): Promise<void> {
    try {
      this.#record = await readRecord(this.#path)
      if (this.#record === undefined) {
        throw new SidecarError("corrupt-file", `Cannot find the machine file "${this.#path}"`, {
          next: `Remove what is left with skep rm --force ${this.#name}`,
        })
      }
      this.#broken = undefined
    } catch (error) {
      this.#record = undefined
      this.#broken = SidecarError.of(error)
    }
  }

  /** Somebody may have mended the file. */
  async readAgain(): Promise<void> {
    if (this.#broken !== undefined) await this.read()
  }

  /** Throws what is wrong with the machine. */
  whole(): MachineRecord {
    if (this.#broken !== undefined) throw this.#broken
    if (this.#record === undefined || this.#removed)
      throw new SidecarError("not-found", `Cannot find the machine "${this.#name}"`, {
        next: `Create it with skep up ${this.#name}`,
      })
    return this.#record
  }
}
