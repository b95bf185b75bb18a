/**
 * The peers: pasta, passt, slirp4netns, and gvproxy where `SKEP_BENCH_GVPROXY` is the path of one.
 *
 * @module
 */
import { once } from "node:events"
import { existsSync } from "node:fs"
import { request } from "node:http"
import { connect } from "node:net"
import { delimiter, join } from "node:path"
import type { GuestAddress, Peer, PeerContext } from "./peer.ts"
import { start, until } from "./process.ts"

export const GVPROXY_VARIABLE = "SKEP_BENCH_GVPROXY"

const PRIVATE: GuestAddress = { address: "10.0.2.15", prefix: 24, gateway: "10.0.2.2", host: "10.0.2.2" }

function absent(program: string): string | undefined {
  const found = (process.env["PATH"] ?? "").split(delimiter).some((at) => existsSync(join(at, program)))
  return found ? undefined : `there is no ${program}`
}

/** What pasta and passt have in common. As root they would become "nobody", who may not open the guest's namespace, or the socket's directory. */
function passtWords({ port }: PeerContext, mtu: number, guest: GuestAddress): readonly string[] {
  const { address, prefix, gateway } = guest
  const addresses = ["-4", "-a", address, "-n", String(prefix), "-g", gateway]
  const ports = ["-t", String(port), "-u", String(port)]
  return ["-f", "-q", "-e", "--runas", "0", ...addresses, "-m", String(mtu), ...ports]
}

/** The guest reaches the host's loopback at its gateway. Ports from loopback would be spliced past the interface: the load does not come from there. */
export function pasta(mtu: number): Peer {
  return {
    name: "pasta",
    variant: String(mtu),
    kind: "tap",
    mtu,
    guest: PRIVATE,
    missing: () => absent("pasta"),
    start: async (context) => {
      const where = ["-I", context.link, "-T", "none", "-U", "none", "--netns", context.guest]
      const argv = ["pasta", ...passtWords(context, mtu, PRIVATE), ...where]
      return { program: await start(argv, { namespace: context.host, log: context.log }) }
    },
  }
}

export function passt(mtu: number, guest: GuestAddress = PRIVATE): Peer {
  return {
    name: "passt",
    variant: String(mtu),
    kind: "stream",
    mtu,
    guest,
    missing: () => absent("passt"),
    start: async (context) => {
      const argv = ["passt", ...passtWords(context, mtu, guest), "-s", context.link]
      return { program: await start(argv, { namespace: context.host, log: context.log }) }
    },
  }
}

export function slirp4netns(mtu: number): Peer {
  return {
    name: "slirp4netns",
    variant: String(mtu),
    kind: "tap",
    mtu,
    guest: PRIVATE,
    missing: () => absent("slirp4netns"),
    start: async (context) => {
      const api = join(context.directory, "api.sock")
      // It brings the interface up itself only with -c, and takes the MTU only then.
      const words = ["-c", "-m", String(mtu), "--disable-dns", "--api-socket", api, "--netns-type=path"]
      const argv = ["slirp4netns", ...words, context.guest, context.link]
      const program = await start(argv, { namespace: context.host, log: context.log })
      const configured = async (): Promise<void> => {
        for (const proto of ["tcp", "udp"]) await slirpForward(api, proto, context.port)
      }
      return { program, configured }
    },
  }
}

async function slirpForward(path: string, proto: string, port: number): Promise<void> {
  const socket = connect(path)
  try {
    const forward = {
      proto,
      host_addr: "0.0.0.0",
      host_port: port,
      guest_addr: PRIVATE.address,
      guest_port: port,
    }
    socket.end(JSON.stringify({ execute: "add_hostfwd", arguments: forward }))
    const [answer] = (await once(socket, "data", { signal: AbortSignal.timeout(5000) })) as [Buffer]
    if (!answer.includes('"return"')) throw new Error(`slirp4netns: ${answer.toString("utf8")}`)
  } finally {
    socket.destroy()
  }
}

/** Its network is a fixed one; .254 is the host's loopback. */
export function gvproxy(mtu: number): Peer {
  const program = process.env[GVPROXY_VARIABLE]
  const guest = { address: "192.168.127.2", prefix: 24, gateway: "192.168.127.1", host: "192.168.127.254" }
  return {
    name: "gvproxy",
    variant: String(mtu),
    kind: "stream",
    mtu,
    guest,
    missing: () => (program === undefined ? `${GVPROXY_VARIABLE} is not set` : undefined),
    start: async (context) => {
      const api = join(context.directory, "api.sock")
      const words = ["-listen", `unix://${api}`, "-listen-qemu", `unix://${context.link}`, "-ssh-port", "-1"]
      const argv = [program ?? "", ...words, "-mtu", String(mtu)]
      const started = await start(argv, { namespace: context.host, log: context.log })
      const configured = async (): Promise<void> => {
        const end = { local: `0.0.0.0:${context.port}`, remote: `${guest.address}:${context.port}` }
        for (const protocol of ["tcp", "udp"]) await expose(api, { ...end, protocol })
      }
      return { program: started, configured }
    },
  }
}

async function expose(socketPath: string, forward: object): Promise<void> {
  await until("gvproxy's API", () => (existsSync(socketPath) ? true : undefined))
  const asked = request({ socketPath, method: "POST", path: "/services/forwarder/expose" })
  asked.end(JSON.stringify(forward))
  const [answer] = (await once(asked, "response")) as [{ statusCode?: number; resume(): void }]
  answer.resume()
  if (answer.statusCode !== 200) throw new Error(`gvproxy: ${answer.statusCode}`)
}
