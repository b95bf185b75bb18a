/**
 * What goes into the guest: the Debian release, the closed list of packages with the files taken from each, and the
 * kernel modules. Nothing is resolved: a package that is not named here does not get in, and the build fails if a
 * program misses a library.
 *
 * @module
 */

import { SidecarError } from "@skep/contract"

/** Processor architectures by Debian's names. */
export type Arch = "amd64" | "arm64"

/** A package and the files taken from it, as globs over paths with `/usr` merged. */
export interface PackagePick {
  readonly name: string
  readonly files: readonly string[]
}

export interface Recipe {
  /** Raised when the build itself changes what it makes of the same inputs. */
  readonly version: number
  readonly release: string
  readonly arch: Arch
  /** The package whose only dependency is the newest kernel of the release. */
  readonly kernelPackage: string
  readonly packages: readonly PackagePick[]
  readonly modules: {
    /** Loaded by the initial RAM disk: what it takes to mount the root. */
    readonly initial: readonly string[]
    /** Loaded on every boot, in this order. */
    readonly boot: readonly string[]
    /** Present for `modprobe`: globs below `/lib/modules/<release>/kernel`. */
    readonly present: readonly string[]
  }
}

const LIBRARIES = [
  "libacl1",
  "libaudit1",
  "libblkid1",
  "libcap-ng0",
  "libcap2",
  "libcom-err2",
  "libcrypt1",
  "libdevmapper1.02.1",
  "libext2fs2",
  "libfuse3-3",
  "libgcc-s1",
  "libgcrypt20",
  "libgpg-error0",
  "libgssapi-krb5-2",
  "libip4tc2",
  "libip6tc2",
  "libk5crypto3",
  "libkeyutils1",
  "libkrb5-3",
  "libkrb5support0",
  "liblz4-1",
  "liblzma5",
  "libmnl0",
  "libnetfilter-conntrack3",
  "libnfnetlink0",
  "libnftnl11",
  "libnsl2",
  "libpam0g",
  "libpcre2-8-0",
  "libproc2-0",
  "libseccomp2",
  "libselinux1",
  "libss2",
  "libssl3",
  "libsystemd0",
  "libtirpc3",
  "libudev1",
  "libuuid1",
  "libwrap0",
  "libxtables12",
  "libzstd1",
  "zlib1g",
]

const PROGRAMS: readonly PackagePick[] = [
  { name: "busybox-static", files: ["/usr/bin/busybox"] },
  { name: "ca-certificates", files: ["/usr/share/ca-certificates/mozilla/*.crt"] },
  // Its date sets the clock to a fraction of a second, which that of busybox cannot.
  { name: "coreutils", files: ["/usr/bin/date"] },
  { name: "containerd", files: ["/usr/bin/containerd", "/usr/bin/containerd-shim-runc-v2"] },
  {
    name: "docker.io",
    files: ["/usr/bin/docker", "/usr/bin/docker-init", "/usr/sbin/docker-proxy", "/usr/sbin/dockerd"],
  },
  { name: "e2fsprogs", files: ["/usr/sbin/{e2fsck,mke2fs,resize2fs,tune2fs,dumpe2fs}", "/etc/mke2fs.conf"] },
  { name: "fuse3", files: ["/usr/bin/fusermount3"] },
  {
    name: "iptables",
    files: ["/usr/sbin/{ip,ip6}tables*", "/usr/sbin/xtables-*-multi", "/usr/lib/*/xtables/*.so"],
  },
  { name: "libc6", files: ["/usr/lib/*/*.so*", "/usr/lib64/*"] },
  { name: "netbase", files: ["/etc/{protocols,services}"] },
  { name: "openssh-server", files: ["/usr/sbin/sshd"] },
  // The share agent is made of system calls that no shell has; it takes no module of the language.
  { name: "perl-base", files: ["/usr/bin/perl"] },
  { name: "pigz", files: ["/usr/bin/{pigz,unpigz}"] },
  { name: "procps", files: ["/usr/bin/ps"] },
  { name: "runc", files: ["/usr/sbin/runc", "/usr/bin/runc"] },
  { name: "socat", files: ["/usr/bin/socat"] },
  { name: "tini", files: ["/usr/bin/tini-static"] },
  { name: "util-linux", files: ["/usr/sbin/blkid", "/usr/bin/{flock,nsenter,unshare}"] },
]

const MODULES: Recipe["modules"] = {
  initial: ["virtio_mmio", "virtio_pci", "virtio_blk", "erofs", "overlay"],
  boot: [
    "virtio_net",
    "button",
    "evdev",
    "veth",
    "br_netfilter",
    "ip_tables",
    "iptable_filter",
    "iptable_nat",
    "xt_conntrack",
    "xt_MASQUERADE",
    "xt_addrtype",
    "nf_conntrack_netlink",
    "virtio_rng",
    "virtio_balloon",
  ],
  present: [
    "net/{ipv4,ipv6}/netfilter/*",
    "net/netfilter/**",
    "net/bridge/**",
    "net/sched/*",
    "net/vmw_vsock/*",
    "net/packet/*",
    "net/8021q/*",
    "net/xfrm/*",
    "net/ipv4/*",
    "net/ipv6/*",
    "net/sunrpc/sunrpc.ko",
    "drivers/virtio/*",
    "drivers/char/**",
    "drivers/net/{virtio_net,veth,tun,tap,macvlan,macvtap,dummy,ifb,nlmon,vxlan,geneve}.ko",
    "drivers/net/{ipvlan,wireguard,bonding}/*",
    "drivers/block/{virtio_blk,loop,nbd,zram/zram}.ko",
    "drivers/scsi/virtio_scsi.ko",
    "drivers/acpi/button.ko",
    "drivers/input/*",
    "drivers/rtc/*",
    "fs/{erofs,overlayfs,fuse,nfs,nfs_common,lockd,isofs,squashfs,fat,nls,autofs,configfs,btrfs,xfs}/**",
    "fs/binfmt_misc.ko",
  ],
}

/** Returns the recipe of the guest for an architecture. Throws "unsupported-arch". */
export function recipe(arch: Arch): Recipe {
  if (arch !== "amd64") {
    throw new SidecarError(
      "unsupported-arch",
      `Cannot make a guest image for "${arch}": not yet, only amd64 works`,
    )
  }
  const libraries = LIBRARIES.map((name) => ({ name, files: ["/usr/lib/*/*.so*"] }))
  return {
    version: 1,
    release: "bookworm",
    arch,
    kernelPackage: `linux-image-cloud-${arch}`,
    packages: [...PROGRAMS, ...libraries].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    modules: MODULES,
  }
}
