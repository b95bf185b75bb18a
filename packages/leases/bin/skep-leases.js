#!/usr/bin/env -S node --max-semi-space-size=2 --no-warnings
import { runBuilt } from "@skep/runtime/built"

await runBuilt("skep-leases")
