/**
 * The command line of the adapter.
 *
 * @module
 */
import type { Flag } from "@skep/runtime"

const many = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]

export const flags: readonly Flag[] = [
  { flags: "--guest-cid <cid>", description: "the guest's address, above 2", key: "guestCid", parse: Number },
  {
    flags: "--directory <path>",
    description: "HyperKit's sockets: connect, and CCCCCCCC.PPPPPPPP for services",
    key: "directory",
  },
  {
    flags: "--uds-path <path>",
    description: "Firecracker's socket; services are at PATH_PORT",
    key: "udsPath",
  },
  {
    flags: "--device <string>",
    description: "as xhyve, HyperKit, vfkit or Firecracker are told of their device; may be repeated",
    key: "devices",
    parse: many,
  },
  {
    flags: "--service <port>",
    description:
      "a port of the host that the guest may connect to; may be repeated. Without any, those whose socket is there",
    key: "services",
    parse: (text: string, before: readonly number[] = []) => [...before, Number(text)],
  },
]
