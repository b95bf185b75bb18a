// Half a minute of everything bad at once; `npm run soak -- network` is the long one.
import { temporaryDirectory } from "@skep/testkit"
import { expect, it } from "vitest"
import { soak } from "../soak/network/soak.ts"
import { complaints, table } from "../soak/network/verdict.ts"
import { whyNoSoak } from "../soak/network/world.ts"

const SECONDS = 30
const SEED = 20_261_121
const LIMIT_MS = 240_000

const why = whyNoSoak()
if (why !== "") process.stdout.write(`no soak here: ${why}\n`)

it.skipIf(why !== "")(
  "survives half a minute of bad input, and the machine that behaves does not notice",
  async () => {
    await using directory = await temporaryDirectory()
    const result = await soak({
      directory: directory.path,
      seconds: SECONDS,
      seed: SEED,
      driver: "loop",
      progress: (line) => void process.stdout.write(`${line}\n`),
    })
    process.stdout.write(table(result))
    expect(complaints(result)).toEqual([])
  },
  LIMIT_MS,
)
