/**
 * Opens a directory of the host for clients.
 *
 * @module
 */
import type { SyscallPool } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { Core } from "./core.ts"
import { Data } from "./data.ts"
import { DirectoryReader } from "./directory-reader.ts"
import { Passthrough } from "./file-system.ts"
import { Handles } from "./handles.ts"
import { Locks } from "./locks.ts"
import { Memory } from "./memory.ts"
import { reopen } from "./naming.ts"
import { NodeTable } from "./node-table.ts"
import { Stat } from "./stat.ts"
import { Store } from "./store.ts"
import { openRoot, Walker } from "./walker.ts"

const NODES = 2 * 1024 * 1024
const IDLE = 16 * 1024
/** What is left to open files, sockets and the rest of the process. */
const SHARE_OF_DESCRIPTORS = 2

export interface PassthroughOptions {
  /** A directory of the host. */
  readonly path: string
  /** Everything that changes something is EROFS; false unless told. */
  readonly readOnly?: boolean
  /** The file that keeps node ids and open handles for a successor. Made if there is none; one process has it at a time. */
  readonly journal?: string | undefined
  /** How many O_PATH descriptors are kept: half of what the process may have, unless told; at least 64. */
  readonly maxDescriptors?: number | undefined
  /** Where calls are made that may wait. Without one they are made at once, and the thread waits. */
  readonly pool?: SyscallPool | undefined
  /** The most nodes at a time, ENFILE beyond; 2,097,152 unless told. */
  readonly maxNodes?: number
  /** How many nodes that nobody holds are kept for those who come back; 16,384 unless told. */
  readonly idleNodes?: number
  /** Whether what a caller makes becomes his on the host, which takes root; false unless told. */
  readonly giveToCaller?: boolean
}

/**
 * Opens a directory. Throws a `SystemError`: where it cannot be opened, where another process has the journal, or where that cannot be made.
 *
 * New files get the mode that is asked for, whatever this process's umask is; one of 0 saves a system call.
 */
export function openPassthrough(options: PassthroughOptions): Passthrough {
  const root = sys.check(openRoot(options.path), "open", options.path)
  const memory = new Memory()
  try {
    return build(options, memory, root)
  } catch (error) {
    memory[Symbol.dispose]()
    sys.close(root)
    throw error
  }
}

function build(options: PassthroughOptions, memory: Memory, root: number): Passthrough {
  const stat = new Stat(memory)
  sys.check(stat.ofDescriptor(root), "statx", options.path)
  const limit = sys.raiseDescriptorLimit(memory.stat.address, memory.stat.u32)
  sys.check(stat.ofDescriptor(root), "statx", options.path)
  const { store, table } = openTable(options, stat)
  try {
    const most = options.maxDescriptors ?? Math.floor(Math.max(limit, 0) / SHARE_OF_DESCRIPTORS)
    const walker = new Walker(memory, table, { path: options.path, most }, root)
    const handles = new Handles(store, table, (slot, flags, directory) =>
      reopen(core, slot, flags, directory),
    )
    const core: Core = new Core({
      memory,
      table,
      walker,
      handles,
      stat,
      options: { readOnly: options.readOnly ?? false, giveToCaller: options.giveToCaller ?? false },
    })
    core.onRoot = () => store.changeRoot(walker.rootStat)
    handles.inherit()
    table.settle()
    const locks = new Locks(memory, (slot, flags) => core.openAgain(slot, flags | sys.O_NONBLOCK))
    const data = new Data(memory, handles, options.pool)
    return new Passthrough({ core, data, reader: new DirectoryReader(), locks, store })
  } catch (error) {
    store[Symbol.dispose]()
    throw error
  }
}

/** The table with what a predecessor left, or an empty one where that cannot be used. */
function openTable(
  options: PassthroughOptions,
  root: Stat,
): { readonly store: Store; readonly table: NodeTable } {
  const idle = options.idleNodes ?? IDLE
  let store = Store.open({ capacity: options.maxNodes ?? NODES, path: options.journal }, root)
  try {
    let table = new NodeTable(store, idle)
    const damage = store.inherited ? table.inherit() : undefined
    if (damage !== undefined) {
      store = store.replace(damage, root)
      table = new NodeTable(store, idle)
    }
    table.setRoot(root)
    return { store, table }
  } catch (error) {
    store[Symbol.dispose]()
    throw error
  }
}
