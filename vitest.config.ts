/**
 * The test levels: unit and contract suites beside each package, interop with the programs of others and end to end under test/.
 *
 * @module
 */
import { defineConfig } from "vitest/config"

const fromSource = { resolve: { conditions: ["source"] }, ssr: { resolve: { conditions: ["source"] } } }

/**
 * Minutes for what others show as well, nearly: machines over links that have their own tests, stand-ins of programs, a disk that is filled, the soak.
 * Left out of the gate, which has half an hour; `npm test -- --long` runs them too, `npx vitest run --project long` them alone.
 */
const LONG = [
  "test/e2e/exports.test.ts",
  "test/e2e/full-disk.test.ts",
  "test/e2e/keeper-foreign.test.ts",
  "test/e2e/machine-gvproxy.test.ts",
  "test/e2e/machine-nic.test.ts",
  "test/e2e/machine-passt.test.ts",
  "test/e2e/machine-stream.test.ts",
  "test/e2e/network-contract.test.ts",
  "test/e2e/posix.test.ts",
  "test/e2e/postgresql.test.ts",
  "test/e2e/programs.test.ts",
  "test/e2e/vhost-net.test.ts",
  "test/e2e/vsock.test.ts",
  "test/interop/leases.test.ts",
  "test/interop/posix.test.ts",
  "test/interop/soak.test.ts",
  "packages/adapters/test/gvproxy/gvproxy.test.ts",
  "packages/adapters/test/passt/passt.test.ts",
  "packages/adapters/test/qemu-user.test.ts",
  "packages/adapters/test/vhost-vsock/contract.test.ts",
  "packages/network/test/drivers/node.test.ts",
]

/** What is waited for is there in no time, but for a host that others use as well. */
const PATIENT = { expect: { poll: { timeout: 30_000 } } }

/** One machine after the other. */
const END_TO_END = {
  ...PATIENT,
  globalSetup: ["test/e2e/setup.ts"],
  // Beyond what one command of it may take (test/e2e/skep.ts).
  testTimeout: 300_000,
  hookTimeout: 300_000,
  fileParallelism: false,
}

const UNIT = {
  ...PATIENT,
  // Files one after the other in two processes: one process for each of them took a third of the level's time.
  isolate: false,
  // Many are done in a second; on a host that others use as well they take ten times as long.
  testTimeout: 60_000,
  hookTimeout: 60_000,
}

/**
 * What takes longest of each level: machines that are started, killed and started again, floods, fuzz, contracts by a second way. In the gate where the host is
 * quick enough for all of it to stay within half an hour (scripts/test.mjs).
 */
const THOROUGH = {
  unit: [
    "packages/guest/test/build.test.ts",
    "packages/launcher/test/keeper/sidecar-contract.test.ts",
    "packages/launcher/test/keeper/upkeep.test.ts",
    "packages/leases/test/file/kill.test.ts",
    "packages/leases/test/janitor/skep-contract.test.ts",
    "packages/link/test/finish.test.ts",
    "packages/loop/test/thread/exit.test.ts",
    "packages/loop/test/thread/leaks.test.ts",
    "packages/network/test/dhcp/bounds.test.ts",
    "packages/network/test/dns/fuzz.test.ts",
    "packages/network/test/gateway/hostile.test.ts",
    "packages/network/test/tap-contract.test.ts",
    "packages/stack/test/flow/gathered.test.ts",
    "packages/stack/test/flow/kept.test.ts",
    "packages/stack/test/tcp/hostile.test.ts",
    "packages/stack/test/tcp/impaired.test.ts",
    "packages/stack/test/tcp/simulation.test.ts",
    "packages/vfs/test/ownership/passthrough.test.ts",
    "packages/vhost-user/test/fuzz.test.ts",
    "packages/vsock/test/process/killed.test.ts",
    "packages/vsock/test/process/storm.test.ts",
  ],
  e2e: [
    "test/e2e/bad-input.test.ts",
    "test/e2e/host-mount.test.ts",
    "test/e2e/interruptions.test.ts",
    "test/e2e/life.test.ts",
    "test/e2e/machine-network.test.ts",
    "test/e2e/machine-vsock.test.ts",
    "test/e2e/nfs.test.ts",
    "test/e2e/recovery.test.ts",
    "test/e2e/shares.test.ts",
  ],
}

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
          exclude: [...LONG, ...THOROUGH.unit],
          ...UNIT,
        },
      },
      {
        ...fromSource,
        test: {
          name: "interop",
          include: ["test/interop/**/*.test.ts"],
          exclude: LONG,
          globalSetup: ["test/interop/setup.ts"],
          ...PATIENT,
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
          exclude: [...LONG, ...THOROUGH.e2e],
          ...END_TO_END,
        },
      },
      { ...fromSource, test: { name: "unit-thorough", include: THOROUGH.unit, ...UNIT } },
      { ...fromSource, test: { name: "e2e-thorough", include: THOROUGH.e2e, ...END_TO_END } },
      {
        ...fromSource,
        test: {
          name: "long",
          include: LONG,
          ...END_TO_END,
          globalSetup: ["test/interop/setup.ts", "test/e2e/setup.ts"],
        },
      },
    ],
  },
})
