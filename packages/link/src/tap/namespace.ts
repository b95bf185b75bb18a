/**
 * Work done in another network namespace by the calling thread: network_namespaces(7), setns(2).
 *
 * @module
 */
import * as sys from "@skep/loop/sys"

/** A namespace by the path of its file, as /run/netns/NAME or /proc/PID/ns/net, or by the number of a process that is in it. */
export type Namespace = string | number

/**
 * Enters the namespace, does `work` and comes back. Needs CAP_SYS_ADMIN here and where the namespace belongs. Throws the `SystemError` of what
 * refused. `work` must not wait.
 */
export function inNamespace<Result>(namespace: Namespace, work: () => Result): Result {
  const path = typeof namespace === "number" ? `/proc/${namespace}/ns/net` : namespace
  const there = sys.check(sys.open(path, sys.O_RDONLY), "open", path)
  try {
    const here = sys.check(sys.currentNamespace(), "open", "this thread's namespace")
    try {
      sys.check(sys.setNamespace(there, sys.CLONE_NEWNET), "setns", path)
      try {
        return work()
      } finally {
        // A thread that cannot come back would do all its further work in the wrong place.
        sys.check(sys.setNamespace(here, sys.CLONE_NEWNET), "setns", "coming back")
      }
    } finally {
      sys.close(here)
    }
  } finally {
    sys.close(there)
  }
}
