/**
 * The test levels: unit and contract suites beside each package, interop with the programs of others and end to end under test/.
 *
 * @module
 */
import { defineConfig } from "vitest/config"

const fromSource = { resolve: { conditions: ["source"] }, ssr: { resolve: { conditions: ["source"] } } }

export default defineConfig({
  test: {
    // Processes, not threads: a sidecar sets its umask and its signal handlers.
    pool: "forks",
    retry: 0,
    // As many as the smallest machine has cores: Vitest would leave one of two to itself, and most tests wait for others anyway.
    maxWorkers: 2,
    projects: [
      {
        ...fromSource,
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"],
          testTimeout: 20_000,
        },
      },
      {
        ...fromSource,
        test: {
          name: "interop",
          include: ["test/interop/**/*.test.ts"],
          globalSetup: ["test/interop/setup.ts"],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        ...fromSource,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/e2e/setup.ts"],
          // Beyond what one command of it may take (test/e2e/skep.ts).
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
