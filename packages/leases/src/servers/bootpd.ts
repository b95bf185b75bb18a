/**
 * macOS' bootpd, which vmnet has give addresses. It replaces its file with each lease that it gives, from its memory; it reads it when it starts and on SIGHUP, and ends by
 * itself when nobody has asked for five minutes. So the file is changed, bootpd started anew if it runs, and then looked at again: it may have written in between.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { LeaseServer } from "./server.ts"

const SERVICE = "system/com.apple.bootpd"

export const bootpd: LeaseServer = {
  name: "bootpd",
  title: "macOS' bootpd",
  places: ["/var/db/dhcpd_leases"],
  settings: [
    "/Library/Preferences/SystemConfiguration/com.apple.vmnet.plist",
    "/etc/bootpd.plist",
    "/etc/bootptab",
  ],
  whileRunning: "edit",
  next: "Try again",
  async isRunning(_path, { run, platform }, signal) {
    // A copy of the file on another system is nobody's.
    if (platform !== "darwin") return false
    try {
      return (await run("pgrep", ["-x", "bootpd"], signal)).trim() !== ""
    } catch (error) {
      // It exits with 1 where there is none.
      if (error instanceof SidecarError && error.code === "unsupported") return false
      throw error
    }
  },
  async tell(_path, { run }, signal) {
    await run("launchctl", ["kickstart", "-kp", SERVICE], signal)
  },
}
