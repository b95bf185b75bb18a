// For `node --require`: a host where system calls cannot be had, so that the network runs on Node's sockets.
const Module = require("node:module")
const resolve = Module._resolveFilename
Module._resolveFilename = function (request, ...rest) {
  if (request === "koffi") throw new Error("koffi is kept away by the test")
  return resolve.call(this, request, ...rest)
}
