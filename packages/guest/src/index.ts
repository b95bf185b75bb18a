/**
 * The guest image: recipe, build, what is on the host, and what makes a machine of it. See the README.
 *
 * @module
 */
export { type BuildOptions, buildImage, type Progress } from "./build.ts"
export {
  type CommandLineOptions,
  emulationParameters,
  hostTscKhz,
  kernelCommandLine,
} from "./command-line.ts"
export { type DockerCliOptions, hostDockerCli } from "./docker-cli.ts"
export type { Mirrors } from "./mirror.ts"
export { type HostProgram, hostPrograms } from "./program.ts"
export { type Arch, type Recipe, recipe } from "./recipe.ts"
export { DAEMON_DEFAULTS, type Seed, writeSeed } from "./seed.ts"
export { recipeHash } from "./sources.ts"
export { currentImage, type Image, listImages, removeImage, verifyImage } from "./store.ts"
