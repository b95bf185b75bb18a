/**
 * The keeper as a program: `skep-keeper --config devices.json --control keeper.sock`. Launchers start it; by hand it stands before a back
 * end of one's own.
 *
 * @module
 */
import { serve } from "@skep/runtime"
import { keeper } from "./keeper.ts"

await serve(keeper, {
  version: "0.1.0",
  description:
    "Stands between QEMU and its vhost-user back ends, so that they can be replaced under a running machine",
  flags: [
    {
      flags: "--device <name,front,back>",
      key: "devices",
      description: "one device: its name, where QEMU listens, where the back end listens",
      parse: (text) => {
        const [name, front, back] = text.split(",")
        return [{ name, front, back }]
      },
    },
    {
      flags: "--lonely <ms>",
      key: "lonelyMs",
      description: "end when no QEMU has been there for so long",
      parse: Number,
    },
  ],
  examples: [
    "skep-keeper --device vsock,/tmp/vm/front.sock,/tmp/vm/back.sock --control /tmp/vm/keeper.sock",
    "qemu-system-x86_64 … -chardev socket,id=v,path=/tmp/vm/front.sock,server=on -device vhost-user-vsock-device,chardev=v",
  ],
})
