/**
 * The directory that a procedure changes: found, checked, and shown before and after, RFC 1813 §2.6 wcc_data.
 *
 * Nothing comes between "before" and "after" but the change: procedures on names answer at once. Only the host's own programs can, and then the
 * times tell, as they do on any server.
 *
 * @module
 */
import { type Attributes, type Name, newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import { EXECUTE, isSticky, may, owns, WRITE } from "../files/permission.ts"
import type { Volume } from "../files/volume.ts"
import * as status from "../status.ts"
import type { Writer } from "../xdr/writer.ts"
import type { Call } from "./procedure.ts"

export class Parent {
  node = -1
  /** Undefined where the handle led nowhere. */
  volume: Volume | undefined
  readonly before: Attributes = newAttributes()
  readonly #after: Attributes = newAttributes()
  readonly #child: Attributes = newAttributes()

  /** Returns OK where the caller may change the directory. */
  enter(call: Call, handle: number): number {
    this.volume = undefined
    const node = call.node(handle)
    const { volume } = call
    if (node < 0 || volume === undefined) return -node
    const result = volume.look(node, -1, call.caller, this.before)
    if (result < 0) return status.of(result)
    this.node = node
    this.volume = volume
    if (volume.readOnly) return status.ROFS
    if (!attributes.isDirectory(this.before)) return status.NOTDIR
    return may(this.before, call.caller, WRITE | EXECUTE) ? status.OK : status.ACCES
  }

  /** Whether the caller may take the name away: in a sticky directory only the owner of one of both may. */
  checkRemoval(call: Call, name: Name): number {
    const { volume } = this
    if (volume === undefined || !isSticky(this.before, call.caller)) return status.OK
    const child = volume.fileSystem.lookup(this.node, name, call.caller, this.#child)
    // What is not there has its own answer.
    if (child < 0) return status.OK
    volume.fileSystem.forget(child, 1)
    return owns(this.#child, call.caller) ? status.OK : status.PERM
  }

  /** Whether the caller may take what has the name elsewhere: a directory is written when it gets another parent. */
  checkMove(call: Call, name: Name): number {
    const { volume } = this
    if (volume === undefined) return status.OK
    const child = volume.fileSystem.lookup(this.node, name, call.caller, this.#child)
    if (child < 0) return status.OK
    volume.fileSystem.forget(child, 1)
    return !attributes.isDirectory(this.#child) || may(this.#child, call.caller, WRITE)
      ? status.OK
      : status.ACCES
  }

  /** Writes wcc_data. */
  emit(out: Writer, call: Call): void {
    const { volume } = this
    if (volume === undefined) {
      attributes.wcc(out, undefined, undefined, undefined)
      return
    }
    const result = volume.fileSystem.getAttributes(this.node, -1, call.caller, this.#after)
    attributes.wcc(out, volume, this.before, result < 0 ? undefined : this.#after)
  }
}
