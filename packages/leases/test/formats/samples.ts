/**
 * Lease files of every format, made up from entries and from what may be between them.
 *
 * @module
 */
import fc from "fast-check"
import { ETHERNET, type Lease, octetsOf } from "../../src/model.ts"

/** What a piece of a file says; the rest of the lease is where it is. */
export type Said = Omit<Lease, "source">

export interface Piece {
  readonly bytes: Buffer
  /** Missing where it is something that is no lease, and stays. */
  readonly said?: Said
}

export interface Sample {
  readonly format: string
  readonly pieces: fc.Arbitrary<readonly Piece[]>
  /** The file of these pieces. Where an array of JSON is in it, pieces are its elements. */
  readonly file: (pieces: readonly Piece[]) => Buffer
  readonly isJson?: boolean
}

interface Entry {
  readonly address: string
  readonly mac: Uint8Array
  readonly clientId: Uint8Array | undefined
  readonly seconds: number | undefined
}

const entry: fc.Arbitrary<Entry> = fc.record({
  address: fc.ipV4(),
  mac: fc.uint8Array({ minLength: 6, maxLength: 6 }).filter((mac) => mac.some((byte) => byte > 0)),
  clientId: fc.option(fc.uint8Array({ minLength: 2, maxLength: 30 }), { nil: undefined }),
  seconds: fc.option(fc.integer({ min: 1, max: 0x7fff_ffff }), { nil: undefined }),
})

function said(
  { address, mac, clientId, seconds }: Entry,
  name: string | undefined,
  more: Partial<Said> = {},
): Said {
  return {
    address,
    hardwareType: ETHERNET,
    hardware: octetsOf(mac),
    clientId: clientId === undefined ? undefined : octetsOf(clientId),
    name,
    machine: undefined,
    expires: seconds === undefined ? Number.POSITIVE_INFINITY : seconds * 1000,
    state: "bound",
    ...more,
  }
}

function macText(mac: Uint8Array): string {
  return octetsOf(mac)
}

/** Bytes without some, at least one. */
function bytesWithout(forbidden: string, maxLength = 20): fc.Arbitrary<Buffer> {
  return fc
    .oneof(
      fc.constantFrom("vm1", "\u001b]0;mine\u0007", "\u202evm", "naïve", "a=b", "{", "}", '"', "\\", "'"),
      fc.string({ unit: "binary", minLength: 1, maxLength }),
    )
    .map((text) => Buffer.from(text, "utf8").filter((byte) => !forbidden.includes(String.fromCharCode(byte))))
    .map((bytes) => Buffer.from(bytes))
    .filter((bytes) => bytes.length > 0)
}

function text(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)))
}

function short(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16)).join(":")
}

function list(piece: fc.Arbitrary<Piece>, other: fc.Arbitrary<string>): fc.Arbitrary<readonly Piece[]> {
  const noise = other.map((words): Piece => ({ bytes: Buffer.from(words, "utf8") }))
  return fc.array(fc.oneof({ weight: 4, arbitrary: piece }, { weight: 1, arbitrary: noise }), {
    maxLength: 12,
  })
}

function joined(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(({ bytes }) => bytes))
}

const bootpdPiece = fc
  .tuple(
    entry,
    fc.option(bytesWithout("\0\n"), { nil: undefined }),
    fc.boolean(),
    fc.constantFrom("\t", "        ", " \t", ""),
    fc.constantFrom("", "\tsomething=else\n", "\tflag\n", "\n", "\tlease_extra=0x1\n"),
  )
  .map(([one, name, isNode, tab, extra]): Piece => {
    const { address, mac, clientId, seconds } = one
    const id =
      clientId === undefined ? undefined : `${(clientId[0] ?? 0).toString(16)},${short(clientId.subarray(1))}`
    const lines = [
      ...(name === undefined ? [] : [`${tab}name=`, name, "\n"]),
      `${tab}ip_address=${address}\n`,
      isNode && id !== undefined
        ? `${tab}hw_address=ff,${short(mac)}\n`
        : `${tab}hw_address=1,${short(mac)}\n`,
      ...(id === undefined ? [] : [`${tab}identifier=${id}\n`]),
      extra,
      ...(seconds === undefined ? [] : [`${tab}lease=0x${seconds.toString(16)}\n`]),
    ]
    const expected = said(one, name?.toString("utf8"))
    return {
      bytes: text("{\n", ...lines, "}\n"),
      said:
        isNode && id !== undefined ? { ...expected, hardwareType: undefined, hardware: undefined } : expected,
    }
  })

const dnsmasqPiece = fc
  .tuple(
    entry,
    fc.option(bytesWithout("\0\n\r\t \u000b\u000c"), { nil: undefined }),
    fc.constantFrom("\n", "\r\n"),
  )
  .map(([one, name, lineEnd]): Piece => {
    const { address, mac, clientId, seconds } = one
    const isStar = name === undefined || name.toString("utf8") === "*"
    const id = clientId === undefined ? "*" : octetsOf(clientId)
    return {
      bytes: text(`${seconds ?? 0} ${macText(mac)} ${address} `, isStar ? "*" : name, ` ${id}${lineEnd}`),
      said: said(one, isStar ? undefined : name.toString("utf8")),
    }
  })

const bootptabPiece = fc
  .tuple(
    entry,
    bytesWithout("\0\n\r\t #%"),
    fc.constantFrom("\t", "  ", " \t"),
    fc.constantFrom("", "\tboot.img"),
  )
  .map(([one, name, gap, boot]): Piece => {
    const { mac } = one
    const address = one.address === "0.0.0.0" || one.address === "255.255.255.255" ? "10.0.0.1" : one.address
    const reserved = { ...one, address, clientId: undefined, seconds: undefined }
    return {
      bytes: text(name, `${gap}1${gap}${short(mac)}${gap}${address}${boot}\n`),
      said: said(reserved, name.toString("utf8"), { state: "reserved" }),
    }
  })

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte < 0x20 || byte > 0x7e
      ? `\\${byte.toString(8).padStart(3, "0")}`
      : `${byte === 0x22 || byte === 0x5c ? "\\" : ""}${String.fromCharCode(byte)}`,
  ).join("")
}

function iscTime(seconds: number): string {
  const date = new Date(seconds * 1000)
  const [day = "", clock = ""] = date.toISOString().split("T")
  return `${date.getUTCDay()} ${day.replaceAll("-", "/")} ${clock.slice(0, 8)}`
}

const ISC_STATES = { active: "bound", free: "free", released: "free", abandoned: "declined" } as const

const iscPiece = fc
  .tuple(
    entry,
    fc.option(bytesWithout(""), { nil: undefined }),
    fc.constantFrom("active", "free", "released", "abandoned"),
    fc.boolean(),
  )
  .map(([one, name, state, isEpoch]): Piece => {
    const { address, mac, clientId, seconds } = one
    const ends =
      seconds === undefined ? "never" : isEpoch ? `epoch ${seconds}; # a comment }` : iscTime(seconds)
    return {
      bytes: text(
        `lease ${address} {\n  starts 4 2026/11/19 10:11:12;\n  ends ${ends};\n  binding state ${state};\n`,
        `  next binding state free;\n  rewind binding state free;\n  hardware ethernet ${macText(mac)};\n`,
        clientId === undefined ? "" : `  uid "${escaped(clientId)}";\n`,
        '  set vendor-class-identifier = "}{;";\n  on expiry { set x = "1"; }\n',
        name === undefined ? "" : `  client-hostname "${escaped(name)}";\n`,
        "}\n",
      ),
      said: said(one, name?.toString("utf8"), { state: ISC_STATES[state] }),
    }
  })

const name = fc.option(fc.string({ unit: "binary", maxLength: 20 }), { nil: undefined })
const space = fc.constantFrom("", " ", "\n", "\n    ", "\r\n")

function json(object: unknown, indent: string): Buffer {
  return Buffer.from(JSON.stringify(object, null, indent), "utf8")
}

const libvirtPiece = fc.tuple(entry, name, fc.constantFrom("", "  ")).map(
  ([one, hostname, indent]): Piece => ({
    bytes: json(
      {
        "ip-address": one.address,
        "mac-address": macText(one.mac),
        hostname,
        "client-id": one.clientId === undefined ? undefined : octetsOf(one.clientId),
        "expiry-time": one.seconds ?? 0,
        iaid: "]}",
      },
      indent,
    ),
    said: said(one, hostname),
  }),
)

const networkdPiece = fc
  .tuple(entry, name, fc.constantFrom("", "\t"), fc.boolean())
  .map(([one, Hostname, indent, isOld]): Piece => {
    const clientId = one.clientId ?? Uint8Array.of(1, ...one.mac)
    return {
      bytes: json(
        {
          ClientId: Array.from(clientId),
          Address: one.address.split(".").map(Number),
          Hostname,
          ...(isOld
            ? {}
            : { HardwareAddressType: 1, HardwareAddressLength: 6, HardwareAddress: Array.from(one.mac) }),
          ...(one.seconds === undefined
            ? {}
            : { ExpirationUSec: 5, ExpirationRealtimeUSec: one.seconds * 1_000_000 }),
        },
        indent,
      ),
      said: said(
        { ...one, clientId },
        Hostname,
        isOld ? { hardwareType: undefined, hardware: undefined } : {},
      ),
    }
  })

const skepPiece = fc
  .tuple(entry, name, name, fc.constantFrom("", "  "))
  .map(([one, hostName, machine, indent]): Piece => {
    const seconds = one.seconds ?? 1_795_229_243
    return {
      bytes: json(
        {
          address: one.address,
          mac: macText(one.mac),
          clientId: one.clientId === undefined ? undefined : Buffer.from(one.clientId).toString("hex"),
          machine,
          hostName,
          granted: "2026-11-21T13:00:00.000Z",
          renewed: "2026-11-21T13:00:00.000Z",
          expires: new Date(seconds * 1000).toISOString(),
          more: { of: ["others", "}"] },
        },
        indent,
      ),
      said: said({ ...one, seconds }, hostName, { machine }),
    }
  })

/** The elements of an array, with blanks around them that follow from their number. */
function array(before: string, after: string): (pieces: readonly Piece[]) => Buffer {
  const gaps = fc.sample(space, { numRuns: 64, seed: 7 })
  return (pieces) =>
    text(
      before,
      ...pieces.flatMap(({ bytes }, index) => [
        index === 0 ? "" : ",",
        gaps[(index * 2) % gaps.length] ?? "",
        bytes,
        gaps[(index * 2 + 1) % gaps.length] ?? "",
      ]),
      after,
    )
}

const NEVER = fc.constant("")

export const SAMPLES: readonly Sample[] = [
  { format: "bootpd", pieces: list(bootpdPiece, fc.constantFrom("\n", "{\n}\n", " \t\n")), file: joined },
  {
    format: "dnsmasq",
    pieces: list(
      dnsmasqPiece,
      fc.constantFrom("\n", "duid 00:01:00:01:2b:6d:61:52:52:54:00:aa:bb:cc\n", "  \n"),
    ),
    file: joined,
  },
  {
    format: "bootptab",
    pieces: list(bootptabPiece, fc.constantFrom("# 1 2 3 4\n", "\n", " skipped 1 2 3\n")),
    file: (pieces) => text("# anything\n%%\n", joined(pieces)),
  },
  {
    format: "isc-dhcpd",
    pieces: list(
      iscPiece,
      fc.constantFrom(
        "# lease 1.2.3.4 {\n",
        "\n",
        'server-duid "\\000\\001}";\n',
        "authoring-byte-order little-endian;\n",
        'failover peer "dhcp" state {\n  my state normal at 4 2026/11/19 10:11:12;\n}\n',
        "host named {\n  dynamic;\n  hardware ethernet 52:54:00:0a:0b:0c;\n}\n",
      ),
    ).map((pieces) => {
      // The last one of an address counts: here each has one.
      const seen = new Set<string>()
      return pieces.filter(({ said: lease }) => {
        const isNew = lease === undefined || !seen.has(lease.address)
        if (lease !== undefined) seen.add(lease.address)
        return isNew
      })
    }),
    file: (pieces) => text("authoring-byte-order little-endian;\n", joined(pieces)),
  },
  { format: "libvirt", pieces: list(libvirtPiece, NEVER).map(leases), file: array("[", "]\n"), isJson: true },
  {
    format: "networkd",
    pieces: list(networkdPiece, NEVER).map(leases),
    file: array(
      '{"BootID":"0123","Address":[192,168,124,1],"PrefixLength":24,"Leases":[',
      '],"More":{"Leases":[1]}}\n',
    ),
    isJson: true,
  },
  {
    format: "skep",
    pieces: list(skepPiece, fc.constantFrom("1", '"strange"', '{"address":"1.2.3.4"}', "[[]]")).map(
      (pieces) => pieces.filter(({ bytes }) => !/^[1"[]/.test(bytes.toString("utf8"))),
    ),
    file: array(
      '{\n  "format": "skep-leases",\n  "version": 1,\n  "network": "192.168.64.0/24",\n  "leases": [',
      '],\n  "more": true\n}\n',
    ),
    isJson: true,
  },
]

function leases(pieces: readonly Piece[]): readonly Piece[] {
  return pieces.filter(({ said: lease }) => lease !== undefined)
}
