#!/usr/bin/env -S node --max-semi-space-size=1 --optimize-for-size --no-warnings
import { runBuilt } from "@skep/runtime/built"

await runBuilt("skep-leases")
