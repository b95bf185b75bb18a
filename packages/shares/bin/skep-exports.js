#!/usr/bin/env node
import { runBuilt } from "@skep/runtime/built"

await runBuilt("skep-exports")
