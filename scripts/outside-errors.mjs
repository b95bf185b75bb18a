// A reporter of vitest: errors outside of every test, which its JSON leaves out, as a list in the file $SKEP_OUTSIDE_ERRORS.
import { writeFileSync } from "node:fs"
import { relative } from "node:path"

export default class OutsideErrors {
  onTestRunEnd(modules, unhandled) {
    const ofModules = modules.flatMap((module) =>
      [...module.errors(), ...suiteErrors(module)].map(
        (error) => `${relative(process.cwd(), module.moduleId)}: ${wordsOf(error)}`,
      ),
    )
    writeFileSync(
      process.env["SKEP_OUTSIDE_ERRORS"],
      JSON.stringify([...ofModules, ...unhandled.map(wordsOf)]),
    )
  }
}

/** Of what goes before and after tests. */
function suiteErrors(module) {
  return [...module.children.allSuites()].flatMap((suite) => suite.errors())
}

function wordsOf({ name, message, stack }) {
  const place = stack?.split("\n").find((line) => /^\s+at /.test(line))
  return [`${name ?? "Error"}: ${message}`, ...(place === undefined ? [] : [place.trim()])].join(" ")
}
