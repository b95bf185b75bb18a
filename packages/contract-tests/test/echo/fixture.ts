/**
 * The echo in this process and in one of its own, for the contract suite.
 *
 * @module
 */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import type { Running, Sidecar } from "@skep/contract"
import { spawn } from "@skep/runtime"
import { fromSource, leftoversOf, temporaryDirectory } from "@skep/testkit"
import type { SidecarFixture } from "../../src/index.ts"
import { type EchoOptions, type EchoStatus, echo, parseEchoStatus } from "./echo.ts"

export function spawnedEcho(): Sidecar<EchoOptions, EchoStatus> {
  return spawn<EchoOptions, EchoStatus, Running<EchoStatus>>(
    {
      name: "echo",
      file: process.execPath,
      args: fromSource(import.meta.dirname, "main.ts"),
      control: (options) => `${options.socket}.control`,
      parseOptions: (input) => echo.parseOptions(input),
      parseStatus: parseEchoStatus,
      endWithParent: true,
    },
    (remote) => remote,
  )
}

export async function echoFixture(
  sidecar: Sidecar<EchoOptions, EchoStatus>,
): Promise<SidecarFixture<EchoOptions, EchoStatus, Running<EchoStatus>>> {
  const directory = await temporaryDirectory()
  return {
    sidecar,
    input: (index) => ({ socket: directory.at(`${index}.sock`) }),
    bad: [undefined, {}, { socket: 7 }, { socket: "/x", surprise: true }],
    hold: async (running) => {
      const client = await connected(running)
      return {
        [Symbol.asyncDispose]: async () => {
          client.destroy()
        },
      }
    },
    crash: async (running) => {
      const client = await connected(running)
      client.on("error", () => client.destroy())
      client.write(Buffer.of(0))
    },
    leftovers: () => leftoversOf(directory.path),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

async function connected(running: Running<EchoStatus>): Promise<Socket> {
  const path = running.endpoints.find((endpoint) => endpoint.endsWith(".sock")) ?? ""
  const client = connect(path)
  await once(client, "connect")
  return client
}
