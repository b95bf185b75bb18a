/**
 * Values of the Linux C interface that x86-64 and arm64 share, and those of this machine's processor.
 *
 * @module
 */
import { abiOf } from "./abi.ts"

/** This machine's table; x86-64's where ours is not known, so that the module loads anywhere (`available` says so). */
const ABI = abiOf(process.arch) ?? abiOf("x64")

// fcntl.h
export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_DSYNC = 0o10000
export const O_ACCMODE = 3
export const O_NOCTTY = 0o400
export const O_SYNC = 0o4010000
export const O_NOATIME = 0o1000000
export const O_PATH = 0o10000000
export const O_CLOEXEC = 0o2000000
export const O_DIRECTORY: number = ABI?.open.DIRECTORY ?? 0
export const O_NOFOLLOW: number = ABI?.open.NOFOLLOW ?? 0
export const O_DIRECT: number = ABI?.open.DIRECT ?? 0
export const O_TMPFILE: number = ABI?.open.TMPFILE ?? 0
export const F_GETFD = 1
export const F_SETFD = 2
export const F_GETFL = 3
export const F_SETFL = 4
export const F_DUPFD_CLOEXEC = 1030
export const F_OFD_GETLK = 36
export const F_OFD_SETLK = 37
export const F_RDLCK = 0
export const F_WRLCK = 1
export const F_UNLCK = 2
export const F_ADD_SEALS = 1033
export const F_GET_SEALS = 1034
export const FD_CLOEXEC = 1
export const F_SEAL_SEAL = 1
export const F_SEAL_SHRINK = 2
export const F_SEAL_GROW = 4
export const F_SEAL_WRITE = 8

// sys/epoll.h, sys/eventfd.h
export const EPOLL_CLOEXEC: number = O_CLOEXEC
export const EPOLL_CTL_ADD = 1
export const EPOLL_CTL_DEL = 2
export const EPOLL_CTL_MOD = 3
export const EPOLLIN = 0x1
export const EPOLLPRI = 0x2
export const EPOLLOUT = 0x4
export const EPOLLERR = 0x8
export const EPOLLHUP = 0x10
export const EPOLLRDHUP = 0x2000
export const EPOLLONESHOT = 0x40000000
/** The sign bit as the unsigned value it is: combine with `|`, the kernel reads 32 bits. */
export const EPOLLET = 0x80000000
export const EFD_SEMAPHORE = 1
export const EFD_NONBLOCK: number = O_NONBLOCK
export const EFD_CLOEXEC: number = O_CLOEXEC

// sys/socket.h, netinet/in.h, netinet/tcp.h
export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_VSOCK = 40
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_SEQPACKET = 5
export const SOCK_NONBLOCK: number = O_NONBLOCK
export const SOCK_CLOEXEC: number = O_CLOEXEC
export const SHUT_RD = 0
export const SHUT_WR = 1
export const SHUT_RDWR = 2
export const SOCK_RAW = 3
export const SOL_SOCKET = 1
export const SO_REUSEADDR = 2
export const SO_TYPE = 3
export const SO_ERROR = 4
export const SO_BROADCAST = 6
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_KEEPALIVE = 9
export const SO_LINGER = 13
export const SO_RCVLOWAT = 18
export const SO_REUSEPORT = 15
export const SO_PEERCRED = 17
export const SO_BINDTODEVICE = 25
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const SO_MARK = 36
export const SO_PEEK_OFF = 42
export const SO_ZEROCOPY = 60
export const IPPROTO_IP = 0
export const IPPROTO_ICMP = 1
export const IPPROTO_TCP = 6
export const IPPROTO_UDP = 17
export const IPPROTO_IPV6 = 41
export const IPPROTO_ICMPV6 = 58
export const IP_TOS = 1
export const IP_TTL = 2
export const IP_MTU_DISCOVER = 10
export const IP_PMTUDISC_DONT = 0
export const IP_PMTUDISC_WANT = 1
export const IP_PMTUDISC_DO = 2
export const IP_PMTUDISC_PROBE = 3
export const IP_RECVERR = 11
export const IP_RECVTTL = 12
export const IP_MTU = 14
export const IPV6_UNICAST_HOPS = 16
export const IPV6_MTU_DISCOVER = 23
export const IPV6_MTU = 24
export const IPV6_RECVERR = 25
export const IPV6_V6ONLY = 26
export const IPV6_RECVHOPLIMIT = 51
export const IPV6_HOPLIMIT = 52
export const IPV6_TCLASS = 67
export const TCP_NODELAY = 1
export const TCP_MAXSEG = 2
export const TCP_CORK = 3
export const TCP_KEEPIDLE = 4
export const TCP_KEEPINTVL = 5
export const TCP_KEEPCNT = 6
export const TCP_DEFER_ACCEPT = 9
export const TCP_WINDOW_CLAMP = 10
export const TCP_INFO = 11
export const TCP_QUICKACK = 12
export const TCP_USER_TIMEOUT = 18
export const TCP_NOTSENT_LOWAT = 25
export const UDP_SEGMENT = 103
export const UDP_GRO = 104
export const SCM_RIGHTS = 1
export const MSG_PEEK = 0x2
export const MSG_CTRUNC = 0x8
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40
export const MSG_ERRQUEUE = 0x2000
export const MSG_NOSIGNAL = 0x4000
export const MSG_MORE = 0x8000
export const MSG_ZEROCOPY = 0x4000000
export const MSG_CMSG_CLOEXEC = 0x40000000
/** limits.h: what one readv, writev or sendmsg takes. */
export const IOV_MAX = 1024
/** linux/net/scm.h: what one SCM_RIGHTS message carries. */
export const SCM_MAX_FD = 253

// sys/mman.h
export const PROT_NONE = 0
export const PROT_READ = 1
export const PROT_WRITE = 2
export const MAP_SHARED = 0x1
export const MAP_PRIVATE = 0x2
export const MAP_FIXED = 0x10
export const MAP_ANONYMOUS = 0x20
export const MAP_NORESERVE = 0x4000
export const MADV_DONTNEED = 4
export const MFD_CLOEXEC = 1
export const MFD_ALLOW_SEALING = 2

// sched.h
export const CLONE_NEWUSER = 0x10000000
export const CLONE_NEWNET = 0x40000000

// fcntl.h, linux/stat.h
export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_REMOVEDIR = 0x200
export const AT_SYMLINK_FOLLOW = 0x400
export const AT_NO_AUTOMOUNT = 0x800
export const AT_EMPTY_PATH = 0x1000
export const STATX_SIZE = 0x200
export const STATX_BASIC_STATS = 0x7ff
export const STATX_BTIME = 0x800

// linux/splice.h
export const SPLICE_F_MOVE = 1
export const SPLICE_F_NONBLOCK = 2
export const SPLICE_F_MORE = 4

// sys/stat.h
export const S_IFMT = 0o170000
export const S_IFSOCK = 0o140000
export const S_IFLNK = 0o120000
export const S_IFREG = 0o100000
export const S_IFBLK = 0o060000
export const S_IFDIR = 0o040000
export const S_IFCHR = 0o020000
export const S_IFIFO = 0o010000
export const UTIME_NOW = 0x3fffffff
export const UTIME_OMIT = 0x3ffffffe

// unistd.h, fcntl.h, sys/file.h, sys/uio.h
export const SEEK_SET = 0
export const SEEK_DATA = 3
export const SEEK_HOLE = 4
export const FALLOC_FL_KEEP_SIZE = 1
export const FALLOC_FL_PUNCH_HOLE = 2
export const FALLOC_FL_ZERO_RANGE = 16
export const LOCK_EX = 2
export const LOCK_NB = 4
export const RWF_NOWAIT = 8
