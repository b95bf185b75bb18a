/**
 * A network namespace of the test's own, without a name: it ends with its last descriptor.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { inNamespace } from "../../src/index.ts"

export interface Network extends Disposable {
  /** For `netns`. */
  readonly path: string
  inside<Result>(work: () => Result): Result
}

/** Why there can be none here, or "". */
export function whyNoNetwork(): string {
  const tun = sys.open("/dev/net/tun", sys.O_RDWR)
  if (tun < 0) return `/dev/net/tun cannot be opened (${sys.errnoName(tun)})`
  sys.close(tun)
  try {
    network()[Symbol.dispose]()
    return ""
  } catch (error) {
    return `no network namespace can be made (${String(error)})`
  }
}

export function network(): Network {
  const home = sys.check(sys.currentNamespace(), "open")
  sys.check(sys.unshare(sys.CLONE_NEWNET), "unshare")
  const there = sys.currentNamespace()
  sys.check(sys.setNamespace(home, sys.CLONE_NEWNET), "setns")
  sys.close(home)
  const path = `/proc/self/fd/${sys.check(there, "open")}`
  return {
    path,
    inside: (work) => inNamespace(path, work),
    [Symbol.dispose]: () => void sys.close(there),
  }
}
