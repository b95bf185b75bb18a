/**
 * Targets of symbolic links, so that following one never leaves the mounted part: the host's kernel walks them, and would find the host's own files.
 *
 * A target is read as it would be below a chroot(2) of the mounted part: an absolute one begins at its root, and `..` at the root stays there. What
 * is shown is relative to the link's own directory, all `..` in front, no more of them than there are directories above. So no link leads out,
 * whatever its parts are: each of them that is a link is of this form too.
 *
 * @module
 */

/** `link` is the path of the link itself below the root, `base` where in the machine that root is when links mean the machine's paths. */
export function confine(link: string, target: string, base = "/"): string {
  const directory = partsOf(link).slice(0, -1)
  const wanted = target.startsWith("/") ? collapse([], inside(base, target)) : collapse(directory, target)
  if (!target.startsWith("/") && isPlain(target, directory.length)) return target
  let shared = 0
  while (shared < directory.length && shared < wanted.length && directory[shared] === wanted[shared]) shared++
  const up = directory.slice(shared).map(() => "..")
  const path = [...up, ...wanted.slice(shared)].join("/")
  return path === "" ? "." : path
}

/** An absolute path of the machine as one below the root, where it lies there; as a chroot reads it elsewhere. */
function inside(base: string, target: string): string {
  if (base === "/") return target
  return target === base || target.startsWith(`${base}/`) ? target.slice(base.length) : target
}

/** `..` in front only, and no more of them than lead to the root: nothing to change, its exact words are kept. */
function isPlain(target: string, depth: number): boolean {
  const parts = partsOf(target)
  const ups = parts.findIndex((part) => part !== "..")
  const count = ups < 0 ? parts.length : ups
  return count <= depth && !parts.slice(count).includes("..")
}

function collapse(from: readonly string[], path: string): readonly string[] {
  const result = [...from]
  for (const part of partsOf(path)) {
    if (part === "..") result.pop()
    else result.push(part)
  }
  return result
}

function partsOf(path: string): readonly string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".")
}
