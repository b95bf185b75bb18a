// What the host must have, and how to get it: used by start, test and check before anything is installed or built.
import { spawnSync } from "node:child_process"

/** Programs that Skep runs, with the Debian packages that hold them (Debian 12 and 13). */
export const RUN_PROGRAMS = [
  { program: "qemu-system-x86_64", packages: ["qemu-system-x86"] },
  { program: "mkfs.erofs", packages: ["erofs-utils"] },
  { program: "dpkg-deb", packages: ["dpkg"] },
]

/** What the tests use beside them. */
export const TEST_PROGRAMS = [
  { program: "busybox", packages: ["busybox-static"] },
  { program: "ssh", packages: ["openssh-client"] },
  { program: "curl", packages: ["curl"] },
  { program: "ss", packages: ["iproute2"] },
  { program: "script", packages: ["bsdutils"] },
  { program: "gcc", packages: ["gcc", "libc6-dev"] },
  // Projects with directories of the host.
  { program: "docker-compose", packages: ["docker-compose"] },
  { program: "sqlite3", packages: ["sqlite3"] },
  { program: "pg_createcluster", packages: ["postgresql"] },
  { program: "git", packages: ["git"] },
  // A machine's files on the host: skep mount uses the first, its tests the second.
  { program: "fusermount3", packages: ["fuse3", "libfuse2"] },
  { program: "/usr/lib/openssh/sftp-server", packages: ["openssh-sftp-server"] },
  { program: "exportfs", packages: ["nfs-kernel-server"] },
  // Real clients and judges of the network.
  { program: "udhcpc", packages: ["udhcpc"] },
  { program: "dhclient", packages: ["isc-dhcp-client"] },
  { program: "dhcpcd", packages: ["dhcpcd-base"] },
  { program: "perfdhcp", packages: ["kea-admin"] },
  { program: "dig", packages: ["bind9-dnsutils"] },
  { program: "ping", packages: ["iputils-ping"] },
  { program: "rdisc6", packages: ["ndisc6"] },
  { program: "ethtool", packages: ["ethtool"] },
  { program: "tcpdump", packages: ["tcpdump"] },
  { program: "tshark", packages: ["tshark"] },
  // What it lets a guest reach is found out in namespaces.
  { program: "passt", packages: ["passt"] },
  // Who stands for a kernel's NFS server.
  { program: "ganesha.nfsd", packages: ["nfs-ganesha", "nfs-ganesha-vfs", "rpcbind", "socat"] },
  // A server whose leases the janitor takes back, and what kills the janitor at each of its system calls.
  { program: "dnsmasq", packages: ["dnsmasq-base"] },
  { program: "strace", packages: ["strace"] },
  // Clients of NFS that need no kernel, and what the benchmarks build theirs with.
  { program: "nfs-ls", packages: ["libnfs-utils", "libnfs-dev"] },
]

/** What the benchmarks use beside these: they compile peers and loads, give threads a processor, and are about other networks. */
export const BENCH_PROGRAMS = [
  { program: "gcc", packages: ["gcc", "libc6-dev"] },
  { program: "/usr/bin/time", packages: ["time"] },
  { program: "taskset", packages: ["util-linux"] },
  { program: "passt", packages: ["passt"] },
  { program: "slirp4netns", packages: ["slirp4netns"] },
  { program: "fio", packages: ["fio"] },
  { program: "sqlite3", packages: ["sqlite3"] },
  { program: "git", packages: ["git"] },
  { program: "nfs-ls", packages: ["libnfs-utils", "libnfs-dev"] },
  { program: "ganesha.nfsd", packages: ["nfs-ganesha", "nfs-ganesha-vfs", "rpcbind"] },
]

/**
 * The docker command, where Debian has a package of just that: from Debian 13 on. In Debian 12 it comes with a daemon that
 * nobody here needs, so there `skep docker-cli` takes the command alone out of that package.
 */
export function dockerPrograms() {
  if (onPath("docker") || !isCandidate("docker-cli")) return []
  return [{ program: "docker", packages: ["docker-cli"] }]
}

/** A user's PATH may lack what only root is expected to run. */
export function onPath(program) {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` }
  const look = ["-c", 'command -v "$1"', "sh", program]
  return spawnSync("sh", look, { stdio: "ignore", env }).status === 0
}

function isCandidate(name) {
  const env = { ...process.env, LC_ALL: "C" }
  const { stdout } = spawnSync("apt-cache", ["policy", name], { encoding: "utf8", env })
  return /^ {2}Candidate: (?!\(none\))/m.test(stdout ?? "")
}

/** Installs the packages of the missing programs with apt-get, after saying which; throws with what to type when it cannot. */
export function installPrograms(programs) {
  const missing = programs.filter(({ program }) => !onPath(program))
  if (missing.length === 0) return
  const packages = [...new Set(missing.flatMap((entry) => entry.packages))]
  const root = process.getuid?.() === 0
  const byHand = `${root ? "" : "sudo "}apt-get install --no-install-recommends ${packages.join(" ")}`
  if (!onPath("apt-get"))
    fail(
      `missing on this host: ${missing.map(({ program }) => program).join(", ")}`,
      "install them with the system's package manager",
    )
  if (!root && !onPath("sudo"))
    fail(`missing on this host: ${packages.join(", ")}, and only root may install them`, `as root: ${byHand}`)
  process.stderr.write(`skep: installing with the system's package manager: ${packages.join(" ")}\n`)
  const prefix = root ? [] : ["sudo"]
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  const install = () =>
    run([...prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", ...packages], env)
  // An old package list names files that are no longer served, so a failure is tried once more with a new list.
  if (install() === 0) return
  run([...prefix, "apt-get", "update", "-qq"], env)
  if (install() !== 0) fail(`apt-get could not install ${packages.join(", ")}`, byHand)
}

export function fail(sentence, next) {
  process.stderr.write(`error: ${sentence}\nnext: ${next}\n`)
  process.exit(6)
}

function run([file, ...args], env) {
  return spawnSync(file, args, { stdio: ["ignore", "ignore", "inherit"], env }).status ?? 1
}
