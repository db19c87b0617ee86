#!/bin/busybox sh
# The guest's first process: what the kernel has to allow, then one measurement, then the end. Words in capitals are filled in.
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev
$bb ip link set lo up
set_to() { echo "$2" >/proc/sys/$1; }

# Descriptors: in all, for a process at most, watched by epoll.
set_to fs/file-max 100000000
set_to fs/nr_open FILES
set_to fs/epoll/max_user_watches 100000000
ulimit -n FILES

# TCP: any share of memory (in pages), all ports for clients, queues that hold what an emulated processor takes its time for.
set_to net/ipv4/tcp_mem "100000000 100000000 100000000"
set_to net/ipv4/ip_local_port_range "1024 65535"
set_to net/core/somaxconn 65535
set_to net/ipv4/tcp_max_syn_backlog 65535
set_to net/core/netdev_max_backlog 1000000

# One processor is the client's: a second thread would only be in the first one's way. Its garbage may be half of what is alive.
GOMAXPROCS=1 GOGC=50 /million ARGS
$bb poweroff -f
