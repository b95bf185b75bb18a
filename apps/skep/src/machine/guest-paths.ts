/**
 * Which paths of a machine are its own, though the host may have the same: what runs the machine, and what its kernel makes up.
 *
 * A bind mount of one of them means the machine's (`/var/run/docker.sock`, `/proc`, `/lib/modules`); any other path that no share has means a
 * path of the host that is not there. Deliberately not its own: /home, /opt, /srv, /tmp, /usr/local, /var/lib and most of /etc, where people
 * keep what they mount. The machine keeps none of these over a stop, so a mount of them would lose data without a word.
 *
 * @module
 */

/** With all that is in them. */
const TREES = [
  "/bin",
  "/boot",
  "/dev",
  "/lib",
  "/lib32",
  "/lib64",
  "/libx32",
  "/proc",
  "/run",
  "/sbin",
  "/sys",
  "/usr",
  "/var/lib/containerd",
  "/var/lib/docker",
  "/var/lib/skep",
  "/var/log",
  "/var/run",
]
/** Within those, what is the host's all the same. */
const EXCEPTIONS = ["/usr/local"]
/** The files of /etc that a machine has, and containers are given. */
const ETC = [
  "ca-certificates",
  "docker",
  "group",
  "hostname",
  "hosts",
  "localtime",
  "machine-id",
  "os-release",
  "passwd",
  "resolv.conf",
  "ssl",
  "timezone",
].map((name) => `/etc/${name}`)
/** By themselves: monitors mount the root of the machine that they watch. */
const EXACT = new Set(["/", "/etc", "/var"])
/** What a share would hide from the machine itself, with all that is in them. */
const VITAL = [...TREES, "/etc", "/usr/local"]
/** The same by itself: a share may be in it. */
const VITAL_ALONE = ["/tmp"]

/** Whether `path` is `directory` or in it. Both are absolute, without `.`, `..` and a slash at the end. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`)
}

/** Whether a bind mount of this path means the machine's own. */
export function isGuests(path: string): boolean {
  if (EXACT.has(path)) return true
  if (EXCEPTIONS.some((directory) => isWithin(path, directory))) return false
  return [...TREES, ...ETC].some((directory) => isWithin(path, directory))
}

/** What of the machine's own a share at `target` would hide, or undefined. */
export function hiddenBy(target: string): string | undefined {
  const hides = (directory: string): boolean => isWithin(directory, target)
  return VITAL.find((directory) => isWithin(target, directory) || hides(directory)) ?? VITAL_ALONE.find(hides)
}
