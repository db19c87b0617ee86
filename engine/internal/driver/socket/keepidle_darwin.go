package socket

import "golang.org/x/sys/unix"

const keepIdle, keepInterval, keepCount = unix.TCP_KEEPALIVE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT
