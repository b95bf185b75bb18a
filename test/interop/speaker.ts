/**
 * A process that has conversations where it runs: `speaker.ts`, with Node's channel to whoever started it. Ends with that channel.
 *
 * @module
 */
import { type ConversationCall, Conversations } from "./conversation.ts"

export interface Request {
  readonly id: number
  readonly name: ConversationCall
  readonly argument: unknown
}

export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }

const conversations = new Conversations()

async function answer({ id, name, argument }: Request): Promise<void> {
  try {
    // oxlint-disable-next-line typescript/no-explicit-any -- each call takes its own, which `Remote` says
    process.send?.({ id, value: await conversations[name](argument as any) })
  } catch (error) {
    process.send?.({ id, error: String(error) })
  }
}

process.on("message", (request: Request) => void answer(request))
process.on("disconnect", () => process.exit(0))
process.send?.({ id: 0, value: "ready" })
