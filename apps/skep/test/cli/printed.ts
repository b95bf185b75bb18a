/**
 * What a piece of work prints.
 *
 * @module
 */
import { vi } from "vitest"

export interface Printed {
  readonly out: string
  readonly err: string
}

export async function printed(work: () => unknown): Promise<Printed> {
  const chunks = { out: [] as Buffer[], err: [] as Buffer[] }
  const into = (list: Buffer[]) => (chunk: string | Uint8Array) => {
    list.push(Buffer.from(chunk))
    return true
  }
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(into(chunks.out)),
    vi.spyOn(process.stderr, "write").mockImplementation(into(chunks.err)),
  ]
  try {
    await work()
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
  return { out: Buffer.concat(chunks.out).toString("utf8"), err: Buffer.concat(chunks.err).toString("utf8") }
}
