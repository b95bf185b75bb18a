/**
 * Lease files that real servers wrote: ISC dhcpd 4.4.3-P1 and dnsmasq 2.90 of Debian 12 for udhcpc 1.35 in a network namespace, and the leaseshelper of libvirt 9.0,
 * called as dnsmasq calls it. Each took the file again after entries had been removed from it.
 *
 * @module
 */

/** A client that calls itself `a;b}c{`, and one with an identifier that is no hardware address. */
export const DHCPD: string = String.raw`# The format of this file is documented in the dhcpd.leases(5) manual page.
# This lease file was written by isc-dhcp-4.4.3-P1

# authoring-byte-order entry is generated, DO NOT DELETE
authoring-byte-order little-endian;

server-duid "\000\001\000\0012\225\032\354J\035L\274\346c";

lease 10.77.0.10 {
  starts 0 2026/11/22 03:16:00;
  ends 0 2026/11/22 03:26:00;
  cltt 0 2026/11/22 03:16:00;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 52:54:00:0a:0b:01;
  uid "\001RT\000\012\013\001";
  set vendor-class-identifier = "udhcp 1.35.0";
  client-hostname "plain";
}
lease 10.77.0.13 {
  starts 0 2026/11/22 03:16:06;
  ends 0 2026/11/22 03:26:06;
  cltt 0 2026/11/22 03:16:06;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 52:54:00:0a:0b:04;
  uid "\001RT\000\012\013\004";
  set vendor-class-identifier = "udhcp 1.35.0";
  client-hostname "a;b}c{";
}
lease 10.77.0.15 {
  starts 0 2026/11/22 03:16:10;
  ends 0 2026/11/22 03:26:10;
  cltt 0 2026/11/22 03:16:10;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 52:54:00:0a:0b:05;
  uid "\377\000\012\013\"";
  set vendor-class-identifier = "udhcp 1.35.0";
}
`

export const DNSMASQ = `1795317996 52:54:00:0a:0c:05 10.77.0.66 * ff:00:0a:0b:22
1795317993 52:54:00:0a:0c:05 10.77.0.65 * 01:52:54:00:0a:0c:05
1795317976 52:54:00:0a:0c:01 10.77.0.61 plain 01:52:54:00:0a:0c:01
`

/** The second is forever; the third is of IPv6, with a name that would clear the screen. */
export const LIBVIRT: string = String.raw`[
  {
    "ip-address": "192.168.122.56",
    "mac-address": "52:54:00:0a:0b:0c",
    "hostname": "vm1",
    "client-id": "01:52:54:00:0a:0b:0c",
    "expiry-time": 1795229243
  },
  {
    "ip-address": "192.168.122.57",
    "mac-address": "52:54:00:0a:0b:0d",
    "expiry-time": 0
  },
  {
    "iaid": "659465230",
    "ip-address": "fd00::2c",
    "mac-address": "52:54:00:0a:0b:0e",
    "hostname": "e\u001B[2J\"x",
    "client-id": "00:01:00:01",
    "server-duid": "00:01:00:02",
    "expiry-time": 1795229243
  }
]
`
