/**
 * Random sequences of operations on a small tree, so small that they meet often.
 *
 * @module
 */
import fc from "fast-check"
import type { Path, Step } from "./host.ts"

const names = fc.constantFrom("a", "b", "c")
const paths: fc.Arbitrary<Path> = fc.array(names, { minLength: 1, maxLength: 3 })

export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ does: fc.constantFrom("directory", "file"), at: paths }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constantFrom("symlink", "unlink", "rmdir"), at: paths }) },
    { weight: 4, arbitrary: fc.record({ does: fc.constantFrom("link", "rename"), at: paths, to: paths }) },
    {
      weight: 2,
      arbitrary: fc.record({
        does: fc.constant("write"),
        at: paths,
        offset: fc.integer({ min: 0, max: 10_000 }),
        content: fc.constantFrom("x", "hello", "0123456789".repeat(500)),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant("truncate"),
        at: paths,
        size: fc.integer({ min: 0, max: 12_000 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant("chmod"),
        at: paths,
        mode: fc.constantFrom(0o600, 0o755, 0o644),
      }),
    },
  ),
  { maxLength: 60 },
)
