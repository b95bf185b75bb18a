/**
 * The docker context, made by the docker command of this host in a configuration of the test's own.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, symlinkSync } from "node:fs"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, test } from "vitest"
import { findDocker, findProgram, pathOf } from "../../src/context/docker-command.ts"
import {
  type ContextOptions,
  contextName,
  createContext,
  removeContext,
} from "../../src/context/docker-context.ts"

const docker = await findProgram("docker", pathOf(process.env))
const why = docker === undefined ? " (skipped: there is no docker command on the PATH)" : ""

test.each([
  ["default", "skep"],
  ["dev", "skep-dev"],
])("contextName(%j) is %j", (machine, name) => {
  expect(contextName(machine)).toBe(name)
})

describe.skipIf(docker === undefined)(`createContext()${why}`, () => {
  interface Bench extends AsyncDisposable {
    readonly options: ContextOptions & { readonly dockerSocket: string }
    docker(...args: string[]): string
  }

  async function bench(more: Record<string, string> = {}): Promise<Bench> {
    const directory = await temporaryDirectory()
    const config = { ...process.env, DOCKER_CONFIG: directory.path, DOCKER_HOST: "", DOCKER_CONTEXT: "" }
    const env = { ...config, ...more }
    return {
      options: {
        machine: "dev",
        dockerSocket: "/run/dev.sock",
        env,
        bin: directory.at("bin"),
        signal: new AbortController().signal,
      },
      docker: (...args) =>
        execFileSync(docker ?? "", args, { env: config, encoding: "utf8", stdio: "pipe" }).trim(),
      [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
    }
  }

  test("creates it and uses it, once; removeContext() takes both back", async () => {
    await using under = await bench()
    const expected = { name: "skep-dev", created: true, active: true }
    expect(await createContext(under.options)).toMatchObject(expected)
    expect(await createContext(under.options)).toMatchObject(expected)
    expect(under.docker("context", "show")).toBe("skep-dev")
    await removeContext(under.options)
    expect(under.docker("context", "ls", "-q")).toBe("default")
    expect(under.docker("context", "show")).toBe("default")
    await removeContext(under.options)
  })

  test("corrects one that leads elsewhere", async () => {
    await using under = await bench()
    await createContext({ ...under.options, dockerSocket: "/run/old.sock" })
    await createContext(under.options)
    expect(under.docker("context", "inspect", "skep-dev", "--format", "{{.Endpoints.docker.Host}}")).toBe(
      "unix:///run/dev.sock",
    )
  })

  test("leaves another one in use", async () => {
    await using under = await bench()
    under.docker("context", "create", "other", "--docker", "host=unix:///other.sock")
    under.docker("context", "use", "other")
    expect(await createContext(under.options)).toEqual({
      name: "skep-dev",
      created: true,
      active: false,
      sentence: 'The docker context "other" stays in use; use this machine with: docker --context skep-dev',
    })
  })

  test.each([
    [{ DOCKER_HOST: "unix:///x" }, false, /^DOCKER_HOST is set/],
    [{ DOCKER_CONTEXT: "elsewhere" }, false, /^DOCKER_CONTEXT is set/],
    [{ DOCKER_CONTEXT: "skep-dev" }, true, /is in use/],
  ])("with %j", async (env, active, sentence) => {
    await using under = await bench(env)
    expect(await createContext(under.options)).toMatchObject({
      created: true,
      active,
      sentence: expect.stringMatching(sentence),
    })
    expect(under.docker("context", "show")).toBe("default")
  })

  test("takes the docker command in its own directory where the PATH has none", async () => {
    await using under = await bench({ PATH: "/nonexistent" })
    const { bin, env } = under.options
    expect(await createContext(under.options)).toMatchObject({
      created: false,
      sentence: expect.stringContaining("skep docker-cli"),
    })
    await removeContext(under.options)
    mkdirSync(bin)
    symlinkSync(docker ?? "", `${bin}/docker`)
    expect(await findDocker(env, bin)).toEqual({ path: `${bin}/docker`, isOnPath: false })
    const made = await createContext(under.options)
    expect(made).toMatchObject({ created: true, active: true })
    expect(made.sentence).toContain(`${bin}/docker`)
    expect(made.sentence).toContain(`export PATH="${bin}:$PATH"`)
    expect(await findDocker({ PATH: bin }, bin)).toEqual({ path: `${bin}/docker`, isOnPath: true })
  })
})
