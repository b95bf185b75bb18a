/**
 * Two files change places in one step: renameat2(2) of Linux, renamex_np(2) of macOS. What was replaced is there afterwards, to be looked at: so nobody's write in
 * between is lost.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import koffi from "koffi"

const AT_FDCWD = -100
/** RENAME_EXCHANGE of linux/fs.h, RENAME_SWAP of sys/stdio.h. */
const EXCHANGE = 2

type Swap = (one: string, other: string) => number
let loaded: { readonly swap: Swap; readonly cannot: readonly number[] } | undefined

/** False where the kernel or the file system cannot do it. */
export function exchange(one: string, other: string): boolean {
  loaded ??= load()
  if (loaded.swap(one, other) === 0) return true
  const errno = koffi.errno()
  if (loaded.cannot.includes(errno)) return false
  const name = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`
  throw Object.assign(new Error(`${name}: exchange "${one}" and "${other}"`), { code: name })
}

function load(): { readonly swap: Swap; readonly cannot: readonly number[] } {
  const { EINVAL = 22, ENOSYS = 38, ENOTSUP = 95 } = koffi.os.errno
  const cannot = [EINVAL, ENOSYS, ENOTSUP]
  if (process.platform === "darwin") {
    const call: unknown = koffi
      .load("libSystem.B.dylib")
      .func("int renamex_np(const char *one, const char *other, unsigned int flags)")
    return { swap: (one, other) => Number(callable(call)(one, other, EXCHANGE)), cannot }
  }
  const call: unknown = koffi
    .load("libc.so.6")
    .func("int renameat2(int at, const char *one, int to, const char *other, unsigned int flags)")
  return { swap: (one, other) => Number(callable(call)(AT_FDCWD, one, AT_FDCWD, other, EXCHANGE)), cannot }
}

function callable(call: unknown): (...words: readonly unknown[]) => unknown {
  if (typeof call === "function") return (...words) => call(...words) as unknown
  throw new SidecarError("unsupported", "Cannot load the exchange of files from the C library")
}
