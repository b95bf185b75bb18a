/**
 * A shell of the guest's root over a virtio-serial port: one command at a time, what it wrote, and whether it failed.
 *
 * @module
 */
import { once } from "node:events"
import { connect } from "node:net"
import { createInterface } from "node:readline"

export const PORT = "bench.shell"

/** Run by the guest as it starts (`boot.local`): reads a command a line, and ends what it wrote with a line of its own. */
export const SHELL: string = `
for name in /sys/class/virtio-ports/*/name; do
  read -r value < "$name"
  [ "$value" = ${PORT} ] || continue
  port=/dev/\${name#/sys/class/virtio-ports/}
  port=\${port%/name}
done
exec 3<> "$port"
echo "ready" >&3
while read -r number line <&3; do
  out=$(eval "$line" 2>&1)
  status=$?
  [ -z "$out" ] || echo "$out" >&3
  echo "@ $number $status" >&3
done
`

export interface Shell extends Disposable {
  /** Runs one line of shell; resolves with what it wrote, rejects with it where it failed or took too long. */
  readonly run: (line: string, limitMs?: number) => Promise<string>
}

const LIMIT_MS = 300_000

/** `path` is where QEMU listens for the port. Resolves when the guest's shell has said that it is there. */
export async function connectShell(path: string): Promise<Shell> {
  const socket = connect(path)
  await once(socket, "connect")
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  await within(next(lines), LIMIT_MS, "the guest's start")
  let number = 0
  const read = async (wanted: number): Promise<string> => {
    for (const out: string[] = []; ; ) {
      const line = await next(lines)
      const end = /^@ (\d+) (\d+)$/.exec(line)
      if (end === null || Number(end[1]) !== wanted) {
        out.push(line)
        continue
      }
      if (end[2] === "0") return out.join("\n")
      throw new Error(`exit ${end[2]}: ${out.slice(-5).join("; ")}`)
    }
  }
  return {
    run: (line, limitMs = LIMIT_MS) => {
      const wanted = ++number
      socket.write(`${wanted} ${line.replaceAll("\n", "; ")}\n`)
      return within(read(wanted), limitMs, line)
    },
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

async function next(lines: AsyncIterator<string>): Promise<string> {
  const { value, done } = await lines.next()
  if (done === true) throw new Error("the guest is gone")
  return value
}

async function within<T>(work: Promise<T>, limitMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${limitMs} ms`)), limitMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
