/**
 * The sidecar as a program: its flags, examples and verbs.
 *
 * @module
 */
import type { Flag } from "@skep/runtime"
import { serve } from "@skep/runtime"
import { skepNetworkRoutes } from "./control/routes.ts"
import { metricsOf } from "./metrics.ts"
import type { NetworkSidecar } from "./network.ts"

const several = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]

const LINKS: readonly Flag[] = [
  {
    flags: "--vhost-user <name=socket>",
    description:
      "a machine by vhost-user: QEMU, or a keeper before it, connects to the socket; may be repeated",
    key: "vhostUser",
    parse: several,
  },
  {
    flags: "--qemu <name=socket>",
    description: "a machine by QEMU's -netdev stream, which connects to the socket; may be repeated",
    key: "qemu",
    parse: several,
  },
  {
    flags: "--tap <interface[@netns]>",
    description:
      "a TAP interface, in the network namespace of a path or of a process; [name=] before it names the machine",
    key: "tap",
    parse: several,
  },
  {
    flags: "--mac <name=mac>",
    description: "the only source of frames of that machine",
    key: "mac",
    parse: several,
  },
]

const ADDRESSES: readonly Flag[] = [
  {
    flags: "--subnet <block>",
    description:
      "IPv4 addresses, 192.168.64.0/24 unless told; auto finds a block that this host has no route to",
    key: "subnet",
  },
  {
    flags: "--subnet6 <block>",
    description: "a /64 of IPv6; a stable one of this host and network unless told",
    key: "subnet6",
  },
  {
    flags: "--mtu <bytes>",
    description: "the largest packet, from 1280 to 65520; 1500 unless told",
    key: "mtu",
    parse: Number,
  },
  {
    flags: "--reserve <who=address>",
    description:
      "keeps an address for a machine's name, a MAC address, or a client id: id:HEX; may be repeated",
    key: "reserve",
    parse: several,
  },
  {
    flags: "--lease-file <path>",
    description: "leases that outlive a restart; leases.json in the directory",
    key: "leaseFile",
  },
]

const NAMES: readonly Flag[] = [
  {
    flags: "--domain <name>",
    description: "machines are NAME under it; skep.internal unless told",
    key: "domain",
  },
  {
    flags: "--dns-record <name=address>",
    description: "a name of our own; may be repeated",
    key: "dnsRecord",
    parse: several,
  },
  {
    flags: "--dns-server <address>",
    description: "asked in place of the host's own name servers; may be repeated",
    key: "dnsServer",
    parse: several,
  },
  {
    flags: "--search <domain>",
    description: "a search domain for machines; may be repeated",
    key: "search",
    parse: several,
  },
]

const REACH: readonly Flag[] = [
  {
    flags: "--policy <mode>",
    description:
      "what machines reach: nothing, loopback (this host's own, by the gateway), or open, which it is unless told",
    key: "policy",
  },
  {
    flags: "--closed-port <port[-last]>",
    description: "ports of this host's loopback that no machine reaches; may be repeated",
    key: "closedPort",
    parse: several,
  },
  {
    flags: "--forward <spec>",
    description:
      "[machine=][address:]port[-last]:[guest-address:]port[-last][/udp], as docker run -p; may be repeated",
    key: "forward",
    parse: several,
  },
]

const REST: readonly Flag[] = [
  {
    flags: "--directory <path>",
    description: "the network's own directory, for its sockets; required",
    key: "directory",
  },
  { flags: "--name <name>", description: "the network's name, default unless told", key: "name" },
  {
    flags: "--identity <text>",
    description: "what stable addresses are derived from; host, user and name unless told",
    key: "identity",
  },
  {
    flags: "--port-socket <path>",
    description: "gvproxy's verbs; port.sock in the directory",
    key: "portSocket",
  },
  {
    flags: "--driver <name>",
    description:
      "loop (system calls in a loop of our own, Linux) or node (Node's sockets, anywhere); the fastest there is unless told",
    key: "driver",
  },
  {
    flags: "--capture <file>",
    description: "writes the frames of all machines to a pcapng file",
    key: "capture",
  },
  {
    flags: "--busy-poll <us>",
    description:
      "how many microseconds to ask for more before sleeping, while that is worth it (100); 0 spares the battery and takes longer to answer",
    key: "busyPollUs",
    parse: Number,
  },
  {
    flags: "--lonely-ms <ms>",
    description:
      "end when no machine was connected for so long, from the end of the start on; 0, as without it, is never",
    key: "lonelyMs",
    parse: Number,
  },
]

/** Runs a network to its end: the last line of a `main.ts`. */
export async function runNetwork(sidecar: NetworkSidecar): Promise<void> {
  await serve(sidecar, {
    version: "0.1.0",
    description:
      "A network for virtual machines and network namespaces, in user space: switch, gateway, DHCP, DNS, forwards",
    flags: [...REST, ...LINKS, ...ADDRESSES, ...NAMES, ...REACH],
    examples: [
      "# a network namespace (root, or one of your own user namespace):",
      "ip netns add box && skep-network --directory /tmp/net --tap tap0@/run/netns/box",
      "",
      "# two machines of QEMU that reach each other as a.skep.internal and b.skep.internal:",
      "skep-network --directory /tmp/net --vhost-user a=/tmp/net/a.sock --qemu b=/tmp/net/b.sock \\",
      "  --forward a=2222:22 --forward b=0.0.0.0:8080:80 --control /tmp/net/control.sock",
      "qemu-system-x86_64 … -object memory-backend-memfd,id=m,size=1G,share=on -machine microvm,memory-backend=m \\",
      "  -chardev socket,id=n,path=/tmp/net/a.sock -netdev vhost-user,id=n0,chardev=n -device virtio-net-device,netdev=n0",
      "qemu-system-x86_64 … -netdev stream,id=n0,server=off,addr.type=unix,addr.path=/tmp/net/b.sock \\",
      "  -device virtio-net-pci,netdev=n0",
      "",
      "# while it runs:",
      "curl --unix-socket /tmp/net/control.sock http://x/links",
      `curl --unix-socket /tmp/net/control.sock http://x/forwards -d '{"transport":"tcp","hostAddress":"127.0.0.1","hostPort":8081,"guestPort":80,"machine":"b"}'`,
      `curl --unix-socket /tmp/net/port.sock http://x/services/forwarder/expose -d '{"local":":8082","remote":"192.168.64.2:80"}'`,
    ],
    routes: skepNetworkRoutes,
    metrics: metricsOf,
  })
}
