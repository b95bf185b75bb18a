import { sidecarContract } from "../src/index.ts"
import { echo } from "./echo/echo.ts"
import { echoFixture, spawnedEcho } from "./echo/fixture.ts"

sidecarContract({ name: "echo in process", open: () => echoFixture(echo) })
sidecarContract({ name: "echo spawned", open: () => echoFixture(spawnedEcho()) })
